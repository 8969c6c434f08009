use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, ORIGIN, SEC_WEBSOCKET_KEY};

use super::*;

fn request(uri: &str) -> ClientRequest {
    ClientRequest::new(uri.parse().unwrap())
}

fn head(request: &ClientRequest) -> Result<String, ClientRequestError> {
    let key = HandshakeKey::parse("dGhlIHNhbXBsZSBub25jZQ==").unwrap();
    request.head(&key, None).map(|head| String::from_utf8(head.to_vec()).unwrap())
}

#[test]
fn the_request_is_that_of_rfc_6455() {
    let request = ClientRequest {
        origin: Some("http://example.com".parse().unwrap()),
        ..request("ws://server.example.com/chat")
    }
    .subprotocol("chat")
    .subprotocol("superchat")
    .header(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
    assert_eq!(
        head(&request).unwrap(),
        concat!(
            "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
            "Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n",
            "authorization: Bearer x\r\n\r\n",
        )
    );
}

#[test]
fn target_and_host_come_from_the_uri() {
    for (uri, target, host) in [
        ("ws://example.com", "/", "example.com"),
        ("ws://example.com/", "/", "example.com"),
        ("ws://example.com?a=b", "/?a=b", "example.com"),
        ("ws://example.com/a%20b/c?d=/?&e", "/a%20b/c?d=/?&e", "example.com"),
        ("ws://example.com/a#fragment", "/a", "example.com"),
        ("ws://EXAMPLE.com:80/", "/", "example.com"),
        ("ws://example.com:443/", "/", "example.com:443"),
        ("wss://example.com:443/", "/", "example.com"),
        ("wss://example.com:80/", "/", "example.com:80"),
        ("WSS://example.com:9001/", "/", "example.com:9001"),
        ("ws://127.0.0.1:9001/", "/", "127.0.0.1:9001"),
        ("ws://[::1]/", "/", "[::1]"),
        ("ws://[::1]:9001/x", "/x", "[::1]:9001"),
    ] {
        let head = head(&request(uri)).unwrap();
        assert!(head.starts_with(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n")), "{uri}: {head}");
    }
}

#[test]
fn a_path_outside_ascii_is_percent_encoded() {
    let head = head(&request("ws://example.com/gr\u{fc}n?\u{20ac}")).unwrap();
    assert!(head.starts_with("GET /gr%C3%BCn?%E2%82%AC HTTP/1.1\r\n"), "{head}");
}

#[test]
fn uris_that_name_no_server_are_refused() {
    use ClientRequestError::{InvalidHost, UnsupportedScheme, UserInformation};
    for (uri, error) in [
        ("http://example.com/", UnsupportedScheme),
        ("/chat", UnsupportedScheme),
        ("example.com", UnsupportedScheme),
        ("ws://user@example.com/", UserInformation),
        ("ws://user:password@example.com/", UserInformation),
        ("ws://example.com:99999/", InvalidHost),
        ("ws://[::g]/", InvalidHost),
    ] {
        assert_eq!(head(&request(uri)), Err(error), "{uri}");
    }
}

#[test]
fn subprotocols_are_tokens_and_unique() {
    let offer = |names: &[&str]| {
        let subprotocols = names.iter().map(ToString::to_string).collect();
        head(&ClientRequest { subprotocols, ..request("ws://a") })
    };
    assert_eq!(offer(&["a", ""]), Err(ClientRequestError::InvalidSubprotocol(String::new())));
    assert_eq!(offer(&["a b"]), Err(ClientRequestError::InvalidSubprotocol("a b".into())));
    assert_eq!(offer(&["a\r\nb"]), Err(ClientRequestError::InvalidSubprotocol("a\r\nb".into())));
    assert_eq!(offer(&["a", "b", "a"]), Err(ClientRequestError::DuplicateSubprotocol("a".into())));
    assert!(offer(&["a", "A"]).unwrap().contains("Sec-WebSocket-Protocol: a, A\r\n"));
}

#[test]
fn headers_of_the_handshake_cannot_be_replaced() {
    for name in
        [HOST, ORIGIN, CONTENT_LENGTH, SEC_WEBSOCKET_KEY, HeaderName::from_static("sec-websocket-origin")]
    {
        let request = request("ws://a").header(name.clone(), HeaderValue::from_static("x"));
        assert_eq!(head(&request), Err(ClientRequestError::ReservedHeader(name)));
    }
}

#[test]
fn an_old_version_names_the_origin_its_own_way() {
    let request = ClientRequest {
        version: Version::V8,
        origin: Some("http://a".parse().unwrap()),
        ..request("ws://a")
    };
    let head = head(&request).unwrap();
    assert!(head.contains("Sec-WebSocket-Version: 8\r\nSec-WebSocket-Origin: http://a\r\n"), "{head}");
}

#[test]
fn errors_say_what_is_wrong() {
    for (error, text) in [
        (ClientRequestError::UnsupportedScheme, "the URI's scheme is neither ws nor wss"),
        (ClientRequestError::InvalidHost, "the URI names no valid host and port"),
        (ClientRequestError::UserInformation, "the URI names a user"),
        (ClientRequestError::InvalidSubprotocol("a b".into()), "subprotocol \"a b\" is no token"),
        (ClientRequestError::DuplicateSubprotocol("a".into()), "subprotocol \"a\" is offered twice"),
        (ClientRequestError::ReservedHeader(HOST), "the handshake itself writes the header host"),
    ] {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn what_is_printed_for_debugging_holds_no_secret() {
    let request = ClientRequest::new("ws://example.com/chat?token=s3cret".parse().unwrap())
        .header(http::header::AUTHORIZATION, HeaderValue::from_static("Bearer s3cret"));
    let printed = format!("{request:?}");
    assert!(printed.contains("authorization") && printed.contains("/chat"), "{printed}");
    assert!(!printed.contains("s3cret"), "{printed}");
}
