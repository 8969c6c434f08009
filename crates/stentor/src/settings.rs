//! Everything that a server does alike for all its connections, whatever it listens on.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use stentor_proto::handshake::OriginPolicy;
use stentor_proto::{Config, Versions};

use crate::connections::Connections;
use crate::forwarded::TrustedProxies;
use crate::handler::BoxError;
use crate::hooks::{BoxFuture, Hooks};
use crate::observer::Visitor;
use crate::shared::{HandlerFailure, Watchers};
use crate::shutdown::Shutdown;
#[cfg(feature = "tls")]
use crate::tls::ServerTls;
use crate::trace;

/// There is none without the feature.
#[cfg(not(feature = "tls"))]
type ServerTls = std::convert::Infallible;

type HttpHook = Arc<dyn Fn(Request<Bytes>) -> BoxFuture<Response<Bytes>> + Send + Sync>;
type ErrorHook = Arc<dyn Fn(Option<SocketAddr>, BoxError) + Send + Sync>;

/// A server's settings, and its connections.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) config: Arc<Config>,
    pub(crate) versions: Versions,
    pub(crate) origins: Arc<OriginPolicy>,
    pub(crate) hooks: Hooks,
    pub(crate) proxies: Option<Arc<TrustedProxies>>,
    pub(crate) keep_uri: bool,
    pub(crate) watchers: Watchers,
    pub(crate) http: Option<HttpHook>,
    pub(crate) on_error: Option<ErrorHook>,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) connections: Connections,
    pub(crate) shutdown: Shutdown,
}

impl Settings {
    pub(crate) fn new() -> Self {
        Self {
            config: Arc::default(),
            versions: Versions::default(),
            origins: Arc::default(),
            hooks: Hooks::new(),
            proxies: None,
            keep_uri: false,
            watchers: Watchers::default(),
            http: None,
            on_error: None,
            tls: None,
            connections: Connections::new(),
            shutdown: Shutdown::new(),
        }
    }

    /// Whether nothing can be said to a client before a TLS handshake.
    pub(crate) fn speaks_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Tells the hook how a handler has ended, unless well.
    pub(crate) fn report_handler(&self, ended: Result<(), HandlerFailure>) {
        if let Err(HandlerFailure { peer_addr, error }) = ended {
            self.report(peer_addr, error);
        }
    }

    /// Tells that a hook has panicked, and in whose hands.
    pub(crate) fn report_panic(&self, peer_addr: Option<SocketAddr>, hook: &'static str) {
        trace::panicked(hook);
        self.report(peer_addr, format!("the {hook} panicked").into());
    }

    /// A client that begins its opening handshake.
    pub(crate) fn visitor(&self, peer_addr: Option<SocketAddr>) -> Visitor {
        Visitor::new(peer_addr, self.watchers.observers.clone())
    }

    /// Tells the hook what went wrong, and with whom.
    pub(crate) fn report(&self, peer_addr: Option<SocketAddr>, error: BoxError) {
        if let Some(hook) = &self.on_error {
            // It is called in the middle of things, where connections are accepted, too. What it keeps is its
            // own, and the next call finds it as this one has left it.
            let _ = catch_unwind(AssertUnwindSafe(|| hook(peer_addr, error)));
        }
    }
}
