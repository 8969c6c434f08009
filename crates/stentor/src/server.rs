//! A listener and the tasks of its connections.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use stentor_proto::handshake::{Acceptance, OriginPolicy};
use stentor_proto::{Config, Versions};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::Semaphore;

use crate::acceptor::{Acceptor, accept_for};
use crate::error::Result;
use crate::forwarded::TrustedProxies;
use crate::handler::{BoxError, HandlerOutput};
use crate::rejection::Rejection;
use crate::request::UpgradeRequest;
use crate::socket::WebSocket;
#[cfg(feature = "tls")]
use crate::tls::ServerTls;
use crate::transport::Transport;
use crate::upgrade::Upgrade;

/// How long to wait before accepting again when the process has run out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
    listener: TcpListener,
    acceptor: Acceptor,
    max_connections: usize,
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
        Ok(Self::from_listener(TcpListener::bind(addr).await?))
    }

    /// Takes over a listener.
    #[must_use]
    pub fn from_listener(listener: TcpListener) -> Self {
        Self { listener, acceptor: Acceptor::new(), max_connections: 65_536 }
    }

    /// The address listened on.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) when the operating system does not say.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Sets how many connections, handshakes included, there may be at once; further ones wait in
    /// the operating system's queue. Default: 65,536.
    #[must_use]
    pub fn max_connections(mut self, max: usize) -> Self {
        self.max_connections = max;
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

    /// Accepts connections for ever and runs `handler` for each, in a task of its own that also
    /// drives the connection.
    ///
    /// A handler that fails or panics closes its own connection with 1011 and disturbs no other.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) when the listener breaks. A connection that cannot be
    /// accepted, or a process out of descriptors, is no such error.
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
            async move { accept_for(upgrade, |socket| handler(socket)).await }
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
        let shared = Arc::new((self.acceptor, handler));
        let room = Arc::new(Semaphore::new(self.max_connections.min(Semaphore::MAX_PERMITS)));
        loop {
            // The semaphore is never closed.
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return Ok(()) };
            let (tcp, peer) = accept(&self.listener).await?;
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                let (acceptor, handler) = &*shared;
                // What went wrong was told to the hook.
                let _ = acceptor.serve_transport(tcp, Some(peer), handler).await;
                drop(permit);
            });
        }
    }

    /// Accepts one connection and reads its opening handshake, for those who run their own loop.
    /// `None` when it was a plain HTTP request, which has been answered.
    ///
    /// The whole handshake takes place within the call, so that a slow client holds up the next;
    /// and the connection is driven by the calls on it. [`serve`](Self::serve) has neither drawback.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) when the listener breaks, or why the handshake failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the connection it is about to accept.
    pub async fn accept(&self) -> Result<Option<Upgrade>> {
        let (tcp, peer) = accept(&self.listener).await?;
        self.acceptor.accept_transport(tcp, Some(peer)).await
    }
}

/// The next connection that can be accepted.
async fn accept(listener: &TcpListener) -> io::Result<(Transport, SocketAddr)> {
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => return Ok((prepare(tcp), peer)),
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) if is_about_the_listener(&error) => return Err(error),
            // Out of descriptors or memory: others have to end first.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

fn prepare(tcp: TcpStream) -> Transport {
    // Small messages are not held back for fuller segments: what a handler sends at once leaves in
    // one write anyway. A socket that cannot do this is already broken and will say so.
    let _ = tcp.set_nodelay(true);
    Transport::Tcp(tcp)
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn is_about_the_listener(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, NotConnected, Unsupported};
    matches!(error.kind(), InvalidInput | NotConnected | Unsupported)
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("listener", &self.listener)
            .field("acceptor", &self.acceptor)
            .field("max_connections", &self.max_connections)
            .finish()
    }
}
