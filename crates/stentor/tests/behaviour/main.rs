//! What the async crate promises, one behaviour per file, over real sockets on the loopback
//! interface, and in memory on paused time where the order or the time of things matters.

#[path = "../support/mod.rs"]
mod support;

mod cancel_safety;
mod close;
mod connections;
mod deadlines;
mod deflate;
mod echo;
mod forwarded;
#[cfg(feature = "axum")]
mod frameworks;
mod hooks;
mod hosts;
mod http;
mod limits;
mod listeners;
mod observers;
mod origin;
mod panics;
mod ping;
mod rates;
mod raw_peers;
mod recv;
mod redirects;
#[cfg(feature = "csrf")]
mod rights;
mod send;
mod shutdown;
mod split;
mod stream_sink;
#[cfg(feature = "tracing")]
mod traced;
mod upgrade;
mod upgrade_elsewhere;
mod upgrader;
mod wire_counts;
mod workers;
