//! A client that asks to be upgraded: look at its request, then accept or reject it.

use std::any::Any;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, StatusCode};
use stentor_proto::handshake::{AcceptError, Acceptance, Offer, error_response};
use stentor_proto::{Config, Connection};

use crate::about::About;
use crate::connections::Connections;
use crate::driver::now;
use crate::error::{HandshakeFailure, Result, Why};
use crate::handshake;
use crate::observer::{Arrival, Visitor};
use crate::request::{UpgradeRequest, context_of};
use crate::shared::{Opened, Seat, Shared, Watchers};
use crate::shutdown::Shutdown;
use crate::slot::Slot;
use crate::socket::WebSocket;
use crate::trace::Span;
use crate::transport::Transport;

/// A valid opening handshake that waits for its answer (RFC 6455 §4.2.2).
///
/// Dropped without an answer, it refuses with 500.
///
/// ```no_run
/// use stentor::{Server, Upgrade};
///
/// # async fn example() -> stentor::Result<()> {
/// let server = Server::bind("127.0.0.1:8080").await?;
/// server
///     .serve_upgrades(async |upgrade: Upgrade| {
///         if upgrade.request().uri().path() != "/chat" {
///             let response = http::Response::builder().status(404).body("no such room".into()).unwrap();
///             return upgrade.reject(response).await;
///         }
///         let mut socket = upgrade.accept().await?;
///         socket.send("welcome").await
///     })
///     .await
/// # }
/// ```
pub struct Upgrade {
    // Boxed, because a connection's task would otherwise have room for it all its life.
    inner: Box<Inner>,
}

struct Inner {
    accepted: Accepted,
    /// Behind a lock that nobody has to wait for, so that references to the whole may be kept across an
    /// `await`.
    client: Mutex<Unanswered>,
    inbound: BytesMut,
    /// Where to put the connection when a task waits for it to drive it.
    slot: Option<Arc<Slot<Arc<Shared>>>>,
}

/// A request that the server accepts, unless whoever handles it does not.
pub(crate) struct Accepted {
    pub(crate) request: UpgradeRequest,
    pub(crate) acceptance: Acceptance,
    pub(crate) terms: Terms,
}

/// What a connection has from its server.
pub(crate) struct Terms {
    pub(crate) config: Arc<Config>,
    pub(crate) keep_uri: bool,
    pub(crate) watchers: Watchers,
    pub(crate) connections: Connections,
    pub(crate) shutdown: Shutdown,
}

/// A client that waits for its answer, and gets one even if it is forgotten.
struct Unanswered(Transport, Visitor);

/// The transport of a client that is answered now, and whom to tell if it is refused.
fn take(client: Mutex<Unanswered>) -> (Transport, Visitor) {
    // Nobody has ever held the lock.
    let mut client = client.into_inner().unwrap_or_else(PoisonError::into_inner);
    (std::mem::replace(&mut client.0, Transport::Gone), client.1.clone())
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if !matches!(self.0, Transport::Gone) {
            let message = "the handshake was not answered";
            let response = error_response(StatusCode::INTERNAL_SERVER_ERROR, message);
            let answered = handshake::answer_at_once(&mut self.0, &response);
            self.1.refusing(response.status(), Why::Words(message)).end(answered);
        }
    }
}

impl Upgrade {
    pub(crate) fn new(accepted: Accepted, visitor: Visitor, transport: Transport, inbound: BytesMut) -> Self {
        let client = Mutex::new(Unanswered(transport, visitor));
        Self { inner: Box::new(Inner { accepted, client, inbound, slot: None }) }
    }

    /// Where it is told what becomes of the client.
    pub(crate) fn span(&mut self) -> Span {
        self.inner.client.get_mut().unwrap_or_else(PoisonError::into_inner).1.span.clone()
    }

    /// The connection, once accepted, is driven by the task that has this seat.
    pub(crate) fn awaited(mut self) -> (Self, Seat) {
        let slot = Arc::new(Slot::new());
        self.inner.slot = Some(Arc::clone(&slot));
        (self, Seat::Awaiting(slot))
    }

    /// The handshake as the client sent it: request, subprotocols, extensions, origin.
    #[must_use]
    pub fn offer(&self) -> &Offer {
        self.inner.accepted.request.offer()
    }

    /// The whole request: URI with query, headers, cookies.
    #[must_use]
    pub fn request(&self) -> &http::Request<()> {
        self.inner.accepted.request.request()
    }

    /// The value of the first cookie of this name: see [`UpgradeRequest::cookie`].
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.inner.accepted.request.cookie(name)
    }

    /// The other end of the TCP connection; `None` over other byte streams.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.inner.accepted.request.peer_addr()
    }

    /// The client's address: the peer's, or the one told by a
    /// [trusted proxy](crate::TrustedProxies).
    #[must_use]
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.inner.accepted.request.client_ip()
    }

    /// What the authorize hook has returned, when its type is `T`.
    #[must_use]
    pub fn context<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.inner.accepted.request.context()
    }

    /// Gives the connection a context, which [`WebSocket::context`] will show; one of the same type is
    /// replaced.
    #[must_use]
    pub fn insert_context<T: Clone + Any + Send + Sync>(mut self, context: T) -> Self {
        self.inner.accepted.request.extend_context(context_of(context));
        self
    }

    /// Chooses the subprotocol, in place of the server's own choice; it must be one of those
    /// offered (RFC 6455 §4.2.2).
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.inner.accepted.acceptance.subprotocol = Some(name.into());
        self
    }

    /// Adds a header to the response that accepts, such as a `Set-Cookie`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.inner.accepted.acceptance.headers.append(name, value);
        self
    }

    /// Uses `config` for this connection, in place of the server's.
    #[must_use]
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.inner.accepted.terms.config = config.into();
        self
    }

    /// Accepts: answers 101 and opens the connection. In a server's handler the answer leaves
    /// together with what the handler sends before it is first suspended. It may be accepted in
    /// another task, too; when the handler has ended by then, the calls drive the connection.
    ///
    /// # Errors
    ///
    /// [`HandshakeFailure::Accept`] when the answer would break the protocol: a subprotocol that
    /// was not offered, or a header that belongs to the handshake. The client is refused with 500.
    /// [`Error::Io`](crate::Error::Io) when the client is gone.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, it refuses or closes the connection.
    pub async fn accept(self) -> Result<WebSocket> {
        let mut socket = open(self.inner)?;
        if !socket.is_driven() {
            socket.flush().await?;
        }
        Ok(socket)
    }

    /// Rejects with an HTTP response, and ends the connection. `Connection: close` and the length
    /// are added. A [`Rejection`](crate::Rejection) becomes such a response by `into()`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) when the client is gone,
    /// [`Error::Timeout`](crate::Error::Timeout) when it does not read.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, the client may see a part of the response.
    pub async fn reject(self, response: http::Response<Bytes>) -> Result<()> {
        let Inner { accepted, client, .. } = *self.inner;
        let (mut transport, visitor) = take(client);
        let refusing = visitor.refusing(response.status(), Why::Words("rejected by the handler"));
        let (method, patience) = (accepted.request.request().method(), accepted.terms.config.write_timeout);
        let said = handshake::say(&mut transport, &response, method, patience).await;
        refusing.end(said.is_ok());
        said?;
        handshake::see_out(transport, patience).await
    }
}

/// Opens the connection, with the answer as the first that leaves.
fn open(inner: Box<Inner>) -> Result<WebSocket> {
    let Inner { accepted, client, inbound, slot } = *inner;
    let made = accepted.make(|offer, acceptance, config| offer.accept(acceptance, config, now()))?;
    let (transport, visitor) = take(client);
    Ok(WebSocket::new(made.open(transport, inbound, visitor.arrived(), |opened| match slot {
        Some(slot) => slot.open(|driven| Shared::new(opened, driven)),
        None => Shared::new(opened, false),
    })))
}

impl Accepted {
    /// Has the connection made of the offer.
    pub(crate) fn make(
        self,
        make: impl FnOnce(Offer, &Acceptance, Arc<Config>) -> Result<Connection, AcceptError>,
    ) -> Result<Made> {
        let Self { request, acceptance, terms } = self;
        let Terms { config, keep_uri, watchers, connections, shutdown } = terms;
        let (offer, source, context) = request.into_parts();
        let uri = keep_uri.then(|| offer.request().uri().clone());
        let connection = make(offer, &acceptance, config).map_err(HandshakeFailure::Accept)?;
        let about = About::new(context, uri.as_ref(), acceptance.subprotocol, source);
        let peer_addr = source.peer;
        Ok(Made { connection, peer_addr, about, watchers, connections, shutdown })
    }
}

/// A connection that has yet to be given its byte stream.
pub(crate) struct Made {
    connection: Connection,
    peer_addr: Option<SocketAddr>,
    about: Option<Box<About>>,
    watchers: Watchers,
    connections: Connections,
    shutdown: Shutdown,
}

impl Made {
    /// Opens it: `open` knows who is to drive it.
    pub(crate) fn open(
        self,
        transport: Transport,
        inbound: BytesMut,
        arrival: Arrival,
        open: impl FnOnce(Opened) -> Arc<Shared>,
    ) -> Arc<Shared> {
        let opened = Opened {
            connection: self.connection,
            transport,
            inbound,
            peer_addr: self.peer_addr,
            about: self.about,
            registry: Some(Arc::clone(self.connections.registry())),
            watchers: self.watchers,
            arrival,
        };
        let shared = open(opened);
        self.shutdown.late_comer(&shared);
        shared
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").field("request", &self.inner.accepted.request).finish_non_exhaustive()
    }
}
