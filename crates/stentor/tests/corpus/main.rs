//! The conformance cases of `conformance/corpus` over real sockets, for both roles.

#[path = "../support/mod.rs"]
mod support;

mod frames;
mod handshake_errors;
