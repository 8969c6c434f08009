//! permessage-deflate (RFC 7692): a message inflated, a message deflated.

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use stentor_proto::{Config, Connection, Deflate, DeflateParams, Event, Message};

use super::{Path, pair};

/// The largest of both sides' windows, Stentor's default.
const WINDOW_BITS: u8 = 12;

/// So many messages differ: more than fit into a window, so that none is found whole.
const MESSAGES: usize = 16;
const LEN: usize = 1024;

/// What a message's last block is without (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(super) fn paths() -> impl Iterator<Item = Path> {
    let inflate = pair("inflate, 16 x 1 KiB text", MESSAGES, inflate_alone, inflate);
    let deflate = pair("deflate, 16 x 1 KiB text", MESSAGES, deflate_alone, deflate);
    inflate.into_iter().chain(deflate)
}

/// Lines as a chat might send them.
fn texts() -> Vec<String> {
    const WORDS: [&str; 16] = [
        "hello", "there", "who", "has", "seen", "the", "new", "release", "today", "it", "works", "on", "my",
        "machine", "at", "last",
    ];
    let mut state = 1_u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    let mut text = || {
        let mut text = String::new();
        while text.len() < LEN {
            let (id, user) = (next(), next() % 97);
            write!(text, "{{\"id\":{id},\"user\":\"user-{user}\",\"text\":\"").expect("a String takes all");
            for _ in 0..6 {
                text += WORDS[next() as usize % WORDS.len()];
                text.push(' ');
            }
            text += "\"}\n";
        }
        text.truncate(LEN);
        text
    };
    (0..MESSAGES).map(|_| text()).collect()
}

fn compressor(settings: &Deflate) -> Compress {
    let level = Compression::new(u32::from(settings.level));
    Compress::new_with_window_bits(level, false, WINDOW_BITS)
}

/// Compresses a message behind those before it.
fn compress(compressor: &mut Compress, text: &str, out: &mut Vec<u8>) {
    out.clear();
    compressor.compress_vec(text.as_bytes(), out, FlushCompress::Sync).expect("compressing does not fail");
    assert!(out.ends_with(&TAIL), "all of it is out");
    out.truncate(out.len() - TAIL.len());
}

/// Compressed payloads, none of which refers to another one: they may come in any order.
fn compressed() -> Vec<Vec<u8>> {
    let payload = |text: String| {
        let mut out = Vec::with_capacity(2 * LEN);
        compress(&mut compressor(&Deflate::default()), &text, &mut out);
        out
    };
    texts().into_iter().map(payload).collect()
}

fn inflate_alone() -> Box<dyn FnMut()> {
    let payloads: Vec<Vec<u8>> =
        compressed().into_iter().map(|payload| [&payload[..], &TAIL].concat()).collect();
    let mut inflater = Decompress::new_with_window_bits(false, WINDOW_BITS);
    let mut out = Vec::with_capacity(2 * LEN);
    Box::new(move || {
        for payload in &payloads {
            out.clear();
            inflater.decompress_vec(payload, &mut out, FlushDecompress::Sync).expect("a valid stream");
            assert!(black_box(&out).len() == LEN);
        }
    })
}

fn inflate() -> Box<dyn FnMut()> {
    let mut wire = Vec::new();
    for payload in compressed() {
        // Text of one fragment, compressed: FIN, RSV1 and the opcode.
        wire.extend_from_slice(&[0xc1, 0xfe]);
        wire.extend_from_slice(&u16::try_from(payload.len()).expect("a short payload").to_be_bytes());
        wire.extend_from_slice(&KEY);
        wire.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }
    let now = Instant::now();
    let mut connection = connection(now);
    let mut read = BytesMut::new();
    Box::new(move || {
        read.extend_from_slice(&wire);
        for _ in 0..MESSAGES {
            match connection.receive(&mut read, now) {
                Some(Event::Message(message)) => assert!(black_box(&message).len() == LEN),
                other => panic!("{other:?}"),
            }
        }
        assert!(connection.receive(&mut read, now).is_none());
    })
}

fn deflate_alone() -> Box<dyn FnMut()> {
    let texts = texts();
    let mut compressor = compressor(&Deflate::default());
    let mut out = Vec::with_capacity(2 * LEN);
    Box::new(move || {
        for text in &texts {
            compress(&mut compressor, text, &mut out);
            black_box(&out);
        }
    })
}

fn deflate() -> Box<dyn FnMut()> {
    let messages: Vec<Message> = texts().into_iter().map(Message::from).collect();
    let mut connection = connection(Instant::now());
    Box::new(move || {
        for message in &messages {
            connection.send(message.clone()).expect("an open connection with room");
        }
        while connection.has_transmit() {
            while let Some(mut out) = connection.poll_transmit() {
                let len = black_box(out.chunk()).len();
                out.advance(len);
            }
        }
    })
}

fn connection(now: Instant) -> Connection {
    let agreed = DeflateParams {
        server_max_window_bits: WINDOW_BITS,
        client_max_window_bits: WINDOW_BITS,
        ..DeflateParams::default()
    };
    Connection::server(Arc::new(Config::default()), now).with_deflate(agreed)
}
