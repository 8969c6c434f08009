//! A request of another HTTP server that is accepted: its answer, and the connection in a task.

use std::any::Any;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use stentor_proto::handshake::{Offer, error_response, last_response};
use stentor_proto::{Config, Connection, Phase};
use tokio::runtime::Handle;

use crate::driver::now;
use crate::error::{Error, HandshakeFailure, Result, Why};
use crate::handler::HandlerOutput;
use crate::hooks::BoxFuture;
use crate::limits::Place;
use crate::observer::Visitor;
use crate::opening::Admission;
use crate::race::{First, race};
use crate::request::context_of;
use crate::settings::Settings;
use crate::shared::{Life, Seat, Shared, drive};
use crate::socket::WebSocket;
use crate::transport::Transport;
use crate::upgrade::Accepted;

/// The byte stream of an upgraded connection, and what was read from it already.
pub(crate) type Arriving = BoxFuture<io::Result<(Transport, BytesMut)>>;

/// A valid opening handshake on another HTTP server, which the hooks have let in and which waits for
/// its answer (RFC 6455 §4.2.2). `B` is the body of that server's responses.
///
/// It comes from an [`Upgrader`](crate::Upgrader); for hyper from `hyper::upgrade`, in axum as the
/// extractor `axum::Upgrade`. Refused by any other response in its place.
///
/// ```
/// use stentor::http::{Response, StatusCode};
/// use stentor::proto::bytes::Bytes;
/// use stentor::{HttpUpgrade, Rejection};
///
/// fn answer(upgrade: HttpUpgrade<Bytes>) -> Response<Bytes> {
///     if upgrade.request().uri().path() != "/chat" {
///         return Rejection::new(StatusCode::NOT_FOUND, "no such room").into();
///     }
///     upgrade.on_upgrade(async |mut socket| socket.send("welcome").await)
/// }
/// ```
#[must_use = "it is answered by `on_upgrade`, or by another response"]
pub struct HttpUpgrade<B = Bytes> {
    // Boxed, because it goes through the hands of extractors and handlers.
    inner: Box<Inner>,
    body: PhantomData<fn() -> B>,
}

struct Inner {
    accepted: Accepted,
    visit: Visit,
}

/// What a request brings along to become a connection.
pub(crate) struct Visit {
    pub(crate) settings: Arc<Settings>,
    pub(crate) admission: Admission,
    /// Behind a lock that nobody has to wait for, so that references to the whole may be kept across an
    /// `await`.
    pub(crate) arriving: Mutex<Arriving>,
    pub(crate) unanswered: Unanswered,
}

/// A client that waits for its answer. When it is forgotten, the application has answered in its own
/// way, or not at all.
pub(crate) struct Unanswered {
    visitor: Visitor,
    waits: bool,
}

impl Unanswered {
    pub(crate) fn new(visitor: Visitor) -> Self {
        Self { visitor, waits: true }
    }

    /// It waits no longer.
    fn answered(mut self) -> Visitor {
        self.waits = false;
        self.visitor.clone()
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if self.waits {
            self.visitor.dropped(Why::Words("the application has answered in another way"));
        }
    }
}

impl<B> HttpUpgrade<B> {
    pub(crate) fn new(accepted: Accepted, visit: Visit) -> Self {
        Self { inner: Box::new(Inner { accepted, visit }), body: PhantomData }
    }

    /// The handshake as the client sent it: request, subprotocols, extensions, origin.
    #[must_use]
    pub fn offer(&self) -> &Offer {
        self.inner.accepted.request.offer()
    }

    /// The whole request: URI with query, headers, cookies, and the extensions of the other server.
    #[must_use]
    pub fn request(&self) -> &http::Request<()> {
        self.inner.accepted.request.request()
    }

    /// The value of the first cookie of this name: see [`UpgradeRequest::cookie`](crate::UpgradeRequest::cookie).
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.inner.accepted.request.cookie(name)
    }

    /// The other end of the TCP connection, if it was [noted](crate::PeerAddr).
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
    pub fn insert_context<T: Clone + Any + Send + Sync>(mut self, context: T) -> Self {
        self.inner.accepted.request.extend_context(context_of(context));
        self
    }

    /// Chooses the subprotocol, in place of the server's own choice; it must be one of those
    /// offered (RFC 6455 §4.2.2).
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.inner.accepted.acceptance.subprotocol = Some(name.into());
        self
    }

    /// Adds a header to the response that accepts, such as a `Set-Cookie`.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.inner.accepted.acceptance.headers.append(name, value);
        self
    }

    /// Uses `config` for this connection, in place of the server's.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.inner.accepted.terms.config = config.into();
        self
    }
}

impl<B: From<Bytes>> HttpUpgrade<B> {
    /// Accepts: the response to send, which is 101. When the other server has sent it, `handler` runs
    /// in a task of its own, which also drives the connection: pings are answered and queued bytes
    /// written whatever the handler waits for. One that fails or panics closes its connection with
    /// 1011.
    ///
    /// When the answer would break the protocol, by a subprotocol that was not offered or a header that
    /// belongs to the handshake, the response is 500. So it is outside a tokio runtime. Why, and what
    /// else goes wrong, is told to [`Acceptor::on_error`](crate::Acceptor::on_error).
    #[must_use = "the response has to be sent"]
    pub fn on_upgrade<H, F>(self, handler: H) -> Response<B>
    where
        H: FnOnce(WebSocket) -> F + Send + 'static,
        F: Future<Output: HandlerOutput> + Send + 'static,
    {
        let Inner { accepted, visit } = *self.inner;
        let settings = Arc::clone(&visit.settings);
        let peer_addr = accepted.request.peer_addr();
        if settings.shutdown.has_begun() {
            let rejection = settings.busy();
            let visitor = visit.unanswered.answered();
            visitor.refusing(rejection.status(), Why::Rejection(&rejection)).end(true);
            return last_response(rejection.into()).map(B::from);
        }
        let response = accepted.request.offer().response(&accepted.acceptance, &accepted.terms.config);
        let runtime = Handle::try_current();
        let (why, error) = match (response, runtime) {
            (Ok(response), Ok(runtime)) => {
                runtime.spawn(connection(accepted, visit, handler));
                return response.map(|()| B::from(Bytes::new()));
            }
            (Err(error), _) => {
                ("the answer would break the protocol", HandshakeFailure::Accept(error).to_string())
            }
            (_, Err(error)) => ("there is no tokio runtime", error.to_string()),
        };
        let response = error_response(StatusCode::INTERNAL_SERVER_ERROR, "internal error");
        visit.unanswered.answered().refusing(response.status(), Why::Words(why)).end(true);
        settings.report(peer_addr, error.into());
        last_response(response).map(B::from)
    }
}

/// The whole life of one connection.
fn connection<H, F>(accepted: Accepted, visit: Visit, handler: H) -> impl Future<Output = ()> + Send + 'static
where
    H: FnOnce(WebSocket) -> F + Send + 'static,
    F: Future<Output: HandlerOutput> + Send + 'static,
{
    let settings = Arc::clone(&visit.settings);
    Life::Opening(Box::pin(async move {
        let peer_addr = accepted.request.peer_addr();
        let opened = open(accepted, visit).await;
        let (shared, place) =
            opened.map_err(|error| settings.report(peer_addr, error.to_string().into())).ok()?;
        let span = shared.span.clone();
        let socket = WebSocket::new(Arc::clone(&shared));
        Some(Box::pin(drive(
            Seat::Found(shared),
            move || span.within(|| span.run(handler(socket))),
            move |ended| {
                settings.report_handler(ended);
                drop(place);
            },
        )))
    }))
}

/// Waits for the byte stream, and opens the connection on it.
async fn open(accepted: Accepted, visit: Visit) -> Result<(Arc<Shared>, Place)> {
    let Visit { mut admission, arriving, unanswered, .. } = visit;
    let visitor = unanswered.answered();
    let patience = accepted.terms.config.handshake.timeout;
    let mut ended = Some(&mut admission);
    // Nobody has ever held the lock.
    let arriving = arriving.into_inner().unwrap_or_else(PoisonError::into_inner);
    let arriving = tokio::time::timeout(patience, arriving);
    let arrived = match race(arriving, Admission::ended(&mut ended)).await {
        First::Left(Ok(arrived)) => arrived.map_err(Error::from),
        First::Left(Err(_)) | First::Right(()) => Err(Error::Timeout(Phase::Handshake)),
    };
    let (transport, inbound) = match arrived {
        Ok(arrived) => arrived,
        Err(error) => {
            visitor.dropped(Why::Error(&error));
            return Err(error);
        }
    };
    let made = accepted.make(|offer, _, config| {
        let agreed = offer.deflate(&config);
        let connection = Connection::server(config, now());
        Ok(match agreed {
            Some(params) => connection.with_deflate(params),
            None => connection,
        })
    })?;
    let shared = made.open(transport, inbound, visitor.arrived(), |opened| Shared::new(opened, true));
    Ok((shared, admission.place))
}

impl<B> fmt::Debug for HttpUpgrade<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpUpgrade").field("request", &self.inner.accepted.request).finish_non_exhaustive()
    }
}
