//! The opening handshake of a server (RFC 6455 §4.2).

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::{Buf, BytesMut};
use sha1::{Digest, Sha1};
use stentor_proto::Config;
use stentor_proto::handshake::{Acceptance, Incoming, Progress, ServerHandshake};

use super::{Path, pair};

/// What Chromium sends.
const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\n\
    Host: localhost:8080\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0\r\n\
    Upgrade: websocket\r\n\
    Origin: http://localhost:8080\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

pub(super) fn paths() -> [Path; 2] {
    pair("handshake, server", 1, yardstick, ours)
}

/// Headers parsed, the key found and answered; nothing checked.
fn yardstick() -> Box<dyn FnMut()> {
    let mut out = Vec::new();
    Box::new(move || {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        request.parse(black_box(REQUEST)).expect("a request");
        let key = request.headers.iter().find(|header| header.name == "Sec-WebSocket-Key");
        let mut hash = Sha1::new();
        hash.update(key.expect("the key").value);
        hash.update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
        out.clear();
        out.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Accept: ",
        );
        out.extend_from_slice(BASE64_STANDARD.encode(hash.finalize()).as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        black_box(&out);
    })
}

fn ours() -> Box<dyn FnMut()> {
    let config = Arc::new(Config::default());
    let acceptance = Acceptance::new();
    let now = Instant::now();
    let mut read = BytesMut::new();
    Box::new(move || {
        read.extend_from_slice(REQUEST);
        let offer = match ServerHandshake::new(config.handshake).receive(&mut read) {
            Ok(Progress::Done(Incoming::Upgrade(offer))) => offer,
            other => panic!("{other:?}"),
        };
        let mut connection = offer.accept(&acceptance, Arc::clone(&config), now).expect("an acceptance");
        while let Some(mut out) = connection.poll_transmit() {
            let len = black_box(out.chunk()).len();
            out.advance(len);
        }
    })
}
