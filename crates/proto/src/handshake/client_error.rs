//! Why a client's opening handshake failed: by its own request, or by the response
//! (RFC 6455 §4.1).

use std::fmt;

use http::{HeaderName, Response};

use super::head::HeadError;
use crate::deflate::ParameterError;
use crate::extension::ExtensionError;

/// What a client may not ask for (RFC 6455 §3, §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientRequestError {
    /// The URI's scheme is neither `ws` nor `wss`.
    UnsupportedScheme,
    /// The URI names no valid host, or no valid port.
    InvalidHost,
    /// The URI names a user; send an `Authorization` header instead.
    UserInformation,
    /// A subprotocol that is no token.
    InvalidSubprotocol(String),
    /// A subprotocol offered twice.
    DuplicateSubprotocol(String),
    /// A header that the handshake writes itself, or that would announce a body.
    ReservedHeader(HeaderName),
}

impl fmt::Display for ClientRequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedScheme => f.write_str("the URI's scheme is neither ws nor wss"),
            Self::InvalidHost => f.write_str("the URI names no valid host and port"),
            Self::UserInformation => f.write_str("the URI names a user"),
            Self::InvalidSubprotocol(name) => write!(f, "subprotocol {name:?} is no token"),
            Self::DuplicateSubprotocol(name) => write!(f, "subprotocol {name:?} is offered twice"),
            Self::ReservedHeader(name) => write!(f, "the handshake itself writes the header {name}"),
        }
    }
}

impl std::error::Error for ClientRequestError {}

/// A rule that a response broke, or a response that is no 101: the client has to close the
/// transport (RFC 6455 §4.1, "_Fail the WebSocket Connection_").
///
/// ```
/// use stentor_proto::handshake::ClientHandshakeError;
///
/// let error = ClientHandshakeError::WrongAccept;
/// assert_eq!(error.section(), "RFC 6455 section 4.1");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientHandshakeError {
    /// The lines of the head.
    Head(HeadError),
    /// The first line is no version and status.
    InvalidStatusLine,
    /// A version of HTTP other than 1.x, or a 101 in HTTP/1.0.
    UnsupportedHttpVersion,
    /// Another status than 101, with its headers. The body, if any, begins at the front of the
    /// buffer.
    Refused(Box<Response<()>>),
    /// A 101 that announces a body.
    UnexpectedBody,
    /// `Upgrade` is not `websocket`, is missing, or comes more than once.
    InvalidUpgrade,
    /// `Connection` does not list `Upgrade`.
    InvalidConnection,
    /// No `Sec-WebSocket-Accept`.
    MissingAccept,
    /// More than one `Sec-WebSocket-Accept`.
    DuplicateAccept,
    /// A `Sec-WebSocket-Accept` that does not belong to the key that was sent.
    WrongAccept,
    /// `Sec-WebSocket-Extensions` is no list of extensions.
    InvalidExtensions(ExtensionError),
    /// An extension that was not offered, or that is answered twice.
    ExtensionNotOffered,
    /// Parameters of permessage-deflate that the offer does not allow.
    InvalidDeflate(ParameterError),
    /// More than one `Sec-WebSocket-Protocol`.
    DuplicateSubprotocol,
    /// A subprotocol that was not offered.
    SubprotocolNotOffered,
    /// No subprotocol, though some were offered and
    /// [`subprotocol_optional`](super::ClientRequest::subprotocol_optional) is not set.
    MissingSubprotocol,
    /// The transport ended before the response did.
    UnexpectedEof,
    /// The response took longer than [`HandshakeLimits::timeout`](crate::HandshakeLimits::timeout).
    TimedOut,
}

impl ClientHandshakeError {
    /// The response with another status than 101, if that is the reason.
    #[must_use]
    pub fn response(&self) -> Option<&Response<()>> {
        match self {
            Self::Refused(response) => Some(response),
            _ => None,
        }
    }

    /// The RFC and section that states the rule.
    #[must_use]
    pub const fn section(&self) -> &'static str {
        match self {
            Self::Head(error) => error.section(),
            Self::InvalidStatusLine => "RFC 9112 section 4",
            Self::UnexpectedBody => "RFC 9110 section 8.6",
            Self::InvalidExtensions(_) => "RFC 6455 section 9.1",
            Self::InvalidDeflate(_) => "RFC 7692 section 7.1",
            Self::DuplicateAccept => "RFC 6455 section 11.3.3",
            Self::DuplicateSubprotocol => "RFC 6455 section 11.3.4",
            Self::TimedOut => "RFC 6455 section 10.4",
            Self::UnsupportedHttpVersion
            | Self::Refused(_)
            | Self::InvalidUpgrade
            | Self::InvalidConnection
            | Self::MissingAccept
            | Self::WrongAccept
            | Self::ExtensionNotOffered
            | Self::SubprotocolNotOffered
            | Self::MissingSubprotocol
            | Self::UnexpectedEof => "RFC 6455 section 4.1",
        }
    }
}

impl fmt::Display for ClientHandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(error) => error.fmt(f)?,
            Self::Refused(response) => return write!(f, "the server answered {}", response.status()),
            Self::InvalidExtensions(error) => write!(f, "invalid Sec-WebSocket-Extensions: {error}")?,
            Self::InvalidStatusLine => f.write_str("invalid status line")?,
            Self::UnsupportedHttpVersion => f.write_str("the response is not in HTTP/1.1")?,
            Self::UnexpectedBody => f.write_str("a 101 response with a body")?,
            Self::InvalidUpgrade => f.write_str("Upgrade is not websocket")?,
            Self::InvalidConnection => f.write_str("Connection does not list Upgrade")?,
            Self::MissingAccept => f.write_str("no Sec-WebSocket-Accept")?,
            Self::DuplicateAccept => f.write_str("more than one Sec-WebSocket-Accept")?,
            Self::WrongAccept => f.write_str("Sec-WebSocket-Accept does not match the key")?,
            Self::InvalidDeflate(error) => write!(f, "invalid permessage-deflate: {error}")?,
            Self::ExtensionNotOffered => f.write_str("an extension that was not offered")?,
            Self::DuplicateSubprotocol => f.write_str("more than one Sec-WebSocket-Protocol")?,
            Self::SubprotocolNotOffered => f.write_str("a subprotocol that was not offered")?,
            Self::MissingSubprotocol => f.write_str("none of the offered subprotocols")?,
            Self::UnexpectedEof => f.write_str("the transport ended before the response")?,
            Self::TimedOut => f.write_str("the response took too long")?,
        }
        write!(f, " ({})", self.section())
    }
}

impl std::error::Error for ClientHandshakeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Head(error) => Some(error),
            Self::InvalidExtensions(error) => Some(error),
            Self::InvalidDeflate(error) => Some(error),
            _ => None,
        }
    }
}

impl From<HeadError> for ClientHandshakeError {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl From<ParameterError> for ClientHandshakeError {
    fn from(error: ParameterError) -> Self {
        Self::InvalidDeflate(error)
    }
}
