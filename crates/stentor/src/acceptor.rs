//! How a server answers what arrives on one byte stream, whatever it listens on.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode};
#[cfg(feature = "tls")]
use stentor_proto::Phase;
use stentor_proto::handshake::{
    Acceptance, HandshakeError, Incoming, Offer, OriginPolicy, Progress, ServerHandshake, error_response,
};
use stentor_proto::{Config, Versions};

#[cfg(feature = "tls")]
use crate::error::Error;
use crate::error::{HandshakeFailure, Result};
use crate::forwarded::{Source, TrustedProxies};
use crate::handler::{BoxError, HandlerOutput, Panicked, catch_panic};
use crate::handshake;
use crate::hooks::{BoxFuture, Hooks, Refusal};
use crate::proxy_protocol;
use crate::rejection::Rejection;
use crate::request::UpgradeRequest;
use crate::shared::{HandlerFailure, drive};
use crate::slot::Slot;
use crate::socket::WebSocket;
#[cfg(feature = "tls")]
use crate::tls::{ServerTls, TlsInfo};
use crate::transport::{Io, Transport};
use crate::upgrade::Upgrade;

type HttpHook = Arc<dyn Fn(Request<Bytes>) -> BoxFuture<Response<Bytes>> + Send + Sync>;
type ErrorHook = Arc<dyn Fn(Option<SocketAddr>, BoxError) + Send + Sync>;

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
    config: Arc<Config>,
    versions: Versions,
    origins: Arc<OriginPolicy>,
    hooks: Hooks,
    proxies: Option<Arc<TrustedProxies>>,
    keep_uri: bool,
    http: Option<HttpHook>,
    on_error: Option<ErrorHook>,
    #[cfg(feature = "tls")]
    tls: Option<ServerTls>,
}

impl Acceptor {
    /// The default settings: safe limits, no subprotocol, browsers' pages of the same origin only.
    #[must_use]
    pub fn new() -> Self {
        Self {
            config: Arc::default(),
            versions: Versions::default(),
            origins: Arc::default(),
            hooks: Hooks::new(),
            proxies: None,
            keep_uri: false,
            http: None,
            on_error: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Sets the limits, deadlines and habits of the connections.
    #[must_use]
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
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
        self.hooks.set_authorize(hook);
        self
    }

    /// Sets the subprotocols spoken, the most wanted first. The first that a client offers is
    /// chosen; when it offers none of them, none is.
    #[must_use]
    pub fn subprotocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.hooks.subprotocols = names.into_iter().map(Into::into).collect();
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
        self.hooks.subprotocol = Some(Arc::new(hook));
        self
    }

    /// Refuses with 400 a client that offers no subprotocol that is spoken, or none at all. By
    /// default it is accepted without one, and fails by itself if it insists (RFC 6455 §4.1).
    #[must_use]
    pub fn require_subprotocol(mut self) -> Self {
        self.hooks.subprotocol_required = true;
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
        self.hooks.response = Some(Arc::new(hook));
        self
    }

    /// Trusts these proxies to tell whom they speak for. By default nobody is trusted.
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = Some(Arc::new(proxies));
        self
    }

    /// Keeps the target of each request for [`WebSocket::uri`]: some 150 bytes and its length for
    /// each connection. By default it is forgotten with the rest of the request.
    #[must_use]
    pub fn keep_uri(mut self) -> Self {
        self.keep_uri = true;
        self
    }

    /// Sets the protocol versions accepted; version 13 only by default.
    #[must_use]
    pub fn versions(mut self, versions: Versions) -> Self {
        self.versions = versions;
        self
    }

    /// Sets the origins whose pages may connect from a browser; the server's own only by default.
    #[must_use]
    pub fn origins(mut self, policy: OriginPolicy) -> Self {
        self.origins = Arc::new(policy);
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
        self.http = Some(Arc::new(move |request| Box::pin(hook(request))));
        self
    }

    /// Sets the hook that is told why a handshake or a handler failed, and whose. By default
    /// nobody is.
    #[must_use]
    pub fn on_error(mut self, hook: impl Fn(Option<SocketAddr>, BoxError) + Send + Sync + 'static) -> Self {
        self.on_error = Some(Arc::new(hook));
        self
    }

    /// Speaks TLS, and nothing else, on every byte stream. Its handshake is done in the connection's
    /// own task within [`HandshakeLimits::tls_timeout`](crate::proto::HandshakeLimits::tls_timeout),
    /// so that a slow client holds up nobody.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
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
        self.serve_transport(transport, None, async |upgrade: Upgrade| accept_for(upgrade, handler).await)
            .await
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
        self.accept_transport(Transport::Boxed(Box::new(io)), None).await
    }

    /// Serves one connection, telling the hook what goes wrong.
    pub(crate) async fn serve_transport<H, F>(
        &self,
        transport: Transport,
        peer_addr: Option<SocketAddr>,
        handler: H,
    ) -> Result<()>
    where
        H: FnOnce(Upgrade) -> F,
        F: Future<Output: HandlerOutput>,
    {
        // Boxed, so that what the handshake needs is given back when it is over.
        let mut upgrade = match Box::pin(self.accept_transport(transport, peer_addr)).await {
            Ok(Some(upgrade)) => upgrade,
            Ok(None) => return Ok(()),
            Err(error) => {
                let told = error.to_string();
                self.report(peer_addr, told.into());
                return Err(error);
            }
        };
        let slot = Arc::new(Slot::new());
        upgrade.driven_through(&slot);
        // Boxed as well, so that it is held once, however often the futures around it are moved.
        let handler = Box::pin(async move { handler(upgrade).await.into_result() });
        match drive(&slot, handler).await {
            Ok(()) => {}
            Err(HandlerFailure::Error(error)) => self.report(peer_addr, error),
            Err(HandlerFailure::Panic) => self.report(peer_addr, "the handler panicked".into()),
        }
        Ok(())
    }

    /// Reads the opening handshake within its deadline, asks the hooks, and refuses whom they or
    /// the rules refuse.
    pub(crate) async fn accept_transport(
        &self,
        transport: Transport,
        peer_addr: Option<SocketAddr>,
    ) -> Result<Option<Upgrade>> {
        let mut source = Source::direct(peer_addr);
        #[cfg(feature = "tls")]
        let transport = self.decrypt(transport, &mut source).await?;
        let mut transport = transport;
        let mut inbound = BytesMut::new();
        let arriving = self.arrive(&mut transport, &mut source, &mut inbound);
        #[allow(unused_mut)] // Only TLS has something to add.
        let mut incoming = match tokio::time::timeout(self.config.handshake.timeout, arriving).await {
            Ok(Ok(Ok(incoming))) => incoming,
            Ok(Ok(Err(error))) => return self.refuse(transport, error).await,
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => return self.refuse(transport, HandshakeError::TimedOut).await,
        };
        #[cfg(feature = "tls")]
        if let Some(info) = TlsInfo::of(&transport) {
            match &mut incoming {
                Incoming::Upgrade(offer) => offer.request_extensions_mut().insert(info),
                Incoming::Plain(request) => request.extensions_mut().insert(info),
            };
        }
        let offer = match (incoming, &self.http) {
            (Incoming::Upgrade(offer), _) => offer,
            (Incoming::Plain(_), None) => {
                return self.refuse(transport, HandshakeError::UpgradeRequired).await;
            }
            (Incoming::Plain(request), Some(hook)) => {
                let method = request.method().clone();
                let response = catch_panic(async { hook(request).await }).await.unwrap_or_else(|Panicked| {
                    self.report(peer_addr, "the http hook panicked".into());
                    error_response(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
                });
                handshake::answer(transport, &response, &method, self.config.write_timeout).await?;
                return Ok(None);
            }
        };
        match self.decide(offer, source).await {
            Ok((request, acceptance)) => {
                let config = Arc::clone(&self.config);
                Ok(Some(Upgrade::new(request, transport, inbound, config, acceptance, self.keep_uri)))
            }
            Err(Refusal { rejection, panicked }) => {
                if let Some(hook) = panicked {
                    self.report(peer_addr, format!("the {hook} hook panicked").into());
                }
                let response: Response<Bytes> = rejection.clone().into();
                handshake::answer(transport, &response, &Method::GET, self.config.write_timeout).await?;
                Err(HandshakeFailure::Rejected(rejection).into())
            }
        }
    }

    /// Reads all that comes before a request's answer, and notes where it comes from.
    async fn arrive(
        &self,
        transport: &mut Transport,
        source: &mut Source,
        inbound: &mut BytesMut,
    ) -> io::Result<Result<Incoming, HandshakeError>> {
        if !transport.is_tls() {
            self.read_proxy_header(transport, source).await?;
        }
        self.read_request(transport, inbound).await
    }

    /// What a proxy says before anything that the client says, even before its TLS.
    async fn read_proxy_header(&self, transport: &mut Transport, source: &mut Source) -> io::Result<()> {
        if self.proxies.as_ref().is_some_and(|proxies| proxies.expects_proxy_header(source.client))
            && let Some(client) = proxy_protocol::read(transport).await?
        {
            source.client = Some(client.ip());
        }
        Ok(())
    }

    /// Asks the hooks about a request that is in order.
    async fn decide(
        &self,
        offer: Offer,
        mut source: Source,
    ) -> Result<(UpgradeRequest, Acceptance), Refusal> {
        if let Some(proxies) = &self.proxies {
            let client = proxies.client(source.client, offer.request().headers());
            source.client = client.map_err(|_| {
                let message = "what the proxy forwards cannot be read";
                Rejection::new(StatusCode::BAD_REQUEST, message)
            })?;
        }
        let request = UpgradeRequest::new(offer, source);
        self.hooks.decide(request, self.config.handshake.authorize_timeout).await
    }

    #[cfg(feature = "tls")]
    async fn decrypt(&self, mut transport: Transport, source: &mut Source) -> Result<Transport> {
        let Some(tls) = &self.tls else { return Ok(transport) };
        let patience = self.config.handshake.tls_timeout;
        let header = self.read_proxy_header(&mut transport, source);
        tokio::time::timeout(patience, header).await.map_err(|_| Error::Timeout(Phase::Tls))??;
        // Boxed, so that a connection without TLS has no room for it.
        Box::pin(tls.accept(transport, patience)).await
    }

    async fn read_request(
        &self,
        transport: &mut Transport,
        inbound: &mut BytesMut,
    ) -> io::Result<Result<Incoming, HandshakeError>> {
        let mut handshake = ServerHandshake::new(self.config.handshake)
            .versions(self.versions)
            .origins(Arc::clone(&self.origins));
        loop {
            if handshake::read(transport, inbound).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match handshake.receive(inbound) {
                Ok(Progress::NeedMore(more)) => handshake = more,
                Ok(Progress::Done(incoming)) => return Ok(Ok(incoming)),
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    async fn refuse<T>(&self, transport: Transport, error: HandshakeError) -> Result<T> {
        // The method is unknown or not to be trusted; a body does no harm even to HEAD, because
        // the connection ends behind it.
        handshake::answer(transport, &error.response(), &Method::GET, self.config.write_timeout).await?;
        Err(HandshakeFailure::Offer(error).into())
    }

    fn report(&self, peer_addr: Option<SocketAddr>, error: BoxError) {
        if let Some(hook) = &self.on_error {
            hook(peer_addr, error);
        }
    }
}

/// Accepts an upgrade for a handler that wants only the connection.
pub(crate) async fn accept_for<H, F>(upgrade: Upgrade, handler: H) -> Result<(), BoxError>
where
    H: FnOnce(WebSocket) -> F,
    F: Future<Output: HandlerOutput>,
{
    let socket = upgrade.accept().await?;
    handler(socket).await.into_result()
}

impl Default for Acceptor {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor")
            .field("config", &self.config)
            .field("origins", &self.origins)
            .field("subprotocols", &self.hooks.subprotocols)
            .finish_non_exhaustive()
    }
}
