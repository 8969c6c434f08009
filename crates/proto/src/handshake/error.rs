//! Why a server refuses an opening handshake, and with which response (RFC 6455 §4.2).

use std::fmt;

use bytes::Bytes;
use http::header::{ALLOW, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::head::HeadError;
use super::response::error_response;
use crate::extension::ExtensionError;
use crate::version::Versions;

/// A rule that a request broke, or a limit that it exceeded: what the server has to answer before
/// it closes the transport (RFC 6455 §4.2.1, §4.2.2).
///
/// ```
/// use stentor_proto::handshake::HandshakeError;
///
/// let error = HandshakeError::MethodNotGet;
/// assert_eq!(error.status(), 405);
/// assert_eq!(error.response().headers()["allow"], "GET");
/// assert_eq!(error.to_string(), "the method of an upgrade is not GET (RFC 6455 section 4.2.1)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The lines of the head.
    Head(HeadError),
    /// The first line is no method, target and version with one space between them.
    InvalidRequestLine,
    /// The target is neither a path nor a whole `http`, `https`, `ws` or `wss` URI, or names user
    /// information or a fragment.
    InvalidRequestTarget,
    /// A version of HTTP other than 1.1 and what may follow it as 1.x.
    UnsupportedHttpVersion,
    /// No `Host`.
    MissingHost,
    /// More than one `Host`.
    DuplicateHost,
    /// A `Host` that is no host with an optional port.
    InvalidHost,
    /// `Content-Length` is no number, or comes more than once.
    InvalidContentLength,
    /// An upgrade with a body.
    UnexpectedBody,
    /// A plain request with a body, which nobody here would read.
    BodyNotAccepted,
    /// `Upgrade` is no list of protocols.
    InvalidUpgrade,
    /// An upgrade by another method than GET.
    MethodNotGet,
    /// `Connection` is no list of options.
    InvalidConnection,
    /// `Upgrade: websocket` without `Connection: Upgrade`.
    MissingConnectionUpgrade,
    /// No `Sec-WebSocket-Version`.
    MissingVersion,
    /// More than one `Sec-WebSocket-Version`.
    DuplicateVersion,
    /// A `Sec-WebSocket-Version` that is no number up to 255.
    InvalidVersion,
    /// A version that the server does not speak, and those that it does.
    UnsupportedVersion(Versions),
    /// No `Sec-WebSocket-Key`.
    MissingKey,
    /// More than one `Sec-WebSocket-Key`.
    DuplicateKey,
    /// A `Sec-WebSocket-Key` that does not decode to 16 bytes.
    InvalidKey,
    /// `Sec-WebSocket-Protocol` is no list of names.
    InvalidSubprotocols,
    /// A subprotocol was offered twice.
    DuplicateSubprotocol,
    /// `Sec-WebSocket-Extensions` is no list of extensions.
    InvalidExtensions(ExtensionError),
    /// More than one origin.
    DuplicateOrigin,
    /// An origin with bytes outside ASCII.
    InvalidOrigin,
    /// An origin that the [`OriginPolicy`](super::OriginPolicy) does not accept.
    OriginNotAllowed,
    /// A host that is none of those of [`OriginPolicy::hosts`](super::OriginPolicy::hosts).
    HostNotAllowed,
    /// A plain request where only upgrades are served.
    UpgradeRequired,
    /// The head took longer than [`HandshakeLimits::timeout`](crate::HandshakeLimits::timeout).
    TimedOut,
}

impl HandshakeError {
    /// The status to answer with.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Head(HeadError::StartLineTooLong) => StatusCode::URI_TOO_LONG,
            // RFC 6585 §5.
            Self::Head(
                HeadError::HeaderLineTooLong | HeadError::TooManyHeaders | HeadError::HeadTooLarge,
            ) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UnsupportedHttpVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::BodyNotAccepted => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MethodNotGet => StatusCode::METHOD_NOT_ALLOWED,
            // RFC 6455 §4.2.2: a version that does not match.
            Self::UnsupportedVersion(_) | Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            // RFC 6455 §4.2.2: an origin that is not acceptable.
            Self::OriginNotAllowed | Self::HostNotAllowed => StatusCode::FORBIDDEN,
            Self::TimedOut => StatusCode::REQUEST_TIMEOUT,
            // RFC 6455 §4.2.1: anything else that does not match the description of a handshake.
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The headers that a response with this status must have, beyond those of every response.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let versions = match self {
            // RFC 9110 §15.5.6.
            Self::MethodNotGet => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
                return headers;
            }
            Self::UnsupportedVersion(versions) => *versions,
            Self::UpgradeRequired => Versions::default(),
            _ => return headers,
        };
        // RFC 6455 §4.4: every version that is spoken; RFC 9110 §15.5.22: the protocol to upgrade to.
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(versions) = HeaderValue::try_from(versions.to_string()) {
            headers.insert(SEC_WEBSOCKET_VERSION, versions);
        }
        headers
    }

    /// The whole response: the status, the headers and a body in JSON that says what is wrong.
    #[must_use]
    pub fn response(&self) -> Response<Bytes> {
        let mut response = error_response(self.status(), self.message());
        response.headers_mut().extend(self.headers());
        response
    }

    /// The RFC and section that states the rule.
    #[must_use]
    pub const fn section(&self) -> &'static str {
        match self {
            Self::Head(error) => error.section(),
            Self::InvalidRequestLine => "RFC 9112 section 3",
            Self::InvalidRequestTarget
            | Self::MissingHost
            | Self::DuplicateHost
            | Self::InvalidHost
            | Self::HostNotAllowed => "RFC 9112 section 3.2",
            Self::InvalidContentLength => "RFC 9112 section 6.3",
            Self::UnexpectedBody | Self::BodyNotAccepted => "RFC 9112 section 6",
            Self::InvalidUpgrade | Self::UpgradeRequired => "RFC 9110 section 7.8",
            Self::InvalidConnection => "RFC 9110 section 7.6.1",
            Self::UnsupportedVersion(_) | Self::OriginNotAllowed => "RFC 6455 section 4.2.2",
            Self::DuplicateVersion => "RFC 6455 section 11.3.5",
            Self::DuplicateKey => "RFC 6455 section 11.3.1",
            Self::InvalidSubprotocols | Self::DuplicateSubprotocol => "RFC 6455 section 11.3.4",
            Self::InvalidExtensions(_) => "RFC 6455 section 9.1",
            Self::DuplicateOrigin | Self::InvalidOrigin => "RFC 6454 section 7",
            Self::TimedOut => "RFC 6455 section 10.4",
            Self::UnsupportedHttpVersion
            | Self::MethodNotGet
            | Self::MissingConnectionUpgrade
            | Self::MissingVersion
            | Self::InvalidVersion
            | Self::MissingKey
            | Self::InvalidKey => "RFC 6455 section 4.2.1",
        }
    }

    /// The rule in words, for the response's body.
    const fn message(&self) -> &'static str {
        match self {
            Self::Head(error) => error.message(),
            Self::InvalidRequestLine => "invalid request line",
            Self::InvalidRequestTarget => "invalid request target",
            Self::UnsupportedHttpVersion => "HTTP/1.1 is needed",
            Self::MissingHost => "no Host",
            Self::DuplicateHost => "more than one Host",
            Self::InvalidHost => "invalid Host",
            Self::InvalidContentLength => "invalid Content-Length",
            Self::UnexpectedBody => "an upgrade has no body",
            Self::BodyNotAccepted => "no body is accepted",
            Self::InvalidUpgrade => "invalid Upgrade",
            Self::MethodNotGet => "the method of an upgrade is not GET",
            Self::InvalidConnection => "invalid Connection",
            Self::MissingConnectionUpgrade => "Connection does not list Upgrade",
            Self::MissingVersion => "no Sec-WebSocket-Version",
            Self::DuplicateVersion => "more than one Sec-WebSocket-Version",
            Self::InvalidVersion => "invalid Sec-WebSocket-Version",
            Self::UnsupportedVersion(_) => "unsupported Sec-WebSocket-Version",
            Self::MissingKey => "no Sec-WebSocket-Key",
            Self::DuplicateKey => "more than one Sec-WebSocket-Key",
            Self::InvalidKey => "invalid Sec-WebSocket-Key",
            Self::InvalidSubprotocols => "invalid Sec-WebSocket-Protocol",
            Self::DuplicateSubprotocol => "a subprotocol offered twice",
            Self::InvalidExtensions(_) => "invalid Sec-WebSocket-Extensions",
            Self::DuplicateOrigin => "more than one Origin",
            Self::InvalidOrigin => "invalid Origin",
            Self::OriginNotAllowed => "origin not allowed",
            Self::HostNotAllowed => "host not allowed",
            Self::UpgradeRequired => "only WebSocket is served here",
            Self::TimedOut => "the request took too long",
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(error) => error.fmt(f)?,
            Self::InvalidExtensions(error) => write!(f, "{}: {error}", self.message())?,
            _ => f.write_str(self.message())?,
        }
        write!(f, " ({})", self.section())
    }
}

impl std::error::Error for HandshakeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Head(error) => Some(error),
            Self::InvalidExtensions(error) => Some(error),
            _ => None,
        }
    }
}

impl From<HeadError> for HandshakeError {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}
