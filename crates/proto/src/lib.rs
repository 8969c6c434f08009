//! The WebSocket protocol without I/O.

mod close;
mod config;
mod entropy;
mod error;
mod extension;
pub mod handshake;
pub mod header_value;
mod mask;
mod message;
mod opcode;
mod utf8;
mod version;

pub use bytes;
pub use http;

pub use close::{CloseCode, CloseFrame, Closed, ClosedBy, MAX_REASON_LEN};
pub use config::{Config, HandshakeLimits, Keepalive};
pub use entropy::Entropy;
pub use error::{Misuse, Phase, ProtocolError};
pub use extension::{Extension, ExtensionError};
pub use mask::{MaskingKey, apply_mask};
pub use message::Message;
pub use opcode::Opcode;
pub use utf8::{InvalidUtf8, Utf8Bytes, Utf8Validator};
pub use version::{Draft, Version, Versions};
