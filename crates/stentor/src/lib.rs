//! WebSocket client and server for [tokio]: correct, safe, clear and fast, in that order.
//!
//! A server that echoes:
//!
//! ```no_run
//! use stentor::{Server, WebSocket};
//!
//! #[tokio::main]
//! async fn main() -> stentor::Result<()> {
//!     Server::bind("127.0.0.1:9001").await?.serve(echo).await
//! }
//!
//! async fn echo(mut socket: WebSocket) -> stentor::Result<()> {
//!     while let Some(message) = socket.recv().await? {
//!         socket.send(message).await?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! A client:
//!
//! ```no_run
//! #[tokio::main]
//! async fn main() -> stentor::Result<()> {
//!     let mut socket = stentor::connect("ws://127.0.0.1:9001").await?;
//!     socket.send("hello").await?;
//!     while let Some(message) = socket.recv().await? {
//!         println!("{message:?}");
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # What to know
//!
//! - [`WebSocket::recv`] gives messages until the peer closes, then `None`: a normal close is no
//!   error. Pings are answered, the closing handshake is done, dead peers are noticed, all without
//!   the application.
//! - Everything is bounded: sizes, counts, queues and times, by [`Config`], whose defaults are
//!   finite. UTF-8, masks and all other rules of RFC 6455 are always enforced.
//! - Nobody needs to flush: see [when bytes leave](WebSocket#when-bytes-leave).
//! - Every `async` call says what happens when it is dropped half-way, under *Cancel safety*.
//! - The runtime needs its I/O and time drivers, as `#[tokio::main]` has them.
//!
//! # TLS
//!
//! The feature `tls` adds TLS 1.3 and 1.2 to both sides: [`connect`] takes `wss://` URIs and trusts the
//! roots of the web; `Server::tls` and the module `tls` have the rest. It needs rustls, tokio-rustls,
//! *ring* and webpki-roots. A process that has installed another of rustls's cryptography providers
//! gets that; none has to.
//!
//! # Inside hyper and axum
//!
//! An [`Upgrader`] upgrades the requests of another HTTP server, by the same rules, hooks and limits. The
//! feature `axum` adds an extractor for axum 0.8, `hyper` a function and a service for hyper 1, and `tower`
//! makes that service one of tower. See the modules of those names.
//!
//! # Logs and metrics
//!
//! An [`Observer`] is told of handshakes, connections and what passes over them. The feature `tracing` adds a
//! span for each connection and events, in which there is no secret; `metrics` adds `MetricsObserver`, for the
//! facade of that name.
//!
//! # Memory
//!
//! A connection holds a read or write buffer only while there is something in it: the buffers of a
//! thread are shared by its connections. A received message of up to 64 KiB is a slice of the block
//! it was read into, so a message that is *kept* pins at most 64 KiB; who keeps many small ones for
//! long copies them (`Message::from(message.as_bytes())`). Larger messages have a buffer of their
//! own, which grows with what has arrived, not with what a header promises.
//!
//! The protocol without I/O is [`proto`].

mod about;
mod acceptor;
mod attending;
#[cfg(feature = "axum")]
pub mod axum;
mod buffers;
mod client;
mod connections;
#[cfg(feature = "csrf")]
pub mod csrf;
mod driver;
mod entropy;
mod error;
mod forwarded;
mod handler;
mod handshake;
mod hooks;
mod http_upgrade;
#[cfg(feature = "hyper")]
pub mod hyper;
mod id;
mod intake;
mod limits;
mod listener;
#[cfg(feature = "metrics")]
mod metrics_observer;
mod observer;
mod opening;
mod proxy_protocol;
mod race;
mod registry;
mod rejection;
mod request;
mod server;
mod service;
mod settings;
mod shared;
mod shutdown;
mod slot;
mod socket;
mod split;
mod timer;
#[cfg(feature = "tls")]
pub mod tls;
mod tls_error;
#[cfg(feature = "tracing")]
mod trace;
#[cfg(not(feature = "tracing"))]
#[path = "untraced.rs"]
mod trace;
mod traffic;
mod transport;
mod upgrade;
mod upgrader;
mod watch;
mod workers;

pub use http;
pub use stentor_proto as proto;
pub use stentor_proto::handshake::{Acceptance, OriginPolicy};
pub use stentor_proto::{
    CloseCode, CloseFrame, Closed, ClosedBy, Compress, Config, Deflate, DeflateParams, HandshakeLimits,
    Keepalive, Message, Misuse, Phase, Prepared, ProtocolError, SlowReader, State, Utf8Bytes,
};

pub use acceptor::Acceptor;
pub use client::{Client, connect};
pub use connections::{Broadcast, ConnectionHandle, Connections};
pub use error::{Error, HandshakeFailure, Result};
pub use forwarded::{ForwardedHeader, InvalidNetwork, TrustedProxies};
pub use handler::{BoxError, HandlerOutput};
pub use http_upgrade::HttpUpgrade;
pub use id::ConnectionId;
pub use limits::Limits;
pub use listener::Listener;
#[cfg(feature = "metrics")]
pub use metrics_observer::MetricsObserver;
pub use observer::{Observed, Observer, Refused};
pub use rejection::Rejection;
pub use request::UpgradeRequest;
pub use server::Server;
pub use shutdown::{Drain, Drained, Shutdown};
pub use socket::WebSocket;
pub use split::{Receiver, Sender};
pub use tls_error::{CertificateFault, TlsError};
pub use traffic::{Flow, Traffic};
pub use transport::Io;
pub use upgrade::Upgrade;
pub use upgrader::{PeerAddr, Upgrader};

/// The programs in the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// Those in the chapter on compression do, too.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/compression.md")]
struct Compression;

/// And those in the chapter on observability, which shows the features of that kind.
#[cfg(all(doctest, feature = "metrics", feature = "tracing"))]
#[doc = include_str!("../../../docs/observability.md")]
struct Observability;

/// And those in the chapter on running in production.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/production.md")]
struct Production;
