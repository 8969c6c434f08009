//! Both opening handshakes with every byte of the head replaced by one of each kind: no input may
//! panic, and how it is cut must make no difference.

// A test may panic: that is how it fails.
#![allow(clippy::expect_used, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::Instant;

use stentor_proto::bytes::BytesMut;
use stentor_proto::handshake::{
    Acceptance, ClientHandshake, ClientRequest, Incoming, Progress, ServerHandshake,
};
use stentor_proto::{Config, Deflate, Entropy, HandshakeLimits};

const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: http://example.com\r\n\
    Sec-WebSocket-Protocol: a, b\r\nContent-Length: 0\r\nSec-WebSocket-Extensions: x; y=\"z\", permessage-deflate; \
    server_max_window_bits=\"10\"; client_max_window_bits, permessage-deflate; client_no_context_takeover\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: a\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; server_max_window_bits=10; \
    client_max_window_bits=\"9\"\r\n\r\n";

/// One byte of each kind that heads tell apart.
const BYTES: &[u8] = b"\0\t\n\r \"#%,-/0:;=Aa\\\x7f\x80\xff";

/// Every copy of `head` in which one byte is another.
fn mutations(head: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..head.len()).flat_map(move |at| {
        BYTES.iter().map(move |byte| {
            let mut mutation = head.to_vec();
            mutation.splice(at..=at, [*byte]);
            mutation
        })
    })
}

/// Feeds `input` in two pieces, and says in words what came of it, and how much was left.
fn feed<H>(
    handshake: H,
    input: &[u8],
    cut: usize,
    receive: impl Fn(H, &mut BytesMut) -> Result<H, String>,
) -> (String, usize) {
    let (front, back) = input.split_at(cut);
    let mut bytes = BytesMut::from(front);
    let outcome = receive(handshake, &mut bytes);
    bytes.extend_from_slice(back);
    match outcome.and_then(|handshake| receive(handshake, &mut bytes)) {
        Ok(_) => ("unfinished".to_owned(), bytes.len()),
        Err(outcome) => (outcome, bytes.len()),
    }
}

fn server(handshake: ServerHandshake, bytes: &mut BytesMut) -> Result<ServerHandshake, String> {
    match handshake.receive(bytes) {
        Ok(Progress::NeedMore(handshake)) => Ok(handshake),
        Ok(Progress::Done(Incoming::Upgrade(offer))) => {
            let config = Config { deflate: Some(Deflate::default()), ..Config::default() };
            let answer = offer.response_head(&Acceptance::new(), &config).expect("nothing is added");
            Err(format!("{offer:?} {} {:?}", answer.escape_ascii(), offer.deflate(&config)))
        }
        Ok(Progress::Done(incoming)) => Err(format!("{incoming:?}")),
        Err(error) => Err(format!("{error:?}")),
    }
}

fn client(handshake: ClientHandshake, bytes: &mut BytesMut) -> Result<ClientHandshake, String> {
    match handshake.receive(bytes, Instant::now()) {
        Ok(Progress::NeedMore(handshake)) => Ok(handshake),
        Ok(Progress::Done((connection, response))) => Err(format!("{response:?} {:?}", connection.deflate())),
        Err(error) => Err(format!("{error:?}")),
    }
}

/// Runs every mutation whole and cut in two at a place that moves along, and returns how many
/// outcomes there were in all.
fn run<H>(
    head: &[u8],
    handshake: impl Fn() -> H,
    receive: impl Fn(H, &mut BytesMut) -> Result<H, String>,
) -> usize {
    let mut outcomes = std::collections::BTreeSet::new();
    for (index, input) in mutations(head).enumerate() {
        let (whole, rest) = feed(handshake(), &input, input.len(), &receive);
        let cut = feed(handshake(), &input, index % input.len(), &receive);
        assert_eq!((&whole, rest), (&cut.0, cut.1), "{}", input.escape_ascii());
        outcomes.insert(whole);
    }
    outcomes.len()
}

#[test]
fn a_request_with_any_byte_replaced() {
    let outcomes = run(REQUEST, || ServerHandshake::new(HandshakeLimits::default()), server);
    assert!(outcomes > 500, "only {outcomes} outcomes");
}

#[test]
fn a_response_with_any_byte_replaced() {
    struct SampleNonce;
    impl Entropy for SampleNonce {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.copy_from_slice(&b"the sample nonce"[..bytes.len()]);
        }
    }

    let deflate = Deflate { server_context_takeover: false, ..Deflate::default() };
    let config = Arc::new(Config { deflate: Some(deflate), ..Config::default() });
    let request = ClientRequest::new("ws://example.com/".parse().unwrap()).subprotocol("a");
    let handshake = || ClientHandshake::new(&request, Box::new(SampleNonce), Arc::clone(&config)).unwrap();
    let outcomes = run(RESPONSE, handshake, client);
    assert!(outcomes > 150, "only {outcomes} outcomes");
}
