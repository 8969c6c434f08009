//! Why a connection ended: close codes, close frames and who sent them (RFC 6455 §5.5.1, §7.4).

use std::fmt;

use crate::utf8::Utf8Bytes;

/// The longest reason that fits a Close frame: 125 bytes of control payload less two of code
/// (RFC 6455 §5.5, §5.5.1).
pub const MAX_REASON_LEN: usize = 123;

/// The number that says why a connection was closed (RFC 6455 §7.4, and the IANA registry of
/// WebSocket close codes).
///
/// Any number can be held, because a connection also ends in ways that never appear on the wire
/// ([`NO_STATUS`](Self::NO_STATUS), [`ABNORMAL`](Self::ABNORMAL)); which of them may be *sent* is
/// [`is_sendable`](Self::is_sendable).
///
/// ```
/// use stentor_proto::CloseCode;
///
/// assert_eq!(u16::from(CloseCode::NORMAL), 1000);
/// assert!(CloseCode::from(4001).is_sendable());
/// assert!(!CloseCode::ABNORMAL.is_sendable());
/// assert_eq!(CloseCode::TOO_BIG.to_string(), "1009 (message too big)");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection has been fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: a server is going down, or a browser has left the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a type of data that cannot be accepted, such as binary where only text is understood.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1005: the peer's Close frame carried no code. Never sent.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: the connection ended without a Close frame. Never sent.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: data that does not fit the type of its message, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: the peer broke a rule of the application or a limit without a code of its own.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message too big to process.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: a client misses an extension that the server did not negotiate.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// 1011: an unexpected condition, such as a handler that failed.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts; a client may reconnect after a random delay.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the service is overloaded; a client should try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway received an invalid response from the server behind it.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// 1015: the TLS handshake failed. Never sent.
    pub const TLS_HANDSHAKE: Self = Self(1015);
    /// 3000: the endpoint must be authorized first.
    pub const UNAUTHORIZED: Self = Self(3000);
    /// 3003: the endpoint is authorized, but not for this.
    pub const FORBIDDEN: Self = Self(3003);
    /// 3008: the endpoint took too long.
    pub const TIMEOUT: Self = Self(3008);

    /// Whether this code may stand in a Close frame (RFC 6455 §7.4.1, §7.4.2).
    ///
    /// Those are the codes that are defined and not reserved for local use (1000–1003,
    /// 1007–1014), those for libraries and frameworks (3000–3999) and those for private use
    /// (4000–4999). The same holds for what is received: any other number in a peer's Close frame
    /// is a protocol error.
    #[must_use]
    pub const fn is_sendable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// The name in the IANA registry, in lower case, when the code has one.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NORMAL => "normal closure",
            Self::GOING_AWAY => "going away",
            Self::PROTOCOL_ERROR => "protocol error",
            Self::UNSUPPORTED_DATA => "unsupported data",
            Self::NO_STATUS => "no status received",
            Self::ABNORMAL => "abnormal closure",
            Self::INVALID_PAYLOAD => "invalid frame payload data",
            Self::POLICY_VIOLATION => "policy violation",
            Self::TOO_BIG => "message too big",
            Self::MANDATORY_EXTENSION => "mandatory extension",
            Self::INTERNAL_ERROR => "internal error",
            Self::SERVICE_RESTART => "service restart",
            Self::TRY_AGAIN_LATER => "try again later",
            Self::BAD_GATEWAY => "bad gateway",
            Self::TLS_HANDSHAKE => "TLS handshake",
            Self::UNAUTHORIZED => "unauthorized",
            Self::FORBIDDEN => "forbidden",
            Self::TIMEOUT => "timeout",
            _ => return None,
        })
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} ({name})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({self})")
    }
}

/// What a Close frame says: a code and a reason for people to read (RFC 6455 §5.5.1).
///
/// A Close frame without a body is a `CloseFrame` with [`CloseCode::NO_STATUS`] and no reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    /// Why.
    pub code: CloseCode,
    /// Why, in words; at most [`MAX_REASON_LEN`] bytes of UTF-8, often empty.
    pub reason: Utf8Bytes,
}

/// How a connection ended: the words that began the closing, and whose they were (RFC 6455 §7.1).
///
/// ```
/// use stentor_proto::{CloseCode, Closed, ClosedBy};
///
/// let closed = Closed { code: CloseCode::NORMAL, reason: "bye".into(), by: ClosedBy::Peer };
/// assert_eq!(closed.to_string(), "closed by the peer with 1000 (normal closure): bye");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The code of the first Close frame; [`CloseCode::NO_STATUS`] when it carried none,
    /// [`CloseCode::ABNORMAL`] when the connection ended without one.
    pub code: CloseCode,
    /// The reason beside the code; often empty.
    pub reason: Utf8Bytes,
    /// Who began the closing.
    pub by: ClosedBy,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            ClosedBy::Us => "us",
            ClosedBy::Peer => "the peer",
        };
        write!(f, "closed by {by} with {}", self.code)?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}

/// Which endpoint began the closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClosedBy {
    /// This endpoint sent the first Close frame, or gave the connection up.
    Us,
    /// The peer sent the first Close frame, or its transport ended.
    Peer,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_codes_of_section_7_4_may_be_sent() {
        let sendable = |range: std::ops::RangeInclusive<u16>| {
            range.filter(|&c| CloseCode(c).is_sendable()).collect::<Vec<_>>()
        };
        assert_eq!(
            sendable(0..=2999),
            [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014]
        );
        assert_eq!(sendable(3000..=4999).len(), 2000);
        assert!(sendable(5000..=u16::MAX).is_empty());
    }
}
