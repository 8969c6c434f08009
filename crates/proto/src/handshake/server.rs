//! The server's side up to a request that is in order (RFC 6455 §4.2.1).

use std::collections::HashSet;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{HOST, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};

use super::Progress;
use super::authority::{Authority, default_port};
use super::error::HandshakeError;
use super::fields::{Duplicate, connection_upgrades, has_body, single, upgrades_to_websocket};
use super::head::{Head, HeadError, HeadReader};
use super::key::HandshakeKey;
use super::offer::Offer;
use super::origin::OriginPolicy;
use crate::config::HandshakeLimits;
use crate::connection::State;
use crate::extension::Extension;
use crate::header_value::tokens;
use crate::version::{SEC_WEBSOCKET_ORIGIN, Version, Versions};

/// A server's handshake while the request is being read (RFC 6455 §4.2.1).
///
/// ```
/// use stentor_proto::bytes::BytesMut;
/// use stentor_proto::handshake::{Incoming, Progress, ServerHandshake};
/// use stentor_proto::HandshakeLimits;
///
/// let mut bytes = BytesMut::from(concat!(
///     "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
///     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
/// ));
/// let handshake = ServerHandshake::new(HandshakeLimits::default());
/// let Progress::NeedMore(handshake) = handshake.receive(&mut bytes)? else { unreachable!() };
///
/// bytes.extend_from_slice(b"\r\n");
/// let Progress::Done(Incoming::Upgrade(offer)) = handshake.receive(&mut bytes)? else { unreachable!() };
/// assert_eq!(offer.request().uri(), "/chat");
/// # Ok::<(), stentor_proto::handshake::HandshakeError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a handshake does nothing until it is fed"]
pub struct ServerHandshake {
    reader: HeadReader,
    versions: Versions,
    origins: Arc<OriginPolicy>,
}

impl ServerHandshake {
    /// Expects a request within `limits`, of protocol version 13 and from the
    /// [same origin](OriginPolicy::same_origin).
    pub fn new(limits: HandshakeLimits) -> Self {
        Self { reader: HeadReader::new(limits, true), versions: Versions::default(), origins: Arc::default() }
    }

    /// The state of the connection to be: [`State::Connecting`] (RFC 6455 §4.1).
    #[must_use]
    pub const fn state(&self) -> State {
        State::Connecting
    }

    /// Accepts these versions of the protocol.
    pub fn versions(mut self, versions: Versions) -> Self {
        self.versions = versions;
        self
    }

    /// Accepts the origins of this policy.
    pub fn origins(mut self, policy: impl Into<Arc<OriginPolicy>>) -> Self {
        self.origins = policy.into();
        self
    }

    /// Looks at what has arrived in `bytes` since the last call.
    ///
    /// A complete request is taken out of `bytes`. What remains are frames that the client sent
    /// without waiting for the answer; leave them there until the connection is open.
    ///
    /// # Errors
    ///
    /// The [`HandshakeError`] whose [`response`](HandshakeError::response) is to be sent. Nothing
    /// in `bytes` may be interpreted after it.
    pub fn receive(mut self, bytes: &mut BytesMut) -> Result<Progress<Self, Incoming>, HandshakeError> {
        match self.reader.read(bytes)? {
            None => Ok(Progress::NeedMore(self)),
            Some(head) => self.examine(head).map(Progress::Done),
        }
    }

    fn examine(&self, head: Head) -> Result<Incoming, HandshakeError> {
        let (request, host) = request(head)?;
        // Before anything is said about the rest: a page of a rebound name learns nothing.
        if !self.origins.allows_host(&host) {
            return Err(HandshakeError::HostNotAllowed);
        }
        let upgrade = upgrades_to_websocket(request.headers()).map_err(|_| HandshakeError::InvalidUpgrade)?;
        match (has_body(request.headers()), upgrade) {
            (Err(_), _) => return Err(HandshakeError::InvalidContentLength),
            (Ok(true), true) => return Err(HandshakeError::UnexpectedBody),
            (Ok(true), false) => return Err(HandshakeError::BodyNotAccepted),
            (Ok(false), _) => {}
        }
        if !upgrade {
            return Ok(Incoming::Plain(request));
        }
        let offer = self.offer(request, host)?;
        // RFC 6455 §4.2.2: an origin that is not acceptable ends the handshake.
        offer.check_origin(&self.origins)?;
        Ok(Incoming::Upgrade(offer))
    }

    /// Enforces what RFC 6455 §4.2.1 asks of a request that wants to be upgraded.
    fn offer(&self, request: Request<()>, host: Authority) -> Result<Offer, HandshakeError> {
        if request.method() != Method::GET {
            return Err(HandshakeError::MethodNotGet);
        }
        let headers = request.headers();
        if !connection_upgrades(headers).map_err(|_| HandshakeError::InvalidConnection)? {
            return Err(HandshakeError::MissingConnectionUpgrade);
        }
        let version = self.version(headers)?;
        let key = key(headers)?;
        check_subprotocols(headers)?;
        let extensions = Extension::from_headers(headers).map_err(HandshakeError::InvalidExtensions)?;
        check_origins(headers, version)?;
        Ok(Offer { request, host, version, key, extensions })
    }

    fn version(&self, headers: &HeaderMap) -> Result<Version, HandshakeError> {
        let value = single(headers, &SEC_WEBSOCKET_VERSION)
            .map_err(|Duplicate| HandshakeError::DuplicateVersion)?
            .ok_or(HandshakeError::MissingVersion)?;
        let number = version_number(value.as_bytes()).ok_or(HandshakeError::InvalidVersion)?;
        Version::from_number(number)
            .filter(|version| self.versions.contains(*version))
            .ok_or(HandshakeError::UnsupportedVersion(self.versions))
    }
}

/// A complete request.
#[derive(Debug)]
pub enum Incoming {
    /// A request to speak WebSocket that is in order.
    Upgrade(Offer),
    /// Any other request without a body, by any method: to be answered with
    /// [`encode_response`](super::encode_response), for want of something better with
    /// [`HandshakeError::UpgradeRequired`].
    Plain(Request<()>),
}

/// Reads the request line and `Host` (RFC 9112 §3).
fn request(head: Head) -> Result<(Request<()>, Authority), HandshakeError> {
    let Head { start_line, headers } = head;
    let mut parts = start_line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(HandshakeError::InvalidRequestLine);
    };
    let method = Method::from_bytes(method).map_err(|_| HandshakeError::InvalidRequestLine)?;
    match http_version(version) {
        None => return Err(HandshakeError::InvalidRequestLine),
        // RFC 6455 §4.2.1: HTTP/1.1 or higher. Later minor versions mean the same to a server that
        // does not know them (RFC 9110 §2.5).
        Some((1, 1..)) => {}
        Some(_) => return Err(HandshakeError::UnsupportedHttpVersion),
    }
    let (uri, authority) = request_target(start_line.slice_ref(target))?;
    // RFC 9112 §3.2: exactly one Host, even where the target names the host already …
    let host = single(&headers, &HOST)
        .map_err(|Duplicate| HandshakeError::DuplicateHost)?
        .ok_or(HandshakeError::MissingHost)?;
    let host = host.to_str().ok().and_then(Authority::parse).ok_or(HandshakeError::InvalidHost)?;

    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    // … and overrules Host (§3.2.2).
    Ok((request, authority.unwrap_or(host)))
}

/// The digits of `HTTP/1.1` (RFC 9112 §2.3).
pub(super) fn http_version(text: &[u8]) -> Option<(u8, u8)> {
    match text.strip_prefix(b"HTTP/")? {
        [major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9'] => Some((major - b'0', minor - b'0')),
        _ => None,
    }
}

/// Reads a target in origin-form or absolute-form, with the authority of the latter
/// (RFC 9112 §3.2.1, §3.2.2; RFC 6455 §4.2.1).
fn request_target(target: Bytes) -> Result<(Uri, Option<Authority>), HandshakeError> {
    // The type for URIs cannot hold a longer one.
    if target.len() >= usize::from(u16::MAX) {
        return Err(HeadError::StartLineTooLong.into());
    }
    let path = target.starts_with(b"/");
    // The type for URIs would drop a fragment and let raw UTF-8 pass.
    if target.contains(&b'#') || !target.is_ascii() {
        return Err(HandshakeError::InvalidRequestTarget);
    }
    let uri = Uri::from_maybe_shared(target).map_err(|_| HandshakeError::InvalidRequestTarget)?;
    if path {
        return Ok((uri, None));
    }
    let known = |scheme: &str| default_port(&scheme.to_ascii_lowercase()).is_some();
    let authority = uri.authority().and_then(|authority| Authority::parse(authority.as_str()));
    match (uri.scheme_str(), authority) {
        (Some(scheme), Some(authority)) if known(scheme) => Ok((uri, Some(authority))),
        _ => Err(HandshakeError::InvalidRequestTarget),
    }
}

/// A number up to 255 without leading zeros, as RFC 6455 §4.3 writes versions.
fn version_number(text: &[u8]) -> Option<u8> {
    let (first, _) = text.split_first()?;
    if !text.iter().all(u8::is_ascii_digit) || (*first == b'0' && text.len() > 1) {
        return None;
    }
    str::from_utf8(text).ok()?.parse().ok()
}

fn key(headers: &HeaderMap) -> Result<HandshakeKey, HandshakeError> {
    let value = single(headers, &SEC_WEBSOCKET_KEY)
        .map_err(|Duplicate| HandshakeError::DuplicateKey)?
        .ok_or(HandshakeError::MissingKey)?;
    value.to_str().ok().and_then(HandshakeKey::parse).ok_or(HandshakeError::InvalidKey)
}

/// RFC 6455 §4.1 (10): offered subprotocols are tokens, and unique; §11.3.4: in any number of lines.
fn check_subprotocols(headers: &HeaderMap) -> Result<(), HandshakeError> {
    let mut seen = HashSet::new();
    for value in headers.get_all(SEC_WEBSOCKET_PROTOCOL) {
        let value = value.to_str().map_err(|_| HandshakeError::InvalidSubprotocols)?;
        let mut names = tokens(value).peekable();
        if names.peek().is_none() {
            return Err(HandshakeError::InvalidSubprotocols);
        }
        for name in names {
            if !seen.insert(name.map_err(|_| HandshakeError::InvalidSubprotocols)?) {
                return Err(HandshakeError::DuplicateSubprotocol);
            }
        }
    }
    Ok(())
}

/// At most one origin. Clients of old versions may name it either way, but only once.
fn check_origins(headers: &HeaderMap, version: Version) -> Result<(), HandshakeError> {
    let origin = single(headers, &ORIGIN).map_err(|Duplicate| HandshakeError::DuplicateOrigin)?;
    let old = match version {
        Version::V13 => None,
        Version::V7 | Version::V8 => {
            single(headers, &SEC_WEBSOCKET_ORIGIN).map_err(|Duplicate| HandshakeError::DuplicateOrigin)?
        }
    };
    match (origin, old) {
        (Some(_), Some(_)) => Err(HandshakeError::DuplicateOrigin),
        (Some(value), None) | (None, Some(value)) if HeaderValue::to_str(value).is_err() => {
            Err(HandshakeError::InvalidOrigin)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
