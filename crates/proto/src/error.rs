//! What can go wrong, by who is to blame: the peer ([`ProtocolError`]), the caller ([`Misuse`]) or
//! nobody but time ([`Phase`]). One variant per rule; each knows its section of the RFC.

use std::fmt;

use crate::close::CloseCode;

/// A rule of RFC 6455 or RFC 7692, or a limit of this endpoint, that the peer broke.
///
/// The connection has failed: a Close frame with [`close_code`](Self::close_code) is queued, and
/// nothing that arrives later is looked at (RFC 6455 §7.1.7).
///
/// ```
/// use stentor_proto::{CloseCode, ProtocolError};
///
/// assert_eq!(ProtocolError::InvalidUtf8.close_code(), CloseCode::INVALID_PAYLOAD);
/// assert_eq!(ProtocolError::UnmaskedFrame.section(), "5.1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A reserved bit was set that no negotiated extension defines; the three bits, RSV1 highest.
    ReservedBits(u8),
    /// A reserved opcode.
    ReservedOpcode(u8),
    /// A client sent a frame without a mask.
    UnmaskedFrame,
    /// A server sent a masked frame.
    MaskedFrame,
    /// A payload length in more bytes than it needs.
    LengthNotMinimal,
    /// A 64-bit payload length with its top bit set.
    LengthTopBit,
    /// A Close, Ping or Pong frame with more than 125 bytes of payload.
    ControlFrameTooLong,
    /// A Close, Ping or Pong frame without its FIN bit.
    FragmentedControlFrame,
    /// A continuation frame with no message to continue.
    UnexpectedContinuation,
    /// A new message before the last fragment of the one before.
    UnfinishedMessage,
    /// Text, or the reason of a Close frame, that is not UTF-8.
    InvalidUtf8,
    /// A Close frame whose body is one byte: half a code.
    CloseBodyTooShort,
    /// A close code that may not be sent.
    InvalidCloseCode(CloseCode),
    /// A compressed message whose payload is not DEFLATE data, ends within a block, or refers to
    /// bytes that were never sent or have left the window. Its close code is 1007, "invalid frame
    /// payload data": the frames kept the rules, what they carry did not.
    InvalidDeflate,
    /// A frame larger than [`Config::max_frame_size`](crate::Config::max_frame_size).
    FrameTooLarge,
    /// A message larger than [`Config::max_message_size`](crate::Config::max_message_size).
    MessageTooLarge,
    /// More fragments than [`Config::max_fragments`](crate::Config::max_fragments).
    TooManyFragments,
    /// More empty fragments in a row than
    /// [`Config::max_empty_fragments`](crate::Config::max_empty_fragments).
    TooManyEmptyFragments,
    /// More control frames than
    /// [`Config::max_control_frames_per_second`](crate::Config::max_control_frames_per_second).
    TooManyControlFrames,
    /// A message that took longer than
    /// [`Config::assembly_timeout`](crate::Config::assembly_timeout).
    MessageTooSlow,
}

impl ProtocolError {
    /// The code of the Close frame that answers the violation (RFC 6455 §7.4.1).
    #[must_use]
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::InvalidUtf8 | Self::InvalidDeflate => CloseCode::INVALID_PAYLOAD,
            Self::FrameTooLarge | Self::MessageTooLarge => CloseCode::TOO_BIG,
            Self::TooManyFragments
            | Self::TooManyEmptyFragments
            | Self::TooManyControlFrames
            | Self::MessageTooSlow => CloseCode::POLICY_VIOLATION,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// The RFC that states the rule: 6455, or 7692 for compressed messages.
    #[must_use]
    pub const fn rfc(&self) -> u16 {
        match self {
            Self::InvalidDeflate => 7692,
            _ => 6455,
        }
    }

    /// The section of [that RFC](Self::rfc) that states the rule; for limits, §10.4 of RFC 6455,
    /// which asks for them.
    #[must_use]
    pub const fn section(&self) -> &'static str {
        match self {
            Self::ReservedBits(_) | Self::ReservedOpcode(_) | Self::LengthNotMinimal | Self::LengthTopBit => {
                "5.2"
            }
            Self::UnmaskedFrame | Self::MaskedFrame => "5.1",
            Self::ControlFrameTooLong | Self::FragmentedControlFrame => "5.5",
            Self::UnexpectedContinuation | Self::UnfinishedMessage => "5.4",
            Self::InvalidUtf8 => "8.1",
            Self::CloseBodyTooShort => "5.5.1",
            Self::InvalidCloseCode(_) => "7.4",
            Self::InvalidDeflate => "7.2.2",
            Self::FrameTooLarge
            | Self::MessageTooLarge
            | Self::TooManyFragments
            | Self::TooManyEmptyFragments
            | Self::TooManyControlFrames
            | Self::MessageTooSlow => "10.4",
        }
    }

    /// The rule in words that fit the reason of a Close frame.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::ReservedBits(_) => "reserved bit set",
            Self::ReservedOpcode(_) => "reserved opcode",
            Self::UnmaskedFrame => "client frame without a mask",
            Self::MaskedFrame => "masked server frame",
            Self::LengthNotMinimal => "payload length not minimal",
            Self::LengthTopBit => "payload length with its top bit set",
            Self::ControlFrameTooLong => "control frame over 125 bytes",
            Self::FragmentedControlFrame => "fragmented control frame",
            Self::UnexpectedContinuation => "continuation of no message",
            Self::UnfinishedMessage => "new message before the end of the last",
            Self::InvalidUtf8 => "invalid UTF-8",
            Self::CloseBodyTooShort => "close code cut short",
            Self::InvalidCloseCode(_) => "invalid close code",
            Self::InvalidDeflate => "invalid compressed data",
            Self::FrameTooLarge => "frame too large",
            Self::MessageTooLarge => "message too large",
            Self::TooManyFragments => "too many fragments",
            Self::TooManyEmptyFragments => "too many empty fragments",
            Self::TooManyControlFrames => "too many control frames",
            Self::MessageTooSlow => "message took too long",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())?;
        match self {
            Self::ReservedBits(bits) => write!(f, " ({bits:03b})")?,
            Self::ReservedOpcode(opcode) => write!(f, " ({opcode:#x})")?,
            Self::InvalidCloseCode(code) => write!(f, " ({code})")?,
            _ => {}
        }
        write!(f, " (RFC {} section {})", self.rfc(), self.section())
    }
}

impl std::error::Error for ProtocolError {}

/// A call that the connection's state or the protocol does not allow; nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// The connection is closing or closed: nothing may follow a Close frame (RFC 6455 §5.5.1).
    NotOpen,
    /// [`Config::max_outbox_size`](crate::Config::max_outbox_size) bytes already wait to be sent.
    OutboxFull,
    /// A close code that may not be sent (RFC 6455 §7.4).
    UnsendableCloseCode(CloseCode),
    /// A close reason longer than 123 bytes (RFC 6455 §5.5).
    ReasonTooLong,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpen => f.write_str("the connection is closing or closed"),
            Self::OutboxFull => f.write_str("too many bytes wait to be sent"),
            Self::UnsendableCloseCode(code) => write!(f, "close code {code} may not be sent"),
            Self::ReasonTooLong => f.write_str("close reason over 123 bytes"),
        }
    }
}

impl std::error::Error for Misuse {}

/// What a connection was busy with when its time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Reaching the peer: name look-up and TCP.
    Connect,
    /// The opening handshake.
    Handshake,
    /// Waiting for a sign of life after a Ping.
    Keepalive,
    /// Waiting for the transport to take queued bytes.
    Write,
    /// The closing handshake.
    Close,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::Handshake => "opening handshake",
            Self::Keepalive => "keepalive",
            Self::Write => "writing",
            Self::Close => "closing handshake",
        })
    }
}
