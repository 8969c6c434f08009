//! How a server answers what arrives on one byte stream, whatever it listens on.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use stentor_proto::handshake::{Acceptance, OriginPolicy};
use stentor_proto::{Config, Versions};

use crate::attending::Attending;
use crate::connections::Connections;
use crate::error::Result;
use crate::forwarded::TrustedProxies;
use crate::handler::{BoxError, HandlerOutput};
use crate::observer::Observer;
use crate::rejection::Rejection;
use crate::request::UpgradeRequest;
use crate::settings::Settings;
use crate::shared::drive;
use crate::shutdown::Shutdown;
use crate::socket::WebSocket;
#[cfg(feature = "tls")]
use crate::tls::ServerTls;
use crate::transport::{Io, Transport};
use crate::upgrade::Upgrade;

/// A server's settings without its listener: turns byte streams into connections.
///
/// [`Server`](crate::Server) has one; use it alone for byte streams of another kind.
///
/// ```
/// use stentor::{Acceptor, Client, WebSocket};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> stentor::Result<()> {
/// let (server_io, client_io) = tokio::io::duplex(1024);
/// let server = tokio::spawn(async move {
///     Acceptor::new()
///         .serve_connection(server_io, async |mut socket: WebSocket| socket.send("hello").await)
///         .await
/// });
/// let mut socket = Client::new().connect_over("ws://in.memory/", client_io).await?;
/// assert_eq!(socket.recv().await?, Some("hello".into()));
/// assert_eq!(socket.recv().await?, None);
/// # drop(socket);
/// server.await.unwrap()
/// # }
/// ```
#[derive(Clone)]
pub struct Acceptor {
    settings: Settings,
}

impl Acceptor {
    /// The default settings: safe limits, no subprotocol, browsers' pages of the same origin only.
    #[must_use]
    pub fn new() -> Self {
        Self { settings: Settings::new() }
    }

    /// The settings alone.
    pub(crate) fn into_settings(self) -> Settings {
        self.settings
    }

    /// Reads the opening handshake of a connection from `peer`.
    pub(crate) async fn accept_from(
        &self,
        transport: Transport,
        peer: Option<SocketAddr>,
    ) -> Result<Option<Upgrade>> {
        // Boxed, as in `serve_connection`.
        Box::pin(self.settings.open(transport, peer, None)).await
    }

    /// The switch that takes a server down.
    pub(crate) fn shutdown(&self) -> Shutdown {
        self.settings.shutdown.clone()
    }

    /// The open connections, of this acceptor and its clones.
    #[must_use]
    pub fn connections(&self) -> Connections {
        self.settings.connections.clone()
    }

    /// Sets the limits, deadlines and habits of the connections.
    #[must_use]
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.settings.config = config.into();
        self
    }

    /// Sets the hook that decides who is let in, and with which context. It is asked about every
    /// request that is in order and comes from an accepted origin, before anything is answered.
    ///
    /// What it returns becomes the context of the connection: see [`WebSocket::context`]. A
    /// [`Rejection`] is answered as it says. A hook that takes longer than
    /// [`HandshakeLimits::authorize_timeout`](crate::HandshakeLimits::authorize_timeout) is dropped
    /// and the client answered 408; one that panics is answered 500.
    ///
    /// ```
    /// use stentor::http::StatusCode;
    /// use stentor::{Acceptor, Client, Rejection, UpgradeRequest, WebSocket};
    ///
    /// #[derive(Clone)]
    /// struct User(String);
    ///
    /// async fn authorize(request: UpgradeRequest) -> Result<User, Rejection> {
    ///     match request.cookie("session") {
    ///         Some("1234") => Ok(User("ann".into())),
    ///         _ => Err(Rejection::new(StatusCode::FORBIDDEN, "log in first")),
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let acceptor = Acceptor::new().authorize(authorize);
    /// let greet = async |mut socket: WebSocket| {
    ///     let User(name) = socket.context().cloned().expect("nobody else is let in");
    ///     socket.send(format!("hello {name}")).await
    /// };
    /// let (server_io, client_io) = tokio::io::duplex(1024);
    /// tokio::spawn(async move { acceptor.serve_connection(server_io, greet).await });
    /// let error = Client::new().connect_over("ws://in.memory/", client_io).await.unwrap_err();
    /// assert_eq!(error.status(), Some(StatusCode::FORBIDDEN));
    /// # }
    /// ```
    #[must_use]
    pub fn authorize<F, T, R>(mut self, hook: impl Fn(UpgradeRequest) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<T, R>> + Send + 'static,
        T: Clone + Send + Sync + 'static,
        R: Into<Rejection>,
    {
        self.settings.hooks.set_authorize(hook);
        self
    }

    /// Sets the subprotocols spoken, the most wanted first. The first that a client offers is
    /// chosen; when it offers none of them, none is.
    #[must_use]
    pub fn subprotocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.settings.hooks.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the hook that chooses the subprotocol, in place of a fixed order. What it chooses must
    /// be one of those that the client offers (RFC 6455 §4.2.2); otherwise the client is answered
    /// 500.
    ///
    /// ```
    /// use stentor::{Acceptor, UpgradeRequest};
    ///
    /// /// The client's favourite of its `chat` protocols.
    /// fn choose(request: &UpgradeRequest) -> Option<String> {
    ///     let mut offered = request.offer().subprotocols();
    ///     offered.find(|name| name.starts_with("chat.")).map(str::to_owned)
    /// }
    /// let acceptor = Acceptor::new().choose_subprotocol(choose).require_subprotocol();
    /// ```
    #[must_use]
    pub fn choose_subprotocol(
        mut self,
        hook: impl Fn(&UpgradeRequest) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.settings.hooks.subprotocol = Some(Arc::new(hook));
        self
    }

    /// Refuses with 400 a client that offers no subprotocol that is spoken, or none at all. By
    /// default it is accepted without one, and fails by itself if it insists (RFC 6455 §4.1).
    #[must_use]
    pub fn require_subprotocol(mut self) -> Self {
        self.settings.hooks.subprotocol_required = true;
        self
    }

    /// Sets the hook that edits the response before it accepts: headers such as `Set-Cookie`, any
    /// number of each, and the subprotocol chosen. It sees the context from the authorize hook.
    ///
    /// ```
    /// use stentor::http::{HeaderValue, header::SET_COOKIE};
    /// use stentor::{Acceptance, Acceptor, UpgradeRequest};
    ///
    /// let acceptor = Acceptor::new().edit_response(|_: &UpgradeRequest, response: &mut Acceptance| {
    ///     response.headers.append(SET_COOKIE, HeaderValue::from_static("seen=1; HttpOnly"));
    ///     response.headers.append(SET_COOKIE, HeaderValue::from_static("theme=dark"));
    /// });
    /// ```
    #[must_use]
    pub fn edit_response(
        mut self,
        hook: impl Fn(&UpgradeRequest, &mut Acceptance) + Send + Sync + 'static,
    ) -> Self {
        self.settings.hooks.response = Some(Arc::new(hook));
        self
    }

    /// Trusts these proxies to tell whom they speak for. By default nobody is trusted.
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.settings.proxies = Some(Arc::new(proxies));
        self
    }

    /// Keeps the target of each request for [`WebSocket::uri`]: 136 bytes and its length for each
    /// connection. By default it is forgotten with the rest of the request.
    #[must_use]
    pub fn keep_uri(mut self) -> Self {
        self.settings.keep_uri = true;
        self
    }

    /// Counts what passes over each connection, for [`WebSocket::traffic`]. By default nothing is
    /// counted, which costs nothing.
    #[must_use]
    pub fn count_traffic(mut self) -> Self {
        self.settings.watchers.counts = true;
        self
    }

    /// Has `observer` watch handshakes and connections, beside those that do already. What passes
    /// is then counted, too.
    #[must_use]
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.settings.watchers.observers.add(observer);
        self
    }

    /// Sets the protocol versions accepted; version 13 only by default.
    #[must_use]
    pub fn versions(mut self, versions: Versions) -> Self {
        self.settings.versions = versions;
        self
    }

    /// Sets the origins whose pages may connect from a browser; the server's own only by default.
    #[must_use]
    pub fn origins(mut self, policy: OriginPolicy) -> Self {
        self.settings.origins = Arc::new(policy);
        self
    }

    /// Sets the hook that answers requests that are no WebSocket handshakes: a page, a health
    /// check. Without it they are answered 426 Upgrade Required. A hook that panics is answered 500.
    ///
    /// A request may have a body of up to
    /// [`HandshakeLimits::max_http_body`](crate::HandshakeLimits::max_http_body) bytes, by default
    /// none: a larger one is refused with 413. It has to come within the time for the head.
    #[must_use]
    pub fn http<F>(mut self, hook: impl Fn(Request<Bytes>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response<Bytes>> + Send + 'static,
    {
        self.settings.http = Some(Arc::new(move |request| Box::pin(hook(request))));
        self
    }

    /// Sets the hook that is told why a handshake or a handler failed, and whose. By default
    /// nobody is. One that panics disturbs nobody.
    #[must_use]
    pub fn on_error(mut self, hook: impl Fn(Option<SocketAddr>, BoxError) + Send + Sync + 'static) -> Self {
        self.settings.on_error = Some(Arc::new(hook));
        self
    }

    /// Speaks TLS, and nothing else, on every byte stream. Its handshake is done in the connection's
    /// own task within [`HandshakeLimits::tls_timeout`](crate::proto::HandshakeLimits::tls_timeout),
    /// so that a slow client holds up nobody.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.settings.tls = Some(tls);
        self
    }

    /// Serves one connection from its opening handshake to its end, in the calling task: pings are
    /// answered and queued bytes written whatever the handler waits for.
    ///
    /// A handler that fails closes its connection with 1011; so does one that panics.
    ///
    /// # Errors
    ///
    /// Why the opening handshake failed; the client was told by an HTTP response. What a handler
    /// fails with goes to [`on_error`](Self::on_error).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the connection.
    pub async fn serve_connection<H, F>(&self, io: impl Io, handler: H) -> Result<()>
    where
        H: FnOnce(WebSocket) -> F,
        F: Future<Output: HandlerOutput>,
    {
        let transport = Transport::Boxed(Box::new(io));
        // Boxed, so that what the handshake needs is given back when it is over.
        match Box::pin(self.settings.open(transport, None, None)).await {
            Ok(None) => {}
            Ok(Some(upgrade)) => {
                let (mut upgrade, seat) = upgrade.awaited();
                let span = upgrade.span();
                let start = || span.run(Attending::new(upgrade.accept(), handler));
                Box::pin(drive(seat, start, |ended| self.settings.report_handler(ended))).await;
            }
            Err(error) => {
                self.settings.report(None, error.to_string().into());
                return Err(error);
            }
        }
        Ok(())
    }

    /// Reads the opening handshake from a byte stream; `None` when it was a plain HTTP request,
    /// which has been answered. The connection accepted from it is self-driven.
    ///
    /// # Errors
    ///
    /// Why the handshake failed; the client was told by an HTTP response.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the connection.
    pub async fn accept(&self, io: impl Io) -> Result<Option<Upgrade>> {
        self.accept_from(Transport::Boxed(Box::new(io)), None).await
    }
}

impl Default for Acceptor {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor")
            .field("config", &self.settings.config)
            .field("origins", &self.settings.origins)
            .field("subprotocols", &self.settings.hooks.subprotocols)
            .finish_non_exhaustive()
    }
}
