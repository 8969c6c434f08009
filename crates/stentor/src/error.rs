//! What an asynchronous call can fail with, by who is to blame.

use std::fmt;
use std::io;

use stentor_proto::handshake::{AcceptError, ClientHandshakeError, ClientRequestError, HandshakeError};
use stentor_proto::{CloseCode, Closed, Misuse, Phase, ProtocolError};

use crate::rejection::Rejection;
use crate::tls_error::TlsError;

/// A `Result` whose error is this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed.
///
/// ```
/// use stentor::{CloseCode, Error, ProtocolError};
///
/// let error = Error::from(ProtocolError::InvalidUtf8);
/// assert_eq!(error.close_code(), Some(CloseCode::INVALID_PAYLOAD));
/// assert_eq!(error.to_string(), "the peer broke the protocol: invalid UTF-8 (RFC 6455 section 8.1)");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke a rule of the protocol. It has been told with a Close frame.
    Protocol(ProtocolError),
    /// The opening handshake failed.
    Handshake(Box<HandshakeFailure>),
    /// The call was not allowed; nothing was sent.
    Misuse(Misuse),
    /// The connection has ended.
    Closed(Box<Closed>),
    /// Time ran out.
    Timeout(Phase),
    /// TLS could not be set up, or failed with this peer.
    Tls(Box<TlsError>),
    /// The transport failed.
    Io(io::Error),
}

/// Why an opening handshake failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum HandshakeFailure {
    /// As a client: the request could not be made from what was asked for.
    Request(ClientRequestError),
    /// As a client: the server's answer is not the one that RFC 6455 §4.1 demands.
    Response(ClientHandshakeError),
    /// As a client: the server refused with an HTTP response. Of its body, at most 64 KiB are here.
    Refused(http::Response<bytes::Bytes>),
    /// As a client: the URI cannot be read.
    Uri(http::Error),
    /// As a server: the answer that was asked for would break the protocol.
    Accept(AcceptError),
    /// As a server: the client's request broke a rule of RFC 6455 §4.2.1, and was answered so.
    Offer(HandshakeError),
    /// As a server: a hook refused the client, or failed, and it was answered so.
    Rejected(Rejection),
}

impl Error {
    /// The close code that goes with the error, when one does.
    #[must_use]
    pub fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::Protocol(error) => Some(error.close_code()),
            Self::Closed(closed) => Some(closed.code),
            _ => None,
        }
    }

    /// The HTTP status of a refused opening handshake.
    #[must_use]
    pub fn status(&self) -> Option<http::StatusCode> {
        match self {
            Self::Handshake(failure) => match &**failure {
                HandshakeFailure::Refused(response) => Some(response.status()),
                HandshakeFailure::Offer(error) => Some(error.status()),
                HandshakeFailure::Rejected(rejection) => Some(rejection.status()),
                _ => None,
            },
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => write!(f, "the peer broke the protocol: {error}"),
            Self::Handshake(failure) => write!(f, "opening handshake failed: {failure}"),
            Self::Misuse(misuse) => misuse.fmt(f),
            Self::Closed(closed) => closed.fmt(f),
            Self::Timeout(phase) => write!(f, "timed out: {phase}"),
            Self::Tls(error) => write!(f, "TLS failed: {error}"),
            Self::Io(error) => write!(f, "transport failed: {error}"),
        }
    }
}

impl fmt::Display for HandshakeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(f),
            Self::Response(error) => error.fmt(f),
            Self::Refused(response) => write!(f, "the server answered {}", response.status()),
            Self::Uri(error) => error.fmt(f),
            Self::Accept(error) => error.fmt(f),
            Self::Offer(error) => error.fmt(f),
            Self::Rejected(rejection) => write!(f, "rejected with {rejection}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Protocol(error) => Some(error),
            Self::Handshake(failure) => Some(&**failure),
            Self::Misuse(misuse) => Some(misuse),
            Self::Tls(error) => Some(&**error),
            Self::Io(error) => Some(error),
            Self::Closed(_) | Self::Timeout(_) => None,
        }
    }
}

impl std::error::Error for HandshakeFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Request(error) => Some(error),
            Self::Response(error) => Some(error),
            Self::Refused(_) => None,
            Self::Uri(error) => Some(error),
            Self::Accept(error) => Some(error),
            Self::Offer(error) => Some(error),
            Self::Rejected(rejection) => Some(rejection),
        }
    }
}

impl From<ProtocolError> for Error {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

impl From<Misuse> for Error {
    fn from(misuse: Misuse) -> Self {
        Self::Misuse(misuse)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        #[cfg(feature = "tls")]
        let error = match TlsError::from_io(error) {
            Ok(error) => return error.into(),
            Err(error) => error,
        };
        Self::Io(error)
    }
}

impl From<TlsError> for Error {
    fn from(error: TlsError) -> Self {
        Self::Tls(Box::new(error))
    }
}

impl From<HandshakeFailure> for Error {
    fn from(failure: HandshakeFailure) -> Self {
        Self::Handshake(Box::new(failure))
    }
}

/// Why a server refuses a client.
#[derive(Clone, Copy)]
pub(crate) enum Why<'a> {
    Error(&'a Error),
    Rejection(&'a Rejection),
    Words(&'static str),
}

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::Rejection(rejection) => rejection.fmt(f),
            Self::Words(words) => f.write_str(words),
        }
    }
}
