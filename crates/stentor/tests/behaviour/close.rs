//! How connections end: both ways, at once, never answered, dropped, and by what a handler ends
//! with.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stentor::{Acceptor, CloseCode, ClosedBy, Config, Error, Message, Misuse, Phase, WebSocket};
use stentor_proto::{Role, State};
use stentor_testkit::frame::{close, close_without_code, ping, pong, text};
use stentor_testkit::peer::Peer;
use stentor_testkit::transport::{End, pipe, rig};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::hosts::{Host, on_every_host};
use crate::support::{
    PIPE, at_once, connect, echo, handle, handled, in_every_way, lasting, raw_client, self_driven,
    self_driven_over, settle, soon,
};

on_every_host![what_a_handler_ends_with_decides_the_code, our_own_client_and_server_close_each_other,];

#[tokio::test(start_paused = true)]
async fn by_us_with_code_and_reason() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            socket.send("before").await.unwrap();
            socket.close(4999.into(), "grüße").await.unwrap();
            let closed = socket.closed().unwrap();
            assert_eq!((closed.code.into(), &*closed.reason, closed.by), (4999u16, "grüße", ClosedBy::Us));
            let frame = socket.close_frame().unwrap();
            assert_eq!((frame.code.into(), &*frame.reason), (4998u16, "auch"));
            assert_ne!(socket.state(), State::Open);
        },
        |mut peer| async move {
            peer.expect(text("before")).await;
            peer.expect(close(4999, "grüße")).await;
            peer.send(&text("on its way already")).await;
            peer.send(&close(4998, "auch")).await;
            peer.finish_writing().await;
            peer.expect_end().await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn by_the_peer_while_we_wait_to_send() {
    let test = in_every_way(
        Config { max_outbox_size: 1, ..Config::default() },
        |mut socket| async move {
            let error = loop {
                if let Err(error) = socket.send("x".repeat(1000)).await {
                    break error;
                }
            };
            assert!(matches!(&error, Error::Closed(closed) if closed.by == ClosedBy::Peer), "{error:?}");
        },
        |mut peer| async move {
            peer.send(&close(1001, "going")).await;
            // What was queued before the Close arrived may come before the answer.
            loop {
                let frame = peer.frame().await.expect("a Close frame");
                if frame.opcode == 8 {
                    assert_eq!(frame, close(1001, "going"));
                    break;
                }
            }
            peer.finish_writing().await;
            peer.expect_end().await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn by_both_at_once() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            socket.close(1000.into(), "ours").await.unwrap();
            let closed = socket.closed().unwrap();
            assert_eq!((&*closed.reason, closed.by), ("ours", ClosedBy::Us));
            assert_eq!(&*socket.close_frame().unwrap().reason, "theirs");
        },
        |mut peer| async move {
            // The first to be polled is ours, so both frames are on their way.
            peer.send(&close(1001, "theirs")).await;
            peer.expect(close(1000, "ours")).await;
            peer.finish_writing().await;
            peer.expect_end().await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn never_answered_takes_the_close_timeout_and_no_longer() {
    let config = Config { close_timeout: Duration::from_secs(3), ..Config::default() };
    let test = in_every_way(
        config,
        |mut socket| async move {
            let began = Instant::now();
            let error = socket.close(1000.into(), "").await.unwrap_err();
            assert!(matches!(error, Error::Timeout(Phase::Close)), "{error:?}");
            let took = began.elapsed().as_secs_f64();
            assert!((3.0..3.1).contains(&took), "{took} s");
            assert_eq!(socket.state(), State::Closed);
        },
        |mut peer| async move {
            peer.expect(close(1000, "")).await;
            // Anything but a Close frame does not prolong it.
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_millis(290)).await;
                peer.send(&text("chatter")).await;
            }
            peer.expect_end().await;
        },
    );
    lasting(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_hangs_up_instead_of_answering_has_closed() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            socket.close(1000.into(), "").await.unwrap();
            assert_eq!(socket.close_frame(), None);
        },
        |mut peer| async move {
            peer.expect(close(1000, "")).await;
            drop(peer);
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_breaks_while_closing_is_closed_too() {
    let (ours, _theirs) = pipe(1024);
    let (ours, control) = rig(ours);
    control.cut_writing_after(0, End::Error(ErrorKind::ConnectionReset));
    let connection =
        stentor_testkit::script::connection(Role::Client, Config::default(), Instant::now().into_std());
    let mut socket = WebSocket::from_connection(connection, ours, stentor_proto::bytes::BytesMut::new());
    at_once(socket.close(1000.into(), "")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_code_or_reason_that_may_not_be_sent_is_refused() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
                let error = socket.close(code.into(), "").await.unwrap_err();
                assert!(matches!(error, Error::Misuse(Misuse::UnsendableCloseCode(_))), "{error:?}");
            }
            let error = socket.close(CloseCode::NORMAL, &"x".repeat(124)).await.unwrap_err();
            assert!(matches!(error, Error::Misuse(Misuse::ReasonTooLong)), "{error:?}");
            // Nothing was done.
            assert_eq!(socket.state(), State::Open);
            socket.send("still open").await.unwrap();
            assert_eq!(socket.recv().await.unwrap(), Some("indeed".into()));
            socket.close(CloseCode::NORMAL, &"x".repeat(123)).await.unwrap();
        },
        |mut peer| async move {
            peer.expect(text("still open")).await;
            peer.send(&text("indeed")).await;
            peer.expect(close(1000, &"x".repeat(123))).await;
            peer.send(&close(1000, "")).await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn dropped_it_closes_with_1000_in_the_background() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            socket.feed("not flushed").await.unwrap();
            drop(socket);
        },
        |mut peer| async move {
            peer.expect(text("not flushed")).await;
            peer.expect(close(1000, "")).await;
            // Until the answer it is read, and pings are no reason to wait longer.
            peer.send(&text("dropped")).await;
            peer.send(&close(1000, "")).await;
            peer.finish_writing().await;
            peer.expect_end().await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn dropped_and_never_answered_it_ends_at_the_close_timeout() {
    for role in [Role::Client, Role::Server] {
        let (socket, mut peer) = self_driven(role, &Config::default());
        let began = Instant::now();
        drop(socket);
        peer.expect(close(1000, "")).await;
        lasting(peer.expect_end()).await;
        let took = began.elapsed().as_secs_f64();
        assert!((5.0..5.1).contains(&took), "{took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_closing_goes_on_when_its_future_and_then_the_socket_are_dropped() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            assert!(futures_util::poll!(std::pin::pin!(socket.close(4000.into(), "mine"))).is_pending());
            drop(socket);
        },
        |mut peer| async move {
            peer.expect(close(4000, "mine")).await;
            peer.send(&close(4000, "")).await;
            peer.finish_writing().await;
            peer.expect_end().await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_close_leaves_with_the_recv_that_sees_it() {
    // Nobody polls the socket again, and it is not dropped.
    for (their_close, answer) in
        [(close(3000, "x"), close(3000, "x")), (close_without_code(), close_without_code())]
    {
        for role in [Role::Client, Role::Server] {
            let (mut socket, mut peer) = self_driven(role, &Config::default());
            peer.send(&their_close).await;
            assert_eq!(at_once(socket.recv()).await.unwrap(), None);
            at_once(peer.expect(answer.clone())).await;
        }
    }
}

/// Dropping a transport with unread bytes in it could destroy the Close frame on its way, so what a
/// violator sends on is read, and dropped, until it ends its side.
#[tokio::test(start_paused = true)]
async fn a_violator_may_go_on_sending_until_it_has_seen_our_close_frame() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            assert!(matches!(socket.recv().await.unwrap_err(), Error::Protocol(_)));
        },
        |mut peer| async move {
            peer.send(&text("wrong").rsv(4)).await;
            peer.expect_close(1002).await;
            peer.expect_end().await;
            let mut io = peer.into_inner();
            // More than the transport holds: somebody reads it.
            io.write_all(&vec![b'x'; 10 * PIPE]).await.unwrap();
            io.shutdown().await.unwrap();
            settle().await;
            io.write_all(b"x").await.expect_err("it is gone");
        },
    );
    lasting(test).await;
}

/// Ends as the client's first message says.
async fn as_told(mut socket: WebSocket) -> Result<(), String> {
    let Ok(Some(Message::Text(how))) = socket.recv().await else { return Ok(()) };
    match &*how {
        "ok" => Ok(()),
        "error" => Err("a reason of its own".to_owned()),
        "panic" => panic!("told to"),
        other => {
            socket.send(other).await.map_err(|error| error.to_string())?;
            let _ = echo(socket).await;
            Ok(())
        }
    }
}

async fn what_a_handler_ends_with_decides_the_code(host: Host) {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&errors);
    let acceptor = Acceptor::new().on_error(move |peer, error| {
        noted.lock().unwrap().push((peer.is_some(), error.to_string()));
    });
    let addr = host.serve(acceptor, as_told).await;
    // One that stays, through everything that befalls the others.
    let mut bystander = connect(addr).await;
    bystander.send("hello").await.unwrap();
    assert_eq!(soon(bystander.recv()).await.unwrap(), Some("hello".into()));

    for (how, code) in [("ok", 1000), ("error", 1011), ("panic", 1011), ("ok", 1000)] {
        let mut client = raw_client(addr).await;
        client.send(&text(how)).await;
        let reason = soon(client.expect_close(code)).await;
        assert_eq!(reason, "", "what went wrong inside is not told to the peer");
        client.send(&close(code, "")).await;
        soon(client.expect_end()).await;

        bystander.send(how).await.unwrap();
        assert_eq!(soon(bystander.recv()).await.unwrap(), Some(how.into()));
    }
    let errors = errors.lock().unwrap();
    let expected = [(true, "a reason of its own".to_owned()), (true, "the handler panicked".to_owned())];
    assert_eq!(*errors, expected);
}

#[tokio::test(start_paused = true)]
async fn a_panic_behind_the_close_changes_nothing() {
    let (mut peer, done) = handled(&Config::default(), async |mut socket: WebSocket| {
        assert_eq!(socket.recv().await.unwrap(), None);
        panic!("too late to matter");
    })
    .await;
    peer.send(&close(1000, "bye")).await;
    at_once(peer.expect(close(1000, "bye"))).await;
    at_once(peer.expect_end()).await;
    at_once(done).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_waits_for_ever_learns_that_the_peer_has_gone() {
    let (told, mut ends) = mpsc::unbounded_channel();
    let (mut peer, _done) = handled(&Config::default(), async move |socket: WebSocket| {
        let (sender, mut receiver) = socket.split();
        told.send(receiver.recv().await.unwrap()).unwrap();
        // The halves are kept; the connection is over all the same.
        std::future::pending::<()>().await;
        drop((sender, receiver));
    })
    .await;
    peer.send(&ping("a")).await;
    peer.expect(pong("a")).await;
    peer.send(&close(1000, "")).await;
    peer.expect(close(1000, "")).await;
    at_once(peer.expect_end()).await;
    assert_eq!(at_once(ends.recv()).await, Some(None));
}

async fn our_own_client_and_server_close_each_other(host: Host) {
    let (told, mut ends) = mpsc::unbounded_channel();
    let handler = move |mut socket: WebSocket| {
        let told = told.clone();
        async move {
            if socket.recv().await.unwrap().is_some() {
                socket.close(4321.into(), "said enough").await.unwrap();
            }
            told.send((socket.closed().unwrap(), socket.close_frame().unwrap())).unwrap();
        }
    };
    let addr = host.serve(Acceptor::new(), handler).await;
    let mut client = connect(addr).await;
    client.close(4000.into(), "the client's").await.unwrap();
    let (closed, frame) = soon(ends.recv()).await.unwrap();
    assert_eq!((closed.code.into(), &*closed.reason, closed.by), (4000u16, "the client's", ClosedBy::Peer));
    assert_eq!(&*frame.reason, "the client's");

    let mut client = connect(addr).await;
    client.send("close").await.unwrap();
    assert_eq!(soon(client.recv()).await.unwrap(), None);
    let closed = client.closed().unwrap();
    assert_eq!((closed.code.into(), &*closed.reason, closed.by), (4321u16, "said enough", ClosedBy::Peer));
    drop(client);
    let (closed, frame) = soon(ends.recv()).await.unwrap();
    assert_eq!((closed.code.into(), closed.by, frame.code.into()), (4321u16, ClosedBy::Us, 4321u16));
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_holds_the_close_back_is_kept_until_it_has_left() {
    for way in ["the handler's task", "the calls", "another task"] {
        println!("driven by {way}");
        let (ours, theirs) = pipe(PIPE);
        let (ours, control) = rig(ours);
        let wait_for_the_end = async |mut socket: WebSocket| assert_eq!(socket.recv().await.unwrap(), None);
        let mut peer = if way == "the handler's task" {
            drop(handle(&Config::default(), ours, wait_for_the_end));
            Peer::connect(theirs).await
        } else {
            let mut socket = self_driven_over(Role::Server, &Config::default(), ours);
            if way == "another task" {
                let (sender, mut receiver) = socket.split();
                drop(sender);
                tokio::spawn(async move { receiver.recv().await });
            } else {
                tokio::spawn(async move { socket.recv().await });
            }
            Peer::new(Role::Client, theirs)
        };
        control.stall_flushing();
        peer.send(&close(1000, "bye")).await;
        peer.expect(close(1000, "bye")).await;
        settle().await;
        assert!(!control.counts().shut_down);
        let (ended, ()) = at_once(async {
            tokio::join!(peer.frame(), async {
                tokio::task::yield_now().await;
                control.release();
            })
        })
        .await;
        assert_eq!(ended, None);
        assert!(control.counts().shut_down, "the transport was dropped without an ending");
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_never_lets_the_close_go_is_dropped_at_the_deadline() {
    let config = Config { close_timeout: Duration::from_secs(3), ..Config::default() };
    let (ours, theirs) = pipe(PIPE);
    let (ours, control) = rig(ours);
    let done = handle(&config, ours, async |mut socket: WebSocket| socket.recv().await);
    let mut peer = Peer::connect(theirs).await;
    control.stall_flushing();
    let began = Instant::now();
    peer.send(&close(1000, "bye")).await;
    peer.expect(close(1000, "bye")).await;
    assert_eq!(at_once(done).await.unwrap().unwrap(), None, "the closing handshake itself is done");
    lasting(peer.expect_end()).await;
    let took = began.elapsed().as_secs_f64();
    assert!((3.0..3.1).contains(&took), "{took} s");
}
