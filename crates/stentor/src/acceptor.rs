//! How a server answers what arrives on one byte stream, whatever it listens on.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode};
use stentor_proto::handshake::{
    HandshakeError, Incoming, OriginPolicy, Progress, ServerHandshake, error_response,
};
use stentor_proto::{Config, Versions};

use crate::error::{HandshakeFailure, Result};
use crate::handler::{BoxError, HandlerOutput, Panicked, catch_panic};
use crate::handshake;
use crate::shared::{HandlerFailure, drive};
use crate::slot::Slot;
use crate::socket::WebSocket;
#[cfg(feature = "tls")]
use crate::tls::{ServerTls, TlsInfo};
use crate::transport::{Io, Transport};
use crate::upgrade::Upgrade;

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type HttpHook = Arc<dyn Fn(Request<()>) -> BoxFuture<Response<Bytes>> + Send + Sync>;
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
    subprotocols: Arc<[String]>,
    versions: Versions,
    origins: Arc<OriginPolicy>,
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
            subprotocols: Arc::new([]),
            versions: Versions::default(),
            origins: Arc::default(),
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

    /// Sets the subprotocols spoken, the most wanted first. The first that a client offers is
    /// chosen; when it offers none of them, none is.
    #[must_use]
    pub fn subprotocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.subprotocols = names.into_iter().map(Into::into).collect();
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
    #[must_use]
    pub fn http<F>(mut self, hook: impl Fn(Request<()>) -> F + Send + Sync + 'static) -> Self
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

    /// Reads the opening handshake within its deadline and refuses what is none.
    pub(crate) async fn accept_transport(
        &self,
        transport: Transport,
        peer_addr: Option<SocketAddr>,
    ) -> Result<Option<Upgrade>> {
        #[cfg(feature = "tls")]
        let transport = self.decrypt(transport).await?;
        let mut transport = transport;
        let mut inbound = BytesMut::new();
        let deadline = self.config.handshake.timeout;
        #[allow(unused_mut)] // Only TLS has something to add.
        let mut incoming =
            match tokio::time::timeout(deadline, self.read_request(&mut transport, &mut inbound)).await {
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
                    self.report(peer_addr, "the HTTP hook panicked".into());
                    error_response(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
                });
                handshake::answer(transport, &response, &method, self.config.write_timeout).await?;
                return Ok(None);
            }
        };
        let subprotocol =
            self.subprotocols.iter().find(|ours| offer.subprotocols().any(|theirs| theirs == *ours));
        let upgrade = Upgrade::new(offer, transport, inbound, peer_addr, Arc::clone(&self.config));
        Ok(Some(match subprotocol {
            Some(name) => upgrade.subprotocol(name),
            None => upgrade,
        }))
    }

    #[cfg(feature = "tls")]
    async fn decrypt(&self, transport: Transport) -> Result<Transport> {
        let Some(tls) = &self.tls else { return Ok(transport) };
        // Boxed, so that a connection without TLS has no room for it.
        Box::pin(tls.accept(transport, self.config.handshake.tls_timeout)).await
    }

    async fn read_request(
        &self,
        transport: &mut Transport,
        inbound: &mut BytesMut,
    ) -> std::io::Result<Result<Incoming, HandshakeError>> {
        let mut handshake = ServerHandshake::new(self.config.handshake)
            .versions(self.versions)
            .origins(Arc::clone(&self.origins));
        loop {
            if handshake::read(transport, inbound).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
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
            .field("subprotocols", &self.subprotocols)
            .finish_non_exhaustive()
    }
}
