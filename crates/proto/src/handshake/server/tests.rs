use std::time::Instant;

use bytes::Buf as _;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, HeaderName, SET_COOKIE};

use super::super::{AcceptError, Acceptance};
use super::*;
use crate::config::Config;
use crate::deflate::{Deflate, DeflateParams};
use crate::extension::ExtensionError;
use crate::message::Message;
use crate::{Event, header_value};

const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";

/// A request in order, with more headers.
fn valid(more: &str) -> String {
    format!("GET /chat?room=1 HTTP/1.1\r\nHost: example.com\r\n{UPGRADE}{KEY}{VERSION}{more}\r\n")
}

fn handshake() -> ServerHandshake {
    ServerHandshake::new(HandshakeLimits::default())
}

/// Receives the request in one piece and byte by byte, in which the outcome must not differ; nor may
/// it when another has read the request.
fn receive(handshake: &ServerHandshake, request: &str) -> Result<Incoming, HandshakeError> {
    let whole = match handshake.clone().receive(&mut BytesMut::from(request)) {
        Ok(Progress::Done(incoming)) => Ok(incoming),
        Ok(Progress::NeedMore(_)) => panic!("not complete: {request}"),
        Err(error) => Err(error),
    };

    let mut bytes = BytesMut::new();
    let mut progress = Ok(Progress::NeedMore(handshake.clone()));
    for byte in request.bytes() {
        let Ok(Progress::NeedMore(handshake)) = progress else { break };
        bytes.extend_from_slice(&[byte]);
        progress = handshake.receive(&mut bytes);
    }
    match (&whole, progress) {
        (Err(whole), Err(piecewise)) => assert_eq!(*whole, piecewise),
        (whole, Ok(Progress::Done(piecewise))) => {
            assert_eq!(whole.as_ref().map(everything), Ok(everything(&piecewise)));
        }
        (whole, piecewise) => panic!("{whole:?} in one piece, {piecewise:?} byte by byte"),
    }
    if let Some(request) = read_by_another(request) {
        assert_same(&whole, handshake.clone().read_elsewhere(request));
    }
    whole
}

/// The request as an HTTP library reads it; `None` when that refuses it itself, or drops what cannot
/// be seen in the result: a fragment.
fn read_by_another(request: &str) -> Option<Request<()>> {
    let mut headers = [httparse::EMPTY_HEADER; 200];
    let mut parsed = httparse::Request::new(&mut headers);
    if !parsed.parse(request.as_bytes()).ok()?.is_complete() || parsed.path?.contains('#') {
        return None;
    }
    let version = if parsed.version? == 0 { http::Version::HTTP_10 } else { http::Version::HTTP_11 };
    let mut request = Request::builder().method(parsed.method?).uri(parsed.path?).version(version);
    for header in parsed.headers {
        request = request.header(header.name, header.value);
    }
    request.body(()).ok()
}

/// Who only upgrades does not tell plain requests apart.
fn assert_same(received: &Result<Incoming, HandshakeError>, elsewhere: Result<Offer, HandshakeError>) {
    use HandshakeError::{BodyNotAccepted, BodyTooLarge, LengthRequired, UnsupportedExpectation};

    match (received, elsewhere.map(Incoming::Upgrade)) {
        (
            Ok(Incoming::Plain(_))
            | Err(BodyNotAccepted | BodyTooLarge | LengthRequired | UnsupportedExpectation),
            elsewhere,
        ) => assert_eq!(elsewhere.unwrap_err(), HandshakeError::UpgradeRequired),
        (Ok(received), Ok(elsewhere)) => assert_eq!(everything(received), everything(&elsewhere)),
        (Err(received), Err(elsewhere)) => assert_eq!(*received, elsewhere),
        (received, elsewhere) => panic!("{received:?} received, {elsewhere:?} when another has read it"),
    }
}

#[test]
fn a_request_that_another_has_read_is_held_to_the_limits() {
    let limits = HandshakeLimits {
        max_request_line: 40,
        max_header_line: 50,
        max_headers: 10,
        max_head_size: 300,
        ..HandshakeLimits::default()
    };
    let handshake = ServerHandshake::new(limits);
    let long = |len: usize| "x".repeat(len);
    let with_target = |target: &str| valid("").replacen("/chat?room=1", target, 1);
    let in_order = [
        valid(""),
        with_target(&format!("/{}", long(40 - "GET / HTTP/1.1".len()))),
        valid(&format!("A: {}\r\n", long(50 - "A: ".len()))),
        valid(&"A: b\r\n".repeat(5)),
        valid(&format!("A: {}\r\n", long(20))),
    ];
    for request in in_order {
        assert!(matches!(receive(&handshake, &request), Ok(Incoming::Upgrade(_))), "{request}");
    }
    // A head of exactly so many bytes, in lines that are short enough.
    let head_of = |len: usize| {
        let missing = len - valid("A: \r\nB: \r\nC: \r\n").len();
        let lens = [("A", missing / 3), ("B", missing / 3), ("C", missing - missing / 3 * 2)];
        valid(&lens.map(|(name, len)| format!("{name}: {}\r\n", long(len))).concat())
    };
    assert!(matches!(receive(&handshake, &head_of(300)), Ok(Incoming::Upgrade(_))));
    for (request, error) in [
        (with_target(&format!("/{}", long(41 - "GET / HTTP/1.1".len()))), HeadError::StartLineTooLong),
        (valid(&format!("A: {}\r\n", long(51 - "A: ".len()))), HeadError::HeaderLineTooLong),
        (valid(&"A: b\r\n".repeat(6)), HeadError::TooManyHeaders),
        (head_of(301), HeadError::HeadTooLarge),
    ] {
        let elsewhere = handshake.clone().read_elsewhere(read_by_another(&request).unwrap());
        assert_eq!(elsewhere.unwrap_err(), error.into(), "{request}");
        assert_eq!(receive(&handshake, &request).unwrap_err(), error.into(), "{request}");
    }
}

#[test]
fn only_http_1_1_is_upgraded() {
    use http::Version;

    for version in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_2, Version::HTTP_3] {
        let mut request = read_by_another(&valid("")).unwrap();
        *request.version_mut() = version;
        let error = handshake().read_elsewhere(request).unwrap_err();
        assert_eq!(error, HandshakeError::UnsupportedHttpVersion, "{version:?}");
    }
    // The extended CONNECT of RFC 8441.
    let request = Request::connect("https://example.com/chat").version(Version::HTTP_2).body(()).unwrap();
    let error = handshake().read_elsewhere(request).unwrap_err();
    assert_eq!(error, HandshakeError::UnsupportedHttpVersion);
}

/// All that is known of a request; what is printed for debugging leaves out what may be secret.
fn everything(incoming: &Incoming) -> String {
    match incoming {
        Incoming::Plain(request) => format!("{request:?}"),
        Incoming::Upgrade(Offer { request, host, version, key, extensions }) => {
            format!("{request:?} {host:?} {version:?} {key:?} {extensions:?}")
        }
    }
}

fn offer_by(handshake: &ServerHandshake, request: &str) -> Offer {
    match receive(handshake, request) {
        Ok(Incoming::Upgrade(offer)) => offer,
        other => panic!("{other:?}"),
    }
}

fn offer(request: &str) -> Offer {
    offer_by(&handshake(), request)
}

fn error(request: &str) -> HandshakeError {
    receive(&handshake(), request).expect_err(request)
}

#[test]
fn a_handshake_that_waits_is_connecting() {
    assert_eq!(handshake().state(), State::Connecting);
}

#[test]
fn an_offer_shows_the_whole_request() {
    let offer = offer(&valid("Cookie: a=1\r\nSec-WebSocket-Protocol: chat, superchat\r\n"));
    assert_eq!(offer.request().method(), Method::GET);
    assert_eq!(offer.request().uri().path(), "/chat");
    assert_eq!(offer.request().uri().query(), Some("room=1"));
    assert_eq!(offer.request().headers()["cookie"], "a=1");
    assert_eq!(offer.version(), Version::V13);
    assert_eq!(offer.subprotocols().collect::<Vec<_>>(), ["chat", "superchat"]);
    assert_eq!(offer.extensions(), []);
    assert_eq!(offer.origin(), None);
}

#[test]
fn lists_go_over_several_lines() {
    let offer = offer(&valid(concat!(
        "Sec-WebSocket-Protocol: a , b\r\nSec-WebSocket-Protocol: c\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
        "Sec-WebSocket-Extensions: x-a, x-b; c=\"d\"\r\n",
    )));
    assert_eq!(offer.subprotocols().collect::<Vec<_>>(), ["a", "b", "c"]);
    let names: Vec<_> = offer.extensions().iter().map(Extension::name).collect();
    assert_eq!(names, ["permessage-deflate", "x-a", "x-b"]);
}

#[test]
fn the_request_line_may_be_of_any_later_minor_version_and_absolute() {
    offer(&valid("").replace("HTTP/1.1", "HTTP/1.9"));
    offer(&valid("").replace("GET /", "\r\nGET /"));
    let offer =
        offer(&valid("Origin: https://target.example\r\n").replace("/chat", "HTTP://target.example/chat"));
    assert_eq!(offer.request().uri().host(), Some("target.example"), "overrules Host, also for the origin");
}

#[test]
fn a_request_line_out_of_order_is_refused() {
    use HandshakeError::{InvalidRequestLine, InvalidRequestTarget, UnsupportedHttpVersion};
    for (line, expected) in [
        ("GET /", InvalidRequestLine),
        ("GET", InvalidRequestLine),
        ("GET  / HTTP/1.1", InvalidRequestLine),
        (" GET / HTTP/1.1", InvalidRequestLine),
        ("GET / HTTP/1.1 ", InvalidRequestLine),
        ("GET / HTTP/1.1 x", InvalidRequestLine),
        ("GET /a b HTTP/1.1", InvalidRequestLine),
        ("GET\t/\tHTTP/1.1", InvalidRequestLine),
        ("G(T / HTTP/1.1", InvalidRequestLine),
        ("GET / http/1.1", InvalidRequestLine),
        ("GET / HTTP/11", InvalidRequestLine),
        ("GET / HTTP/1.", InvalidRequestLine),
        ("GET / HTTP/1.10", InvalidRequestLine),
        ("GET / HTTP/x.1", InvalidRequestLine),
        ("GET / HTCPCP/1.0", InvalidRequestLine),
        ("GET / HTTP/1.0", UnsupportedHttpVersion),
        ("GET / HTTP/0.9", UnsupportedHttpVersion),
        ("PRI * HTTP/2.0", UnsupportedHttpVersion),
        ("GET / HTTP/3.0", UnsupportedHttpVersion),
        ("GET * HTTP/1.1", InvalidRequestTarget),
        ("GET chat HTTP/1.1", InvalidRequestTarget),
        ("CONNECT example.com:80 HTTP/1.1", InvalidRequestTarget),
        ("GET /#a HTTP/1.1", InvalidRequestTarget),
        ("GET /\u{e9} HTTP/1.1", InvalidRequestTarget),
        ("GET /\t HTTP/1.1", InvalidRequestTarget),
        ("GET ftp://example.com/ HTTP/1.1", InvalidRequestTarget),
        ("GET http:///chat HTTP/1.1", InvalidRequestTarget),
        ("GET http://user@example.com/ HTTP/1.1", InvalidRequestTarget),
        ("GET http://example.com:x/ HTTP/1.1", InvalidRequestTarget),
        ("GET http:/chat HTTP/1.1", InvalidRequestTarget),
    ] {
        assert_eq!(error(&valid("").replace("GET /chat?room=1 HTTP/1.1", line)), expected, "{line}");
    }
}

#[test]
fn a_target_longer_than_uris_can_be_is_too_long() {
    let limits = HandshakeLimits {
        max_request_line: usize::MAX,
        max_head_size: usize::MAX,
        ..HandshakeLimits::default()
    };
    let request = valid("").replace("/chat", &format!("/{}", "a".repeat(70_000)));
    let error = ServerHandshake::new(limits).receive(&mut BytesMut::from(&request[..])).unwrap_err();
    assert_eq!(error, HandshakeError::Head(HeadError::StartLineTooLong));
    assert_eq!(error.status(), 414);
}

#[test]
fn host_comes_once_and_is_a_host() {
    let host = |lines: &str| error(&valid("").replace("Host: example.com\r\n", lines));
    assert_eq!(host(""), HandshakeError::MissingHost);
    assert_eq!(host("Host: a\r\nHost: a\r\n"), HandshakeError::DuplicateHost);
    for value in ["", "a b", "a/b", "user@a", "a:b", "\u{e9}", "http://a"] {
        assert_eq!(host(&format!("Host: {value}\r\n")), HandshakeError::InvalidHost, "{value}");
    }
}

#[test]
fn no_body_is_read() {
    assert_eq!(error(&valid("Content-Length: 1\r\n")), HandshakeError::UnexpectedBody);
    assert_eq!(error(&valid("Transfer-Encoding: chunked\r\n")), HandshakeError::UnexpectedBody);
    assert_eq!(error(&valid("Content-Length: x\r\n")), HandshakeError::InvalidContentLength);
    offer(&valid("Content-Length: 0\r\n"));

    let plain = |lines: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    assert_eq!(error(&plain("Content-Length: 1\r\n")), HandshakeError::BodyNotAccepted);
    assert_eq!(error(&plain("Transfer-Encoding: chunked\r\n")), HandshakeError::BodyNotAccepted);
    assert_eq!(error(&plain("Content-Length: 1, 1\r\n")), HandshakeError::InvalidContentLength);
}

#[test]
fn the_body_of_a_plain_request_is_read_within_its_limit() {
    let limits = HandshakeLimits { max_http_body: 5, ..HandshakeLimits::default() };
    let handshake = ServerHandshake::new(limits);
    let post = |lines: &str, body: &str| format!("POST /login HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}");
    for (lines, body) in [
        ("Content-Length: 5\r\n", "hello"),
        ("Content-Length: 1\r\n", "x"),
        ("Content-Length: 0005\r\n", "hello"),
        ("Content-Length: 0\r\n", ""),
        ("", ""),
    ] {
        match receive(&handshake, &post(lines, body)) {
            Ok(Incoming::Plain(request)) => assert_eq!(request.body(), body, "{lines}"),
            other => panic!("{other:?}"),
        }
    }
    for (lines, expected) in [
        ("Content-Length: 6\r\n", HandshakeError::BodyTooLarge),
        ("Content-Length: 99999999999999999999999\r\n", HandshakeError::BodyTooLarge),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", HandshakeError::InvalidContentLength),
        ("Content-Length: +5\r\n", HandshakeError::InvalidContentLength),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", HandshakeError::LengthRequired),
        ("Transfer-Encoding: chunked\r\n", HandshakeError::LengthRequired),
        ("Content-Length: 5\r\nExpect: 100-continue\r\n", HandshakeError::UnsupportedExpectation),
    ] {
        assert_eq!(receive(&handshake, &post(lines, "")).unwrap_err(), expected, "{lines}");
    }
    // An upgrade still has none.
    assert_eq!(
        receive(&handshake, &valid("Content-Length: 1\r\n")).unwrap_err(),
        HandshakeError::UnexpectedBody
    );
}

#[test]
fn what_follows_a_body_is_left_alone() {
    let limits = HandshakeLimits { max_http_body: 5, ..HandshakeLimits::default() };
    let mut bytes = BytesMut::from("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /");
    match ServerHandshake::new(limits).receive(&mut bytes) {
        Ok(Progress::Done(Incoming::Plain(request))) => assert_eq!(request.body(), "hello"),
        other => panic!("{other:?}"),
    }
    assert_eq!(bytes, "GET /");
}

#[test]
fn a_debug_print_does_not_tell_the_head_of_an_unread_body() {
    let limits = HandshakeLimits { max_http_body: 5, ..HandshakeLimits::default() };
    let request = "POST /?token=hunter2 HTTP/1.1\r\nHost: a\r\nCookie: hunter2\r\nContent-Length: 5\r\n\r\n";
    let progress = ServerHandshake::new(limits).receive(&mut BytesMut::from(request)).unwrap();
    let printed = format!("{progress:?}");
    assert!(printed.contains("len: 5") && !printed.contains("hunter2"), "{printed}");
}

#[test]
fn other_requests_are_plain() {
    for (method, headers) in [
        ("GET", ""),
        ("HEAD", ""),
        ("OPTIONS", "Connection: keep-alive\r\n"),
        ("POST", "Content-Length: 0\r\n"),
        ("GET", "Upgrade: h2c\r\nConnection: Upgrade\r\n"),
        ("GET", KEY),
    ] {
        let request = format!("{method} /health HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        match receive(&handshake(), &request) {
            Ok(Incoming::Plain(request)) => {
                assert_eq!((request.method().as_str(), request.uri().path()), (method, "/health"));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_upgrade_is_a_get_with_connection_upgrade() {
    assert_eq!(error(&valid("").replace("GET", "POST")), HandshakeError::MethodNotGet);
    assert_eq!(error(&valid("").replace("GET", "get")), HandshakeError::MethodNotGet);
    let connection = |line: &str| error(&valid("").replace("Connection: Upgrade\r\n", line));
    assert_eq!(connection(""), HandshakeError::MissingConnectionUpgrade);
    assert_eq!(connection("Connection: close\r\n"), HandshakeError::MissingConnectionUpgrade);
    assert_eq!(connection("Connection: up grade\r\n"), HandshakeError::InvalidConnection);
    assert_eq!(error(&valid("Upgrade: \"x\r\n")), HandshakeError::InvalidUpgrade);
    offer(&valid("").replace("websocket", "h2c, WebSocket").replace(": Upgrade", ": keep-alive, UPGRADE"));
}

#[test]
fn the_version_is_a_number_that_comes_once() {
    let version = |lines: &str| error(&valid("").replace(VERSION, lines));
    assert_eq!(version(""), HandshakeError::MissingVersion);
    assert_eq!(version(&VERSION.repeat(2)), HandshakeError::DuplicateVersion);
    for value in ["", "13, 8", "013", "1 3", "+13", "-1", "x", "256", "13.0", "99999999999999999999"] {
        let line = format!("Sec-WebSocket-Version: {value}\r\n");
        assert_eq!(version(&line), HandshakeError::InvalidVersion, "{value:?}");
    }
    for value in ["0", "7", "8", "12", "14", "255"] {
        let error = version(&format!("Sec-WebSocket-Version: {value}\r\n"));
        assert_eq!(error, HandshakeError::UnsupportedVersion(Versions::default()), "{value:?}");
        assert_eq!(error.response().headers()[SEC_WEBSOCKET_VERSION], "13");
    }
}

#[test]
fn old_versions_are_spoken_on_request() {
    let v8 = handshake().versions(Versions::default().with(Version::V8));
    assert_eq!(
        offer_by(&v8, &valid("").replace(VERSION, "Sec-WebSocket-Version: 8\r\n")).version(),
        Version::V8
    );
    assert_eq!(offer_by(&v8, &valid("")).version(), Version::V13);
    let error = receive(&v8, &valid("").replace(VERSION, "Sec-WebSocket-Version: 7\r\n")).unwrap_err();
    assert_eq!(error.headers()[SEC_WEBSOCKET_VERSION], "13, 8");
}

#[test]
fn the_key_is_sixteen_bytes_and_comes_once() {
    let key = |lines: &str| error(&valid("").replace(KEY, lines));
    assert_eq!(key(""), HandshakeError::MissingKey);
    assert_eq!(key(&KEY.repeat(2)), HandshakeError::DuplicateKey);
    for value in ["", "dGhlIHNhbXBsZSBub25j", "?", "\u{e9}"] {
        assert_eq!(key(&format!("Sec-WebSocket-Key: {value}\r\n")), HandshakeError::InvalidKey, "{value:?}");
    }
}

#[test]
fn subprotocols_are_tokens_and_unique() {
    let list = |value: &str| error(&valid(&format!("Sec-WebSocket-Protocol: {value}\r\n")));
    for value in ["", ",", "a b", "a;b", "\"a\"", "\u{e9}"] {
        assert_eq!(list(value), HandshakeError::InvalidSubprotocols, "{value:?}");
    }
    assert_eq!(list("a, b, a"), HandshakeError::DuplicateSubprotocol);
    assert_eq!(list("a\r\nSec-WebSocket-Protocol: a"), HandshakeError::DuplicateSubprotocol);
    offer(&valid("Sec-WebSocket-Protocol: a, A\r\n"));
}

#[test]
fn extensions_follow_their_grammar() {
    let list = |value: &str| error(&valid(&format!("Sec-WebSocket-Extensions: {value}\r\n")));
    let syntax = header_value::ParseError::ExpectedToken { at: 2 };
    assert_eq!(list(""), HandshakeError::InvalidExtensions(ExtensionError::Empty));
    assert_eq!(list("a;"), HandshakeError::InvalidExtensions(syntax.into()));
    assert_eq!(list("a; b=\"\""), HandshakeError::InvalidExtensions(ExtensionError::ParameterValue));
    assert_eq!(list("\u{e9}"), HandshakeError::InvalidExtensions(ExtensionError::NotAscii));
}

#[test]
fn a_foreign_page_is_refused_unless_the_policy_says_otherwise() {
    let foreign = valid("Origin: http://evil.example\r\n");
    assert_eq!(error(&foreign), HandshakeError::OriginNotAllowed);
    assert_eq!(error(&valid("Origin: null\r\n")), HandshakeError::OriginNotAllowed);
    assert_eq!(error(&valid("Origin: \r\n")), HandshakeError::OriginNotAllowed);
    assert_eq!(offer(&valid("Origin: https://EXAMPLE.com\r\n")).origin(), Some("https://EXAMPLE.com"));

    let any = handshake().origins(OriginPolicy::dangerous_allow_any_origin());
    let offer = offer_by(&any, &foreign);
    assert_eq!(offer.check_origin(&OriginPolicy::default()), Err(HandshakeError::OriginNotAllowed));
    assert_eq!(offer.check_origin(&OriginPolicy::only(["http://evil.example"]).unwrap()), Ok(()));
}

#[test]
fn a_rebound_name_is_refused_by_the_list_of_hosts() {
    let policy = OriginPolicy::same_origin().hosts(["example.com"]).unwrap();
    let listed = handshake().origins(policy.clone());
    let rebound = |request: &str| request.replace("Host: example.com", "Host: evil.example");
    let page = valid("Origin: http://example.com\r\n");
    offer_by(&listed, &page);
    // To the origin alone the rebound name is its own page's.
    let page = rebound(&page.replace("Origin: http://example.com", "Origin: http://evil.example"));
    assert_eq!(receive(&listed, &page).unwrap_err(), HandshakeError::HostNotAllowed);
    assert_eq!(offer(&page).check_origin(&policy), Err(HandshakeError::HostNotAllowed));
    // Without an origin too, and for plain requests.
    assert_eq!(receive(&listed, &rebound(&valid(""))).unwrap_err(), HandshakeError::HostNotAllowed);
    let plain = "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    assert_eq!(receive(&listed, plain).unwrap_err(), HandshakeError::HostNotAllowed);
    // The host that counts is the target's, when that names one.
    let absolute = valid("").replace("GET /chat", "GET http://evil.example/chat");
    assert_eq!(receive(&listed, &absolute).unwrap_err(), HandshakeError::HostNotAllowed);
}

#[test]
fn an_origin_comes_once_and_is_text() {
    let origin = "Origin: http://example.com\r\n";
    assert_eq!(error(&valid(&origin.repeat(2))), HandshakeError::DuplicateOrigin);
    assert_eq!(error(&valid("Origin: http://\u{e9}\r\n")), HandshakeError::InvalidOrigin);
}

#[test]
fn old_versions_name_their_origin_either_way_but_once() {
    let v8 = handshake().versions(Versions::default().with(Version::V8));
    let request = |more: &str| valid(more).replace(VERSION, "Sec-WebSocket-Version: 8\r\n");
    let (new, old) = ("Origin: http://example.com\r\n", "Sec-WebSocket-Origin: http://example.com\r\n");
    let evil = "Sec-WebSocket-Origin: http://evil.example\r\n";

    assert_eq!(offer_by(&v8, &request(new)).origin(), Some("http://example.com"));
    assert_eq!(offer_by(&v8, &request(old)).origin(), Some("http://example.com"));
    assert_eq!(receive(&v8, &request(evil)).unwrap_err(), HandshakeError::OriginNotAllowed);
    for twice in [format!("{new}{old}"), old.repeat(2), format!("{new}{evil}")] {
        assert_eq!(receive(&v8, &request(&twice)).unwrap_err(), HandshakeError::DuplicateOrigin);
    }
    assert_eq!(offer(&valid(evil)).origin(), None, "means nothing in version 13");
}

#[test]
fn the_example_of_rfc_6455_is_accepted() {
    let offer = offer(concat!(
        "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://server.example.com\r\n",
        "Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n",
    ));
    assert_eq!(
        offer.response_head(&Acceptance::new().subprotocol("chat"), &Config::default()).unwrap(),
        concat!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
        )
    );
}

#[test]
fn accepting_answers_the_first_offer_of_compression_that_is_in_order() {
    let offer = || {
        offer(&valid(concat!(
            "Sec-WebSocket-Extensions: permessage-deflate; x\r\n",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, permessage-deflate\r\n",
        )))
    };
    let wanted = Config { deflate: Some(Deflate::default()), ..Config::default() };
    let params =
        DeflateParams { server_max_window_bits: 12, client_max_window_bits: 12, ..DeflateParams::default() };
    let answer = "Sec-WebSocket-Extensions: \
                  permessage-deflate; server_max_window_bits=12; client_max_window_bits=12\r\n";
    for (config, agreed) in [(wanted, Some(params)), (Config::default(), None)] {
        assert_eq!(offer().deflate(&config), agreed);
        let by_hand = offer().response_head(&Acceptance::new(), &config).unwrap();
        let text = String::from_utf8(by_hand.to_vec()).unwrap();
        assert_eq!(text.contains(answer), agreed.is_some(), "{text}");
        assert_eq!(text.contains("Sec-WebSocket-Extensions"), agreed.is_some(), "{text}");

        let mut connection = offer().accept(&Acceptance::new(), Arc::new(config), Instant::now()).unwrap();
        assert_eq!(connection.deflate(), agreed);
        let mut head = connection.poll_transmit().unwrap();
        assert_eq!(head.copy_to_bytes(head.remaining()), by_hand);
    }
}

#[test]
fn an_acceptance_may_add_headers_but_not_those_of_the_handshake() {
    let offer = offer(&valid("Sec-WebSocket-Protocol: chat\r\n"));
    let value = HeaderValue::from_static("x");
    let cookies =
        Acceptance::new().header(SET_COOKIE, value.clone()).header(SET_COOKIE, "y".parse().unwrap());
    let head = offer.response_head(&cookies, &Config::default()).unwrap();
    assert!(head.ends_with(b"=\r\nset-cookie: x\r\nset-cookie: y\r\n\r\n"));

    for name in [CONTENT_LENGTH, SEC_WEBSOCKET_PROTOCOL, HeaderName::from_static("connection")] {
        let acceptance = Acceptance::new().header(name.clone(), value.clone());
        let error = offer.response_head(&acceptance, &Config::default()).unwrap_err();
        assert_eq!(error.to_string(), format!("the handshake itself writes the header {name}"));
    }
    let error = offer.response_head(&Acceptance::new().subprotocol("other"), &Config::default()).unwrap_err();
    assert_eq!(error, AcceptError::SubprotocolNotOffered("other".into()));
    assert_eq!(error.to_string(), "the client did not offer subprotocol \"other\"");
    let refused = offer.accept(&Acceptance::new().subprotocol("Chat"), Arc::default(), Instant::now());
    assert!(matches!(refused, Err(AcceptError::SubprotocolNotOffered(_))));
}

#[test]
fn frames_that_came_along_wait_for_the_connection_and_never_overtake_the_response() {
    let now = Instant::now();
    let mut bytes = BytesMut::from(&valid("")[..]);
    bytes.extend_from_slice(b"\x89\x81\0\0\0\0p"); // a Ping of "p", masked with zeros
    bytes.extend_from_slice(b"\x81\x82\0\0\0\0hi");
    let Ok(Progress::Done(Incoming::Upgrade(offer))) = handshake().receive(&mut bytes) else { panic!() };
    assert_eq!(bytes.len(), 15, "untouched");

    let mut connection = offer.accept(&Acceptance::new(), Arc::new(Config::default()), now).unwrap();
    assert_eq!(connection.receive(&mut bytes, now), Some(Event::Ping("p".into())));
    assert_eq!(connection.receive(&mut bytes, now), Some(Event::Message(Message::from("hi"))));

    let mut sent = Vec::new();
    while let Some(mut transmit) = connection.poll_transmit() {
        sent.push(transmit.chunk()[0]);
        transmit.advance(1);
    }
    assert!(sent.starts_with(b"HTTP/1.1 101 "));
    assert!(sent.ends_with(b"\r\n\r\n\x8a\x01p"), "the Pong comes behind the head");
}

#[test]
fn every_error_has_its_response() {
    use HandshakeError as E;
    let versions = Versions::default();
    for (error, status) in [
        (E::Head(HeadError::StartLineTooLong), 414),
        (E::Head(HeadError::HeaderLineTooLong), 431),
        (E::Head(HeadError::TooManyHeaders), 431),
        (E::Head(HeadError::HeadTooLarge), 431),
        (E::Head(HeadError::BareLineFeed), 400),
        (E::UnexpectedTls, 400),
        (E::InvalidRequestLine, 400),
        (E::InvalidRequestTarget, 400),
        (E::UnsupportedHttpVersion, 505),
        (E::MissingHost, 400),
        (E::DuplicateHost, 400),
        (E::InvalidHost, 400),
        (E::InvalidContentLength, 400),
        (E::UnexpectedBody, 400),
        (E::BodyNotAccepted, 413),
        (E::BodyTooLarge, 413),
        (E::LengthRequired, 411),
        (E::UnsupportedExpectation, 417),
        (E::InvalidUpgrade, 400),
        (E::MethodNotGet, 405),
        (E::InvalidConnection, 400),
        (E::MissingConnectionUpgrade, 400),
        (E::MissingVersion, 400),
        (E::DuplicateVersion, 400),
        (E::InvalidVersion, 400),
        (E::UnsupportedVersion(versions), 426),
        (E::MissingKey, 400),
        (E::DuplicateKey, 400),
        (E::InvalidKey, 400),
        (E::InvalidSubprotocols, 400),
        (E::DuplicateSubprotocol, 400),
        (E::InvalidExtensions(ExtensionError::Empty), 400),
        (E::DuplicateOrigin, 400),
        (E::InvalidOrigin, 400),
        (E::OriginNotAllowed, 403),
        (E::HostNotAllowed, 403),
        (E::UpgradeRequired, 426),
        (E::TimedOut, 408),
    ] {
        let response = error.response();
        assert_eq!(response.status(), status, "{error:?}");
        let body = std::str::from_utf8(response.body()).unwrap();
        assert!(body.starts_with(&format!(r#"{{"code":{status},"message":""#)), "{body}");
        assert_eq!(response.headers().contains_key("allow"), status == 405);
        assert_eq!(response.headers().contains_key("upgrade"), status == 426);
        assert_eq!(response.headers().contains_key("sec-websocket-version"), status == 426);
        let text = error.to_string();
        assert!(text.ends_with(&format!("({})", error.section())), "{text}");
        assert_eq!(
            std::error::Error::source(&error).is_some(),
            matches!(error, E::Head(_) | E::InvalidExtensions(_))
        );
    }
    assert_eq!(E::UpgradeRequired.status(), StatusCode::UPGRADE_REQUIRED);
}

#[test]
fn a_debug_print_of_an_offer_holds_no_secret() {
    let request = valid("Cookie: session=hunter2\r\nAuthorization: Bearer hunter2\r\n");
    let request = request.replace("room=1", "token=hunter2");
    let printed = format!("{:?}", offer(&request));
    assert!(printed.contains("/chat") && printed.contains("cookie"), "{printed}");
    assert!(!printed.contains("hunter2"), "{printed}");
}

#[test]
fn many_subprotocols_are_checked_in_linear_time() {
    let limits = HandshakeLimits {
        max_header_line: usize::MAX,
        max_head_size: usize::MAX,
        ..HandshakeLimits::default()
    };
    // To compare each name with each would be five thousand million comparisons.
    let names: Vec<String> = (0..100_000).map(|index| index.to_string()).collect();
    let request = valid(&format!("Sec-WebSocket-Protocol: {}\r\n", names.join(",")));
    let progress = ServerHandshake::new(limits).receive(&mut BytesMut::from(&request[..]));
    let Ok(Progress::Done(Incoming::Upgrade(offer))) = progress else { panic!() };
    assert_eq!(offer.subprotocols().count(), 100_000);
}
