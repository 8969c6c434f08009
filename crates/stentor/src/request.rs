//! A request to be upgraded, as a server's hooks see it.

use std::any::{Any, TypeId};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::COOKIE;
use http::{Extensions, HeaderMap, Uri};
use stentor_proto::handshake::Offer;

use crate::forwarded::Source;

/// A client's request to speak WebSocket: in order, from an accepted origin, and not answered yet.
///
/// A server's hooks look at it. Clones share it.
///
/// ```
/// use stentor::UpgradeRequest;
///
/// fn describe(request: &UpgradeRequest) -> String {
///     let who = request.client_ip().map_or("somebody".to_owned(), |address| address.to_string());
///     let session = if request.cookie("session").is_some() { "a session" } else { "no session" };
///     format!("{who} asks for {} with {session}", request.uri().path())
/// }
/// ```
#[derive(Clone)]
pub struct UpgradeRequest(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    offer: Offer,
    source: Source,
    context: Extensions,
}

impl UpgradeRequest {
    pub(crate) fn new(offer: Offer, source: Source) -> Self {
        Self(Arc::new(Inner { offer, source, context: Extensions::new() }))
    }

    /// The whole request; its method is always GET (RFC 6455 §4.1).
    #[must_use]
    pub fn request(&self) -> &http::Request<()> {
        self.0.offer.request()
    }

    /// The target, with its query.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        self.request().uri()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.request().headers()
    }

    /// The value of the first cookie of this name, as it was sent (RFC 6265 §5.4).
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// The cookies in the order in which they were sent: names and values.
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        let values = self.headers().get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.trim(), value.trim()))
    }

    /// The origin of the page that connects; `None` if the client is no browser.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.0.offer.origin()
    }

    /// The handshake as the client sent it: subprotocols, extensions, version.
    #[must_use]
    pub fn offer(&self) -> &Offer {
        &self.0.offer
    }

    /// The other end of the TCP connection; `None` over other byte streams.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.0.source.peer
    }

    /// The client's address: the peer's, or the one told by a
    /// [trusted proxy](crate::TrustedProxies).
    #[must_use]
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.0.source.client
    }

    /// What the authorize hook has returned, when its type is `T`.
    #[must_use]
    pub fn context<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.0.context.get()
    }

    /// Adds to the context of the connection; what has the same type is replaced.
    pub(crate) fn extend_context(&mut self, context: Extensions) {
        if !context.is_empty() {
            Arc::make_mut(&mut self.0).context.extend(context);
        }
    }

    /// Takes it apart. It is copied only if a hook has kept a clone.
    pub(crate) fn into_parts(self) -> (Offer, Source, Extensions) {
        let Inner { offer, source, context } = Arc::unwrap_or_clone(self.0);
        (offer, source, context)
    }
}

/// The context that holds this value: empty for `()`, which says nothing.
pub(crate) fn context_of<T: Clone + Any + Send + Sync>(value: T) -> Extensions {
    let mut context = Extensions::new();
    if TypeId::of::<T>() != TypeId::of::<()>() {
        context.insert(value);
    }
    context
}

/// The path and the names of the headers: queries, cookies and other values are often secrets.
impl fmt::Debug for UpgradeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpgradeRequest")
            .field("offer", &self.0.offer)
            .field("peer_addr", &self.peer_addr())
            .field("client_ip", &self.client_ip())
            .finish_non_exhaustive()
    }
}
