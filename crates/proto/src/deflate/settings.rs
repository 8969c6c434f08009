//! What one side wants of permessage-deflate, as plain data.

use std::time::Duration;

/// How messages are compressed, and what is asked of the peer (RFC 7692).
///
/// What is ruled out for one of the two compressors does not happen, whichever side rules it out: it
/// is asked of the peer, and a client fails the handshake if the server's answer does not have it.
/// Not every peer can make its window smaller, though. One that cannot is asked to remember no
/// earlier messages instead, so that no more is held for it than was wanted: its windows then last
/// for one message. A number outside its range counts as the nearest within.
///
/// ```
/// use stentor_proto::Deflate;
///
/// // Nothing is held between messages, whatever the peer would like.
/// let lean = Deflate {
///     server_context_takeover: false,
///     client_context_takeover: false,
///     ..Deflate::default()
/// };
/// assert_eq!(lean.server_max_window_bits, 12);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// How hard to try, from 1 (fast) to 9 (small). Default: 2.
    pub level: u8,
    /// The size of the compressor's tables, from 1 to 9; each step doubles it. Default: 5.
    pub mem_level: u8,
    /// Messages with fewer payload bytes than this are sent as they are. Default: `None`, which is
    /// 64 where the compressor remembers earlier messages and 1,024 where it does not.
    pub threshold: Option<usize>,
    /// Whether a server's compressor may remember earlier messages (RFC 7692 §7.1.1). Default: yes.
    pub server_context_takeover: bool,
    /// Whether a client's compressor may remember earlier messages. Default: yes.
    pub client_context_takeover: bool,
    /// The largest window of a server's compressor, as a power of two from 8 to 15
    /// (RFC 7692 §7.1.2). Default: 12, which is 4 KiB.
    pub server_max_window_bits: u8,
    /// The largest window of a client's compressor, as a power of two from 8 to 15. Default: 12.
    pub client_max_window_bits: u8,
    /// A connection that was silent for so long gives back what it can of its compressor and its
    /// decompressor; `None` keeps them. Default: `None`.
    pub release_after: Option<Duration>,
}

impl Default for Deflate {
    fn default() -> Self {
        Self {
            level: 2,
            mem_level: 5,
            threshold: None,
            server_context_takeover: true,
            client_context_takeover: true,
            server_max_window_bits: 12,
            client_max_window_bits: 12,
            release_after: None,
        }
    }
}
