//! Text: bytes known to be UTF-8, and the validator that says so as early as can be
//! (RFC 3629, RFC 6455 §8.1).

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use bytes::Bytes;

/// Text that shares its bytes: a [`Bytes`] known to be UTF-8.
///
/// Cloning costs a reference count, not a copy. It dereferences to [`str`].
///
/// This crate forbids unsafe code, so looking at the text as a `str` checks the bytes once more,
/// at some 10 to 60 GB/s: a few nanoseconds for a chat line. Handing a text on, comparing its
/// bytes or asking for its length never checks. Who looks at a long text often keeps the `&str`.
///
/// ```
/// use stentor_proto::Utf8Bytes;
///
/// let text = Utf8Bytes::from("κόσμε");
/// assert_eq!(text, "κόσμε");
/// assert_eq!(text.len(), 10);
/// assert!(text.starts_with("κ"));
/// assert!(Utf8Bytes::try_from(vec![0xff]).is_err());
/// ```
#[derive(Clone, Default)]
#[repr(C)]
pub struct Utf8Bytes {
    bytes: Bytes,
    known: Known,
}

/// Leaves room behind the bytes of a text for what tells a [`Message`](crate::Message) from
/// another, and an `Option` or a `Result` of one: standing there, in a word of its own, it moves
/// together with the bytes instead of shifting them by a word, for which every move of a message
/// just made would have to wait.
#[derive(Clone, Copy, Default)]
#[repr(u64)]
enum Known {
    #[default]
    Utf8 = 0,
}

impl Utf8Bytes {
    const fn known(bytes: Bytes) -> Self {
        Self { bytes, known: Known::Utf8 }
    }

    /// The empty text; allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self::known(Bytes::new())
    }

    /// A text that lives as long as the program; allocates nothing.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self::known(Bytes::from_static(text.as_bytes()))
    }

    /// `bytes` that a [`Utf8Validator`] has just found to be whole UTF-8.
    #[inline]
    pub(crate) fn from_validated(bytes: Bytes) -> Self {
        debug_assert!(is_utf8(&bytes));
        Self::known(bytes)
    }

    /// The text. Checks the bytes again: see the type.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Every constructor has seen these bytes to be UTF-8.
        simdutf8::basic::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// The bytes of the text. Costs nothing.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The length in bytes. Costs nothing.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no text at all. Costs nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl Deref for Utf8Bytes {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Utf8Bytes {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<[u8]> for Utf8Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Borrow<str> for Utf8Bytes {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Utf8Bytes {
    /// Copies the text.
    fn from(text: &str) -> Self {
        Self::known(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Utf8Bytes {
    /// Takes the string's buffer over.
    fn from(text: String) -> Self {
        Self::known(Bytes::from(text.into_bytes()))
    }
}

impl From<Utf8Bytes> for Bytes {
    fn from(text: Utf8Bytes) -> Self {
        text.bytes
    }
}

impl From<Utf8Bytes> for String {
    /// Copies the text.
    fn from(text: Utf8Bytes) -> Self {
        text.as_str().to_owned()
    }
}

impl TryFrom<Bytes> for Utf8Bytes {
    type Error = InvalidUtf8;

    fn try_from(bytes: Bytes) -> Result<Self, InvalidUtf8> {
        if is_utf8(&bytes) { Ok(Self::known(bytes)) } else { Err(InvalidUtf8) }
    }
}

impl TryFrom<Vec<u8>> for Utf8Bytes {
    type Error = InvalidUtf8;

    fn try_from(bytes: Vec<u8>) -> Result<Self, InvalidUtf8> {
        Self::try_from(Bytes::from(bytes))
    }
}

impl PartialEq for Utf8Bytes {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Utf8Bytes {}

impl PartialEq<str> for Utf8Bytes {
    fn eq(&self, other: &str) -> bool {
        self.bytes == other.as_bytes()
    }
}

impl PartialEq<&str> for Utf8Bytes {
    fn eq(&self, other: &&str) -> bool {
        self.bytes == other.as_bytes()
    }
}

impl PartialEq<String> for Utf8Bytes {
    fn eq(&self, other: &String) -> bool {
        self.bytes == other.as_bytes()
    }
}

impl PartialOrd for Utf8Bytes {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Utf8Bytes {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // The order of UTF-8 bytes is the order of the code points.
        self.bytes.cmp(&other.bytes)
    }
}

impl Hash for Utf8Bytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As `str` hashes, because of `Borrow<str>`.
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Utf8Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Utf8Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

/// Bytes that are not UTF-8, and that no further bytes could make UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUtf8;

impl fmt::Display for InvalidUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not UTF-8")
    }
}

impl std::error::Error for InvalidUtf8 {}

/// Texts up to this length are looked through for anything but ASCII first.
const SHORT: usize = 256;

/// Whether `bytes` are whole UTF-8.
#[inline]
pub(crate) fn is_utf8(bytes: &[u8]) -> bool {
    // Short ASCII is most of what is said, and needs neither dispatch to vector code nor a copy of its end.
    (bytes.len() <= SHORT && is_ascii(bytes)) || simdutf8::basic::from_utf8(bytes).is_ok()
}

/// Whether no byte has its highest bit set.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    const HIGHEST: u64 = u64::from_ne_bytes([0x80; 8]);
    let Some(last) = bytes.last_chunk() else { return bytes.is_ascii() };
    let (words, _) = bytes.as_chunks();
    // The last may be looked at twice.
    let all = words.iter().chain([last]).fold(0, |all, word| all | u64::from_ne_bytes(*word));
    all & HIGHEST == 0
}

/// Validates a text that arrives in pieces, and fails at the first byte that cannot be part of any
/// UTF-8 text (RFC 6455 §8.1): "as soon as" rather than "at the end of the message".
///
/// Each byte is looked at once (the up to three bytes of a character cut by a piece's end, twice).
///
/// ```
/// use stentor_proto::Utf8Validator;
///
/// let mut validator = Utf8Validator::default();
/// assert!(validator.feed(b"\xf0\x9f").is_ok());   // the first half of an emoji
/// assert!(!validator.is_complete());
/// assert!(validator.feed(b"\x98\x80!").is_ok());  // and the second
/// assert!(validator.is_complete());
/// assert!(validator.feed(b"\xf4\x90").is_err());  // beyond U+10FFFF: no third byte can help
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Utf8Validator {
    /// The beginning of a character whose end has not arrived.
    begun: [u8; 4],
    begun_len: u8,
}

impl Utf8Validator {
    /// Looks at the next piece of the text.
    ///
    /// # Errors
    ///
    /// [`InvalidUtf8`] when what was fed so far is no beginning of any UTF-8 text.
    pub fn feed(&mut self, mut piece: &[u8]) -> Result<(), InvalidUtf8> {
        while self.begun_len > 0 {
            let Some((&byte, rest)) = piece.split_first() else { return Ok(()) };
            piece = rest;
            self.finish_character(byte)?;
        }
        if is_utf8(piece) {
            return Ok(());
        }
        let Err(error) = simdutf8::compat::from_utf8(piece) else { return Ok(()) };
        if error.error_len().is_some() {
            return Err(InvalidUtf8);
        }
        for &byte in piece.get(error.valid_up_to()..).unwrap_or_default() {
            self.push(byte);
        }
        Ok(())
    }

    /// The same for a piece that may have been seen to be ASCII.
    #[inline]
    pub(crate) fn feed_seen(&mut self, piece: &[u8], is_ascii: bool) -> Result<(), InvalidUtf8> {
        if is_ascii && self.is_complete() { Ok(()) } else { self.feed(piece) }
    }

    /// Whether what was fed so far ends on a character's end.
    #[must_use]
    #[inline]
    pub const fn is_complete(&self) -> bool {
        self.begun_len == 0
    }

    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.begun.get_mut(usize::from(self.begun_len)) {
            *slot = byte;
            self.begun_len += 1;
        }
    }

    fn finish_character(&mut self, byte: u8) -> Result<(), InvalidUtf8> {
        self.push(byte);
        let begun = self.begun.get(..usize::from(self.begun_len)).unwrap_or_default();
        match std::str::from_utf8(begun) {
            Ok(_) => self.begun_len = 0,
            Err(error) if error.error_len().is_some() => return Err(InvalidUtf8),
            Err(_) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed_in_pieces(bytes: &[u8], size: usize) -> (usize, Utf8Validator) {
        let mut validator = Utf8Validator::default();
        for (i, piece) in bytes.chunks(size).enumerate() {
            if validator.feed(piece).is_err() {
                return (i * size, validator);
            }
        }
        (bytes.len(), validator)
    }

    #[test]
    fn accepts_every_character_in_pieces_of_every_size() {
        let text: String = (0..=0x0010_FFFF)
            .step_by(97)
            .filter_map(char::from_u32)
            .chain(['\u{7f}', '\u{80}', '\u{10ffff}'])
            .collect();
        for size in 1..9 {
            let (accepted, validator) = feed_in_pieces(text.as_bytes(), size);
            assert_eq!(accepted, text.len());
            assert!(validator.is_complete());
        }
    }

    #[test]
    fn fails_at_the_first_byte_that_cannot_become_valid() {
        // (bytes, index of the byte that proves them wrong)
        let cases: &[(&[u8], usize)] = &[
            (b"\x80", 0),
            (b"\xc0\xaf", 0),
            (b"\xe0\x80\x80", 1),
            (b"\xed\xa0\x80", 1),
            (b"\xf0\x80\x80\x80", 1),
            (b"\xf4\x90\x80\x80", 1),
            (b"\xf5", 0),
            (b"ok \xce\xba\xe1\xbd\x28", 7),
        ];
        for &(bytes, wrong) in cases {
            assert_eq!(feed_in_pieces(bytes, 1).0, wrong, "{bytes:x?}");
            assert!(Utf8Validator::default().feed(&bytes[..=wrong]).is_err(), "{bytes:x?} whole");
            assert!(Utf8Validator::default().feed(&bytes[..wrong]).is_ok(), "{bytes:x?} before");
        }
    }

    #[test]
    fn one_wrong_byte_shows_at_every_place_of_every_length() {
        for len in 0..=SHORT + 9 {
            let mut text = vec![b'a'; len];
            assert!(is_utf8(&text), "{len} letters");
            for place in 0..len {
                text[place] = 0x80;
                assert!(!is_utf8(&text), "byte {place} of {len}");
                text[place] = b'a';
            }
        }
    }

    #[test]
    fn a_character_cut_in_half_is_not_complete() {
        let mut validator = Utf8Validator::default();
        validator.feed("ab€".as_bytes().split_last().unwrap().1).unwrap();
        assert!(!validator.is_complete());
    }
}
