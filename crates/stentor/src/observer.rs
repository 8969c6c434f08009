//! Those who watch a server or a client at work: what they are told, and when.

use std::any::Any;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{StatusCode, Uri};
use stentor_proto::{Closed, Failure, ProtocolError};

use crate::about::About;
use crate::driver::now;
use crate::error::Why;
use crate::id::ConnectionId;
use crate::trace::Span;
use crate::traffic::Traffic;
use crate::watch::Notice;

/// Watches a server or a client: its opening handshakes, its connections, and what passes over them.
///
/// Each call has a default that does nothing. Those of one connection come one after the other,
/// from the task that drives it: `opened` first, `closed` last, and both exactly once. They delay
/// that connection, so they should not take long; whatever they call on a connection is fine. One
/// that panics disturbs nobody.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use stentor::{Acceptor, Client, Closed, Observed, Observer, WebSocket};
///
/// #[derive(Default)]
/// struct Ends(Mutex<Vec<String>>);
///
/// impl Observer for Ends {
///     fn closed(&self, connection: &Observed<'_>, closed: &Closed) {
///         let user = connection.context::<String>().cloned().unwrap_or_default();
///         self.0.lock().unwrap().push(format!("{user}: {closed}"));
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> stentor::Result<()> {
/// let ends = Arc::new(Ends::default());
/// let acceptor = Acceptor::new()
///     .observe(Arc::clone(&ends))
///     .authorize(async |_| Ok::<_, stentor::Rejection>("ann".to_owned()));
/// let (server_io, client_io) = tokio::io::duplex(1024);
/// let server = tokio::spawn(async move {
///     acceptor
///         .serve_connection(server_io, async |mut socket: WebSocket| socket.close(1000.into(), "bye").await)
///         .await
/// });
/// let mut client = Client::new().connect_over("ws://in.memory/", client_io).await?;
/// assert_eq!(client.recv().await?, None);
/// drop(client);
/// server.await.unwrap()?;
/// assert_eq!(*ends.0.lock().unwrap(), ["ann: closed by us with 1000 (normal closure): bye"]);
/// # Ok(())
/// # }
/// ```
pub trait Observer: Send + Sync + 'static {
    /// An opening handshake has come to nothing, on a server. It is told once the answer is written, or
    /// cannot be; for every connection that is accepted either this is called, once, or `opened`, or
    /// neither, when it was a plain request that the [http hook](crate::Server::http) has answered.
    fn refused(&self, refused: &Refused<'_>) {
        let _ = refused;
    }

    /// An opening handshake is done. On a server, the answer may still be on its way.
    fn opened(&self, connection: &Observed<'_>) {
        let _ = connection;
    }

    /// A Ping has arrived (RFC 6455 §5.5.2); its Pong is sent without further ado.
    fn ping(&self, connection: &Observed<'_>, payload: &[u8]) {
        let _ = (connection, payload);
    }

    /// A Pong has arrived (RFC 6455 §5.5.3), and how long after the Ping that it answers, if it does
    /// answer one of ours.
    fn pong(&self, connection: &Observed<'_>, payload: &[u8], round_trip: Option<Duration>) {
        let _ = (connection, payload, round_trip);
    }

    /// The peer has broken a rule. The connection is being closed for that, or was closing already.
    fn violation(&self, connection: &Observed<'_>, violation: ProtocolError) {
        let _ = (connection, violation);
    }

    /// This much has passed since the last call: once for all that a turn has read and written.
    fn traffic(&self, connection: &Observed<'_>, traffic: &Traffic) {
        let _ = (connection, traffic);
    }

    /// The connection is gone, its transport included, in whichever way. The code is
    /// [`CloseCode::ABNORMAL`](crate::CloseCode::ABNORMAL) when there was no Close frame.
    fn closed(&self, connection: &Observed<'_>, closed: &Closed) {
        let _ = (connection, closed);
    }
}

/// An observer that others hold, too.
impl<T: Observer + ?Sized> Observer for Arc<T> {
    fn refused(&self, refused: &Refused<'_>) {
        (**self).refused(refused);
    }

    fn opened(&self, connection: &Observed<'_>) {
        (**self).opened(connection);
    }

    fn ping(&self, connection: &Observed<'_>, payload: &[u8]) {
        (**self).ping(connection, payload);
    }

    fn pong(&self, connection: &Observed<'_>, payload: &[u8], round_trip: Option<Duration>) {
        (**self).pong(connection, payload, round_trip);
    }

    fn violation(&self, connection: &Observed<'_>, violation: ProtocolError) {
        (**self).violation(connection, violation);
    }

    fn traffic(&self, connection: &Observed<'_>, traffic: &Traffic) {
        (**self).traffic(connection, traffic);
    }

    fn closed(&self, connection: &Observed<'_>, closed: &Closed) {
        (**self).closed(connection, closed);
    }
}

/// The connection that an [`Observer`] is told about.
#[derive(Clone, Copy)]
pub struct Observed<'a> {
    subject: &'a dyn Subject,
    handshake: Option<Duration>,
}

/// What there is to be seen of a connection.
pub(crate) trait Subject {
    fn id(&self) -> ConnectionId;
    fn peer_addr(&self) -> Option<SocketAddr>;
    fn client_ip(&self) -> Option<IpAddr>;
    fn about(&self) -> Option<&About>;
    fn subprotocol(&self) -> Option<&str>;
    fn traffic(&self) -> Traffic;
    fn failure(&self) -> Option<Failure>;
}

impl<'a> Observed<'a> {
    pub(crate) fn new(subject: &'a dyn Subject) -> Self {
        Self { subject, handshake: None }
    }

    /// A connection that has just been opened.
    pub(crate) fn opened(subject: &'a dyn Subject, handshake: Option<Duration>) -> Self {
        Self { subject, handshake }
    }

    /// The number of the connection, by which [`Connections`](crate::Connections) finds it.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.subject.id()
    }

    /// The other end of the TCP connection; `None` over other byte streams.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.subject.peer_addr()
    }

    /// The client's address: see [`WebSocket::client_ip`](crate::WebSocket::client_ip).
    #[must_use]
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.subject.client_ip()
    }

    /// What the authorize hook has returned for this connection, when its type is `T`.
    #[must_use]
    pub fn context<T: Any + Send + Sync>(&self) -> Option<&'a T> {
        self.subject.about()?.context.get()
    }

    /// The target of the request, on a server that [keeps it](crate::Server::keep_uri).
    #[must_use]
    pub fn uri(&self) -> Option<&'a Uri> {
        self.subject.about()?.uri.as_ref()
    }

    /// The subprotocol that was agreed on, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&'a str> {
        self.subject.subprotocol()
    }

    /// How long the opening handshake took, from the moment at which the server accepted the byte stream,
    /// or the client began to look for its server; TLS and hooks included. It is told to
    /// [`opened`](Observer::opened) and then forgotten. Inside another HTTP server it begins with the
    /// request.
    #[must_use]
    pub fn handshake(&self) -> Option<Duration> {
        self.handshake
    }

    /// What has passed so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.subject.traffic()
    }

    /// Why the connection ended otherwise than by a closing handshake, once it has.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.subject.failure()
    }
}

impl fmt::Debug for Observed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// An opening handshake that has come to nothing.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Refused<'a> {
    /// The other end of the TCP connection; `None` over other byte streams.
    pub peer_addr: Option<SocketAddr>,
    /// What the client is answered. `None` when it is dropped without an answer: by the accept filter,
    /// before or during TLS, or because it is gone itself.
    ///
    /// Inside another HTTP server it is also `None` when the application answers in place of the
    /// [`HttpUpgrade`](crate::HttpUpgrade), which only that server sees.
    pub status: Option<StatusCode>,
    /// Whether the answer was written whole. A client that hangs up before, or does not read, is not
    /// answered. Inside another HTTP server, the answer was given to that server.
    pub answered: bool,
    /// Why. It tells nothing of what the request said.
    pub reason: &'a (dyn fmt::Display + Sync),
}

impl fmt::Debug for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused")
            .field("peer_addr", &self.peer_addr)
            .field("status", &self.status)
            .field("answered", &self.answered)
            .field("reason", &format_args!("{}", self.reason))
            .finish()
    }
}

/// One client in its opening handshake, and whom to tell that it is refused.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    pub(crate) peer_addr: Option<SocketAddr>,
    pub(crate) span: Span,
    began: Instant,
    observers: Observers,
}

impl Visitor {
    pub(crate) fn new(peer_addr: Option<SocketAddr>, observers: Observers) -> Self {
        Self { peer_addr, span: Span::server(peer_addr), began: now(), observers }
    }

    /// The opening handshake is done.
    pub(crate) fn arrived(self) -> Arrival {
        Arrival { span: self.span, took: Some(now() - self.began) }
    }

    /// It is about to be answered with `status`.
    pub(crate) fn refusing<'a>(&'a self, status: StatusCode, why: Why<'a>) -> Refusing<'a> {
        Refusing { visitor: self, status, why, answered: false }
    }

    /// It is dropped without an answer.
    pub(crate) fn dropped(&self, why: Why<'_>) {
        self.refused(None, false, why);
    }

    fn refused(&self, status: Option<StatusCode>, answered: bool, why: Why<'_>) {
        self.span.refused(status, answered, why);
        let refused = Refused { peer_addr: self.peer_addr, status, answered, reason: &why };
        self.span.within(|| self.observers.each(|observer| observer.refused(&refused)));
    }
}

/// How a connection has come about.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) span: Span,
    /// How long its opening handshake took, if that was done here.
    pub(crate) took: Option<Duration>,
}

/// A client that is being refused, which is told when that is over: by the answer, or by its being
/// given up.
#[must_use = "it is over when it is dropped"]
pub(crate) struct Refusing<'a> {
    visitor: &'a Visitor,
    status: StatusCode,
    why: Why<'a>,
    answered: bool,
}

impl Refusing<'_> {
    /// The answer is written, or cannot be.
    pub(crate) fn end(mut self, answered: bool) {
        self.answered = answered;
    }
}

impl Drop for Refusing<'_> {
    fn drop(&mut self) {
        self.visitor.refused(Some(self.status), self.answered, self.why);
    }
}

/// Everybody who watches, shared by the connections.
#[derive(Clone, Default)]
pub(crate) struct Observers(Option<Arc<Vec<Arc<dyn Observer>>>>);

impl Observers {
    pub(crate) fn add(&mut self, observer: impl Observer) {
        let mut all = self.iter().cloned().collect::<Vec<_>>();
        all.push(Arc::new(observer));
        self.0 = Some(all.into());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn iter(&self) -> impl Iterator<Item = &Arc<dyn Observer>> {
        self.0.iter().flat_map(|all| all.iter())
    }

    /// Calls each of them.
    fn each(&self, tell: impl Fn(&dyn Observer)) {
        for observer in self.iter() {
            // What it keeps is its own, and the next call finds it as this one has left it.
            let _ = catch_unwind(AssertUnwindSafe(|| tell(&**observer)));
        }
    }

    pub(crate) fn opened(&self, connection: &Observed<'_>) {
        self.each(|observer| observer.opened(connection));
    }

    pub(crate) fn tell(&self, connection: &Observed<'_>, notice: &Notice) {
        self.each(|observer| match notice {
            Notice::Ping(payload) => observer.ping(connection, payload),
            Notice::Pong(pong) => observer.pong(connection, &pong.payload, pong.round_trip),
            Notice::Violation(error) => observer.violation(connection, *error),
            Notice::Traffic(traffic) => observer.traffic(connection, traffic),
            Notice::Closed(closed) => observer.closed(connection, closed),
        });
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} observers", self.iter().count())
    }
}
