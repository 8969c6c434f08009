//! What permessage-deflate costs a connection, in bytes.

use super::{Deflate, DeflateParams};
use crate::role::Role;

/// What an encoder of zlib-rs takes besides its window and tables: a hash table of 128 KiB, its
/// state, and the handles to it.
const ENCODER: usize = (128 << 10) + 3400;

/// What a connection has whether it holds anything or not.
const CONNECTION: usize = 400;

impl Deflate {
    /// The most bytes that a connection of `role` holds between messages for these settings, where
    /// `params` were agreed on.
    ///
    /// Where our own compressor remembers earlier messages, that is 4 · 2^window for its window,
    /// 7 · 2^([`mem_level`](Self::mem_level) + 6) for its tables and some 134,000 that do not depend
    /// on the settings, from the first message on that is compressed. Where the peer's does, it is
    /// 2^window for what the next message may refer to. Without either it is next to nothing: what
    /// compresses and decompresses belongs to the thread then, and so does every decompressor. A
    /// thread keeps no more than two compressors and four decompressors of 47 KiB.
    ///
    /// ```
    /// use stentor_proto::{Deflate, DeflateParams, Role};
    ///
    /// let usual = Deflate::default();
    /// let agreed = DeflateParams {
    ///     server_max_window_bits: 12,
    ///     client_max_window_bits: 12,
    ///     ..DeflateParams::default()
    /// };
    /// assert_eq!(usual.max_memory(Role::Server, agreed) >> 10, 165);
    ///
    /// // Without takeover, for 100,000 connections:
    /// let lean = DeflateParams {
    ///     server_context_takeover: false,
    ///     client_context_takeover: false,
    ///     ..agreed
    /// };
    /// assert_eq!(usual.max_memory(Role::Server, lean), 400);
    /// ```
    #[must_use]
    pub fn max_memory(&self, role: Role, params: DeflateParams) -> usize {
        let (own_takeover, own_bits) = self.own(role, params);
        let (peer_takeover, peer_bits) = match role {
            Role::Server => (params.client_context_takeover, params.client_max_window_bits),
            Role::Client => (params.server_context_takeover, params.server_max_window_bits),
        };
        let encoder = || {
            let tables = 7 << (self.mem_level.clamp(1, 9) + 6);
            (4 << own_bits.clamp(9, 15)) + tables + ENCODER
        };
        let history = || 1 << peer_bits.clamp(8, 15);
        CONNECTION + own_takeover.then(encoder).unwrap_or(0) + peer_takeover.then(history).unwrap_or(0)
    }

    /// Whether the compressor of `role` remembers earlier messages, and its window: what was agreed
    /// on is the most it may do, and the settings may be content with less.
    pub(crate) fn own(&self, role: Role, params: DeflateParams) -> (bool, u8) {
        match role {
            Role::Server => (
                params.server_context_takeover && self.server_context_takeover,
                params.server_max_window_bits.min(self.server_max_window_bits),
            ),
            Role::Client => (
                params.client_context_takeover && self.client_context_takeover,
                params.client_max_window_bits.min(self.client_max_window_bits),
            ),
        }
    }
}
