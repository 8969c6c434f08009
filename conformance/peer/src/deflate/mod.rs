//! Compressed messages with others' implementations: what was agreed on, what went over the wire.

pub(crate) mod client;
mod content;
pub(crate) mod server;
mod tap;
