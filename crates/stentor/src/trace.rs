//! Spans and events of the crate [`tracing`], with the feature of that name; without it, `untraced` has
//! the same and does nothing.
//!
//! A connection has one span from its first byte on, within which hooks, handlers and observers run. All
//! events are here, and so is what keeps secrets out of them: of what a peer has sent, only the path
//! of its request is told. Queries, headers, messages and the reasons of Close frames are not, nor what
//! the application has composed at run time, because it may quote them.
//!
//! What a peer can bring about by itself is told at level INFO at most, so that nobody can fill a log of
//! warnings from outside.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{StatusCode, Uri};
use stentor_proto::handshake::ClientHandshakeError;
use stentor_proto::{CloseCode, Closed, ClosedBy, Connection, Failure, Phase, ProtocolError, Role};
use tracing::field::{Empty, display};
use tracing::{Instrument as _, debug, error, info, info_span, warn};

use crate::error::{Error, HandshakeFailure, Why};
use crate::handler::{BoxError, Panicked};
use crate::rejection::Rejection;
use crate::tls_error::TlsError;

/// Whether there is anything to be told.
pub(crate) const ON: bool = true;

/// The most characters that are told of a text whose length a peer chooses.
const MAX_SHOWN: usize = 128;

/// The span of a connection; a word in memory, and nothing else when nobody listens.
#[derive(Clone, Default)]
pub(crate) struct Span(Option<Arc<tracing::Span>>);

impl Span {
    /// Of a connection that a client has opened.
    pub(crate) fn server(peer: Option<SocketAddr>) -> Self {
        Self::new(Role::Server, peer, None)
    }

    /// Of a connection to the server that a URI names.
    pub(crate) fn client(uri: &Uri) -> Self {
        Self::new(Role::Client, None, Some(uri))
    }

    /// Of a connection whose opening handshake was done elsewhere.
    pub(crate) fn given(role: Role) -> Self {
        Self::new(role, None, None)
    }

    fn new(role: Role, peer: Option<SocketAddr>, uri: Option<&Uri>) -> Self {
        let role = match role {
            Role::Client => "client",
            Role::Server => "server",
        };
        let span = info_span!(
            target: "stentor",
            "stentor.connection",
            role,
            id = Empty,
            peer = peer.map(display),
            host = uri.and_then(Host::of).map(display),
            path = uri.map(|uri| display(Shown(uri.path()))),
            subprotocol = Empty,
        );
        Self((!span.is_disabled()).then(|| Arc::new(span)))
    }

    /// The span itself.
    pub(crate) fn get(&self) -> tracing::Span {
        self.0.as_deref().cloned().unwrap_or_else(tracing::Span::none)
    }

    /// Runs a future within the span, whichever thread polls it.
    pub(crate) fn run<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        future.instrument(self.get())
    }

    /// Does something within the span.
    pub(crate) fn within<T>(&self, act: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(span) => span.in_scope(act),
            None => act(),
        }
    }

    /// The request asks for this.
    pub(crate) fn asks_for(&self, uri: &Uri) {
        if let Some(span) = &self.0 {
            span.record("path", display(Shown(uri.path())));
        }
    }

    /// A server was reached there.
    pub(crate) fn reached(&self, peer: Option<SocketAddr>) {
        if let (Some(span), Some(peer)) = (&self.0, peer) {
            span.record("peer", display(peer));
        }
    }

    /// A client has come.
    pub(crate) fn accepted(&self) {
        self.within(|| debug!(target: "stentor", "accepted"));
    }

    /// An opening handshake has come to nothing, on a server.
    pub(crate) fn refused(&self, status: Option<StatusCode>, answered: bool, why: Why<'_>) {
        let status = status.map(|status| status.as_u16());
        let reason = display(DiscreetWhy(why));
        self.within(|| match why {
            Why::Error(Error::Tls(_)) => info!(target: "stentor", reason, "TLS failed"),
            Why::Error(Error::Timeout(Phase::Tls)) => info!(target: "stentor", "TLS timed out"),
            Why::Error(error) if is_timeout(error) => {
                info!(target: "stentor", status, answered, reason, "the opening handshake timed out");
            }
            _ if status == Some(StatusCode::TOO_MANY_REQUESTS.as_u16()) => {
                info!(target: "stentor", status, answered, limit = reason, "limit hit");
            }
            _ => info!(target: "stentor", status, answered, reason, "refused"),
        });
    }

    /// A client's opening handshake has come to nothing, of which the caller is told, too.
    pub(crate) fn failed(&self, error: &Error) {
        self.within(|| debug!(target: "stentor", reason = display(Discreet(error)), "not connected"));
    }

    /// An opening handshake is done.
    pub(crate) fn opened(&self, id: u64, subprotocol: Option<&str>, took: Option<Duration>) {
        if let Some(span) = &self.0 {
            span.record("id", id);
            if let Some(subprotocol) = subprotocol {
                span.record("subprotocol", display(Shown(subprotocol)));
            }
        }
        let took = took.map(tracing::field::debug);
        self.within(|| debug!(target: "stentor", handshake = took, "opened"));
    }

    /// What has happened to the connection.
    pub(crate) fn tell(&self, news: &News) {
        self.within(|| {
            if news.drops {
                info!(target: "stentor", "slow reader: messages are dropped");
            }
            if let Some(end) = &news.end {
                end.tell();
            }
        });
    }

    /// The handler has panicked, or returned an error. Its text is the application's, and goes to `on_error`.
    pub(crate) fn handler_failed(&self, error: &BoxError) {
        let ours = error.downcast_ref().map(|error| display(Discreet(error)));
        self.within(|| {
            if error.is::<Panicked>() {
                panicked("handler");
            } else if ours.is_some() {
                // Most often the peer has left, which is told when the connection is closed.
                debug!(target: "stentor", reason = ours, "the handler failed");
            } else {
                warn!(target: "stentor", "the handler failed");
            }
        });
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Span")
    }
}

/// What has been told of a connection.
#[derive(Debug, Default)]
pub(crate) struct Told {
    drops: bool,
    end: bool,
}

/// What has not been told.
pub(crate) struct News {
    drops: bool,
    end: Option<End>,
}

/// How a connection has ended.
struct End {
    code: CloseCode,
    by: ClosedBy,
    reason_len: usize,
    failure: Option<Failure>,
    /// The peer did not read, and was closed for that.
    too_slow: bool,
    dropped: u64,
}

impl Told {
    /// Whether there is news of the connection, whose transport may be gone.
    #[inline]
    pub(crate) fn lacks(&self, connection: &Connection, is_gone: bool) -> bool {
        (is_gone && !self.end) || (!self.drops && connection.dropped() > 0)
    }

    /// The news.
    pub(crate) fn update(&mut self, connection: &Connection, is_gone: bool) -> News {
        let dropped = connection.dropped();
        let drops = !self.drops && dropped > 0;
        let ends = is_gone && !self.end;
        self.drops |= drops;
        self.end |= ends;
        let end = connection.closed().filter(|_| ends).map(|closed: &Closed| End {
            code: closed.code,
            by: closed.by,
            reason_len: closed.reason.len(),
            failure: connection.failure(),
            too_slow: closed.code == CloseCode::TRY_AGAIN_LATER
                && closed.by == ClosedBy::Us
                && closed.reason.as_str() == "too slow a reader",
            dropped,
        });
        News { drops, end }
    }
}

impl End {
    fn tell(&self) {
        match self.failure {
            Some(Failure::Timeout(Phase::Keepalive)) => info!(target: "stentor", "keepalive lost"),
            Some(Failure::Timeout(Phase::Write)) => info!(target: "stentor", "slow reader: given up"),
            Some(Failure::Protocol(error)) if is_limit(error) => {
                info!(target: "stentor", limit = display(error), "limit hit");
            }
            _ if self.too_slow => info!(target: "stentor", "slow reader: closed"),
            _ => {}
        }
        let by = match self.by {
            ClosedBy::Us => "us",
            ClosedBy::Peer => "peer",
        };
        info!(
            target: "stentor",
            code = u16::from(self.code),
            by,
            reason_len = self.reason_len,
            failure = self.failure.map(display),
            dropped = Some(self.dropped).filter(|dropped| *dropped > 0),
            "closed"
        );
    }
}

/// Whether the rule is a limit of ours, rather than one of the protocol.
fn is_limit(error: ProtocolError) -> bool {
    error.section() == "10.4"
}

fn is_timeout(error: &Error) -> bool {
    matches!(error.status(), Some(StatusCode::REQUEST_TIMEOUT)) || matches!(error, Error::Timeout(_))
}

/// A part of the application has panicked.
pub(crate) fn panicked(part: &'static str) {
    error!(target: "stentor", part, "panicked");
}

/// A server listens there.
pub(crate) fn listening(address: Option<SocketAddr>) {
    info!(target: "stentor", address = address.map(display), "listening");
}

/// A server goes down, and takes leave of so many.
pub(crate) fn shutting_down(connections: usize) {
    info!(target: "stentor", connections, "shutting down");
}

/// A server is down.
pub(crate) fn drained(connections: usize, cleanly: usize, otherwise: usize, dropped: usize) {
    info!(target: "stentor", connections, cleanly, otherwise, dropped, "drained");
}

/// The host of a URI and its port, if it names one. User information is no part of it.
struct Host<'a>(&'a str, Option<u16>);

impl<'a> Host<'a> {
    fn of(uri: &'a Uri) -> Option<Self> {
        Some(Self(uri.host()?, uri.port_u16()))
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown(self.0).fmt(f)?;
        self.1.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A text from outside: so much of it, and nothing that a terminal would obey.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(MAX_SHOWN) {
            write!(f, "{}", character.escape_debug())?;
        }
        if characters.next().is_some() { f.write_str("…") } else { Ok(()) }
    }
}

/// An error without anything that a peer has sent, or the application has composed.
struct Discreet<'a>(&'a Error);

impl fmt::Display for Discreet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Error::Handshake(failure) => match &**failure {
                HandshakeFailure::Request(_) => f.write_str("a setting cannot be used"),
                HandshakeFailure::Uri(_) => f.write_str("the URI cannot be read"),
                HandshakeFailure::Accept(_) => f.write_str("the answer would break the protocol"),
                HandshakeFailure::Refused(response) => {
                    write!(f, "the server answered {}", response.status().as_u16())
                }
                HandshakeFailure::Response(ClientHandshakeError::InvalidDeflate(_)) => {
                    f.write_str("invalid parameters of permessage-deflate")
                }
                HandshakeFailure::Response(error) => error.fmt(f),
                HandshakeFailure::Offer(error) => error.fmt(f),
                HandshakeFailure::Rejected(rejection) => DiscreetRejection(rejection).fmt(f),
            },
            Error::Closed(closed) => write!(f, "closed with {}", closed.code),
            Error::Tls(error) => DiscreetTls(error).fmt(f),
            // What the operating system says is known; who else makes such errors may say anything.
            Error::Io(error) if error.raw_os_error().is_none() => error.kind().fmt(f),
            Error::Io(error) => error.fmt(f),
            Error::Protocol(error) => error.fmt(f),
            Error::Misuse(misuse) => misuse.fmt(f),
            Error::Timeout(phase) => write!(f, "timed out: {phase}"),
        }
    }
}

/// A rejection with its message, if that was written by a programmer: what was composed at run time may
/// quote the request.
struct DiscreetRejection<'a>(&'a Rejection);

impl fmt::Display for DiscreetRejection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.fixed_message().unwrap_or("rejected"))
    }
}

struct DiscreetTls<'a>(&'a TlsError);

impl fmt::Display for DiscreetTls<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            TlsError::Certificate { fault, .. } => write!(f, "the peer's certificate {fault}"),
            TlsError::Alert(_) => f.write_str("the peer refused"),
            TlsError::Protocol(_) => f.write_str("the peer broke a rule of TLS, or has nothing in common"),
            TlsError::NoCertificate | TlsError::NotTls | TlsError::Disconnected => self.0.fmt(f),
            TlsError::File { .. }
            | TlsError::Pem { .. }
            | TlsError::KeyMismatch
            | TlsError::Settings(_)
            | TlsError::InvalidServerName(_) => f.write_str("TLS cannot be set up"),
        }
    }
}

struct DiscreetWhy<'a>(Why<'a>);

impl fmt::Display for DiscreetWhy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Why::Error(error) => Discreet(error).fmt(f),
            Why::Rejection(rejection) => DiscreetRejection(rejection).fmt(f),
            Why::Words(words) => f.write_str(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_outside_is_cut_and_commands_no_terminal() {
        assert_eq!(Shown("/a/é b").to_string(), "/a/é b");
        let shown = Shown("/\u{1b}[2J\u{9b}2J\r\n\u{202e}").to_string();
        assert!(shown.is_ascii() && !shown.contains(|c: char| c.is_control()), "{shown}");
        assert_eq!(Shown(&"x".repeat(128)).to_string(), "x".repeat(128));
        assert_eq!(Shown(&"x".repeat(129)).to_string(), "x".repeat(128) + "…");
    }

    #[test]
    fn a_message_that_was_composed_is_not_told() {
        let told = |rejection: Rejection| DiscreetWhy(Why::Rejection(&rejection)).to_string();
        assert_eq!(told(Rejection::new(StatusCode::FORBIDDEN, "log in first")), "log in first");
        assert_eq!(told(Rejection::new(StatusCode::FORBIDDEN, format!("no {}", "hunter2"))), "rejected");
    }
}
