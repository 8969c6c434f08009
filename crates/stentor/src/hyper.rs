//! Stentor inside a server of hyper 1, with the feature `hyper`.
//!
//! The [`Upgrader`] has the settings, and counts the connections. [`upgrade`] is for a function that
//! answers requests, [`Upgrader::service`] for whoever needs a whole service, such as a router.
//!
//! Serve the connection `with_upgrades()`; without, hyper keeps the byte stream, and the client waits for
//! a connection that does not come. Give hyper a timer, so that a request that never ends has a deadline.
//! Put the client's address, which hyper does not know, among the request's extensions as a
//! [`PeerAddr`](crate::PeerAddr), so that clients are counted by address.
//!
//! WebSocket over HTTP/2 (RFC 8441) is answered 505. Clients open a connection of HTTP/1.1 for it, unless
//! the server has told them that they need not (`enable_connect_protocol` of hyper).

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use ::hyper::upgrade::{OnUpgrade, Upgraded};
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;

use crate::handler::HandlerOutput;
use crate::http_upgrade::HttpUpgrade;
use crate::socket::WebSocket;
use crate::transport::Transport;
use crate::upgrader::Upgrader;

/// Examines a request, and asks the hooks of `upgrader`. `B` is the body of the server's responses.
///
/// ```
/// use std::convert::Infallible;
///
/// use http_body_util::Full;
/// use hyper::{body::Incoming, server::conn::http1, service::service_fn};
/// use hyper_util::rt::TokioIo;
/// use stentor::http::{Request, Response};
/// use stentor::proto::bytes::Bytes;
/// use stentor::{Acceptor, Client, Upgrader, WebSocket};
///
/// async fn answer(upgrader: &Upgrader, request: Request<Incoming>) -> Response<Full<Bytes>> {
///     if request.uri().path() != "/ws" {
///         return Response::new("a page".into());
///     }
///     match stentor::hyper::upgrade(upgrader, request).await {
///         Ok(upgrade) => upgrade.on_upgrade(async |mut socket: WebSocket| socket.send("hi").await),
///         Err(refusal) => refusal,
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> stentor::Result<()> {
/// let upgrader = Upgrader::new(Acceptor::new());
/// let service = service_fn(move |request| {
///     let upgrader = upgrader.clone();
///     async move { Ok::<_, Infallible>(answer(&upgrader, request).await) }
/// });
/// let (io, client_io) = tokio::io::duplex(1024);
/// let connection = http1::Builder::new().serve_connection(TokioIo::new(io), service);
/// tokio::spawn(connection.with_upgrades());
///
/// let mut socket = Client::new().connect_over("ws://in.memory/ws", client_io).await?;
/// assert_eq!(socket.recv().await?, Some("hi".into()));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// The response of a refusal: 426 for a request that does not want to be upgraded, 505 for one over
/// HTTP/2.
///
/// # Cancel safety
///
/// Safe.
pub async fn upgrade<B: From<Bytes>, R>(
    upgrader: &Upgrader,
    request: Request<R>,
) -> Result<HttpUpgrade<B>, Response<B>> {
    let (mut parts, _) = request.into_parts();
    let upgraded = parts.extensions.remove::<OnUpgrade>();
    let arriving = upgraded.map(|upgraded| Box::pin(arrive(upgraded)) as _);
    upgrader.decide(Request::from_parts(parts, ()), arriving).await
}

/// The byte stream under an upgraded connection. TCP is used without indirection.
async fn arrive(upgraded: OnUpgrade) -> io::Result<(Transport, BytesMut)> {
    let upgraded = upgraded.await.map_err(io::Error::other)?;
    let (io, read) = match tcp(upgraded) {
        Ok(tcp) => tcp,
        // It gives what was read behind the request itself.
        Err(upgraded) => return Ok((Transport::Boxed(Box::new(TokioIo::new(upgraded))), BytesMut::new())),
    };
    // Copied, so that it does not keep a read buffer of hyper's alive.
    Ok((Transport::Tcp(io), BytesMut::from(&*read)))
}

/// The TCP connection, and the bytes that were read from it behind the request, whichever of hyper's two
/// kinds of server has them.
fn tcp(upgraded: Upgraded) -> Result<(TcpStream, Bytes), Upgraded> {
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => Ok((parts.io.into_inner(), parts.read_buf)),
        Err(upgraded) => {
            let parts = auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded)?;
            Ok((parts.io.into_inner(), parts.read_buf))
        }
    }
}

impl Upgrader {
    /// A service that upgrades every request and runs `handler` for each connection: a service of hyper,
    /// and with the feature `tower` one of tower, such as axum's `route_service` takes.
    ///
    /// ```
    /// use hyper::server::conn::http1;
    /// use hyper_util::rt::TokioIo;
    /// use stentor::{Acceptor, Client, Upgrader, WebSocket};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> stentor::Result<()> {
    /// let upgrader = Upgrader::new(Acceptor::new());
    /// let service = upgrader.service(async |mut socket: WebSocket| socket.send("hi").await);
    /// let (io, client_io) = tokio::io::duplex(1024);
    /// let connection = http1::Builder::new().serve_connection(TokioIo::new(io), service);
    /// tokio::spawn(connection.with_upgrades());
    ///
    /// let mut socket = Client::new().connect_over("ws://in.memory/", client_io).await?;
    /// assert_eq!(socket.recv().await?, Some("hi".into()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn service<H, F>(&self, handler: H) -> UpgradeService<H>
    where
        H: Fn(WebSocket) -> F + Send + Sync + 'static,
        F: Future<Output: HandlerOutput> + Send + 'static,
    {
        UpgradeService { upgrader: self.clone(), handler: Arc::new(handler) }
    }
}

/// Upgrades every request, and runs a handler for each connection: see [`Upgrader::service`].
pub struct UpgradeService<H> {
    upgrader: Upgrader,
    handler: Arc<H>,
}

/// What a service answers, some day.
type Answering = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send>>;

impl<H, F> UpgradeService<H>
where
    H: Fn(WebSocket) -> F + Send + Sync + 'static,
    F: Future<Output: HandlerOutput> + Send + 'static,
{
    fn answer<R>(&self, request: Request<R>) -> Answering {
        let (upgrader, handler) = (self.upgrader.clone(), Arc::clone(&self.handler));
        // The body is of no use, and might not be `Send`.
        let request = request.map(drop);
        Box::pin(async move {
            Ok(match upgrade(&upgrader, request).await {
                Ok(upgrade) => upgrade.on_upgrade(move |socket| handler(socket)),
                Err(refusal) => refusal,
            })
        })
    }
}

impl<H, F, R> ::hyper::service::Service<Request<R>> for UpgradeService<H>
where
    H: Fn(WebSocket) -> F + Send + Sync + 'static,
    F: Future<Output: HandlerOutput> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<R>) -> Answering {
        self.answer(request)
    }
}

#[cfg(feature = "tower")]
impl<H, F, R> tower_service::Service<Request<R>> for UpgradeService<H>
where
    H: Fn(WebSocket) -> F + Send + Sync + 'static,
    F: Future<Output: HandlerOutput> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answering;

    /// Always ready: whom there is no room for is answered 503.
    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<R>) -> Answering {
        self.answer(request)
    }
}

impl<H> Clone for UpgradeService<H> {
    fn clone(&self) -> Self {
        Self { upgrader: self.upgrader.clone(), handler: Arc::clone(&self.handler) }
    }
}

impl<H> fmt::Debug for UpgradeService<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpgradeService").field("upgrader", &self.upgrader).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ::hyper::body::Incoming;
    use ::hyper::server::conn::http1;
    use ::hyper::service::service_fn;
    use hyper_util::rt::TokioExecutor;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;

    /// Whichever of hyper's servers has it, TCP comes out as TCP, with the bytes behind the request.
    #[tokio::test]
    async fn tcp_is_used_without_indirection() {
        for auto in [false, true] {
            let (told, mut upgrades) = mpsc::unbounded_channel();
            let service = service_fn(move |request: Request<Incoming>| {
                told.send(::hyper::upgrade::on(request)).unwrap();
                let response = Response::builder().status(101).header("upgrade", "x");
                let response = response.header("connection", "upgrade").body(Full::<Bytes>::default());
                async move { response }
            });
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let io = TokioIo::new(listener.accept().await.unwrap().0);
            tokio::spawn(async move {
                if auto {
                    let server = auto::Builder::new(TokioExecutor::new());
                    drop(server.serve_connection_with_upgrades(io, service).await);
                } else {
                    drop(http1::Builder::new().serve_connection(io, service).with_upgrades().await);
                }
            });
            let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nbehind it";
            client.write_all(request.as_bytes()).await.unwrap();
            let (transport, read) = arrive(upgrades.recv().await.unwrap()).await.unwrap();
            assert!(matches!(transport, Transport::Tcp(_)), "{transport:?}");
            assert_eq!(read, "behind it");
        }
    }
}
