//! A request to speak WebSocket, and its acceptance (RFC 6455 §4.2.2).

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};

use super::authority::Authority;
use super::error::HandshakeError;
use super::extensions::Answers;
use super::fields::is_reserved;
use super::key::{AcceptKey, HandshakeKey};
use super::origin::OriginPolicy;
use super::response::{write_header, write_headers};
use crate::config::Config;
use crate::connection::Connection;
use crate::deflate::DeflateParams;
use crate::extension::Extension;
use crate::header_value::tokens;
use crate::version::Version;

/// A client's request to speak WebSocket that follows every rule of RFC 6455 §4.2.1.
///
/// Look at it, then accept it, or refuse it with any response but 101
/// ([`encode_response`](super::encode_response)).
///
/// Printed for debugging, it tells the path and the names of its headers: queries, cookies and
/// other values are often secrets.
#[derive(Clone)]
pub struct Offer {
    pub(super) request: Request<()>,
    pub(super) host: Authority,
    pub(super) version: Version,
    pub(super) key: HandshakeKey,
    pub(super) extensions: Vec<Extension>,
}

impl Offer {
    /// The whole request: target with its query, headers with cookies.
    #[must_use]
    pub const fn request(&self) -> &Request<()> {
        &self.request
    }

    /// Where a shell notes what else it knows of the request, such as the client's certificate.
    pub fn request_extensions_mut(&mut self) -> &mut http::Extensions {
        self.request.extensions_mut()
    }

    /// The subprotocols on offer, the client's favourite first: tokens, none twice
    /// (RFC 6455 §1.9).
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        let values = self.request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
        values.filter_map(|value| value.to_str().ok()).flat_map(tokens).flatten()
    }

    /// The extensions on offer, the client's favourite first (RFC 6455 §9.1).
    #[must_use]
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// What accepting the offer with this configuration agrees on about compression; `None` when one
    /// side does not want it, or the client offered nothing that is in order (RFC 7692 §5, §7.1).
    ///
    /// For those who write the [`response_head`](Self::response_head) themselves: the connection is
    /// then to be made [`with_deflate`](Connection::with_deflate).
    #[must_use]
    pub fn deflate(&self, config: &Config) -> Option<DeflateParams> {
        Answers::to(&self.extensions, config).agreed().deflate
    }

    /// The version of the protocol.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The origin of the page that connects; `None` if the client is no browser (RFC 6454).
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        let headers = self.request.headers();
        let old = headers.get(self.version.origin_header());
        old.or_else(|| headers.get(ORIGIN)).and_then(|value| value.to_str().ok())
    }

    /// Checks the origin against another policy than the handshake's own, such as one for this
    /// path alone.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::OriginNotAllowed`] or [`HandshakeError::HostNotAllowed`], to be answered
    /// with 403.
    pub fn check_origin(&self, policy: &OriginPolicy) -> Result<(), HandshakeError> {
        if !policy.allows_host(&self.host) {
            return Err(HandshakeError::HostNotAllowed);
        }
        let allowed = policy.allows(self.origin(), &self.host);
        if allowed { Ok(()) } else { Err(HandshakeError::OriginNotAllowed) }
    }

    /// Accepts the offer: the connection is open, and its first bytes to be sent are the 101
    /// response (RFC 6455 §4.2.2). Messages will be compressed if the client offers it in order and
    /// [`Config::deflate`] is set; [`Connection::deflate`] tells on what terms.
    ///
    /// Feed it what the handshake left in the buffer before anything else.
    ///
    /// ```
    /// # use stentor_proto::{bytes::BytesMut, handshake::{Incoming, Progress, ServerHandshake}};
    /// # use stentor_proto::HandshakeLimits;
    /// # let mut bytes = BytesMut::from(concat!(
    /// #     "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    /// #     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
    /// #     "Sec-WebSocket-Protocol: chat.v2, chat.v1\r\n\r\n",
    /// # ));
    /// # let handshake = ServerHandshake::new(HandshakeLimits::default());
    /// # let Progress::Done(Incoming::Upgrade(offer)) = handshake.receive(&mut bytes)? else { unreachable!() };
    /// use std::{sync::Arc, time::Instant};
    /// use stentor_proto::{Config, bytes::Buf, handshake::Acceptance};
    ///
    /// let spoken = offer.subprotocols().find(|name| ["chat.v1", "chat.v2"].contains(name));
    /// let acceptance = Acceptance { subprotocol: spoken.map(str::to_owned), ..Acceptance::new() };
    /// let mut connection = offer.accept(&acceptance, Arc::new(Config::default()), Instant::now())?;
    ///
    /// let response = connection.poll_transmit().unwrap();
    /// assert!(response.chunk().starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// An [`AcceptError`] if the acceptance says what a server may not.
    pub fn accept(
        self,
        acceptance: &Acceptance,
        config: Arc<Config>,
        now: Instant,
    ) -> Result<Connection, AcceptError> {
        let answers = Answers::to(&self.extensions, &config);
        let head = self.head(acceptance, &answers)?;
        let mut connection = answers.agreed().apply(Connection::server(config, now));
        connection.push_head(head);
        Ok(connection)
    }

    /// The head of the response that accepts the offer, for those who do their own I/O.
    ///
    /// Of the configuration it takes what is answered about compression, which
    /// [`deflate`](Self::deflate) tells.
    ///
    /// # Errors
    ///
    /// An [`AcceptError`] if the acceptance says what a server may not.
    pub fn response_head(&self, acceptance: &Acceptance, config: &Config) -> Result<Bytes, AcceptError> {
        self.head(acceptance, &Answers::to(&self.extensions, config))
    }

    /// The response that accepts the offer, for an HTTP server that writes it. The connection is then
    /// [`Connection::server`], [`with_deflate`](Connection::with_deflate) if that was agreed on.
    ///
    /// ```
    /// # use stentor_proto::HandshakeLimits;
    /// # use stentor_proto::handshake::ServerHandshake;
    /// use stentor_proto::{Config, handshake::Acceptance, http::Request};
    ///
    /// let request = Request::get("/chat")
    ///     .header("host", "example.com")
    ///     .header("upgrade", "websocket")
    ///     .header("connection", "Upgrade")
    ///     .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    ///     .header("sec-websocket-version", "13")
    ///     .body(())?;
    /// let offer = ServerHandshake::new(HandshakeLimits::default()).read_elsewhere(request)?;
    /// let response = offer.response(&Acceptance::new(), &Config::default())?;
    /// assert_eq!(response.status(), 101);
    /// assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// An [`AcceptError`] if the acceptance says what a server may not.
    pub fn response(&self, acceptance: &Acceptance, config: &Config) -> Result<Response<()>, AcceptError> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        self.fields(acceptance, &Answers::to(&self.extensions, config), |name, value| {
            // What is written here are tokens, Base64 and lists of parameters, which can all stand in a header.
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        })?;
        headers.extend(acceptance.headers.clone());
        Ok(response)
    }

    fn head(&self, acceptance: &Acceptance, answers: &Answers) -> Result<Bytes, AcceptError> {
        let mut head = b"HTTP/1.1 101 Switching Protocols\r\n".to_vec();
        self.fields(acceptance, answers, |name, value| write_header(&mut head, name, value.as_bytes()))?;
        write_headers(&mut head, &acceptance.headers);
        head.extend_from_slice(b"\r\n");
        Ok(head.into())
    }

    /// What the handshake itself says in the response (RFC 6455 §4.2.2), if the rest of the
    /// acceptance lets it.
    fn fields(
        &self,
        acceptance: &Acceptance,
        answers: &Answers,
        mut write: impl FnMut(&'static str, &str),
    ) -> Result<(), AcceptError> {
        if let Some(name) = acceptance.headers.keys().find(|name| is_reserved(name)) {
            return Err(AcceptError::ReservedHeader(name.clone()));
        }
        write("Upgrade", "websocket");
        write("Connection", "Upgrade");
        write("Sec-WebSocket-Accept", AcceptKey::from(&self.key).as_str());
        if let Some(subprotocol) = &acceptance.subprotocol {
            // RFC 6455 §4.2.2: the subprotocol is one of those that the client offered.
            if !self.subprotocols().any(|offered| offered == subprotocol) {
                return Err(AcceptError::SubprotocolNotOffered(subprotocol.clone()));
            }
            write("Sec-WebSocket-Protocol", subprotocol);
        }
        if let Some(extensions) = answers.header() {
            write("Sec-WebSocket-Extensions", &extensions);
        }
        Ok(())
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer")
            .field("path", &self.request.uri().path())
            .field("headers", &self.request.headers().keys().collect::<Vec<_>>())
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// What a server adds to the response that accepts an offer.
///
/// ```
/// use stentor_proto::handshake::Acceptance;
/// use stentor_proto::http::header::{HeaderValue, SET_COOKIE};
///
/// let acceptance = Acceptance::new()
///     .subprotocol("chat")
///     .header(SET_COOKIE, HeaderValue::from_static("a=1"))
///     .header(SET_COOKIE, HeaderValue::from_static("b=2"));
/// assert_eq!(acceptance.headers.len(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acceptance {
    /// The one subprotocol that will be spoken, of those on offer; `None` for none of them.
    pub subprotocol: Option<String>,
    /// More headers, such as `Set-Cookie`. Those of the handshake itself are not among them.
    pub headers: HeaderMap,
}

impl Acceptance {
    /// Accepts without a subprotocol and without further headers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses the subprotocol.
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocol = Some(name.into());
        self
    }

    /// Adds a header, behind others of its name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }
}

/// What a server may not say when it accepts an offer (RFC 6455 §4.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcceptError {
    /// A subprotocol that the client did not offer.
    SubprotocolNotOffered(String),
    /// A header that the handshake writes itself, or that would announce a body.
    ReservedHeader(HeaderName),
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SubprotocolNotOffered(name) => write!(f, "the client did not offer subprotocol {name:?}"),
            Self::ReservedHeader(name) => write!(f, "the handshake itself writes the header {name}"),
        }
    }
}

impl std::error::Error for AcceptError {}
