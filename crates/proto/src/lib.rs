//! The WebSocket protocol without I/O.

mod assembler;
mod close;
mod config;
mod connection;
mod entropy;
mod error;
mod event;
mod extension;
pub mod handshake;
mod header;
pub mod header_value;
mod mask;
mod message;
mod opcode;
mod outbox;
mod prepared;
mod role;
mod utf8;
mod version;

pub use bytes;
pub use http;

pub use close::{CloseCode, CloseFrame, Closed, ClosedBy, MAX_REASON_LEN};
pub use config::{Config, HandshakeLimits, Keepalive};
pub use connection::{Connection, Failure, State, Teardown};
pub use entropy::Entropy;
pub use error::{Misuse, Phase, ProtocolError};
pub use event::{Event, Pong};
pub use extension::{Extension, ExtensionError};
pub use header::{FrameHeader, MAX_CONTROL_LEN, MAX_HEADER_LEN};
pub use mask::{MaskingKey, apply_mask};
pub use message::Message;
pub use opcode::Opcode;
pub use prepared::Prepared;
pub use role::Role;
pub use utf8::{InvalidUtf8, Utf8Bytes, Utf8Validator};
pub use version::{Draft, Version, Versions};
