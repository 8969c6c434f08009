//! The opening handshake, both sides (RFC 6455 §4), as typestates.
//!
//! ```text
//!  server                                        client
//!
//!  ServerHandshake ◄─┐ NeedMore                  ClientRequest
//!    │ receive ──────┘                             │ ClientHandshake::new
//!    ├─► HandshakeError ── response() ─► 4xx, 5xx  ▼
//!    │ Done                                      ClientHandshake ◄─┐ NeedMore
//!    ▼                                             │ request_head()  │
//!  Incoming                                        │ receive ────────┘
//!    ├─► Plain: any response                       ├─► ClientHandshakeError
//!    └─► Upgrade: Offer                            │ Done
//!          ├─► any response but 101                ▼
//!          └─► accept ─► 101, open               101, open
//! ```
//!
//! Each side is fed the buffer that it reads into and takes from its front what it understood.
//! While the answer is `NeedMore`, nothing has been taken: append behind what is there, and hand
//! the same buffer in again. What is left in the buffer afterwards are frames of the peer that
//! came along with the head; they belong to the connection.
//!
//! A handshake has no body. That of a plain request is read if
//! [`HandshakeLimits::max_http_body`] lets it be. A failed handshake ends the transport: send the error's response, if
//! there is one, and close, whatever else has arrived (RFC 6455 §4.2.1, §7.1.7).
//!
//! Owned elsewhere: time (a shell gives a client [`HandshakeLimits::timeout`] and then answers
//! [`HandshakeError::TimedOut`]), TLS, and who may connect beyond the origin policy.
//!
//! [`HandshakeLimits::max_http_body`]: crate::HandshakeLimits::max_http_body
//! [`HandshakeLimits::timeout`]: crate::HandshakeLimits::timeout

mod authority;
mod client;
mod client_error;
mod client_request;
mod error;
mod extensions;
mod fields;
mod head;
mod key;
mod offer;
mod origin;
mod response;
mod server;

pub use client::ClientHandshake;
pub use client_error::{ClientHandshakeError, ClientRequestError};
pub use client_request::ClientRequest;
pub use error::HandshakeError;
pub use head::HeadError;
pub use key::{AcceptKey, HandshakeKey};
pub use offer::{AcceptError, Acceptance, Offer};
pub use origin::{InvalidOrigin, OriginPolicy};
pub use response::{encode_response, error_response, last_response};
pub use server::{Incoming, ServerHandshake};

/// What feeding a handshake led to.
#[derive(Debug)]
pub enum Progress<H, T> {
    /// The head is not complete: the handshake, to be fed again once more bytes have arrived.
    NeedMore(H),
    /// The head is complete and in order.
    Done(T),
}
