//! permessage-deflate over TCP: what the handshake agrees on, and what then is on the wire (RFC 7692).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use stentor::{
    Acceptor, Client, CloseCode, Compress, Config, Deflate, DeflateParams, Error, HandshakeFailure, Message,
    Prepared, WebSocket,
};
use stentor_proto::Role;
use stentor_proto::handshake::ClientHandshakeError;
use stentor_testkit::frame::{Frame, binary, continuation, ping, pong, text};
use stentor_testkit::inflate::Inflater;
use stentor_testkit::peer::{Peer, answer};
use stentor_testkit::transport::pipe;
use tokio::net::TcpStream;

use crate::hosts::{Host, on_every_host};
use crate::support::{PIPE, echo, raw_listener, server, soon};

on_every_host![
    the_examples_of_rfc_7692_are_read_and_written,
    the_first_frame_alone_tells_that_a_message_is_compressed,
    fewer_bytes_are_sent_and_fewer_still_of_what_was_sent_before,
    without_takeover_every_message_is_compressed_by_itself,
    a_server_that_does_not_want_compression_takes_no_compressed_message,
    each_message_can_be_compressed_or_not,
    binary_messages_are_compressed_as_well,
];

/// RSV1 (RFC 7692 §6).
const COMPRESSED: u8 = 0b100;

/// "Hello", compressed by itself (RFC 7692 §7.2.3.1).
const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";

/// "Hello" once more, by a compressor that remembers the first (RFC 7692 §7.2.3.2).
const HELLO_AGAIN: &[u8] = b"\xf2\x00\x11\x00\x00";

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

fn config(deflate: Deflate) -> Config {
    Config { deflate: Some(deflate), ..Config::default() }
}

/// Compresses every message, with the windows that go without saying.
fn every_message() -> Deflate {
    Deflate {
        threshold: Some(0),
        server_max_window_bits: 15,
        client_max_window_bits: 15,
        ..Deflate::default()
    }
}

/// Lines of JSON, about 2 KiB.
fn people() -> String {
    let line = |id| format!("{{\"id\":{id},\"name\":\"Ännchen\",\"online\":true}}\n");
    (0..50).map(line).collect::<Vec<_>>().concat()
}

/// Connects by hand, with these header lines.
async fn peer_of(addr: std::net::SocketAddr, headers: &str) -> (Peer<TcpStream>, String) {
    let tcp = TcpStream::connect(addr).await.unwrap();
    let (peer, head) = Peer::connect_to(tcp, "/", headers).await;
    (peer.with_deflate(), head)
}

/// Our client with this configuration, and the peer that has answered it with `headers`.
async fn client_of(config: Config, headers: &str) -> (Result<WebSocket, Error>, Peer<TcpStream>, String) {
    let (listener, uri) = raw_listener().await;
    let answering = async {
        let mut peer = Peer::new(Role::Server, listener.accept().await.unwrap().0).with_deflate();
        let head = peer.head().await;
        let accepted = answer(&head).replace("\r\n\r\n", &format!("\r\n{headers}\r\n"));
        peer.send_bytes(accepted.as_bytes()).await;
        (peer, head)
    };
    let client = Client::new().config(config);
    let (socket, (peer, head)) = soon(async { tokio::join!(client.connect(uri), answering) }).await;
    (socket, peer, head)
}

async fn the_examples_of_rfc_7692_are_read_and_written(host: Host) {
    let addr = host.serve(Acceptor::new().config(config(every_message())), echo).await;
    let (mut peer, head) = peer_of(addr, OFFER).await;
    assert!(head.to_lowercase().contains("\r\nsec-websocket-extensions: permessage-deflate\r\n"), "{head}");

    peer.send(&text(HELLO).rsv(COMPRESSED)).await;
    peer.expect(text(HELLO).rsv(COMPRESSED)).await;
    // §6: a message may be left as it is, and then is not part of what is remembered.
    peer.send(&text("Hello")).await;
    peer.send(&text(HELLO_AGAIN).rsv(COMPRESSED)).await;
    let mut inflater = Inflater::new(15, true);
    assert_eq!(inflater.message(HELLO).unwrap(), b"Hello");
    for _ in 0..2 {
        let echo = peer.frame().await.expect("a message");
        assert!(echo.rsv == COMPRESSED && echo.payload.len() < HELLO.len(), "{echo:?}");
        assert_eq!(inflater.message(&echo.payload).unwrap(), b"Hello");
    }
}

async fn the_first_frame_alone_tells_that_a_message_is_compressed(host: Host) {
    let addr = host.serve(Acceptor::new().config(config(every_message())), echo).await;
    let (mut peer, _) = peer_of(addr, OFFER).await;
    peer.send(&text(&HELLO[..3]).rsv(COMPRESSED).more()).await;
    peer.send(&ping("are you there?")).await;
    peer.expect(pong("are you there?")).await;
    peer.send(&continuation(&HELLO[3..])).await;
    peer.expect(text(HELLO).rsv(COMPRESSED)).await;

    peer.send(&text(&HELLO[..3]).rsv(COMPRESSED).more()).await;
    peer.send(&continuation(&HELLO[3..]).rsv(COMPRESSED)).await;
    peer.expect_close(1002).await;
}

/// Takes three messages of a server, and sends them back as they came.
async fn mirror(host: Host, deflate: Deflate, headers: &str) -> Vec<Frame> {
    let (told, echoed) = tokio::sync::oneshot::channel();
    let told = std::sync::Mutex::new(Some(told));
    let handler = move |mut socket: WebSocket| {
        let told = told.lock().unwrap().take();
        async move {
            for _ in 0..3 {
                socket.send(people()).await?;
            }
            let mut echoes = Vec::new();
            for _ in 0..3 {
                echoes.extend(socket.recv().await?);
            }
            told.expect("there is one connection").send(echoes).expect("the test waits for it");
            socket.close(CloseCode::NORMAL, "").await
        }
    };
    let addr = host.serve(Acceptor::new().config(config(deflate)), handler).await;
    let (mut peer, _) = peer_of(addr, headers).await;
    let mut frames = Vec::new();
    for _ in 0..3 {
        let frame = peer.frame().await.expect("a message");
        peer.send(&frame).await;
        frames.push(frame);
    }
    assert_eq!(soon(echoed).await.unwrap(), vec![Message::from(people()); 3]);
    frames
}

async fn fewer_bytes_are_sent_and_fewer_still_of_what_was_sent_before(host: Host) {
    let frames = mirror(host, every_message(), OFFER).await;
    let sizes: Vec<usize> = frames.iter().map(|frame| frame.payload.len()).collect();
    assert!(frames.iter().all(|frame| frame.rsv == COMPRESSED && frame.fin));
    assert!(sizes[0] < people().len() / 3, "{sizes:?} of {}", people().len());
    assert!(sizes[1] < sizes[0] / 2 && sizes[2] < sizes[0] / 2, "{sizes:?}");
    let mut inflater = Inflater::new(15, true);
    for frame in &frames {
        assert_eq!(inflater.message(&frame.payload).unwrap(), people().into_bytes());
    }
}

async fn without_takeover_every_message_is_compressed_by_itself(host: Host) {
    for (deflate, headers) in [
        (
            Deflate { server_context_takeover: false, client_context_takeover: false, ..every_message() },
            OFFER,
        ),
        (
            every_message(),
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
             client_no_context_takeover\r\n",
        ),
    ] {
        let frames = mirror(host, deflate, headers).await;
        assert!(frames[0].payload.len() < people().len() / 3);
        assert!(frames.iter().all(|frame| *frame == frames[0]), "{frames:?}");
        let first = Inflater::new(15, false).message(&frames[0].payload);
        assert_eq!(first.unwrap(), people().into_bytes());
    }
}

#[tokio::test]
async fn a_client_offers_and_compresses_what_is_taken_up() {
    let (socket, mut peer, head) = client_of(config(every_message()), OFFER).await;
    let offers = "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    assert!(head.contains(offers), "{head}");
    let mut socket = socket.unwrap();
    assert_eq!(socket.deflate(), Some(DeflateParams::default()));

    socket.send("Hello").await.unwrap();
    let sent = peer.frame().await.expect("a message");
    assert_eq!((sent.rsv, &sent.payload[..]), (COMPRESSED, HELLO));
    peer.send(&text(HELLO).rsv(COMPRESSED)).await;
    assert_eq!(socket.recv().await.unwrap(), Some("Hello".into()));

    socket.send(people()).await.unwrap();
    let sent = peer.frame().await.expect("a message");
    assert!(sent.rsv == COMPRESSED && sent.payload.len() < people().len() / 3, "{sent:?}");
}

#[tokio::test]
async fn a_client_keeps_to_its_own_limits_whatever_the_server_makes_of_them() {
    let lean = Deflate { client_context_takeover: false, client_max_window_bits: 9, ..every_message() };
    let (socket, mut peer, head) = client_of(config(lean), OFFER).await;
    assert!(head.contains("; client_no_context_takeover; client_max_window_bits=9, "), "{head}");
    let mut socket = socket.unwrap();
    assert_eq!(socket.deflate(), Some(DeflateParams::default()));
    // The second half of the message is the first again, 1,200 bytes behind.
    let message: Vec<u8> =
        (0..2400_u64).map(|i| b"ACGT"[usize::try_from((i % 1200).pow(3) % 1021 % 4).unwrap()]).collect();
    for _ in 0..2 {
        socket.send(message.clone()).await.unwrap();
        let sent = peer.frame().await.expect("a message");
        assert_eq!(Inflater::new(9, false).message(&sent.payload).unwrap(), message);
    }
}

#[tokio::test]
async fn a_client_that_is_declined_sends_messages_as_they_are() {
    let (socket, mut peer, _) = client_of(config(every_message()), "").await;
    let mut socket = socket.unwrap();
    assert_eq!(socket.deflate(), None);
    socket.send(people()).await.unwrap();
    let sent = peer.frame().await.expect("a message");
    assert_eq!((sent.rsv, sent.payload), (0, people().into_bytes()));

    peer.send(&text(HELLO).rsv(COMPRESSED)).await;
    assert!(matches!(socket.recv().await, Err(Error::Protocol(_))));
    drop(socket);
    peer.expect_close(1002).await;
}

#[tokio::test]
async fn a_client_does_not_go_on_with_an_answer_that_its_offer_does_not_allow() {
    let demanding = Deflate { server_context_takeover: false, ..every_message() };
    let (socket, mut peer, head) = client_of(config(demanding), OFFER).await;
    assert!(head.contains("permessage-deflate; server_no_context_takeover;"), "{head}");
    match socket {
        Err(Error::Handshake(failure)) => {
            assert!(matches!(*failure, HandshakeFailure::Response(ClientHandshakeError::InvalidDeflate(_))));
        }
        other => panic!("{other:?}"),
    }
    // RFC 6455 §7.1.7: nothing is sent, not even a Close frame.
    assert_eq!(peer.rest().await, b"");
}

async fn a_server_that_does_not_want_compression_takes_no_compressed_message(host: Host) {
    let addr = host.serve(Acceptor::new(), echo).await;
    let (mut peer, head) = peer_of(addr, OFFER).await;
    assert!(!head.to_lowercase().contains("sec-websocket-extensions"), "{head}");
    peer.send(&text(HELLO).rsv(COMPRESSED)).await;
    peer.expect_close(1002).await;
}

#[tokio::test]
async fn what_was_agreed_on_can_be_chosen_and_seen_for_each_connection() {
    let server = server().await;
    let addr = server.local_addr().unwrap();
    let accepting = Box::pin(async {
        let upgrade = server.accept().await.unwrap().expect("an upgrade");
        assert_eq!(upgrade.offer().extensions()[0].name(), "permessage-deflate");
        let narrow = Deflate { server_max_window_bits: 9, client_max_window_bits: 10, ..every_message() };
        upgrade.config(config(narrow)).accept().await.unwrap()
    });
    let client = Client::new().config(config(every_message()));
    let connecting = client.connect(format!("ws://{addr}/"));
    let (here, there) = soon(Box::pin(async { tokio::join!(accepting, connecting) })).await;
    let there = there.unwrap();
    let agreed =
        DeflateParams { server_max_window_bits: 9, client_max_window_bits: 10, ..DeflateParams::default() };
    assert_eq!((here.deflate(), there.deflate()), (Some(agreed), Some(agreed)));

    tokio::spawn(echo(here));
    let mut there = there;
    for message in [Message::from(people()), Message::from(vec![7; 100_000]), Message::from("")] {
        there.send(message.clone()).await.unwrap();
        assert_eq!(soon(there.recv()).await.unwrap(), Some(message));
    }
}

async fn each_message_can_be_compressed_or_not(host: Host) {
    let handler = async |mut socket: WebSocket| {
        socket.send("Hello").await?;
        socket.send_with("Hello", Compress::Always).await?;
        socket.send_with(people(), Compress::Never).await?;
        socket.send_prepared(&Prepared::with(people().into(), Compress::Never)).await?;
        let (sender, mut receiver) = socket.split();
        sender.send_with(people(), Compress::ByThreshold).await?;
        sender.send_prepared(&Prepared::new(people().into())).await?;
        receiver.recv().await.map(drop)
    };
    let addr = host.serve(Acceptor::new().config(config(Deflate::default())), handler).await;
    let (mut peer, _) = peer_of(addr, OFFER).await;
    let mut inflater = Inflater::new(12, true);
    let messages = ["Hello".to_owned(), "Hello".to_owned()].into_iter().chain((0..4).map(|_| people()));
    for (message, rsv) in messages.zip([0, COMPRESSED, 0, 0, COMPRESSED, COMPRESSED]) {
        let frame = peer.frame().await.expect("a message");
        let payload =
            if rsv == COMPRESSED { inflater.message(&frame.payload).unwrap() } else { frame.payload };
        assert_eq!((frame.rsv, payload), (rsv, message.into_bytes()));
    }
}

async fn binary_messages_are_compressed_as_well(host: Host) {
    let addr = host.serve(Acceptor::new().config(config(every_message())), echo).await;
    let (mut peer, _) = peer_of(addr, OFFER).await;
    peer.send(&binary(HELLO).rsv(COMPRESSED)).await;
    peer.expect(binary(HELLO).rsv(COMPRESSED)).await;
}

/// Counts how often the other tasks of the thread have their turn.
fn other_task() -> Arc<AtomicUsize> {
    let turns = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&turns);
    tokio::spawn(std::future::poll_fn(move |cx| {
        counted.fetch_add(1, Ordering::Relaxed);
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    }));
    turns
}

/// Large enough to be compressed and inflated in many pieces.
fn long_message() -> Message {
    people().repeat(1300).into()
}

/// Our client, connected to a server that echoes, on one thread.
async fn connected() -> WebSocket {
    let large = Config { max_message_size: 16 << 20, ..config(every_message()) };
    let (here, there) = pipe(PIPE);
    tokio::spawn({
        let acceptor = Acceptor::new().config(large.clone());
        async move { acceptor.serve_connection(there, echo).await }
    });
    Client::new().config(large).connect_over("ws://server/", here).await.unwrap()
}

#[tokio::test]
async fn a_long_message_does_not_hold_up_the_other_tasks_of_the_thread() {
    let mut socket = connected().await;
    let message = long_message();
    let pieces = message.len() / (64 << 10);
    assert!(pieces > 30, "only {pieces} pieces");

    let turns = other_task();
    let before = turns.load(Ordering::Relaxed);
    soon(socket.send(message.clone())).await.unwrap();
    let sent = turns.load(Ordering::Relaxed);
    assert!(sent - before >= pieces, "{} turns for {pieces} pieces", sent - before);

    assert_eq!(soon(socket.recv()).await.unwrap(), Some(message));
    // The server inflates and compresses it, and it is inflated here.
    let echoed = turns.load(Ordering::Relaxed) - sent;
    assert!(echoed >= pieces + 2 * (pieces / 4), "{echoed} turns for {pieces} pieces");
}

#[tokio::test]
async fn a_long_message_comes_through_whoever_takes_the_turns() {
    let message = long_message();
    let (sender, mut receiver) = connected().await.split();
    let receiving = tokio::spawn(async move { receiver.recv().await });
    soon(sender.send(message.clone())).await.unwrap();
    assert_eq!(soon(receiving).await.unwrap().unwrap(), Some(message.clone()));

    // A reader that comes late finds it, and what was sent behind it.
    let mut socket = connected().await;
    for message in [message.clone(), "short".into(), message.clone()] {
        soon(socket.feed(message)).await.unwrap();
    }
    soon(socket.flush()).await.unwrap();
    for message in [message.clone(), "short".into(), message] {
        assert_eq!(soon(socket.recv()).await.unwrap(), Some(message));
    }
    soon(socket.close(CloseCode::NORMAL, "")).await.unwrap();
}
