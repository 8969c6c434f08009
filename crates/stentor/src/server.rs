//! A server: what it listens on, its settings, and how it serves.

use std::fmt;
use std::io::{self, ErrorKind::NotFound};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use stentor_proto::handshake::{Acceptance, OriginPolicy};
use stentor_proto::{Config, Versions};
use tokio::net::ToSocketAddrs;

use crate::acceptor::Acceptor;
use crate::attending::Attending;
use crate::connections::Connections;
use crate::error::Result;
use crate::forwarded::TrustedProxies;
use crate::handler::{BoxError, HandlerOutput};
use crate::limits::Limits;
use crate::listener::{self, Listener};
use crate::observer::Observer;
use crate::rejection::Rejection;
use crate::request::UpgradeRequest;
use crate::service::{Filter, Service};
use crate::shutdown::Shutdown;
use crate::socket::WebSocket;
#[cfg(feature = "tls")]
use crate::tls::ServerTls;
use crate::upgrade::Upgrade;
use crate::workers;

/// A WebSocket server.
///
/// ```no_run
/// use stentor::{Server, WebSocket};
///
/// #[tokio::main]
/// async fn main() -> stentor::Result<()> {
///     Server::bind("127.0.0.1:9001").await?.serve(echo).await
/// }
///
/// async fn echo(mut socket: WebSocket) -> stentor::Result<()> {
///     while let Some(message) = socket.recv().await? {
///         socket.send(message).await?;
///     }
///     Ok(())
/// }
/// ```
pub struct Server {
    listeners: Vec<Listener>,
    acceptor: Acceptor,
    limits: Limits,
    filter: Option<Filter>,
    workers: usize,
}

impl Server {
    /// Listens on the first of the addresses that can be listened on; port 0 is any free one.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) when none can be.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn bind(addr: impl ToSocketAddrs) -> Result<Self> {
        Ok(Self::from_listener(Listener::bind(addr).await?))
    }

    /// Takes over a listener.
    #[must_use]
    pub fn from_listener(listener: impl Into<Listener>) -> Self {
        let listeners = vec![listener.into()];
        Self { listeners, acceptor: Acceptor::new(), limits: Limits::default(), filter: None, workers: 0 }
    }

    /// Listens on one more: see [`Listener`] for what there is.
    #[must_use]
    pub fn listen_on(mut self, listener: impl Into<Listener>) -> Self {
        self.listeners.push(listener.into());
        self
    }

    /// The address that the first listener listens on.
    ///
    /// # Errors
    ///
    /// As [`Listener::local_addr`].
    pub fn local_addr(&self) -> Result<SocketAddr> {
        self.listeners.first().map_or_else(|| Err(io::Error::from(NotFound).into()), Listener::local_addr)
    }

    /// What it listens on.
    #[must_use]
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// The open connections: to look at, to close, to send to all of them.
    #[must_use]
    pub fn connections(&self) -> Connections {
        self.acceptor.connections()
    }

    /// The switch that takes the server down.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.acceptor.shutdown()
    }

    /// Sets how many connections and opening handshakes there may be at once.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the hook that decides by the address of the peer who may connect at all, before anything
    /// is read. Whoever may not is dropped without an answer, of which observers are told. It is not asked about peers without
    /// an address, as on a unix socket; one that panics lets nobody in.
    ///
    /// ```no_run
    /// use std::net::SocketAddr;
    /// use stentor::Server;
    ///
    /// # async fn example(banned: Vec<std::net::IpAddr>) -> stentor::Result<()> {
    /// let server = Server::bind("127.0.0.1:8080").await?;
    /// let server = server.accept_filter(move |peer: SocketAddr| !banned.contains(&peer.ip()));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn accept_filter(mut self, filter: impl Fn(SocketAddr) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Some(Arc::new(filter));
        self
    }

    /// Serves in so many threads of their own, each with a current-thread runtime: no connection
    /// ever moves to another thread. By default everything runs in the runtime that
    /// [`serve`](Self::serve) is called in, and 0 means the same.
    ///
    /// Each thread has its own socket on an address of
    /// [`Listener::bind_reuse_port`](crate::Listener::bind_reuse_port); any other listener is shared
    /// by all of them.
    ///
    /// ```no_run
    /// use stentor::{Listener, Server, WebSocket};
    ///
    /// # async fn example() -> stentor::Result<()> {
    /// let cores = std::thread::available_parallelism()?.get();
    /// let listener = Listener::bind_reuse_port(([127, 0, 0, 1], 8080).into())?;
    /// let server = Server::from_listener(listener).workers(cores);
    /// server.serve(async |mut socket: WebSocket| socket.send("hello").await).await
    /// # }
    /// ```
    #[must_use]
    pub fn workers(mut self, threads: usize) -> Self {
        self.workers = threads;
        self
    }

    /// Serves with these settings, in place of all those that were set before.
    ///
    /// ```no_run
    /// use stentor::{Acceptor, Server};
    ///
    /// # async fn example() -> stentor::Result<()> {
    /// let server = Server::bind("127.0.0.1:8080").await?.acceptor(Acceptor::new().subprotocols(["v2", "v1"]));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn acceptor(mut self, acceptor: Acceptor) -> Self {
        self.acceptor = acceptor;
        self
    }

    /// Sets the limits, deadlines and habits of the connections.
    #[must_use]
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.acceptor = self.acceptor.config(config);
        self
    }

    /// Sets the hook that decides who is let in, and with which context: see
    /// [`Acceptor::authorize`].
    ///
    /// ```no_run
    /// use stentor::http::StatusCode;
    /// use stentor::{Rejection, Server, UpgradeRequest, WebSocket};
    ///
    /// # async fn example() -> stentor::Result<()> {
    /// let server = Server::bind("127.0.0.1:8080").await?.authorize(async |request: UpgradeRequest| {
    ///     let name = request.cookie("name").map(str::to_owned);
    ///     name.ok_or(Rejection::new(StatusCode::FORBIDDEN, "log in first"))
    /// });
    /// server
    ///     .serve(async |mut socket: WebSocket| {
    ///         let name = socket.context::<String>().cloned().unwrap_or_default();
    ///         socket.send(format!("hello {name}")).await
    ///     })
    ///     .await
    /// # }
    /// ```
    #[must_use]
    pub fn authorize<F, T, R>(mut self, hook: impl Fn(UpgradeRequest) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<T, R>> + Send + 'static,
        T: Clone + Send + Sync + 'static,
        R: Into<Rejection>,
    {
        self.acceptor = self.acceptor.authorize(hook);
        self
    }

    /// Sets the subprotocols spoken: see [`Acceptor::subprotocols`].
    #[must_use]
    pub fn subprotocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.acceptor = self.acceptor.subprotocols(names);
        self
    }

    /// Sets the hook that chooses the subprotocol: see [`Acceptor::choose_subprotocol`].
    #[must_use]
    pub fn choose_subprotocol(
        mut self,
        hook: impl Fn(&UpgradeRequest) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.acceptor = self.acceptor.choose_subprotocol(hook);
        self
    }

    /// Refuses clients with whom there is no subprotocol in common: see
    /// [`Acceptor::require_subprotocol`].
    #[must_use]
    pub fn require_subprotocol(mut self) -> Self {
        self.acceptor = self.acceptor.require_subprotocol();
        self
    }

    /// Sets the hook that edits the response before it accepts: see [`Acceptor::edit_response`].
    #[must_use]
    pub fn edit_response(
        mut self,
        hook: impl Fn(&UpgradeRequest, &mut Acceptance) + Send + Sync + 'static,
    ) -> Self {
        self.acceptor = self.acceptor.edit_response(hook);
        self
    }

    /// Trusts these proxies to tell whom they speak for: see [`TrustedProxies`].
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.acceptor = self.acceptor.trusted_proxies(proxies);
        self
    }

    /// Keeps the target of each request for [`WebSocket::uri`]: see [`Acceptor::keep_uri`].
    #[must_use]
    pub fn keep_uri(mut self) -> Self {
        self.acceptor = self.acceptor.keep_uri();
        self
    }

    /// Counts what passes over each connection: see [`Acceptor::count_traffic`].
    #[must_use]
    pub fn count_traffic(mut self) -> Self {
        self.acceptor = self.acceptor.count_traffic();
        self
    }

    /// Has `observer` watch handshakes and connections: see [`Observer`].
    #[must_use]
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.acceptor = self.acceptor.observe(observer);
        self
    }

    /// Sets the protocol versions accepted; version 13 only by default.
    #[must_use]
    pub fn versions(mut self, versions: Versions) -> Self {
        self.acceptor = self.acceptor.versions(versions);
        self
    }

    /// Sets the origins whose pages may connect from a browser; the server's own only by default.
    #[must_use]
    pub fn origins(mut self, policy: OriginPolicy) -> Self {
        self.acceptor = self.acceptor.origins(policy);
        self
    }

    /// Sets the hook that answers plain HTTP requests: see [`Acceptor::http`].
    #[must_use]
    pub fn http<F>(mut self, hook: impl Fn(Request<Bytes>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response<Bytes>> + Send + 'static,
    {
        self.acceptor = self.acceptor.http(hook);
        self
    }

    /// Sets the hook that is told what goes wrong: see [`Acceptor::on_error`].
    #[must_use]
    pub fn on_error(mut self, hook: impl Fn(Option<SocketAddr>, BoxError) + Send + Sync + 'static) -> Self {
        self.acceptor = self.acceptor.on_error(hook);
        self
    }

    /// Speaks TLS, and nothing else: see [`Acceptor::tls`].
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.acceptor = self.acceptor.tls(tls);
        self
    }

    /// Accepts connections until the server is [shut down](Self::shutdown), and runs `handler` for
    /// each, in a task of its own that also drives the connection.
    ///
    /// A handler that fails or panics closes its own connection with 1011 and disturbs no other.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) when a listener breaks, or a thread cannot be started. A
    /// connection that cannot be accepted, or a process out of descriptors, is no such error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops accepting; connections live on.
    pub async fn serve<H, F>(self, handler: H) -> Result<()>
    where
        H: Fn(WebSocket) -> F + Send + Sync + 'static,
        F: Future<Output: HandlerOutput> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.serve_upgrades(move |upgrade| {
            let handler = Arc::clone(&handler);
            Attending::new(upgrade.accept(), move |socket| handler(socket))
        })
        .await
    }

    /// Like [`serve`](Self::serve), for a handler that looks at each request before it accepts or
    /// rejects it.
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve).
    ///
    /// # Cancel safety
    ///
    /// As [`serve`](Self::serve).
    pub async fn serve_upgrades<H, F>(self, handler: H) -> Result<()>
    where
        H: Fn(Upgrade) -> F + Send + Sync + 'static,
        F: Future<Output: HandlerOutput> + Send + 'static,
    {
        let Self { listeners, acceptor, limits, filter, workers } = self;
        let service = Service::new(acceptor.into_settings(), limits, filter, handler);
        match workers {
            0 => service.serve(listeners).await,
            threads => workers::serve(&service, listeners, threads).await,
        }
    }

    /// Accepts one connection and reads its opening handshake, for those who run their own loop.
    /// `None` when it was a plain HTTP request, which has been answered.
    ///
    /// The whole handshake takes place within the call, so that a slow client holds up the next;
    /// the connection is driven by the calls on it; and neither the [`Limits`] nor the
    /// [accept filter](Self::accept_filter) apply. [`serve`](Self::serve) has none of these
    /// drawbacks.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) when the listener breaks, or why the handshake failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the connection it is about to accept.
    pub async fn accept(&self) -> Result<Option<Upgrade>> {
        let (transport, peer) = listener::accept(&self.listeners, || {}).await?;
        self.acceptor.accept_from(transport, peer).await
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("listeners", &self.listeners)
            .field("acceptor", &self.acceptor)
            .field("limits", &self.limits)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}
