//! Responses other than 101, as bytes (RFC 9112 §4, §6).

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

/// A response that says in JSON what is wrong: `{"code":404,"message":"…","status":"Not Found"}`.
///
/// No cache may keep it. For a server's own refusals, beside [`HandshakeError::response`].
///
/// ```
/// use stentor_proto::handshake::error_response;
/// use stentor_proto::http::StatusCode;
///
/// let response = error_response(StatusCode::TOO_MANY_REQUESTS, "at most 10 connections");
/// assert_eq!(
///     response.body(),
///     r#"{"code":429,"message":"at most 10 connections","status":"Too Many Requests"}"#
/// );
/// ```
///
/// [`HandshakeError::response`]: super::HandshakeError::response
#[must_use]
pub fn error_response(status: StatusCode, message: &str) -> Response<Bytes> {
    let body = format!(
        r#"{{"code":{},"message":"{}","status":"{}"}}"#,
        status.as_u16(),
        escape_json(message),
        status.canonical_reason().unwrap_or_default()
    );
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Encodes the last response of a transport: to an offer that is refused, or to a plain request.
///
/// `Content-Length` and `Connection: close` are added, and whatever the response itself says about
/// its framing is left out. No body goes out where the status or a request by `HEAD` forbids one
/// (RFC 9112 §6.3); pass [`Method::GET`] if the request could not be read.
///
/// A status below 200 cannot end an exchange (RFC 9110 §15.2); in its place goes 500.
///
/// ```
/// use stentor_proto::bytes::Bytes;
/// use stentor_proto::handshake::encode_response;
/// use stentor_proto::http::{Method, Response};
///
/// let response = Response::builder().header("content-type", "text/plain").body(Bytes::from("hi"))?;
/// let bytes = encode_response(&response, &Method::GET);
/// assert_eq!(
///     bytes,
///     "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
/// );
/// # Ok::<(), stentor_proto::http::Error>(())
/// ```
#[must_use]
pub fn encode_response(response: &Response<Bytes>, request_method: &Method) -> Bytes {
    if response.status().is_informational() {
        return encode_response(&invalid_response(), request_method);
    }
    let mut head = status_line(response.status()).into_bytes();
    for (name, value) in response.headers() {
        if !FRAMING.contains(name) {
            write_header(&mut head, name.as_str(), value.as_bytes());
        }
    }
    // RFC 9110 §8.6: 204 has no Content-Length, and that of 304 would describe another response.
    let bodiless = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if !bodiless {
        write_header(&mut head, "Content-Length", response.body().len().to_string().as_bytes());
    }
    write_header(&mut head, "Connection", last_connection(response.headers()).as_bytes());
    head.extend_from_slice(b"\r\n");
    if !bodiless && request_method != Method::HEAD {
        head.extend_from_slice(response.body());
    }
    head.into()
}

/// Makes a response the last of its transport, for an HTTP server that writes it: what
/// [`encode_response`] does, except for the bytes.
///
/// ```
/// use stentor_proto::handshake::{HandshakeError, last_response};
///
/// let response = last_response(HandshakeError::UpgradeRequired.response());
/// assert_eq!(response.headers()["connection"], "Upgrade, close");
/// ```
#[must_use]
pub fn last_response(mut response: Response<Bytes>) -> Response<Bytes> {
    if response.status().is_informational() {
        response = invalid_response();
    }
    for name in FRAMING {
        response.headers_mut().remove(name);
    }
    let connection = HeaderValue::from_static(last_connection(response.headers()));
    response.headers_mut().insert(CONNECTION, connection);
    response
}

/// What a response says about itself that is not for its author to say.
const FRAMING: [HeaderName; 3] = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];

/// RFC 9110 §7.8: whoever sends Upgrade lists it in Connection.
fn last_connection(headers: &HeaderMap) -> &'static str {
    if headers.contains_key(UPGRADE) { "Upgrade, close" } else { "close" }
}

fn invalid_response() -> Response<Bytes> {
    error_response(StatusCode::INTERNAL_SERVER_ERROR, "invalid response")
}

/// The first line of a response, with its end.
fn status_line(status: StatusCode) -> String {
    format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default())
}

/// Appends a header line.
pub(super) fn write_header(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

/// Appends header lines.
pub(super) fn write_headers(head: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        write_header(head, name.as_str(), value.as_bytes());
    }
}

/// The inside of a JSON string (RFC 8259 §7).
fn escape_json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            if matches!(character, '"' | '\\') {
                escaped.push('\\');
            }
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(response: &Response<Bytes>, method: &Method) -> String {
        String::from_utf8(encode_response(response, method).to_vec()).unwrap()
    }

    #[test]
    fn the_last_response_of_another_server_says_so_and_nothing_of_its_framing() {
        let mut response = Response::new(Bytes::from_static(b"no"));
        for name in FRAMING {
            response.headers_mut().insert(name, HeaderValue::from_static("chunked"));
        }
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        let last = last_response(response);
        assert_eq!((last.status(), &last.body()[..]), (StatusCode::OK, &b"no"[..]));
        assert_eq!(
            (last.headers().len(), &last.headers()[CONTENT_TYPE]),
            (2, &"text/plain".parse().unwrap())
        );
        assert_eq!(last.headers()[CONNECTION], "close");

        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        assert_eq!(last_response(response).status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn an_error_is_json_that_no_cache_keeps() {
        let response = error_response(StatusCode::FORBIDDEN, "not \"you\"\\\n");
        assert_eq!(
            encode(&response, &Method::GET),
            concat!(
                "HTTP/1.1 403 Forbidden\r\n",
                "content-type: application/json\r\n",
                "cache-control: no-store\r\n",
                "Content-Length: 65\r\n",
                "Connection: close\r\n\r\n",
                r#"{"code":403,"message":"not \"you\"\\\u000a","status":"Forbidden"}"#
            )
        );
    }

    #[test]
    fn framing_is_the_encoders_own() {
        let response = Response::builder()
            .header("content-length", "7")
            .header("transfer-encoding", "chunked")
            .header("connection", "keep-alive")
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .body(Bytes::from("x"))
            .unwrap();
        assert_eq!(
            encode(&response, &Method::GET),
            "HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"
        );
    }

    #[test]
    fn an_upgrade_on_offer_is_listed_in_connection() {
        let response =
            Response::builder().status(426).header("upgrade", "websocket").body(Bytes::new()).unwrap();
        assert_eq!(
            encode(&response, &Method::GET),
            "HTTP/1.1 426 Upgrade Required\r\nupgrade: websocket\r\nContent-Length: 0\r\nConnection: Upgrade, close\r\n\r\n"
        );
    }

    #[test]
    fn head_gets_the_length_without_the_body() {
        let response = Response::new(Bytes::from("four"));
        assert_eq!(
            encode(&response, &Method::HEAD),
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn some_statuses_have_no_body() {
        for (status, line) in [(204, "204 No Content"), (304, "304 Not Modified")] {
            let response = Response::builder().status(status).body(Bytes::from("body")).unwrap();
            assert_eq!(
                encode(&response, &Method::GET),
                format!("HTTP/1.1 {line}\r\nConnection: close\r\n\r\n")
            );
        }
    }

    #[test]
    fn an_unnamed_status_has_an_empty_phrase() {
        let response = Response::builder().status(299).body(Bytes::new()).unwrap();
        assert!(encode(&response, &Method::GET).starts_with("HTTP/1.1 299 \r\n"));
    }

    #[test]
    fn an_informational_status_cannot_be_the_last() {
        for status in [100, 101, 103] {
            let response = Response::builder().status(status).body(Bytes::new()).unwrap();
            assert!(encode(&response, &Method::GET).starts_with("HTTP/1.1 500 Internal Server Error\r\n"));
        }
    }
}
