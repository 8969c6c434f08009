//! The WebSocket protocol (RFC 6455) without I/O.
//!
//! This crate decides what the bytes of a connection mean and which bytes answer them. It opens no
//! socket, starts no task, reads no clock and draws no random number: bytes, instants and
//! [`Entropy`] are handed in; events and bytes come out. So it runs on any runtime or on none, and
//! its tests need neither a network nor a pause. The `stentor` crate runs it on tokio.
//!
//! # The drive loop
//!
//! A [`Connection`] is fed and emptied by turns:
//!
//! ```text
//!     transport          your loop               Connection             application
//!
//!     bytes read ──────► receive(bytes, now) ──► decode, check ──────► Event
//!     end of stream ───► receive_eof(now) ─────►
//!     clock ───────────► handle_timeout(now) ──► deadlines
//!                        send · ping · close ◄───────────────────────── command
//!                                                    │
//!                                                    ▼
//!     bytes written ◄─── poll_transmit() ◄────── outbox
//!     timer set ◄─────── poll_timeout() ◄─────── the next deadline
//!     kept or ended ◄─── teardown() ◄─────────── the closing handshake
//! ```
//!
//! One rule keeps it right: **put something in, then take everything out.** In detail:
//!
//! 1. Put in whatever has happened. Call [`receive`](Connection::receive) again and again until it
//!    gives `None`; each call gives at most one [`Event`].
//! 2. Write what [`poll_transmit`](Connection::poll_transmit) gives. When the transport takes no
//!    more, say so with [`transmit_blocked`](Connection::transmit_blocked), and go on reading.
//! 3. Do what [`teardown`](Connection::teardown) says.
//! 4. Wait until bytes arrive, the transport can be written to, the application has a command, or
//!    the instant of [`poll_timeout`](Connection::poll_timeout) has come. But when it
//!    [`has_work`](Connection::has_work), only let others have their turn, and go on.
//!
//! Writing once for many events is fine and fast. Only a Ping asks for more care: at most one Pong
//! waits, the latest. To have every Ping answered, write after each [`Event::Ping`].
//!
//! Feeding cannot fail. A peer that breaks a rule leads to an [`Event::Violation`], and the Close
//! frame that tells the peer is queued by then. Commands can: a [`Misuse`] says that the call was
//! not allowed, and that nothing was sent.
//!
//! # A complete example
//!
//! A client and a server in one thread, from the opening handshake to the closing one. The two
//! buffers stand for the network.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! use stentor_proto::bytes::{Buf, BytesMut};
//! use stentor_proto::handshake::{
//!     Acceptance, ClientHandshake, ClientRequest, Incoming, Progress, ServerHandshake,
//! };
//! use stentor_proto::{CloseCode, Config, Connection, Entropy, Event, Message, State, Teardown};
//!
//! /// Good enough to show how it works. Real keys must be unpredictable (RFC 6455 §10.3).
//! struct Seven;
//!
//! impl Entropy for Seven {
//!     fn fill(&mut self, bytes: &mut [u8]) {
//!         bytes.fill(7);
//!     }
//! }
//!
//! /// Writes everything that waits.
//! fn write(connection: &mut Connection, network: &mut BytesMut) {
//!     while let Some(mut out) = connection.poll_transmit() {
//!         let len = out.chunk().len();
//!         network.extend_from_slice(out.chunk());
//!         out.advance(len);
//!     }
//! }
//!
//! let config = Arc::new(Config::default());
//! let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
//! let now = Instant::now();
//!
//! // The client asks, the server accepts.
//! let request = ClientRequest::new("ws://example.com/chat".parse()?);
//! let asking = ClientHandshake::new(&request, Box::new(Seven), Arc::clone(&config))?;
//! to_server.extend_from_slice(asking.request_head());
//!
//! let answering = ServerHandshake::new(config.handshake);
//! let Progress::Done(Incoming::Upgrade(offer)) = answering.receive(&mut to_server)? else {
//!     panic!("the whole request is there, and it asks for an upgrade");
//! };
//! let mut server = offer.accept(&Acceptance::new(), config, now)?;
//! write(&mut server, &mut to_client);
//!
//! let Progress::Done((mut client, _response)) = asking.receive(&mut to_client, now)? else {
//!     panic!("the whole response is there");
//! };
//!
//! // The server echoes; the client closes when it has its echo.
//! client.send(Message::from("hello"))?;
//! let mut echoes = Vec::new();
//! while client.state() != State::Closed {
//!     write(&mut client, &mut to_server);
//!     while let Some(event) = server.receive(&mut to_server, now) {
//!         if let Event::Message(message) = event {
//!             server.send(message)?;
//!         }
//!     }
//!     write(&mut server, &mut to_client);
//!     while let Some(event) = client.receive(&mut to_client, now) {
//!         if let Event::Message(message) = event {
//!             echoes.push(message);
//!             client.close(CloseCode::NORMAL, "thank you", now)?;
//!         }
//!     }
//!     if server.teardown() == Teardown::Disconnect {
//!         // Both Close frames are through: the server drops its end, and the client sees that.
//!         client.receive_eof(now);
//!     }
//! }
//! assert_eq!(echoes, [Message::from("hello")]);
//! assert_eq!(
//!     server.closed().expect("it has ended").to_string(),
//!     "closed by the peer with 1000 (normal closure): thank you",
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is where
//!
//! | part | items | sections |
//! |---|---|---|
//! | state machine | [`Connection`], [`Event`], [`State`], [`Teardown`], [`Failure`] | RFC 6455 §5 to §7 |
//! | opening handshake | [`handshake`] | RFC 6455 §4, §10.2; RFC 9112 |
//! | versions, extensions | [`Version`], [`Versions`], [`Draft`], [`Extension`] | RFC 6455 §4.4, §9.1 |
//! | header values | [`header_value`] | RFC 9110 §5.6 |
//! | compression | [`Deflate`], [`DeflateParams`], [`Compress`], [`ParameterError`] | RFC 7692 |
//! | messages | [`Message`], [`Prepared`], [`Utf8Bytes`], [`Utf8Validator`] | RFC 6455 §5.6, §8.1; RFC 3629 |
//! | frames | [`FrameHeader`], [`Opcode`], [`MaskingKey`], [`apply_mask`] | RFC 6455 §5.2, §5.3 |
//! | closing | [`CloseCode`], [`CloseFrame`], [`Closed`], [`ClosedBy`] | RFC 6455 §5.5.1, §7 |
//! | limits and deadlines | [`Config`], [`HandshakeLimits`], [`Keepalive`] | RFC 6455 §5.5.2, §10.4 |
//! | what went wrong | [`ProtocolError`], [`Misuse`], [`Phase`] | RFC 6455 §7.1.7 |
//!
//! # What is not here
//!
//! No extension but permessage-deflate, so the reserved bits RSV2 and RSV3 are always a violation.
//! TLS, name look-up and HTTP beyond the handshake belong to whoever owns the transport.

mod assembler;
mod close;
mod config;
mod connection;
mod copying;
mod deflate;
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
pub use config::{Config, HandshakeLimits, Keepalive, SlowReader};
pub use connection::{Connection, Failure, State, Teardown};
#[doc(hidden)] // For the driver, which copies what it has read.
pub use copying::append as append_in_pieces;
pub use deflate::{Compress, Deflate, DeflateParams, ParameterError};
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
