//! The counters are what was on the wire, compressed frames included: a peer by hand counts for itself.

use stentor::{Acceptor, Client, Config, Deflate, Flow};
use stentor_proto::Role;
use stentor_testkit::frame::{Frame, continuation, ping, pong, text};
use stentor_testkit::inflate::Inflater;
use stentor_testkit::peer::{Peer, answer};
use stentor_testkit::transport::{Rig, Rigged, pipe, rig};
use tokio::io::DuplexStream;

use crate::hosts::{Host, Hosted, on_every_host_paused};
use crate::support::{PIPE, at_once, echo, settle};

on_every_host_paused![a_server_counts_what_a_peer_by_hand_has_on_the_wire,];

/// RSV1 (RFC 7692 §6).
const COMPRESSED: u8 = 0b100;

/// "Hello", compressed by itself, and once more after that (RFC 7692 §7.2.3.1, §7.2.3.2).
const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
const HELLO_AGAIN: &[u8] = b"\xf2\x00\x11\x00\x00";

const EXTENSION: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// Compresses every message, with the windows that go without saying.
fn config() -> Config {
    let deflate = Deflate {
        threshold: Some(0),
        server_max_window_bits: 15,
        client_max_window_bits: 15,
        ..Deflate::default()
    };
    Config { deflate: Some(deflate), ..Config::default() }
}

/// A text that lies uncompressed in the payload of a compressed message (RFC 1951 §3.2.4, RFC 7692
/// §7.2.3.3): longer on the wire than before.
fn stored(text: &str) -> Vec<u8> {
    let mut payload = Vec::new();
    for piece in text.as_bytes().chunks(0xffff) {
        let len = u16::try_from(piece.len()).unwrap();
        payload.push(0);
        payload.extend(len.to_le_bytes());
        payload.extend((!len).to_le_bytes());
        payload.extend(piece);
    }
    payload.push(0);
    payload
}

/// One direction as the peer has seen it: by the transport's own count of bytes, and frame by frame.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    bytes: u64,
    frames: u64,
    messages: u64,
    payload: u64,
    pings: u64,
    pongs: u64,
}

impl Seen {
    fn note(&mut self, frame: &Frame) {
        self.frames += 1;
        match frame.opcode {
            0x9 => self.pings += 1,
            0xa => self.pongs += 1,
            _ => {
                self.payload += frame.payload.len() as u64;
                self.messages += u64::from(frame.fin);
            }
        }
    }
}

impl From<Flow> for Seen {
    fn from(flow: Flow) -> Self {
        let Flow { bytes, frames, messages, payload, pings, pongs, .. } = flow;
        Self { bytes, frames, messages, payload, pings, pongs }
    }
}

/// A peer that keeps account.
struct Accountant {
    peer: Peer<Rigged<DuplexStream>>,
    rig: Rig,
    sent: Seen,
    received: Seen,
}

impl Accountant {
    /// From here on: the opening handshake is done.
    fn new(peer: Peer<Rigged<DuplexStream>>, rig: Rig) -> Self {
        let _ = rig.take_counts();
        Self { peer: peer.with_deflate(), rig, sent: Seen::default(), received: Seen::default() }
    }

    async fn send(&mut self, frame: Frame) {
        self.sent.note(&frame);
        self.peer.send(&frame).await;
    }

    async fn frame(&mut self) -> Frame {
        let frame = at_once(self.peer.frame()).await.expect("a frame");
        self.received.note(&frame);
        frame
    }

    /// What it has sent and received, once everything has arrived.
    async fn account(mut self) -> (Seen, Seen) {
        settle().await;
        let counts = self.rig.counts();
        self.sent.bytes = counts.bytes_written as u64;
        self.received.bytes = counts.bytes_read as u64;
        (self.sent, self.received)
    }
}

async fn a_server_counts_what_a_peer_by_hand_has_on_the_wire(host: Host) {
    let acceptor = Acceptor::new().config(config()).count_traffic();
    let Hosted { dial, connections, .. } = host.in_memory(acceptor, echo);
    let (io, control) = rig(dial.up());
    let (peer, head) = Peer::connect_to(io, "/", EXTENSION).await;
    assert!(head.to_lowercase().contains("permessage-deflate"), "{head}");
    let mut peer = Accountant::new(peer, control);
    let mut inflater = Inflater::new(15, true);
    let long = "a line that repeats\n".repeat(7000);

    peer.send(text(&HELLO[..3]).rsv(COMPRESSED).more()).await;
    peer.send(ping("between")).await;
    assert_eq!(peer.frame().await, pong("between"));
    peer.send(continuation(&HELLO[3..])).await;
    let echo = peer.frame().await;
    assert_eq!(inflater.message(&echo.payload).unwrap(), b"Hello");
    peer.send(text(HELLO_AGAIN).rsv(COMPRESSED)).await;
    let echo = peer.frame().await;
    assert_eq!(inflater.message(&echo.payload).unwrap(), b"Hello");
    // 140,000 bytes and some on their way in, a few hundred on their way out.
    let sent = stored(&long);
    let sent_len = sent.len() as u64;
    peer.send(text(sent).rsv(COMPRESSED)).await;
    let echo = peer.frame().await;
    assert!(echo.rsv == COMPRESSED && echo.payload.len() < 2000, "{}", echo.payload.len());
    assert_eq!(inflater.message(&echo.payload).unwrap(), long.as_bytes());
    peer.send(text("as it is")).await;
    peer.frame().await;
    peer.send(pong("unasked for")).await;

    let (sent, received) = peer.account().await;
    assert!(sent.payload > sent_len && received.payload < 2000, "{sent:?} {received:?}");
    let traffic = connections.iter().next().unwrap().traffic().unwrap();
    assert_eq!(Seen::from(traffic.received), sent);
    assert_eq!(Seen::from(traffic.sent), received);
}

#[tokio::test(start_paused = true)]
async fn a_client_counts_what_a_server_by_hand_has_on_the_wire() {
    let (ours, theirs) = pipe(PIPE);
    let (theirs, control) = rig(theirs);
    let client = Client::new().config(config()).count_traffic();
    let answering = async {
        let mut peer = Peer::new(Role::Server, theirs);
        let accepted = answer(&peer.head().await).replace("\r\n\r\n", &format!("\r\n{EXTENSION}\r\n"));
        peer.send_bytes(accepted.as_bytes()).await;
        peer
    };
    let (socket, peer) = tokio::join!(client.connect_over("ws://server/", ours), answering);
    let (mut socket, mut peer) = (socket.unwrap(), Accountant::new(peer, control));
    let long = "a line that repeats\n".repeat(7000);
    let mut inflater = Inflater::new(15, true);
    for message in ["Hello", "Hello", &*long] {
        socket.send(message).await.unwrap();
        let sent = peer.frame().await;
        assert!(sent.rsv == COMPRESSED && sent.payload.len() < 2000, "{}", sent.payload.len());
        assert_eq!(inflater.message(&sent.payload).unwrap(), message.as_bytes());
    }
    peer.send(text(&HELLO[..3]).rsv(COMPRESSED).more()).await;
    peer.send(ping("between")).await;
    peer.send(continuation(&HELLO[3..])).await;
    assert_eq!(at_once(socket.recv()).await.unwrap(), Some("Hello".into()));
    socket.flush().await.unwrap();
    assert_eq!(peer.frame().await, pong("between"));

    let (sent, received) = peer.account().await;
    let traffic = socket.traffic().unwrap();
    assert_eq!(Seen::from(traffic.received), sent);
    assert_eq!(Seen::from(traffic.sent), received);
}
