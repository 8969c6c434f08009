//! What `recv` gives: messages, then `None` at a clean close, or why there is no more.

use std::io::ErrorKind;
use std::time::Duration;

use stentor::{CloseCode, ClosedBy, Config, Error, Keepalive, Phase, ProtocolError, WebSocket};
use stentor_proto::Role;
use stentor_proto::bytes::BytesMut;
use stentor_testkit::frame::{close, close_without_code, continuation, ping, pong, text};
use stentor_testkit::peer::Peer;
use stentor_testkit::script::connection;
use stentor_testkit::transport::{End, pipe, rig};
use tokio::time::Instant;

use crate::support::{at_once, in_every_way, lasting};

#[tokio::test(start_paused = true)]
async fn a_clean_close_is_none_again_and_again() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            assert_eq!(socket.recv().await.unwrap(), Some("last words".into()));
            for _ in 0..3 {
                assert_eq!(socket.recv().await.unwrap(), None);
            }
            let frame = socket.close_frame().unwrap();
            assert_eq!((frame.code, &*frame.reason), (CloseCode::from(4321), "bye"));
            let closed = socket.closed().unwrap();
            assert_eq!((closed.code, &*closed.reason, closed.by), (frame.code, "bye", ClosedBy::Peer));
        },
        |mut peer| async move {
            peer.send(&text("last words")).await;
            peer.send(&close(4321, "bye")).await;
            peer.expect(close(4321, "bye")).await;
            peer.finish_writing().await;
            peer.expect_end().await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_close_without_a_code_is_1005() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            assert_eq!(socket.recv().await.unwrap(), None);
            assert_eq!(socket.closed().unwrap().code, CloseCode::NO_STATUS);
        },
        |mut peer| async move {
            peer.send(&close_without_code()).await;
            peer.expect(close_without_code()).await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn an_end_without_a_close_frame_is_an_error() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            assert_eq!(socket.recv().await.unwrap(), Some("hello".into()));
            for _ in 0..3 {
                let error = socket.recv().await.unwrap_err();
                assert!(
                    matches!(&error, Error::Closed(closed) if closed.code == CloseCode::ABNORMAL),
                    "{error:?}"
                );
                assert_eq!(error.close_code(), Some(CloseCode::ABNORMAL));
            }
            assert_eq!(socket.close_frame(), None);
        },
        |mut peer| async move {
            peer.send(&text("hello")).await;
            peer.send(&text("half").more()).await;
            peer.finish_writing().await;
            peer.expect_end().await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_breaks_is_told_with_its_error() {
    for role in [Role::Client, Role::Server] {
        let (ours, _theirs) = pipe(1024);
        let (ours, control) = rig(ours);
        let connection = connection(role, Config::default(), Instant::now().into_std());
        let mut socket = WebSocket::from_connection(connection, ours, BytesMut::new());
        control.cut_reading_after(0, End::Error(ErrorKind::HostUnreachable));
        let error = at_once(socket.recv()).await.unwrap_err();
        assert!(
            matches!(&error, Error::Io(error) if error.kind() == ErrorKind::HostUnreachable),
            "{error:?}"
        );
        // The cause is told once; that it is over, always.
        assert!(matches!(socket.recv().await.unwrap_err(), Error::Closed(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_violation_comes_behind_the_messages_before_it() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            assert_eq!(socket.recv().await.unwrap(), Some("fine".into()));
            for _ in 0..3 {
                let error = socket.recv().await.unwrap_err();
                assert!(matches!(error, Error::Protocol(ProtocolError::UnexpectedContinuation)), "{error:?}");
                assert_eq!(error.close_code(), Some(CloseCode::PROTOCOL_ERROR));
            }
        },
        |mut peer| async move {
            peer.send(&text("fine")).await;
            peer.send(&continuation("of nothing")).await;
            peer.send(&text("not looked at")).await;
            peer.send(&ping("not answered")).await;
            peer.expect_close(1002).await;
            peer.expect_end().await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_never_ends_is_given_up() {
    let config = Config {
        assembly_timeout: Duration::from_secs(7),
        keepalive: Some(Keepalive { interval: Duration::from_secs(100), timeout: Duration::from_secs(100) }),
        ..Config::default()
    };
    let test = in_every_way(
        config,
        |mut socket| async move {
            let began = Instant::now();
            let error = socket.recv().await.unwrap_err();
            assert!(matches!(error, Error::Protocol(ProtocolError::MessageTooSlow)), "{error:?}");
            let took = began.elapsed();
            assert!((7.0..7.1).contains(&took.as_secs_f64()), "{took:?}");
        },
        |mut peer| async move {
            peer.send(&text("begun").more()).await;
            peer.expect_close(1008).await;
            peer.finish_writing().await;
            peer.expect_end().await;
        },
    );
    lasting(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_peer_is_noticed() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            let began = Instant::now();
            let error = socket.recv().await.unwrap_err();
            assert!(matches!(error, Error::Timeout(Phase::Keepalive)), "{error:?}");
            let took = began.elapsed();
            assert!((40.0..40.1).contains(&took.as_secs_f64()), "{took:?}");
        },
        |mut peer| async move {
            assert_eq!(peer.frame().await.unwrap().opcode, 9);
            peer.expect_end().await;
        },
    );
    lasting(test).await;
}

#[tokio::test(start_paused = true)]
async fn any_data_counts_as_life() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            let began = Instant::now();
            for _ in 0..20 {
                assert_eq!(socket.recv().await.unwrap(), Some("still here".into()));
            }
            assert_eq!(socket.recv().await.unwrap(), None);
            assert!(began.elapsed() >= Duration::from_secs(300));
        },
        |mut peer| async move {
            for _ in 0..20 {
                // Shorter than the interval: no Ping is due.
                tokio::time::advance(Duration::from_secs(15)).await;
                peer.send(&text("still here")).await;
            }
            peer.send(&close(1000, "")).await;
            peer.expect_close(1000).await;
        },
    );
    lasting(test).await;
}

#[tokio::test(start_paused = true)]
async fn pongs_nobody_asked_for_change_nothing() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            assert_eq!(socket.recv().await.unwrap(), Some("hello".into()));
            assert_eq!(socket.round_trip(), None);
        },
        |mut peer: Peer<_>| async move {
            peer.send(&pong("")).await;
            peer.send(&pong("unsolicited")).await;
            peer.send(&text("hello")).await;
            peer.expect_close(1000).await;
        },
    );
    at_once(test).await;
}
