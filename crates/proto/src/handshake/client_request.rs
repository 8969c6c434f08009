//! What a client asks for, and the request that says so (RFC 6455 §4.1).

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::authority::{Authority, default_port};
use super::client_error::ClientRequestError;
use super::fields::{is_origin, is_reserved};
use super::key::HandshakeKey;
use super::response::{write_header, write_headers};
use crate::header_value::is_token;
use crate::version::Version;

/// What a client asks for: where to, and what besides a plain connection.
///
/// Nothing is checked before [`ClientHandshake::new`](super::ClientHandshake::new) writes the
/// request.
///
/// ```
/// use stentor_proto::handshake::ClientRequest;
/// use stentor_proto::http::header::{COOKIE, HeaderValue};
///
/// let request = ClientRequest::new("wss://example.com/chat?room=1".parse()?)
///     .subprotocol("chat.v2")
///     .subprotocol("chat.v1")
///     .header(COOKIE, HeaderValue::from_static("session=1"));
/// # Ok::<(), stentor_proto::http::uri::InvalidUri>(())
/// ```
#[derive(Clone)]
pub struct ClientRequest {
    /// A `ws` or `wss` URI (RFC 6455 §3). User information is refused: the grammar of these URIs
    /// has none, and a password in a URI ends up in logs. Send an `Authorization` header instead.
    pub uri: Uri,
    /// Headers beside those of the handshake, which cannot be replaced: cookies, `Authorization`.
    pub headers: HeaderMap,
    /// The subprotocols to offer, the favourite first: tokens, none twice.
    pub subprotocols: Vec<String>,
    /// Whether the handshake succeeds if the server picks none of the offered subprotocols.
    /// Default: false.
    pub subprotocol_optional: bool,
    /// The origin, as a browser would send it. Default: none.
    pub origin: Option<HeaderValue>,
    /// The version of the protocol. Default: 13.
    pub version: Version,
}

impl ClientRequest {
    /// Asks for a connection to this `ws` or `wss` URI.
    #[must_use]
    pub fn new(uri: Uri) -> Self {
        Self {
            uri,
            headers: HeaderMap::new(),
            subprotocols: Vec::new(),
            subprotocol_optional: false,
            origin: None,
            version: Version::default(),
        }
    }

    /// Adds a header, behind others of its name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Offers a subprotocol, behind those offered before.
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocols.push(name.into());
        self
    }

    /// Writes the request (RFC 6455 §4.1, the numbered list), with these offers of extensions.
    pub(super) fn head(
        &self,
        key: &HandshakeKey,
        extensions: Option<&str>,
    ) -> Result<Bytes, ClientRequestError> {
        let mut head = b"GET ".to_vec();
        let host = self.host()?;
        self.write_target(&mut head);
        head.extend_from_slice(b" HTTP/1.1\r\n");
        write_header(&mut head, "Host", host.as_bytes());
        write_header(&mut head, "Upgrade", b"websocket");
        write_header(&mut head, "Connection", b"Upgrade");
        write_header(&mut head, "Sec-WebSocket-Key", key.as_str().as_bytes());
        write_header(&mut head, "Sec-WebSocket-Version", self.version.to_string().as_bytes());
        if let Some(origin) = &self.origin {
            let name = if self.version == Version::V13 { "Origin" } else { "Sec-WebSocket-Origin" };
            write_header(&mut head, name, origin.as_bytes());
        }
        self.check_subprotocols()?;
        if !self.subprotocols.is_empty() {
            write_header(&mut head, "Sec-WebSocket-Protocol", self.subprotocols.join(", ").as_bytes());
        }
        if let Some(extensions) = extensions {
            write_header(&mut head, "Sec-WebSocket-Extensions", extensions.as_bytes());
        }
        if let Some(name) = self.headers.keys().find(|name| is_reserved(name) || is_origin(name)) {
            return Err(ClientRequestError::ReservedHeader(name.clone()));
        }
        write_headers(&mut head, &self.headers);
        head.extend_from_slice(b"\r\n");
        Ok(head.into())
    }

    /// The host, and the port unless the scheme implies it (RFC 6455 §4.1, point 4).
    fn host(&self) -> Result<String, ClientRequestError> {
        // RFC 3986 §3.1: schemes are the same in any case.
        let scheme = self.uri.scheme_str().map(str::to_ascii_lowercase);
        let Some(scheme @ ("ws" | "wss")) = scheme.as_deref() else {
            return Err(ClientRequestError::UnsupportedScheme);
        };
        let authority = self.uri.authority().ok_or(ClientRequestError::InvalidHost)?.as_str();
        if authority.contains('@') {
            return Err(ClientRequestError::UserInformation);
        }
        let Authority { host, port } = Authority::parse(authority).ok_or(ClientRequestError::InvalidHost)?;
        Ok(match port {
            Some(port) if Some(port) != default_port(scheme) => format!("{host}:{port}"),
            _ => host,
        })
    }

    /// Writes path and query, "/" for an empty path (RFC 6455 §3, the resource name). What is
    /// outside ASCII goes out as percent-encoded UTF-8 (RFC 3987 §3.1).
    fn write_target(&self, head: &mut Vec<u8>) {
        let (path, query) = (self.uri.path(), self.uri.query());
        if !path.starts_with('/') {
            head.push(b'/');
        }
        for byte in path.bytes().chain(query.map(|_| b'?')).chain(query.unwrap_or_default().bytes()) {
            if byte.is_ascii() {
                head.push(byte);
            } else {
                head.extend_from_slice(format!("%{byte:02X}").as_bytes());
            }
        }
    }

    /// RFC 6455 §4.1, point 10: tokens, and unique.
    fn check_subprotocols(&self) -> Result<(), ClientRequestError> {
        for (index, name) in self.subprotocols.iter().enumerate() {
            if !is_token(name) {
                return Err(ClientRequestError::InvalidSubprotocol(name.clone()));
            }
            if self.subprotocols.iter().take(index).any(|other| other == name) {
                return Err(ClientRequestError::DuplicateSubprotocol(name.clone()));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ClientRequest {
    /// Of the headers only the names, and of the URI no query: both may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientRequest")
            .field("host", &self.uri.host())
            .field("path", &self.uri.path())
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("subprotocols", &self.subprotocols)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
