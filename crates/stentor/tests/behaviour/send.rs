//! What `send`, `feed` and `flush` promise: whole messages in order, backpressure, and an error
//! once nothing can be sent any more.

use std::pin::pin;
use std::time::Duration;

use futures_util::poll;
use stentor::{ClosedBy, Config, Error, Message, Phase, Prepared, WebSocket};
use stentor_proto::Role;
use stentor_testkit::frame::{binary, close, ping, pong, text};
use stentor_testkit::peer::Peer;
use stentor_testkit::transport::pipe;

use crate::support::{
    PIPE, at_once, bytes_of, driven_elsewhere, handle, handled, in_every_way, lasting, self_driven, settle,
    text_of,
};

#[tokio::test(start_paused = true)]
async fn what_is_sent_arrives_in_order() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            socket.feed("fed").await.unwrap();
            socket.send("sent").await.unwrap();
            socket.send_prepared(&Prepared::new("prepared".into())).await.unwrap();
            socket.feed(bytes_of(100_000)).await.unwrap();
            socket.feed(Message::from(text_of(20_000))).await.unwrap();
            socket.flush().await.unwrap();
            assert_eq!(socket.recv().await.unwrap(), None);
        },
        |mut peer| async move {
            for expected in ["fed", "sent", "prepared"] {
                peer.expect(text(expected)).await;
            }
            peer.expect(binary(bytes_of(100_000))).await;
            peer.expect(text(text_of(20_000))).await;
            peer.send(&close(1000, "")).await;
            peer.expect(close(1000, "")).await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_larger_than_the_outbox_goes_alone() {
    let config = Config { max_outbox_size: 1000, ..Config::default() };
    let test = in_every_way(
        config,
        |mut socket| async move {
            for _ in 0..3 {
                socket.send(bytes_of(300_000)).await.unwrap();
            }
            assert_eq!(socket.recv().await.unwrap(), None);
        },
        |mut peer| async move {
            for _ in 0..3 {
                peer.expect(binary(bytes_of(300_000))).await;
            }
            peer.send(&close(1000, "")).await;
            peer.expect(close(1000, "")).await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_can_be_sent_once_the_peer_has_closed() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            assert_eq!(socket.recv().await.unwrap(), None);
            for _ in 0..2 {
                let error = socket.send("late").await.unwrap_err();
                let Error::Closed(closed) = error else { panic!("{error:?}") };
                assert_eq!(
                    (closed.code.into(), &*closed.reason, closed.by),
                    (3001u16, "gone", ClosedBy::Peer)
                );
            }
            assert!(matches!(socket.feed("late").await.unwrap_err(), Error::Closed(_)));
            assert!(matches!(socket.ping().await.unwrap_err(), Error::Closed(_)));
            let prepared = Prepared::new("late".into());
            assert!(matches!(socket.send_prepared(&prepared).await.unwrap_err(), Error::Closed(_)));
            // Closing what is closed is fine.
            socket.close(1000.into(), "").await.unwrap();
        },
        |mut peer| async move {
            peer.send(&close(3001, "gone")).await;
            peer.expect(close(3001, "gone")).await;
            peer.finish_writing().await;
            peer.expect_end().await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_can_be_sent_once_we_have_closed() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            socket.close(1001.into(), "leaving").await.unwrap();
            let error = socket.send("late").await.unwrap_err();
            let Error::Closed(closed) = error else { panic!("{error:?}") };
            assert_eq!((closed.code.into(), &*closed.reason, closed.by), (1001u16, "leaving", ClosedBy::Us));
        },
        |mut peer| async move {
            peer.expect(close(1001, "leaving")).await;
            peer.send(&close(1001, "")).await;
            peer.finish_writing().await;
            peer.expect_end().await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_after_a_violation_fails_with_it() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            assert!(matches!(socket.recv().await.unwrap_err(), Error::Protocol(_)));
            assert!(matches!(socket.send("late").await.unwrap_err(), Error::Protocol(_)));
        },
        |mut peer| async move {
            peer.send(&ping("x").rsv(1)).await;
            peer.expect_close(1002).await;
        },
    );
    at_once(test).await;
}

/// Feeds messages of 1,000 bytes until there is no room, and says how many there was room for.
async fn fill(socket: &mut WebSocket) -> usize {
    for sent in 0.. {
        if poll!(pin!(socket.feed(bytes_of(1000)))).is_pending() {
            return sent;
        }
    }
    unreachable!()
}

#[tokio::test(start_paused = true)]
async fn a_full_outbox_makes_the_sender_wait() {
    for max_outbox_size in [1, 5000, 256 << 10] {
        let config = Config { max_outbox_size, keepalive: None, ..Config::default() };
        for role in [Role::Client, Role::Server] {
            let (mut socket, mut peer) = self_driven(role, &config);
            // At most what fits into the transport, the outbox, and one message more.
            let sent = fill(&mut socket).await;
            assert!(sent * 1000 <= PIPE + max_outbox_size + 1010, "{sent} messages");
            assert!(sent * 1000 + 2020 >= max_outbox_size, "{sent} messages");
            let receive = async {
                for _ in 0..sent {
                    peer.expect(binary(bytes_of(1000))).await;
                }
                peer.expect(text("room")).await;
            };
            let (result, ()) = at_once(async { tokio::join!(socket.send("room"), receive) }).await;
            result.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_outbox_of_a_driven_connection_makes_its_sender_wait() {
    let config = Config { max_outbox_size: 5000, keepalive: None, ..Config::default() };
    let (mut socket, mut peer) = driven_elsewhere(&config).await;
    let sent = fill(&mut socket).await;
    assert!((5..=6).contains(&sent), "{sent} messages");
    let receive = async {
        for _ in 0..sent {
            peer.expect(binary(bytes_of(1000))).await;
        }
        peer.expect(text("room")).await;
    };
    let (result, ()) = at_once(async { tokio::join!(socket.send("room"), receive) }).await;
    result.unwrap();
}

#[tokio::test(start_paused = true)]
async fn room_is_noticed_before_everything_has_left() {
    let config = Config { max_outbox_size: 4900, ..Config::default() };
    let (ours, theirs) = pipe(100);
    let socket = handle(&config, ours, async |socket: WebSocket| socket);
    let mut peer = Peer::connect(theirs).await;
    let mut socket = socket.await.unwrap();
    let sent = fill(&mut socket).await;
    assert_eq!(sent, 5);
    // The peer takes three, and then nothing more. The sender has a task of its own, which only the
    // connection can wake.
    let feeding = tokio::spawn(async move { socket.feed("room").await });
    settle().await;
    assert!(!feeding.is_finished());
    for _ in 0..3 {
        peer.expect(binary(bytes_of(1000))).await;
    }
    at_once(feeding).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_blocked_write_does_not_stop_reading() {
    let test = in_every_way(
        Config { max_outbox_size: 1, ..Config::default() },
        |mut socket| async move {
            // Far more than the transport takes; the peer reads only when it has the pong.
            socket.send(bytes_of(PIPE * 4)).await.unwrap();
            socket.send("behind").await.unwrap();
            assert_eq!(socket.recv().await.unwrap(), Some("read meanwhile".into()));
            assert_eq!(socket.recv().await.unwrap(), None);
        },
        |mut peer| async move {
            peer.send(&text("read meanwhile")).await;
            peer.send(&ping("alive?")).await;
            // The pong waits for the end of the frame that has begun, and no longer.
            peer.expect(binary(bytes_of(PIPE * 4))).await;
            peer.expect(pong("alive?")).await;
            peer.expect(text("behind")).await;
            peer.send(&close(1000, "")).await;
            peer.expect(close(1000, "")).await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_for_too_long_is_given_up() {
    let config = Config { write_timeout: Duration::from_secs(3), keepalive: None, ..Config::default() };
    let test = in_every_way(
        config,
        |mut socket| async move {
            let error = loop {
                if let Err(error) = socket.send(bytes_of(10_000)).await {
                    break error;
                }
            };
            assert!(matches!(error, Error::Timeout(Phase::Write)), "{error:?}");
            assert!(matches!(socket.recv().await.unwrap_err(), Error::Timeout(Phase::Write)));
            assert!(matches!(socket.flush().await.unwrap_err(), Error::Timeout(Phase::Write)));
        },
        |peer| async move {
            tokio::time::sleep(Duration::from_secs(10)).await;
            drop(peer);
        },
    );
    lasting(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_can_wait_until_everything_has_left() {
    let (mut peer, done) = handled(&Config::default(), async |mut socket: WebSocket| {
        socket.send("soon").await.unwrap();
        assert!(poll!(pin!(socket.flush())).is_pending(), "nothing leaves before the handler is suspended");
        socket.flush().await.unwrap();
    })
    .await;
    at_once(done).await.unwrap();
    at_once(peer.expect(text("soon"))).await;
    at_once(peer.expect_close(1000)).await;
}
