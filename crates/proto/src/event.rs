//! What a connection tells its caller.

use std::time::Duration;

use bytes::Bytes;

use crate::close::CloseFrame;
use crate::error::ProtocolError;
use crate::message::Message;

/// What the bytes just received amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A whole message.
    Message(Message),
    /// A Ping and its payload. The Pong is already queued (RFC 6455 §5.5.2).
    Ping(Bytes),
    /// A Pong.
    Pong(Pong),
    /// The peer's Close frame. The reply, if one was due, is already queued (RFC 6455 §5.5.1).
    Close(CloseFrame),
    /// The peer broke a rule. The Close frame that says so is already queued, and nothing that
    /// follows is looked at (RFC 6455 §7.1.7).
    Violation(ProtocolError),
}

/// A Pong frame (RFC 6455 §5.5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pong {
    /// Its payload.
    pub payload: Bytes,
    /// The time since the Ping it answers, or `None` when it answers none of ours.
    pub round_trip: Option<Duration>,
}
