//! Pings both ways, whatever the handler is busy with; the keepalive.

use std::pin::pin;
use std::time::Duration;

use futures_util::poll;
use stentor::{Config, Error, Keepalive, Phase, WebSocket};
use stentor_proto::Role;
use stentor_testkit::frame::{ping, pong, text};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::support::{
    at_once, connect, driven_elsewhere, echo_server, handled, in_every_way, lasting, raw_client, settle, soon,
};

#[tokio::test(start_paused = true)]
async fn a_ping_measures_the_round_trip() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            assert_eq!(socket.round_trip(), None);
            let round_trip = socket.ping().await.unwrap();
            assert_eq!(round_trip, Duration::from_millis(1500));
            assert_eq!(socket.round_trip(), Some(round_trip));
            let round_trip = socket.ping().await.unwrap();
            assert_eq!(round_trip, Duration::from_millis(200));
            // What arrived meanwhile was kept.
            assert_eq!(socket.recv().await.unwrap(), Some("meanwhile".into()));
        },
        |mut peer| async move {
            let first = peer.frame().await.unwrap();
            assert_eq!(first.opcode, 9);
            peer.send(&text("meanwhile")).await;
            peer.send(&pong("of something else")).await;
            tokio::time::sleep(Duration::from_millis(1500)).await;
            peer.send(&pong(&first.payload)).await;
            let second = peer.frame().await.unwrap();
            assert_ne!(second.payload, first.payload);
            tokio::time::sleep(Duration::from_millis(200)).await;
            // An old Pong answers no new Ping.
            peer.send(&pong(&first.payload)).await;
            peer.send(&pong(&second.payload)).await;
            peer.expect_close(1000).await;
        },
    );
    lasting(test).await;
}

#[tokio::test(start_paused = true)]
async fn one_pong_answers_all_who_ping_at_once() {
    let test = in_every_way(
        Config::default(),
        |socket| async move {
            let (sender, _receiver) = socket.split();
            let pings = (0..5).map(|_| {
                let sender = sender.clone();
                tokio::spawn(async move { sender.ping().await.unwrap() })
            });
            for ping in pings.collect::<Vec<_>>() {
                ping.await.unwrap();
            }
        },
        |mut peer| async move {
            let sent = peer.frame().await.unwrap();
            assert_eq!(sent.opcode, 9);
            peer.send(&pong(sent.payload)).await;
            peer.expect_close(1000).await;
        },
    );
    at_once(test).await;
}

#[tokio::test]
async fn our_client_and_server_ping_each_other() {
    let addr = echo_server(Config::default()).await;
    let mut client = connect(addr).await;
    for _ in 0..10 {
        assert!(soon(client.ping()).await.unwrap() < Duration::from_secs(5));
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_is_never_answered_fails_with_the_connection() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            let error = socket.ping().await.unwrap_err();
            assert!(matches!(error, Error::Timeout(Phase::Keepalive)), "{error:?}");
        },
        |mut peer| async move {
            assert_eq!(peer.frame().await.unwrap().opcode, 9);
            peer.expect_end().await;
        },
    );
    lasting(test).await;
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_while_the_handler_waits_for_something_else() {
    static GO_ON: Notify = Notify::const_new();
    let (mut peer, _done) = handled(&Config::default(), async |mut socket: WebSocket| {
        GO_ON.notified().await;
        assert_eq!(socket.recv().await.unwrap(), Some("kept".into()));
        socket.send("done").await.unwrap();
    })
    .await;
    for i in 0..100 {
        let payload = format!("{i}");
        peer.send(&ping(&payload)).await;
        at_once(peer.expect(pong(&payload))).await;
    }
    peer.send(&text("kept")).await;
    GO_ON.notify_one();
    at_once(peer.expect(text("done"))).await;
}

/// Behind more than is read ahead a ping waits, but no longer than until there is room again.
#[tokio::test(start_paused = true)]
async fn a_ping_behind_unread_messages_is_answered_when_some_are_received() {
    let (mut socket, mut peer) = driven_elsewhere(&Config::default()).await;
    for _ in 0..7 {
        peer.send(&text("x".repeat(10_000))).await;
    }
    peer.send(&ping("behind them")).await;
    settle().await;
    assert!(poll!(pin!(peer.frame())).is_pending());
    socket.recv().await.unwrap().unwrap();
    at_once(peer.expect(pong("behind them"))).await;
    for _ in 1..7 {
        assert_eq!(at_once(socket.recv()).await.unwrap().unwrap().len(), 10_000);
    }
}

#[tokio::test]
async fn ten_pings_in_one_segment_get_ten_pongs() {
    let addr = echo_server(Config::default()).await;
    let mut client = raw_client(addr).await;
    let mut segment = Vec::new();
    for i in 0..10 {
        segment.extend(ping(format!("{i}")).encode(Role::Client));
        segment.extend(text(format!("{i}")).encode(Role::Client));
    }
    client.send_bytes(&segment).await;
    let (mut pongs, mut echoes) = (0, 0);
    while pongs + echoes < 20 {
        let frame = soon(client.frame()).await.unwrap();
        if frame.opcode == 10 {
            assert_eq!(frame, pong(format!("{pongs}")));
            pongs += 1;
        } else {
            assert_eq!(frame, text(format!("{echoes}")));
            echoes += 1;
        }
    }
    assert_eq!((pongs, echoes), (10, 10));
}

#[tokio::test(start_paused = true)]
async fn ten_pings_in_one_read_get_ten_pongs_in_every_way() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            assert_eq!(socket.recv().await.unwrap(), Some("behind them".into()));
        },
        |mut peer| async move {
            for i in 0..10 {
                peer.send(&ping(format!("{i}"))).await;
            }
            peer.send(&text("behind them")).await;
            for i in 0..10 {
                peer.expect(pong(format!("{i}"))).await;
            }
            peer.expect_close(1000).await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_asked_for_a_sign_of_life_again_and_again() {
    let keepalive = Keepalive { interval: Duration::from_secs(10), timeout: Duration::from_secs(4) };
    let test = in_every_way(
        Config { keepalive: Some(keepalive), ..Config::default() },
        |mut socket| async move {
            let error = socket.recv().await.unwrap_err();
            assert!(matches!(error, Error::Timeout(Phase::Keepalive)), "{error:?}");
        },
        |mut peer| async move {
            let mut heard = Instant::now();
            for late in [0, 1, 3] {
                let sent = peer.frame().await.unwrap();
                assert_eq!(sent.opcode, 9);
                let silence = heard.elapsed().as_secs_f64();
                assert!((10.0..10.02).contains(&silence), "{silence} s");
                tokio::time::sleep(Duration::from_secs(late)).await;
                peer.send(&pong(sent.payload)).await;
                heard = Instant::now();
            }
            assert_eq!(peer.frame().await.unwrap().opcode, 9);
            peer.expect_end().await;
            let silence = heard.elapsed().as_secs_f64();
            assert!((14.0..14.1).contains(&silence), "{silence} s");
        },
    );
    lasting(test).await;
}

#[tokio::test(start_paused = true)]
async fn without_keepalive_silence_is_bearable() {
    let test = in_every_way(
        Config { keepalive: None, ..Config::default() },
        |mut socket| async move {
            assert_eq!(socket.recv().await.unwrap(), Some("a day later".into()));
        },
        |mut peer| async move {
            tokio::time::sleep(Duration::from_secs(23 * 3600)).await;
            peer.send(&text("a day later")).await;
            peer.expect_close(1000).await;
        },
    );
    tokio::time::timeout(Duration::from_secs(100 * 3600), test).await.unwrap();
}

/// The answer to a keepalive Ping waits in the transport while the task is busy with its handler.
#[tokio::test(start_paused = true)]
async fn a_task_that_comes_late_looks_before_it_gives_up() {
    let (mut peer, done) = handled(&Config::default(), async |mut socket: WebSocket| {
        assert_eq!(socket.recv().await.unwrap(), Some("compute".into()));
        // What a computation of 25 s looks like from outside: time passes, and no turn is taken.
        tokio::time::advance(Duration::from_secs(25)).await;
        socket.recv().await.unwrap()
    })
    .await;
    let sent = lasting(peer.frame()).await.unwrap();
    assert_eq!(sent.opcode, 9);
    peer.send(&text("compute")).await;
    peer.send(&pong(sent.payload)).await;
    peer.send(&text("alive")).await;
    assert_eq!(lasting(done).await, Ok(Some("alive".into())));
}
