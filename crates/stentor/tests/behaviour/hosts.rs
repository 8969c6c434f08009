//! Where a server of ours may run: by itself, or inside another HTTP server. The tests of what is the
//! same everywhere take the host as their argument.

use std::net::SocketAddr;

use stentor::{Acceptor, Connections, HandlerOutput, Limits, Shutdown, WebSocket};
use stentor_proto::Role;
use stentor_testkit::peer::{Peer, request};
use tokio::task::JoinHandle;

use crate::support::{Dial, server, server_in_memory};

/// What takes the connections and reads the requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Host {
    /// Our own server.
    Own,
    /// hyper, with our service.
    #[cfg(feature = "hyper")]
    Hyper,
    /// axum, with our extractor.
    #[cfg(feature = "axum")]
    Axum,
    /// axum, with our service of tower on a route.
    #[cfg(feature = "axum")]
    AxumService,
}

/// Runs tests, `async` functions that take a [`Host`], on every host.
macro_rules! on_every_host {
    ($($test:ident),* $(,)?) => { $(
        mod $test {
            use crate::hosts::Host;

            #[tokio::test]
            async fn by_itself() {
                super::$test(Host::Own).await;
            }

            #[cfg(feature = "hyper")]
            #[tokio::test]
            async fn inside_hyper() {
                super::$test(Host::Hyper).await;
            }

            #[cfg(feature = "axum")]
            #[tokio::test]
            async fn inside_axum() {
                super::$test(Host::Axum).await;
            }

            #[cfg(feature = "axum")]
            #[tokio::test]
            async fn as_a_service_inside_axum() {
                super::$test(Host::AxumService).await;
            }
        }
    )* };
}
pub(crate) use on_every_host;

/// The same on paused time.
macro_rules! on_every_host_paused {
    ($($test:ident),* $(,)?) => { $(
        mod $test {
            use crate::hosts::Host;

            #[tokio::test(start_paused = true)]
            async fn by_itself() {
                super::$test(Host::Own).await;
            }

            #[cfg(feature = "hyper")]
            #[tokio::test(start_paused = true)]
            async fn inside_hyper() {
                super::$test(Host::Hyper).await;
            }

            #[cfg(feature = "axum")]
            #[tokio::test(start_paused = true)]
            async fn inside_axum() {
                super::$test(Host::Axum).await;
            }

            #[cfg(feature = "axum")]
            #[tokio::test(start_paused = true)]
            async fn as_a_service_inside_axum() {
                super::$test(Host::AxumService).await;
            }
        }
    )* };
}
pub(crate) use on_every_host_paused;

/// A server without sockets, on some host.
pub(crate) struct Hosted {
    pub(crate) dial: Dial,
    pub(crate) shutdown: Shutdown,
    pub(crate) connections: Connections,
    /// What takes the connections.
    serving: JoinHandle<()>,
}

impl Hosted {
    /// Expects that nobody is let in any more: our own server is gone, another says so.
    pub(crate) async fn refuses_everybody(self, host: Host) {
        let mut peer = Peer::new(Role::Client, self.dial.up());
        if host == Host::Own {
            let _ = self.serving.await;
            assert_eq!(peer.rest().await, b"");
        } else {
            peer.send_bytes(request("/", "").as_bytes()).await;
            let head = peer.head().await;
            assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
        }
    }

    /// Until our own server has come to its end. Another is ended by hand.
    pub(crate) async fn ended(self, host: Host) {
        if host != Host::Own {
            self.serving.abort();
        }
        let _ = self.serving.await;
    }
}

impl Host {
    /// Runs a server on a free port in the background, until the test ends.
    pub(crate) async fn serve<H, F>(self, acceptor: Acceptor, handler: H) -> SocketAddr
    where
        H: Fn(WebSocket) -> F + Send + Sync + 'static,
        F: Future<Output: HandlerOutput> + Send + 'static,
    {
        self.serve_within(Limits::default(), acceptor, handler).await
    }

    /// The same, within `limits`.
    pub(crate) async fn serve_within<H, F>(self, limits: Limits, acceptor: Acceptor, handler: H) -> SocketAddr
    where
        H: Fn(WebSocket) -> F + Send + Sync + 'static,
        F: Future<Output: HandlerOutput> + Send + 'static,
    {
        match self {
            Self::Own => {
                let server = server().await.acceptor(acceptor).limits(limits);
                let addr = server.local_addr().unwrap();
                tokio::spawn(server.serve(handler));
                addr
            }
            #[cfg(feature = "hyper")]
            other => other.serve_inside(limits, acceptor, handler).await,
        }
    }

    /// Runs a server without sockets, for paused time.
    pub(crate) fn in_memory<H, F>(self, acceptor: Acceptor, handler: H) -> Hosted
    where
        H: Fn(WebSocket) -> F + Send + Sync + 'static,
        F: Future<Output: HandlerOutput> + Send + 'static,
    {
        self.in_memory_within(Limits::default(), acceptor, handler)
    }

    /// The same, within `limits`.
    pub(crate) fn in_memory_within<H, F>(self, limits: Limits, acceptor: Acceptor, handler: H) -> Hosted
    where
        H: Fn(WebSocket) -> F + Send + Sync + 'static,
        F: Future<Output: HandlerOutput> + Send + 'static,
    {
        let connections = acceptor.connections();
        match self {
            Self::Own => {
                let (server, dial) = server_in_memory();
                let server = server.acceptor(acceptor).limits(limits);
                let shutdown = server.shutdown();
                let serving = tokio::spawn(async move { server.serve(handler).await.unwrap() });
                Hosted { dial, shutdown, connections, serving }
            }
            #[cfg(feature = "hyper")]
            other => {
                let (dial, shutdown, serving) = other.in_memory_inside(limits, acceptor, handler);
                Hosted { dial, shutdown, connections, serving }
            }
        }
    }
}

/// The HTTP servers of others.
#[cfg(feature = "hyper")]
mod inside {
    use std::convert::Infallible;
    use std::net::SocketAddr;

    use hyper::body::{Body, Incoming};
    use hyper::server::conn::http1;
    use hyper::service::{Service, service_fn};
    use hyper_util::rt::{TokioIo, TokioTimer};
    use stentor::http::{Request, Response};
    use stentor::proto::bytes::Bytes;
    use stentor::{Acceptor, BoxError, HandlerOutput, Io, Limits, PeerAddr, Shutdown, Upgrader, WebSocket};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::Host;
    use crate::support::{Dial, dial};

    impl Host {
        pub(super) async fn serve_inside<H, F>(
            self,
            limits: Limits,
            acceptor: Acceptor,
            handler: H,
        ) -> SocketAddr
        where
            H: Fn(WebSocket) -> F + Send + Sync + 'static,
            F: Future<Output: HandlerOutput> + Send + 'static,
        {
            let upgrader = Upgrader::new(acceptor).limits(limits);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            match self {
                #[cfg(feature = "axum")]
                Self::Axum | Self::AxumService => {
                    let router = self.router(upgrader, handler);
                    let app = router.into_make_service_with_connect_info::<SocketAddr>();
                    tokio::spawn(async move { axum::serve(listener, app).await });
                }
                _ => {
                    let service = upgrader.service(handler);
                    tokio::spawn(async move {
                        while let Ok((tcp, peer)) = listener.accept().await {
                            serve_connection(tcp, Some(peer), service.clone());
                        }
                    });
                }
            }
            addr
        }

        pub(super) fn in_memory_inside<H, F>(
            self,
            limits: Limits,
            acceptor: Acceptor,
            handler: H,
        ) -> (Dial, Shutdown, JoinHandle<()>)
        where
            H: Fn(WebSocket) -> F + Send + Sync + 'static,
            F: Future<Output: HandlerOutput> + Send + 'static,
        {
            let (dial, mut dialled) = dial();
            let upgrader = Upgrader::new(acceptor).limits(limits);
            let shutdown = upgrader.shutdown();
            let serving = match self {
                #[cfg(feature = "axum")]
                Self::Axum | Self::AxumService => {
                    let router = self.router(upgrader, handler);
                    let service = hyper_util::service::TowerToHyperService::new(router);
                    tokio::spawn(async move {
                        while let Some(Ok((io, peer))) = dialled.recv().await {
                            serve_connection(io, peer, service.clone());
                        }
                    })
                }
                _ => {
                    let service = upgrader.service(handler);
                    tokio::spawn(async move {
                        while let Some(Ok((io, peer))) = dialled.recv().await {
                            serve_connection(io, peer, service.clone());
                        }
                    })
                }
            };
            (dial, shutdown, serving)
        }

        #[cfg(feature = "axum")]
        fn router<H, F>(self, upgrader: Upgrader, handler: H) -> axum::Router
        where
            H: Fn(WebSocket) -> F + Send + Sync + 'static,
            F: Future<Output: HandlerOutput> + Send + 'static,
        {
            if self == Self::AxumService {
                return axum::Router::new().fallback_service(upgrader.service(handler));
            }
            let handler = std::sync::Arc::new(handler);
            let upgrade = async move |upgrade: stentor::axum::Upgrade| {
                upgrade.on_upgrade(move |socket| handler(socket))
            };
            axum::Router::new().fallback(upgrade).with_state(upgrader)
        }
    }

    /// Has hyper serve a connection in the background.
    fn serve_connection<S, B>(io: impl Io, peer: Option<SocketAddr>, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + Sync + 'static,
        S::Future: Send,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let service = service_fn(move |mut request: Request<Incoming>| {
            if let Some(peer) = peer {
                request.extensions_mut().insert(PeerAddr(peer));
            }
            service.call(request)
        });
        let mut server = http1::Builder::new();
        let connection = server.timer(TokioTimer::new()).serve_connection(TokioIo::new(io), service);
        // What goes wrong with it is the client's to tell.
        tokio::spawn(async move { drop(connection.with_upgrades().await) });
    }
}
