//! What the two sides of a connection have agreed on (RFC 7692 §7.1).

/// The parameters of permessage-deflate that both sides of a connection have agreed on.
///
/// Each side may ask less of the other's decompressor than that: what its own settings
/// ([`Deflate`](crate::Deflate)) rule out, its compressor does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeflateParams {
    /// Whether the server's compressor may remember earlier messages (RFC 7692 §7.1.1.1).
    pub server_context_takeover: bool,
    /// Whether the client's compressor may remember earlier messages (RFC 7692 §7.1.1.2).
    pub client_context_takeover: bool,
    /// The window of the server's compressor, as a power of two from 8 to 15 (RFC 7692 §7.1.2.1).
    pub server_max_window_bits: u8,
    /// The window of the client's compressor, as a power of two from 8 to 15 (RFC 7692 §7.1.2.2).
    pub client_max_window_bits: u8,
}

impl Default for DeflateParams {
    /// What holds when neither side names a parameter.
    fn default() -> Self {
        Self {
            server_context_takeover: true,
            client_context_takeover: true,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        }
    }
}
