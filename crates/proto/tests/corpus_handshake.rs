//! The opening-handshake cases of `conformance/corpus`, for both roles, in one piece and byte by
//! byte.

// A test may panic: that is how it fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use stentor_proto::bytes::{Buf, BytesMut};
use stentor_proto::handshake::{
    AcceptKey, Acceptance, ClientHandshake, ClientHandshakeError, ClientRequest, HandshakeError,
    HandshakeKey, Incoming, Progress, ServerHandshake, encode_response,
};
use stentor_proto::http::{HeaderName, HeaderValue, Method, Response};
use stentor_proto::{Config, Entropy, HandshakeLimits};
use stentor_testkit::corpus::handshake::{Case, Expect, client_cases, server_cases};
use stentor_testkit::deflate::terms;

/// What came of a case.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    expect: Expect,
    /// The bytes sent in answer.
    answer: Vec<u8>,
    /// The bytes left for the connection, when it opens.
    rest: Vec<u8>,
    /// The terms of permessage-deflate.
    agreed: Option<String>,
}

/// Feeds `input` in pieces of `size` to a handshake. `Err` is the handshake when it wants more.
fn feed<H, T>(
    mut handshake: H,
    input: &[u8],
    size: usize,
    mut receive: impl FnMut(H, &mut BytesMut) -> Progress<H, T>,
) -> Result<(T, BytesMut), H> {
    let mut bytes = BytesMut::new();
    let mut pieces = input.chunks(size);
    while let Some(piece) = pieces.next() {
        bytes.extend_from_slice(piece);
        match receive(handshake, &mut bytes) {
            Progress::NeedMore(unfinished) => handshake = unfinished,
            Progress::Done(done) => {
                pieces.for_each(|piece| bytes.extend_from_slice(piece));
                return Ok((done, bytes));
            }
        }
    }
    Err(handshake)
}

/// The header fields of a response, in the order of their names.
fn fields(response: &Response<()>) -> Vec<(String, String)> {
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), value.to_str().unwrap().to_owned())
    };
    let mut fields: Vec<_> = response.headers().iter().map(pair).collect();
    fields.sort();
    fields
}

/// The same of a head in bytes.
fn fields_of(head: &[u8]) -> Vec<(String, String)> {
    let lines = str::from_utf8(head).unwrap().lines().filter_map(|line| line.split_once(": "));
    let mut fields: Vec<_> =
        lines.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    fields.sort();
    fields
}

fn server(case: &Case, size: usize) -> Outcome {
    let handshake = ServerHandshake::new(HandshakeLimits::default());
    let done = feed(handshake, &case.input(""), size, |handshake, bytes| match handshake.receive(bytes) {
        Ok(Progress::NeedMore(handshake)) => Progress::NeedMore(handshake),
        Ok(Progress::Done(incoming)) => Progress::Done(Ok(incoming)),
        Err(error) => Progress::Done(Err(error)),
    });
    let error = match done {
        Ok((Ok(Incoming::Upgrade(offer)), rest)) => {
            let config = Arc::new(Config { deflate: case.deflate.clone(), ..Config::default() });
            let by_hand = offer.response_head(&Acceptance::new(), &config).expect("nothing is added");
            let response = offer.response(&Acceptance::new(), &config).expect("nothing is added");
            assert_eq!(
                fields(&response),
                fields_of(&by_hand),
                "{case}: the response has the fields of its head"
            );
            let params = offer.deflate(&config);
            let mut connection =
                offer.accept(&Acceptance::new(), config, Instant::now()).expect("nothing is added");
            assert_eq!(connection.deflate(), params, "{case}: both ways to accept agree on the same");
            let mut answer = connection.poll_transmit().expect("the response");
            let answer = answer.copy_to_bytes(answer.remaining());
            assert_eq!(answer, by_hand, "{case}: both ways to accept give the same answer");
            return Outcome {
                expect: Expect::Open,
                answer: answer.to_vec(),
                rest: rest.to_vec(),
                agreed: params.map(terms),
            };
        }
        Ok((Ok(Incoming::Plain(_)), _)) => HandshakeError::UpgradeRequired,
        Ok((Err(error), _)) => error,
        Err(_) => HandshakeError::TimedOut,
    };
    Outcome {
        expect: Expect::Status(error.status().as_u16(), Some(format!("{error:?}"))),
        answer: encode_response(&error.response(), &Method::GET).to_vec(),
        rest: Vec::new(),
        agreed: None,
    }
}

/// Hands out the bytes of the key in RFC 6455 §1.3.
struct SampleNonce;

impl Entropy for SampleNonce {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&b"the sample nonce"[..bytes.len()]);
    }
}

fn client(case: &Case, size: usize) -> Outcome {
    let mut request = ClientRequest::new("ws://example.com/chat".parse().unwrap());
    request.subprotocols.clone_from(&case.offers);
    request.subprotocol_optional = case.optional;
    let config = Config { deflate: case.deflate.clone(), ..Config::default() };
    let handshake = ClientHandshake::new(&request, Box::new(SampleNonce), Arc::new(config)).unwrap();

    let accept = AcceptKey::from(&HandshakeKey::generate(&mut SampleNonce));
    let now = Instant::now();
    let done = feed(handshake, &case.input(accept.as_str()), size, |handshake, bytes| {
        match handshake.receive(bytes, now) {
            Ok(Progress::NeedMore(handshake)) => Progress::NeedMore(handshake),
            Ok(Progress::Done(open)) => Progress::Done(Ok(open)),
            Err(error) => Progress::Done(Err(error)),
        }
    });
    let (expect, rest, agreed) = match done {
        Ok((Ok((connection, _)), rest)) => (Expect::Open, rest.to_vec(), connection.deflate().map(terms)),
        Ok((Err(error), _)) => match error.response() {
            Some(response) => (Expect::Status(response.status().as_u16(), None), Vec::new(), None),
            None => (Expect::Fail(format!("{error:?}")), Vec::new(), None),
        },
        Err(_) => (Expect::Fail(format!("{:?}", ClientHandshakeError::UnexpectedEof)), Vec::new(), None),
    };
    Outcome { expect, answer: Vec::new(), rest, agreed }
}

/// Says what is not as the case expects it. A rule may name more than the case does: its details.
fn verdict(case: &Case, outcome: &Outcome) -> Result<(), String> {
    let as_expected = match (&case.expect, &outcome.expect) {
        (Expect::Status(expected, Some(rule)), Expect::Status(status, Some(found))) => {
            expected == status && found.starts_with(rule.as_str())
        }
        (Expect::Fail(rule), Expect::Fail(found)) => found.starts_with(rule.as_str()),
        (expected, found) => expected == found,
    };
    if !as_expected {
        return Err(format!("{:?}", outcome.expect));
    }
    if case.rest != outcome.rest {
        return Err(format!("left {}", outcome.rest.escape_ascii()));
    }
    let answer = String::from_utf8_lossy(&outcome.answer);
    for (name, value) in &case.headers {
        let found = answer.lines().filter_map(|line| line.split_once(": "));
        if !found.into_iter().any(|(n, v)| n.eq_ignore_ascii_case(name) && v == value) {
            return Err(format!("no {name}: {value} in {answer:?}"));
        }
    }
    let mut names = answer.lines().filter_map(|line| Some(line.split_once(": ")?.0));
    if let Some(name) = names.find(|name| case.absent.iter().any(|absent| absent.eq_ignore_ascii_case(name)))
    {
        return Err(format!("{name} in {answer:?}"));
    }
    if case.agreed != outcome.agreed {
        return Err(format!("agreed on {:?}", outcome.agreed));
    }
    Ok(())
}

fn run(cases: &[Case], play: impl Fn(&Case, usize) -> Outcome) {
    let mut failures = Vec::new();
    for case in cases {
        let whole = play(case, usize::MAX);
        if let Err(what) = verdict(case, &whole) {
            failures.push(format!("{case}: {what}"));
        }
        for size in [1, 2, 3, 7] {
            let pieces = play(case, size);
            if pieces != whole {
                failures.push(format!("{case}: in pieces of {size}, {pieces:?}"));
            }
        }
    }
    println!("{} handshake cases, {} failed", cases.len(), failures.len());
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn every_case_for_a_server() {
    let cases = server_cases();
    assert!(cases.len() >= 80, "only {} cases were found", cases.len());
    run(&cases, server);
}

#[test]
fn every_case_for_a_client() {
    let cases = client_cases();
    assert!(cases.len() >= 40, "only {} cases were found", cases.len());
    run(&cases, client);
}
