//! The server's side up to a request that is in order (RFC 6455 §4.2.1).

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{EXPECT, HOST, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};

use super::Progress;
use super::authority::{Authority, default_port};
use super::error::HandshakeError;
use super::fields::{Body, Duplicate, connection_upgrades, single, upgrades_to_websocket};
use super::head::{Head, HeadError, HeadReader};
use super::key::HandshakeKey;
use super::offer::Offer;
use super::origin::OriginPolicy;
use crate::config::HandshakeLimits;
use crate::connection::State;
use crate::extension::Extension;
use crate::header_value::tokens;
use crate::version::{SEC_WEBSOCKET_ORIGIN, Version, Versions};

/// The type of the record that begins a TLS connection (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 22;

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
    max_body: usize,
    /// A plain request whose body has not arrived whole.
    unread: Option<Box<Unread>>,
}

/// A plain request that waits for its body, of so many bytes.
#[derive(Clone)]
struct Unread {
    request: Request<()>,
    len: usize,
}

impl ServerHandshake {
    /// Expects a request within `limits`, of protocol version 13 and from the
    /// [same origin](OriginPolicy::same_origin).
    pub fn new(limits: HandshakeLimits) -> Self {
        Self {
            reader: HeadReader::new(limits, true),
            versions: Versions::default(),
            origins: Arc::default(),
            max_body: limits.max_http_body,
            unread: None,
        }
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
        if let Some(unread) = self.unread.take() {
            return Ok(self.read_body(unread, bytes));
        }
        match self.reader.read(bytes) {
            Ok(None) => Ok(Progress::NeedMore(self)),
            Ok(Some(head)) => self.examine(head, bytes),
            Err(HeadError::ControlCharacter(TLS_HANDSHAKE)) if bytes.starts_with(&[TLS_HANDSHAKE]) => {
                Err(HandshakeError::UnexpectedTls)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn examine(self, head: Head, bytes: &mut BytesMut) -> Result<Progress<Self, Incoming>, HandshakeError> {
        let (request, host) = request(head)?;
        match self.sort(request, host)? {
            Sorted::Upgrade(offer) => Ok(Progress::Done(Incoming::Upgrade(offer))),
            Sorted::Plain(request, body) => {
                let len = self.body_length(body, &request)?;
                Ok(self.read_body(Box::new(Unread { request, len }), bytes))
            }
        }
    }

    /// Looks at a request that another HTTP server has read. The rules and limits are those of a
    /// request that is read by [`receive`](Self::receive).
    ///
    /// What only the bytes could show is left to whoever has read them: bare line ends, folded
    /// lines and a fragment in the target. Refuse by closing the transport, as always: what the
    /// client has sent behind the request may be frames, and must not be taken for another one.
    ///
    /// ```
    /// use stentor_proto::HandshakeLimits;
    /// use stentor_proto::handshake::{HandshakeError, ServerHandshake};
    /// use stentor_proto::http::Request;
    ///
    /// let request = Request::get("/chat")
    ///     .header("host", "example.com")
    ///     .header("upgrade", "websocket")
    ///     .header("connection", "Upgrade")
    ///     .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    ///     .header("sec-websocket-version", "13")
    ///     .body(())?;
    /// let handshake = ServerHandshake::new(HandshakeLimits::default());
    /// assert_eq!(handshake.read_elsewhere(request)?.request().uri(), "/chat");
    ///
    /// let request = Request::get("/").header("host", "example.com").body(())?;
    /// let handshake = ServerHandshake::new(HandshakeLimits::default());
    /// assert_eq!(handshake.read_elsewhere(request).unwrap_err(), HandshakeError::UpgradeRequired);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The [`HandshakeError`] whose [`response`](HandshakeError::response) is to be sent:
    /// [`HandshakeError::UpgradeRequired`] for a request that does not want to be upgraded,
    /// [`HandshakeError::UnsupportedHttpVersion`] for any version of HTTP but 1.1, WebSocket over
    /// HTTP/2 (RFC 8441) included.
    pub fn read_elsewhere(self, request: Request<()>) -> Result<Offer, HandshakeError> {
        // In HTTP/2 the rest is written in another way.
        if request.version() != http::Version::HTTP_11 {
            return Err(HandshakeError::UnsupportedHttpVersion);
        }
        check_size(&request, &self.reader.limits())?;
        let uri = request.uri();
        // Of a target that is no path, this type has made an authority or an asterisk.
        let path = uri.scheme().is_none() && uri.authority().is_none() && uri.path().starts_with('/');
        let authority = if path { None } else { Some(target_authority(uri)?) };
        if !uri.path().is_ascii() || !uri.query().unwrap_or_default().is_ascii() {
            return Err(HandshakeError::InvalidRequestTarget);
        }
        let host = host(request.headers(), authority)?;
        match self.sort(request, host)? {
            Sorted::Upgrade(offer) => Ok(offer),
            Sorted::Plain(..) => Err(HandshakeError::UpgradeRequired),
        }
    }

    /// Tells requests that want to be upgraded, which have to be in order, from others.
    fn sort(&self, request: Request<()>, host: Authority) -> Result<Sorted, HandshakeError> {
        // Before anything is said about the rest: a page of a rebound name learns nothing.
        if !self.origins.allows_host(&host) {
            return Err(HandshakeError::HostNotAllowed);
        }
        let upgrade = upgrades_to_websocket(request.headers()).map_err(|_| HandshakeError::InvalidUpgrade)?;
        let body = Body::of(request.headers()).map_err(|_| HandshakeError::InvalidContentLength)?;
        if !upgrade {
            return Ok(Sorted::Plain(request, body));
        }
        if body != Body::Empty {
            return Err(HandshakeError::UnexpectedBody);
        }
        let offer = self.offer(request, host)?;
        // RFC 6455 §4.2.2: an origin that is not acceptable ends the handshake.
        offer.check_origin(&self.origins)?;
        Ok(Sorted::Upgrade(offer))
    }

    /// How long the body of a plain request is, if it is one to be read.
    fn body_length(&self, body: Body, request: &Request<()>) -> Result<usize, HandshakeError> {
        match body {
            Body::Empty => Ok(0),
            _ if self.max_body == 0 => Err(HandshakeError::BodyNotAccepted),
            // A length is all it takes to know where a body ends.
            Body::Encoded => Err(HandshakeError::LengthRequired),
            Body::Length(len) if len > self.max_body => Err(HandshakeError::BodyTooLarge),
            // RFC 9110 §10.1.1: leave that is not given has to be refused, and is then not waited for.
            Body::Length(_) if request.headers().contains_key(EXPECT) => {
                Err(HandshakeError::UnsupportedExpectation)
            }
            Body::Length(len) => Ok(len),
        }
    }

    fn read_body(mut self, unread: Box<Unread>, bytes: &mut BytesMut) -> Progress<Self, Incoming> {
        if bytes.len() < unread.len {
            self.unread = Some(unread);
            return Progress::NeedMore(self);
        }
        let Unread { request, len } = *unread;
        let body = bytes.split_to(len).freeze();
        Progress::Done(Incoming::Plain(request.map(|()| body)))
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

/// A request whose head has been looked at.
enum Sorted {
    Upgrade(Offer),
    Plain(Request<()>, Body),
}

/// A complete request.
#[derive(Debug)]
pub enum Incoming {
    /// A request to speak WebSocket that is in order.
    Upgrade(Offer),
    /// Any other request, by any method, with its body of at most
    /// [`HandshakeLimits::max_http_body`] bytes: to be answered with
    /// [`encode_response`](super::encode_response), for want of something better with
    /// [`HandshakeError::UpgradeRequired`].
    Plain(Request<Bytes>),
}

/// What is printed for debugging leaves out the request, which may hold secrets.
impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unread").field("len", &self.len).finish_non_exhaustive()
    }
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
    let host = host(&headers, authority)?;

    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok((request, host))
}

/// Whom the request is for (RFC 9112 §3.2).
fn host(headers: &HeaderMap, target: Option<Authority>) -> Result<Authority, HandshakeError> {
    // Exactly one Host, even where the target names the host already …
    let host = single(headers, &HOST)
        .map_err(|Duplicate| HandshakeError::DuplicateHost)?
        .ok_or(HandshakeError::MissingHost)?;
    let host = host.to_str().ok().and_then(Authority::parse).ok_or(HandshakeError::InvalidHost)?;
    // … and overrules Host (§3.2.2).
    Ok(target.unwrap_or(host))
}

/// Holds a head that somebody else has read to the limits, as far as its parts tell how large it was.
fn check_size(request: &Request<()>, limits: &HandshakeLimits) -> Result<(), HeadError> {
    // Between the parts of the first line there are two spaces, and "HTTP/1.1".
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len())
        + request.uri().authority().map_or(0, |authority| authority.as_str().len() + "://".len())
        + request.uri().scheme_str().map_or(0, str::len);
    let start_line = request.method().as_str().len() + target + "  HTTP/1.1".len();
    if start_line > limits.max_request_line {
        return Err(HeadError::StartLineTooLong);
    }
    if request.headers().len() > limits.max_headers {
        return Err(HeadError::TooManyHeaders);
    }
    // Each line has its end, and so has the head.
    let mut total = start_line + 4;
    for (name, value) in request.headers() {
        let line = name.as_str().len() + ": ".len() + value.len();
        if line > limits.max_header_line {
            return Err(HeadError::HeaderLineTooLong);
        }
        total += line + 2;
    }
    if total > limits.max_head_size { Err(HeadError::HeadTooLarge) } else { Ok(()) }
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
    let authority = target_authority(&uri)?;
    Ok((uri, Some(authority)))
}

/// The host that a target in absolute-form names (RFC 9112 §3.2.2).
fn target_authority(uri: &Uri) -> Result<Authority, HandshakeError> {
    let known = |scheme: &str| default_port(&scheme.to_ascii_lowercase()).is_some();
    let authority = uri.authority().and_then(|authority| Authority::parse(authority.as_str()));
    match (uri.scheme_str(), authority) {
        (Some(scheme), Some(authority)) if known(scheme) => Ok(authority),
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
