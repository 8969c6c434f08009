//! Upgrading the requests of another HTTP server, by the rules and hooks of ours.
//!
//! ```text
//!  request ─► rules, origin ─► places ─► address counted ─► hooks ─► HttpUpgrade
//!                 │               │             │             │
//!                 └─ 4xx, 505     └─ 503        └─ 429        └─ as they say, 408, 500
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Extensions, Request, Response, StatusCode};
use stentor_proto::handshake::last_response;

use crate::acceptor::Acceptor;
use crate::connections::Connections;
use crate::error::{Error, HandshakeFailure, Why};
use crate::forwarded::Source;
use crate::http_upgrade::{Arriving, HttpUpgrade, Unanswered, Visit};
use crate::limits::{Limiter, Limits};
use crate::opening::Admission;
use crate::rejection::Rejection;
use crate::settings::Settings;
use crate::shutdown::Shutdown;
use crate::transport::{Io, Transport};

/// A server's settings inside another HTTP server: turns its requests into connections.
///
/// It needs no more of that server than types of the crate [`http`](crate::http) and the byte stream
/// that is left when the server has written the response. For hyper and axum, the modules `hyper` and
/// `axum` bring these together.
///
/// Everything that a [`Server`](crate::Server) does for its connections is done here as well: the
/// rules, the origin policy, the hooks, compression, [`Limits`], keepalive,
/// [`connections`](Self::connections) and [`shutdown`](Self::shutdown). What happens before the
/// request is there is up to the other server: deadlines and sizes while it is read, TLS, the PROXY
/// header, and answers to all other requests. `Acceptor::tls` and [`Acceptor::http`] have no effect.
///
/// Clones are the same upgrader.
///
/// # Examples
///
/// An HTTP server that is a byte stream with one request on it:
///
/// ```
/// use stentor::http::Request;
/// use stentor::proto::Role;
/// use stentor::{Acceptor, Upgrader, WebSocket};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use tokio::io::AsyncReadExt as _;
/// let upgrader = Upgrader::new(Acceptor::new());
/// let request = Request::get("/chat")
///     .header("host", "example.com")
///     .header("upgrade", "websocket")
///     .header("connection", "Upgrade")
///     .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
///     .header("sec-websocket-version", "13")
///     .body(())?;
/// let (io, mut client) = tokio::io::duplex(1024);
///
/// let upgrade = upgrader.upgrade(request, async { Ok(io) }).await.expect("it is in order");
/// let greet = async |mut socket: WebSocket| socket.send("hi").await;
/// let response: http::Response<stentor::proto::bytes::Bytes> = upgrade.on_upgrade(greet);
/// assert_eq!(response.status(), 101);
///
/// let mut frame = [0; 4];
/// client.read_exact(&mut frame).await?;
/// assert_eq!(&frame, b"\x81\x02hi");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Upgrader {
    settings: Arc<Settings>,
    limiter: Arc<Limiter>,
}

/// The other end of the TCP connection on which a request came: to be put among the extensions of
/// the request by whoever knows it.
///
/// Without it, clients are not counted by address, and their connections do not know theirs. For axum,
/// its `ConnectInfo<SocketAddr>` says the same.
///
/// ```
/// use stentor::PeerAddr;
/// use stentor::http::Request;
///
/// # fn example(request: &mut Request<()>, peer: std::net::SocketAddr) {
/// request.extensions_mut().insert(PeerAddr(peer));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

impl Upgrader {
    /// Upgrades with these settings, within the default [`Limits`].
    #[must_use]
    pub fn new(acceptor: Acceptor) -> Self {
        let settings = acceptor.into_settings();
        settings.shutdown.ready();
        Self { settings: Arc::new(settings), limiter: Limiter::new(Limits::default()) }
    }

    /// Sets how many connections and opening handshakes there may be at once. One connection too many
    /// is answered 503. It begins to count anew: set it before the first request.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limiter: Limiter::new(limits), ..self }
    }

    /// The open connections: to look at, to close, to send to all of them.
    #[must_use]
    pub fn connections(&self) -> Connections {
        self.settings.connections.clone()
    }

    /// The switch that takes the connections down. Once it was turned, requests are answered 503.
    ///
    /// The other server has its own: most of them forget a connection once it is upgraded, and wait
    /// for none. So take down first that server and then the connections, or both at once.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.settings.shutdown.clone()
    }

    /// Examines a request, and asks the hooks. They see its extensions, too.
    ///
    /// `io` gives the byte stream that is left once the other server has written the response; the
    /// bytes that it has read behind the request come first. It is polled in a task of its own.
    ///
    /// # Errors
    ///
    /// The response of a refusal, as our own server would send it. The other server has to close the
    /// transport behind it (RFC 6455 §4.2.1), as the response says.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn upgrade<B: From<Bytes>, I: Io>(
        &self,
        request: Request<()>,
        io: impl Future<Output = std::io::Result<I>> + Send + 'static,
    ) -> Result<HttpUpgrade<B>, Response<B>> {
        let arriving = async { Ok((Transport::Boxed(Box::new(io.await?)), bytes::BytesMut::new())) };
        self.decide(request, Some(Box::pin(arriving))).await
    }

    /// The same for a byte stream of any kind, or none, when the other server keeps it to itself.
    pub(crate) async fn decide<B: From<Bytes>>(
        &self,
        request: Request<()>,
        arriving: Option<Arriving>,
    ) -> Result<HttpUpgrade<B>, Response<B>> {
        let Self { settings, limiter } = self;
        let peer_addr = peer_addr(request.extensions());
        let visitor = settings.visitor(peer_addr);
        visitor.span.accepted();
        visitor.span.asks_for(request.uri());
        let refuse = |failure: HandshakeFailure, response: Response<Bytes>| {
            let error = Error::from(failure);
            visitor.refusing(response.status(), Why::Error(&error)).end(true);
            settings.report(peer_addr, error.to_string().into());
            last_response(response).map(B::from)
        };
        let reject =
            |rejection: Rejection| refuse(HandshakeFailure::Rejected(rejection.clone()), rejection.into());
        settings.shutdown.attend(&settings.connections, limiter);
        let offer = settings.handshake().read_elsewhere(request);
        let offer = offer.map_err(|error| refuse(HandshakeFailure::Offer(error), error.response()))?;
        if settings.shutdown.has_begun() {
            return Err(reject(settings.busy()));
        }
        let Some(arriving) = arriving else {
            let message = "the HTTP server does not let this connection be upgraded";
            return Err(reject(Rejection::new(StatusCode::INTERNAL_SERVER_ERROR, message)));
        };
        let place = limiter.try_place().ok_or_else(|| reject(settings.busy()))?;
        let handshaking = Some(limiter.handshake().await);
        let mut admission = Admission { place, handshaking };
        let mut admitted = Some(&mut admission);
        let decision = settings.decide(offer, Source::direct(peer_addr), &mut admitted);
        let decision = visitor.span.run(decision).await;
        let (request, acceptance) = decision.map_err(|denial| reject(denial.rejection))?;
        let accepted = settings.accepted(request, acceptance);
        let (settings, arriving) = (Arc::clone(settings), Mutex::new(arriving));
        let unanswered = Unanswered::new(visitor);
        Ok(HttpUpgrade::new(accepted, Visit { settings, admission, arriving, unanswered }))
    }
}

/// Who is at the other end, as far as somebody has noted it.
fn peer_addr(extensions: &Extensions) -> Option<SocketAddr> {
    let noted = extensions.get().map(|PeerAddr(addr)| *addr);
    #[cfg(feature = "axum")]
    let noted = noted.or_else(|| {
        let info: Option<&::axum::extract::ConnectInfo<SocketAddr>> = extensions.get();
        info.map(|info| info.0)
    });
    noted
}

impl fmt::Debug for Upgrader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrader")
            .field("config", &self.settings.config)
            .field("connections", &self.settings.connections)
            .finish_non_exhaustive()
    }
}
