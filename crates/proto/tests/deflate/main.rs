//! permessage-deflate (RFC 7692) as a peer sees it: which frames carry what, and whether another
//! decoder understands them. That decoder is the test kit's own, which notices any reference to
//! bytes that the peer does not have.

// These lints guard the library from what a peer sends; a test is meant to panic.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod memory;
mod pauses;
mod prepared;
mod properties;
mod release;
mod sending;

use std::time::Duration;

use stentor_proto::{
    CloseCode, Compress, Config, Connection, Deflate, DeflateParams, Event, Message, Misuse, Prepared,
    ProtocolError, Role,
};
use stentor_testkit::frame::{binary, close, ping, pong};
use stentor_testkit::inflate::Inflater;
use stentor_testkit::script::Peer;

const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// The settings that want no more of a peer than permessage-deflate has by default.
fn full() -> Deflate {
    Deflate { server_max_window_bits: 15, client_max_window_bits: 15, ..Deflate::default() }
}

fn config(deflate: Deflate) -> Config {
    Config { deflate: Some(deflate), keepalive: None, max_outbox_size: 64 << 20, ..Config::default() }
}

/// Both directions in windows of the same size, with takeover or without.
fn params(window_bits: u8, takeover: bool) -> DeflateParams {
    DeflateParams {
        server_context_takeover: takeover,
        client_context_takeover: takeover,
        server_max_window_bits: window_bits,
        client_max_window_bits: window_bits,
    }
}

/// A peer that agreed on the usual parameters.
fn peer(role: Role) -> Peer {
    Peer::with_deflate(role, config(full()), DeflateParams::default())
}

/// Lines of a log: long, alike, and no two the same.
fn log(lines: usize) -> Message {
    let line = |n| format!(r#"{{"line":{n},"level":"info","text":"request {} was answered"}}"#, n * 7919);
    (0..lines).map(line).collect::<String>().into()
}

/// Bytes that do not get any shorter, the same on every run.
fn noise(len: usize) -> Message {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[4]
    };
    std::iter::repeat_with(next).take(len).collect::<Vec<u8>>().into()
}

/// A message as it came over the wire.
#[derive(Debug)]
struct Received {
    compressed: bool,
    /// The payload of each frame.
    fragments: Vec<usize>,
    payload: Vec<u8>,
}

/// Reads the frames of the next message, checking the rules they follow.
fn read(peer: &mut Peer) -> Option<Received> {
    let first = peer.next_frame()?;
    assert!(matches!(first.opcode, 1 | 2), "{first:?}");
    let mut received =
        Received { compressed: first.rsv != 0, fragments: vec![first.payload.len()], payload: first.payload };
    let mut fin = first.fin;
    while !fin {
        let next = peer.next_frame().expect("the rest of the message");
        assert_eq!((next.opcode, next.rsv), (0, 0));
        received.fragments.push(next.payload.len());
        received.payload.extend(next.payload);
        fin = next.fin;
    }
    Some(received)
}

/// The next message, which must be compressed, as the peer's decoder reads it.
#[track_caller]
fn read_compressed(peer: &mut Peer, inflater: &mut Inflater) -> Vec<u8> {
    let received = read(peer).expect("a message");
    assert!(received.compressed, "{received:?}");
    inflater.message(&received.payload).expect("the peer's decoder can read it")
}

/// The next message, which must not be compressed.
#[track_caller]
fn read_plain(peer: &mut Peer) -> Vec<u8> {
    let received = read(peer).expect("a message");
    assert!(!received.compressed, "{received:?}");
    received.payload
}

/// Sends and reads a message, and says how many bytes its payload took.
#[track_caller]
fn cost(peer: &mut Peer, message: &Message) -> usize {
    peer.calls(|us, _| us.send(message.clone())).unwrap();
    read(peer).expect("a message").payload.len()
}
