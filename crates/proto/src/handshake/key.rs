//! The proof that a server speaks WebSocket: `Sec-WebSocket-Key` and `Sec-WebSocket-Accept`
//! (RFC 6455 §1.3, §4.1, §4.2.2).

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use sha1::{Digest as _, Sha1};

use crate::entropy::Entropy;

/// What a server appends to the key before it hashes (RFC 6455 §1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Sixteen bytes as base64, whatever the four bits behind the last byte say: RFC 4648 §3.5 leaves
/// that to the decoder, and clients that fill in 22 random letters exist.
const KEY_ENCODING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// The value of `Sec-WebSocket-Key`: 16 random bytes in base64 (RFC 6455 §4.1).
///
/// It is kept as the text that was sent, because that is what the answer is computed from. It is
/// no secret: it only keeps caches and servers that do not speak WebSocket from answering.
///
/// ```
/// use stentor_proto::handshake::{AcceptKey, HandshakeKey};
///
/// let key = HandshakeKey::parse("dGhlIHNhbXBsZSBub25jZQ==").unwrap();
/// assert_eq!(AcceptKey::from(&key).as_str(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HandshakeKey(String);

impl HandshakeKey {
    /// A new key; every connection has its own (RFC 6455 §4.1).
    #[must_use]
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let mut bytes = [0; 16];
        entropy.fill(&mut bytes);
        Self(STANDARD.encode(bytes))
    }

    /// The key with that text; `None` if it does not decode to exactly 16 bytes (RFC 6455 §4.2.1).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 18];
        let decoded = KEY_ENCODING.decode_slice(text, &mut bytes).ok()?;
        (decoded == 16).then(|| Self(text.to_owned()))
    }

    /// The 24 characters of base64.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HandshakeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The value of `Sec-WebSocket-Accept`: the base64 of the SHA-1 of the key's text and a fixed
/// GUID (RFC 6455 §4.2.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AcceptKey(String);

impl AcceptKey {
    /// The 28 characters of base64.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&HandshakeKey> for AcceptKey {
    fn from(key: &HandshakeKey) -> Self {
        let mut hash = Sha1::new();
        hash.update(&key.0);
        hash.update(GUID);
        Self(STANDARD.encode(hash.finalize()))
    }
}

impl fmt::Display for AcceptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out the bytes of the key in RFC 6455 §1.3.
    struct SampleNonce;

    impl Entropy for SampleNonce {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.copy_from_slice(b"the sample nonce");
        }
    }

    #[test]
    fn the_example_of_rfc_6455_comes_out() {
        let key = HandshakeKey::generate(&mut SampleNonce);
        assert_eq!(key.to_string(), "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(AcceptKey::from(&key).to_string(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_generated_key_is_a_valid_one() {
        let key = HandshakeKey::generate(&mut SampleNonce);
        assert_eq!(HandshakeKey::parse(key.as_str()), Some(key));
    }

    #[test]
    fn a_key_is_sixteen_bytes_of_base64_and_nothing_else() {
        for text in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ",       // no padding
            "dGhlIHNhbXBsZSBub25jZQ=",      // half of it
            "dGhlIHNhbXBsZSBub25j",         // 15 bytes
            "dGhlIHNhbXBsZSBub25jZSE=",     // 17 bytes
            "dGhlIHNhbXBsZSBub25jZSEh",     // 18 bytes
            "dGhlIHNhbXBsZSBub25jZSEhIQ==", // 19 bytes
            "dGhlIHNhbXBsZSBub25j_Q==",     // the alphabet for URLs
            " dGhlIHNhbXBsZSBub25jZQ==",
            "dGhlIHNhbXBsZSBub25jZQ== ",
            "dGhlIHNhbXBsZSBub25jZQ==\n",
            "dGhlIHNhbXBs ZSBub25jZQ==",
            "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==",
        ] {
            assert_eq!(HandshakeKey::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_bits_behind_the_last_byte_are_the_clients_own() {
        let key = HandshakeKey::parse("dGhlIHNhbXBsZSBub25jZR==").unwrap();
        assert_eq!(key.as_str(), "dGhlIHNhbXBsZSBub25jZR==", "hashed as sent");
    }
}
