//! permessage-deflate: compressed messages (RFC 7692).
//!
//! A compressed message has RSV1 set on its first frame (§6), and its payload is DEFLATE data
//! (RFC 1951) without the last four bytes of an empty stored block, `00 00 ff ff` (§7.2.1). This
//! module owns the settings ([`Deflate`]), what was agreed on ([`DeflateParams`]), the choice for
//! one message ([`Compress`]), and the two halves of the work: the `encoder`, and the `decoder` with
//! its `history`. Which frames carry the result is the connection's business, and what both sides
//! agree on is worked out by `offer` and `answer` for the handshake.
//!
//! # Memory
//!
//! What a connection holds between messages is decided by the parameters (RFC 7692 §7.1), and told
//! by [`Deflate::max_memory`]: with context takeover an encoder, from the first compressed message
//! on, and the last bytes received, at most the peer's window; without, nothing. Everything else is
//! taken from a `pool` that the connections of a thread share, for the time of one message: an
//! encoder where nothing is taken over, a decoder always. With takeover the decoder is told the last
//! bytes of the connection first, which costs a copy of at most one window.
//!
//! With [`Deflate::release_after`] a connection that compresses nothing for a while gives its
//! encoder back. The next message is then compressed without looking back, which a compressor may
//! always do.

mod answer;
mod compress;
mod decoder;
mod encoder;
mod history;
mod memory;
mod offer;
mod parameters;
mod params;
mod pool;
mod segments;
mod settings;
mod work;

pub use compress::Compress;
pub use parameters::ParameterError;
pub use params::DeflateParams;
pub use settings::Deflate;

pub(crate) use answer::DeflateAnswer;
pub(crate) use decoder::{Decoder, Inflation, Step};
pub(crate) use encoder::{Encoder, Shape};
pub(crate) use parameters::NAME;
pub(crate) use pool::{give_encoder, give_scratch, take_encoder, take_scratch};
pub(crate) use segments::Segments;
pub(crate) use work::Work;

/// What a receiver has to append to a compressed message (RFC 7692 §7.2.2), and a sender to remove
/// (§7.2.1): the length of an empty stored block, whose header bits stay.
pub(crate) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
