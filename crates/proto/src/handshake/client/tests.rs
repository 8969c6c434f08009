use http::Uri;

use super::super::HeadError;
use super::*;
use crate::deflate::{Deflate, DeflateParams, ParameterError};
use crate::extension::ExtensionError;
use crate::{Event, Message};

/// Hands out the bytes of the key in RFC 6455 §1.3.
struct SampleNonce;

impl Entropy for SampleNonce {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&b"the sample nonce"[..bytes.len()]);
    }
}

const STATUS: &str = "HTTP/1.1 101 Switching Protocols\r\n";
const UPGRADES: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

/// A response in order, with more headers.
fn valid(more: &str) -> String {
    format!("{STATUS}{UPGRADES}{ACCEPT}{more}\r\n")
}

fn plain() -> ClientRequest {
    ClientRequest::new(Uri::from_static("ws://example.com/chat"))
}

fn handshake(request: &ClientRequest) -> ClientHandshake {
    ClientHandshake::new(request, Box::new(SampleNonce), Arc::new(Config::default())).unwrap()
}

/// Receives the response in one piece and byte by byte, in which the outcome must not differ.
fn receive(request: &ClientRequest, bytes: &str) -> Result<(Connection, Response<()>), ClientHandshakeError> {
    let now = Instant::now();
    let whole = match handshake(request).receive(&mut BytesMut::from(bytes), now) {
        Ok(Progress::Done(done)) => Ok(done),
        Ok(Progress::NeedMore(_)) => panic!("not complete: {bytes}"),
        Err(error) => Err(error),
    };

    let mut buffer = BytesMut::new();
    let mut progress = Ok(Progress::NeedMore(handshake(request)));
    for byte in bytes.bytes() {
        let Ok(Progress::NeedMore(handshake)) = progress else { break };
        buffer.extend_from_slice(&[byte]);
        progress = handshake.receive(&mut buffer, now);
    }
    match (&whole, progress) {
        (Err(whole), Err(piecewise)) => assert_eq!(format!("{whole:?}"), format!("{piecewise:?}")),
        (Ok((_, whole)), Ok(Progress::Done((_, piecewise)))) => {
            assert_eq!(format!("{whole:?}"), format!("{piecewise:?}"));
        }
        (whole, piecewise) => panic!("{whole:?} in one piece, {piecewise:?} byte by byte"),
    }
    whole
}

fn error_of(request: &ClientRequest, response: &str) -> String {
    format!("{:?}", receive(request, response).expect_err(response))
}

fn error(response: &str) -> String {
    error_of(&plain(), response)
}

#[test]
fn a_handshake_that_waits_is_connecting() {
    assert_eq!(handshake(&plain()).state(), State::Connecting);
}

#[test]
fn a_request_that_cannot_be_asked_is_refused_at_once() {
    let request = ClientRequest::new(Uri::from_static("http://example.com"));
    let error = ClientHandshake::new(&request, Box::new(SampleNonce), Arc::default()).unwrap_err();
    assert_eq!(error, ClientRequestError::UnsupportedScheme);
}

#[test]
fn a_response_in_order_opens_the_connection() {
    let (connection, response) = receive(&plain(), &valid("Set-Cookie: a=1\r\n")).unwrap();
    assert_eq!(connection.state(), State::Open);
    assert_eq!(response.headers()["set-cookie"], "a=1");
}

#[test]
fn names_are_compared_in_any_case_and_the_phrase_is_free() {
    for response in [
        valid("").replace("websocket", "WebSocket").replace(": Upgrade", ": keep-alive, UPGRADE"),
        valid("").replace("Sec-WebSocket-Accept: ", "SEC-WEBSOCKET-ACCEPT:\t "),
        valid("").replace("Switching Protocols", "Web Socket \u{e9}"),
        valid("").replace("101 Switching Protocols", "101 "),
        valid("").replace("101 Switching Protocols", "101"),
        valid("").replace("HTTP/1.1", "HTTP/1.2"),
        valid("Content-Length: 0\r\n"),
    ] {
        receive(&plain(), &response).expect(&response);
    }
}

#[test]
fn frames_that_came_along_are_the_connections() {
    let now = Instant::now();
    let mut bytes = BytesMut::from(&valid("")[..]);
    bytes.extend_from_slice(b"\x81\x02hi");
    let Ok(Progress::Done((mut connection, _))) = handshake(&plain()).receive(&mut bytes, now) else {
        panic!()
    };
    assert_eq!(bytes, &b"\x81\x02hi"[..]);
    assert_eq!(connection.receive(&mut bytes, now), Some(Event::Message(Message::from("hi"))));
}

#[test]
fn interim_responses_are_skipped_within_the_limits() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let response = format!("HTTP/1.1 100 Continue\r\n\r\n{early}{}", valid(""));
    assert_eq!(receive(&plain(), &response).unwrap().1.status(), 101);
    assert_eq!(error(&early.repeat(1000)), "Head(TooManyHeaders)");
    assert_eq!(error(&"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000)), "Head(HeadTooLarge)");
}

#[test]
fn another_status_is_a_refusal_with_its_response() {
    for (line, status) in [
        ("HTTP/1.1 200 OK", 200),
        ("HTTP/1.1 302 Found", 302),
        ("HTTP/1.1 426 Upgrade Required", 426),
        ("HTTP/1.0 404 Not Found", 404),
        ("HTTP/1.1 999 ", 999),
    ] {
        let response = format!("{line}\r\nX: y\r\n\r\n");
        let error = receive(&plain(), &response).unwrap_err();
        let response = error.response().unwrap();
        assert_eq!((response.status().as_u16(), &response.headers()["x"]), (status, &"y".parse().unwrap()));
        assert!(error.to_string().starts_with(&format!("the server answered {status}")), "{error}");
    }
}

#[test]
fn the_body_of_a_refusal_stays_in_the_buffer() {
    let mut bytes = BytesMut::from("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let error = handshake(&plain()).receive(&mut bytes, Instant::now()).unwrap_err();
    assert!(matches!(error, ClientHandshakeError::Refused(_)));
    assert_eq!(bytes, "no");
}

#[test]
fn a_status_line_out_of_order_is_refused() {
    for (line, expected) in [
        ("HTTP/1.1", "InvalidStatusLine"),
        ("HTTP/1.1  101 x", "InvalidStatusLine"),
        (" HTTP/1.1 101 x", "InvalidStatusLine"),
        ("HTTP/1.1 1O1 x", "InvalidStatusLine"),
        ("HTTP/1.1 0101 x", "InvalidStatusLine"),
        ("HTTP/1.1 099 x", "InvalidStatusLine"),
        ("http/1.1 101 x", "InvalidStatusLine"),
        ("HTTP/1 101 x", "InvalidStatusLine"),
        ("ICY 200 OK", "InvalidStatusLine"),
        ("HTTP/1.0 101 x", "UnsupportedHttpVersion"),
        ("HTTP/2.0 101 x", "UnsupportedHttpVersion"),
    ] {
        assert_eq!(error(&valid("").replace("HTTP/1.1 101 Switching Protocols", line)), expected, "{line}");
    }
    assert_eq!(error(&format!("\r\n{}", valid(""))), "Head(MissingStartLine)");
}

#[test]
fn a_101_has_no_body() {
    for line in ["Content-Length: 1\r\n", "Content-Length: x\r\n", "Transfer-Encoding: chunked\r\n"] {
        assert_eq!(error(&valid(line)), "UnexpectedBody");
    }
}

#[test]
fn upgrade_is_websocket_and_nothing_else() {
    for line in [
        "",
        "Upgrade: \r\n",
        "Upgrade: h2c\r\n",
        "Upgrade: websocket, h2c\r\n",
        "Upgrade: websocket\r\nUpgrade: websocket\r\n",
    ] {
        assert_eq!(error(&valid("").replace("Upgrade: websocket\r\n", line)), "InvalidUpgrade", "{line}");
    }
}

#[test]
fn connection_lists_upgrade() {
    for line in ["", "Connection: close\r\n", "Connection: up grade\r\n"] {
        assert_eq!(error(&valid("").replace("Connection: Upgrade\r\n", line)), "InvalidConnection", "{line}");
    }
}

#[test]
fn accept_belongs_to_the_key() {
    let accept = |lines: &str| error(&valid("").replace(ACCEPT, lines));
    assert_eq!(accept(""), "MissingAccept");
    assert_eq!(accept(&ACCEPT.repeat(2)), "DuplicateAccept");
    for value in
        ["", "s3pPLMBiTxaQ9kYGzzhZRbK+xO0=", "S3PPLMBITXAQ9KYGZZHZRBK+XOO=", "dGhlIHNhbXBsZSBub25jZQ=="]
    {
        assert_eq!(accept(&format!("Sec-WebSocket-Accept: {value}\r\n")), "WrongAccept", "{value}");
    }
}

#[test]
fn no_extension_may_be_answered_as_none_is_offered() {
    let answer = |value: &str| error(&valid(&format!("Sec-WebSocket-Extensions: {value}\r\n")));
    assert_eq!(answer("permessage-deflate"), "ExtensionNotOffered");
    assert_eq!(answer(""), "InvalidExtensions(Empty)");
}

#[test]
fn compression_is_offered_and_comes_with_the_connection_if_it_is_answered() {
    let deflate = Deflate { server_context_takeover: false, ..Deflate::default() };
    let config = Arc::new(Config { deflate: Some(deflate), ..Config::default() });
    let handshake = || ClientHandshake::new(&plain(), Box::new(SampleNonce), Arc::clone(&config)).unwrap();
    let request = String::from_utf8(handshake().request_head().to_vec()).unwrap();
    let offers = "permessage-deflate; server_no_context_takeover; server_max_window_bits=12; \
                  client_max_window_bits=12, permessage-deflate; server_no_context_takeover; \
                  client_max_window_bits";
    assert!(request.contains(&format!("Sec-WebSocket-Extensions: {offers}\r\n")), "{request}");

    let answered = |extensions: &str| {
        let lines = format!("Sec-WebSocket-Extensions: {extensions}\r\n");
        handshake().receive(&mut BytesMut::from(&valid(&lines)[..]), Instant::now())
    };
    let Ok(Progress::Done((connection, _))) = answered("permessage-deflate; server_no_context_takeover")
    else {
        panic!("the answer is in order");
    };
    assert_eq!(
        connection.deflate(),
        Some(DeflateParams { server_context_takeover: false, ..DeflateParams::default() })
    );
    let error = answered("permessage-deflate").expect_err("what was asked for is missing");
    assert_eq!(
        error.to_string(),
        "invalid permessage-deflate: server_no_context_takeover was asked for and is missing \
         (RFC 7692 section 7.1)"
    );

    let Ok(Progress::Done((connection, _))) =
        handshake().receive(&mut BytesMut::from(&valid("")[..]), Instant::now())
    else {
        panic!("a server may decline");
    };
    assert_eq!(connection.deflate(), None);
}

#[test]
fn the_subprotocol_is_one_of_those_on_offer() {
    let offering = plain().subprotocol("chat").subprotocol("superchat");
    let answer = |request: &ClientRequest, line: &str| error_of(request, &valid(line));
    let line = "Sec-WebSocket-Protocol: superchat\r\n";

    receive(&offering, &valid(line)).unwrap();
    assert_eq!(answer(&plain(), line), "SubprotocolNotOffered");
    assert_eq!(answer(&offering, &line.repeat(2)), "DuplicateSubprotocol");
    for value in ["other", "Chat", "chat, superchat", ""] {
        let line = format!("Sec-WebSocket-Protocol: {value}\r\n");
        assert_eq!(answer(&offering, &line), "SubprotocolNotOffered", "{value}");
    }
}

#[test]
fn offered_subprotocols_call_for_one_unless_that_is_optional() {
    let offering = plain().subprotocol("chat");
    assert_eq!(error_of(&offering, &valid("")), "MissingSubprotocol");
    receive(&ClientRequest { subprotocol_optional: true, ..offering }, &valid("")).unwrap();
}

#[test]
fn a_debug_print_does_not_tell_the_request() {
    let request = plain().header(http::header::AUTHORIZATION, "Bearer secret".parse().unwrap());
    assert!(!format!("{:?}", handshake(&request)).contains("secret"));
}

#[test]
fn every_error_says_what_is_wrong_and_where_the_rule_is() {
    use ClientHandshakeError as E;
    for error in [
        E::Head(HeadError::BareLineFeed),
        E::InvalidStatusLine,
        E::UnsupportedHttpVersion,
        E::UnexpectedBody,
        E::InvalidUpgrade,
        E::InvalidConnection,
        E::MissingAccept,
        E::DuplicateAccept,
        E::WrongAccept,
        E::InvalidExtensions(ExtensionError::Empty),
        E::InvalidDeflate(ParameterError::Unknown("x".into())),
        E::ExtensionNotOffered,
        E::DuplicateSubprotocol,
        E::SubprotocolNotOffered,
        E::MissingSubprotocol,
        E::UnexpectedEof,
        E::TimedOut,
    ] {
        let text = error.to_string();
        assert!(text.ends_with(&format!("({})", error.section())), "{text}");
        assert!(error.response().is_none());
        assert_eq!(
            std::error::Error::source(&error).is_some(),
            matches!(error, E::Head(_) | E::InvalidExtensions(_) | E::InvalidDeflate(_))
        );
    }
}
