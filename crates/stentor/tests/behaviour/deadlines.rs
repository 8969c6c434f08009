//! The opening handshake has one deadline, on both sides, whatever the other end drips; and so has
//! every answer that refuses.

use std::time::Duration;

use stentor::http::Response;
use stentor::{Acceptor, Client, Config, Error, HandshakeFailure, Phase, WebSocket};
use stentor_proto::handshake::HandshakeError;
use stentor_proto::{HandshakeLimits, Role};
use stentor_testkit::peer::{Peer, request};
use stentor_testkit::transport::{pipe, rig};
use tokio::io::DuplexStream;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::support::{echo, lasting, soon};

/// A client by hand of a server that has not been asked anything yet, and how its serving ends.
fn unasked(
    acceptor: Acceptor,
    capacity: usize,
) -> (Peer<DuplexStream>, oneshot::Receiver<stentor::Result<()>>) {
    let (ours, theirs) = pipe(capacity);
    let (done, when_done) = oneshot::channel();
    tokio::spawn(async move { done.send(acceptor.serve_connection(ours, echo).await) });
    (Peer::new(Role::Client, theirs), when_done)
}

fn assert_timed_out(error: &Error) {
    let Error::Handshake(failure) = error else { panic!("{error:?}") };
    assert!(matches!(**failure, HandshakeFailure::Offer(HandshakeError::TimedOut)), "{failure:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_nothing_is_answered_408() {
    let (mut peer, done) = unasked(Acceptor::new(), 4096);
    let began = Instant::now();
    let head = lasting(peer.head()).await;
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    let took = began.elapsed().as_secs_f64();
    assert!((10.0..10.1).contains(&took), "{took} s");
    peer.rest().await;
    peer.finish_writing().await;
    assert_timed_out(&lasting(done).await.unwrap().unwrap_err());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_gets_no_more_time() {
    let (mut peer, done) = unasked(Acceptor::new(), 4096);
    let began = Instant::now();
    for byte in request("/", "").into_bytes() {
        peer.send_bytes(&[byte]).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let head = lasting(peer.head()).await;
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    assert_timed_out(&lasting(done).await.unwrap().unwrap_err());
    // Even a client that goes on sending and never leaves is let go soon after its answer.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_that_neither_reads_nor_leaves_is_let_go() {
    for asked in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "rubbish\r\n\r\n"] {
        // The transport takes only a part of the answer.
        let (mut peer, done) = unasked(Acceptor::new(), 64);
        let began = Instant::now();
        peer.send_bytes(asked.as_bytes()).await;
        lasting(done).await.unwrap().unwrap_err();
        let took = began.elapsed();
        assert!(took < Duration::from_secs(60), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_page_is_let_go() {
    let acceptor = Acceptor::new().http(async |_| Response::new(vec![b'x'; 1 << 20].into()));
    let (mut peer, done) = unasked(acceptor, 4096);
    let began = Instant::now();
    peer.send_bytes(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    // A part is read, late but in time; then nothing more.
    tokio::time::sleep(Duration::from_secs(20)).await;
    peer.head().await;
    lasting(done).await.unwrap().unwrap_err();
    let took = began.elapsed();
    assert!((40.0..70.0).contains(&took.as_secs_f64()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_answer_that_accepts_has_a_deadline_too() {
    let (ours, theirs) = pipe(64);
    let acceptor = Acceptor::new();
    let mut peer = Peer::new(Role::Client, theirs);
    let (upgrade, ()) = tokio::join!(acceptor.accept(ours), async {
        peer.send_bytes(request("/", "").as_bytes()).await;
    });
    let error = lasting(upgrade.unwrap().unwrap().accept()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(Phase::Write)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up() {
    let limits = HandshakeLimits { timeout: Duration::from_secs(4), ..HandshakeLimits::default() };
    let client = Client::new().config(Config { handshake: limits, ..Config::default() });
    // It does not even read the request, or reads it and says nothing, or drips.
    for reads in [false, true] {
        let (ours, theirs) = pipe(if reads { 4096 } else { 16 });
        let mut peer = Peer::new(Role::Server, theirs);
        let began = Instant::now();
        let (result, ()) = lasting(async {
            tokio::join!(client.connect_over("ws://server/", ours), async {
                if reads {
                    peer.head().await;
                    for byte in *b"HTTP/1.1 101 Switching Protocols\r\n" {
                        peer.send_bytes(&[byte]).await;
                        tokio::time::sleep(Duration::from_millis(400)).await;
                    }
                }
            })
        })
        .await;
        assert!(matches!(result.unwrap_err(), Error::Timeout(Phase::Handshake)));
        let limit = if reads { 14.0 } else { 4.1 };
        assert!((4.0..limit).contains(&began.elapsed().as_secs_f64()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_body_of_a_refusal_has_the_same_deadline() {
    let (ours, theirs) = pipe(4096);
    let mut peer = Peer::new(Role::Server, theirs);
    let client = Client::new();
    let began = Instant::now();
    let connecting = client.connect_over("ws://server/", ours);
    let (result, ()) = lasting(async {
        tokio::join!(connecting, async {
            peer.head().await;
            peer.send_bytes(b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\na part").await;
        })
    })
    .await;
    assert_eq!(result.unwrap_err().status().unwrap().as_u16(), 503);
    let took = began.elapsed().as_secs_f64();
    assert!((10.0..10.1).contains(&took), "{took} s");
}

/// The kernel accepts into its queue, and nobody speaks.
#[tokio::test]
async fn connecting_has_a_deadline_over_tcp() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let limits = HandshakeLimits { timeout: Duration::from_millis(50), ..HandshakeLimits::default() };
    let client = Client::new().config(Config { handshake: limits, ..Config::default() });
    let uri = format!("ws://{}/", listener.local_addr().unwrap());
    let error = soon(client.connect(uri)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(Phase::Handshake)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_an_io_error() {
    // Bound, so that nobody else takes it, but not listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let uri = format!("ws://{}/", socket.local_addr().unwrap());
    let error = soon(stentor::connect(uri)).await.unwrap_err();
    assert!(matches!(&error, Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused));
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_never_ends_is_given_up() {
    let (ours, theirs) = pipe(4096);
    let (ours, control) = rig(ours);
    let connection = stentor_testkit::script::connection(
        Role::Server,
        Config { keepalive: None, ..Config::default() },
        Instant::now().into_std(),
    );
    let mut socket = WebSocket::from_connection(connection, ours, stentor_proto::bytes::BytesMut::new());
    control.stall_flushing();
    let error = lasting(socket.send("held back")).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(Phase::Write)), "{error:?}");
    drop(theirs);
}
