//! Fragments become a message (RFC 6455 §5.4).

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use stentor_proto::{Config, Connection, Event};

use super::{Path, pair};

const FRAGMENTS: usize = 4;
const LEN: usize = 1024;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The header of a masked fragment with its key.
const HEADER: usize = 8;

pub(super) fn paths() -> [Path; 2] {
    pair("assemble, 4 x 1 KiB", 1, yardstick, ours)
}

/// A client's binary message in fragments.
fn wire() -> Vec<u8> {
    let mut wire = Vec::new();
    for fragment in 0..FRAGMENTS {
        let first = match fragment {
            0 => 0x02,
            _ if fragment + 1 == FRAGMENTS => 0x80,
            _ => 0x00,
        };
        wire.extend_from_slice(&[first, 0xfe]);
        wire.extend_from_slice(&u16::try_from(LEN).expect("a short fragment").to_be_bytes());
        wire.extend_from_slice(&KEY);
        wire.extend((0..LEN).map(|i| KEY[i % 4]));
    }
    wire
}

/// Read, unmasked into one buffer that is as large as the message.
fn yardstick() -> Box<dyn FnMut()> {
    let wire = wire();
    let mut read = Vec::new();
    Box::new(move || {
        read.clear();
        read.extend_from_slice(&wire);
        let mut message = Vec::with_capacity(FRAGMENTS * LEN);
        for fragment in read.chunks(HEADER + LEN) {
            let (header, payload) = fragment.split_at(HEADER);
            let key: &[u8; 4] = header.last_chunk().expect("a header ends with its key");
            message.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]));
        }
        assert!(black_box(&message).len() == FRAGMENTS * LEN);
    })
}

fn ours() -> Box<dyn FnMut()> {
    let wire = wire();
    let now = Instant::now();
    let mut connection = Connection::server(Arc::new(Config::default()), now);
    let mut read = BytesMut::new();
    Box::new(move || {
        read.extend_from_slice(&wire);
        match connection.receive(&mut read, now) {
            Some(Event::Message(message)) => assert!(black_box(&message).len() == FRAGMENTS * LEN),
            other => panic!("{other:?}"),
        }
    })
}
