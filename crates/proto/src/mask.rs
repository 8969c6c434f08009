//! Masking of client frames (RFC 6455 §5.3), in place and in safe word lanes.

/// The four bytes a client mixes into the payload of one frame (RFC 6455 §5.3).
///
/// A key must be unpredictable, so that what a script asks a browser to send cannot decide the
/// bytes on the wire (RFC 6455 §10.3). Where keys come from is the caller's business: see
/// [`Entropy`](crate::Entropy).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MaskingKey(pub [u8; 4]);

impl MaskingKey {
    /// The key as it applies from `offset` bytes into the payload on.
    #[must_use]
    #[inline]
    pub const fn at(self, offset: usize) -> Self {
        // Rotating the key towards its first byte lines it up with the payload again. The key is
        // a big-endian number here, so its first byte is the most significant one.
        #[allow(clippy::cast_possible_truncation)] // 0..=3
        let bytes = (offset % 4) as u32;
        Self(u32::from_be_bytes(self.0).rotate_left(bytes * 8).to_be_bytes())
    }
}

/// Masks or unmasks `payload` in place; masking twice with the same key gives the payload back
/// (RFC 6455 §5.3).
///
/// `offset` is how many bytes of the frame's payload stand before `payload`, so that a frame can
/// be handled piece by piece as it arrives.
///
/// ```
/// use stentor_proto::{MaskingKey, apply_mask};
///
/// let key = MaskingKey([0x37, 0xfa, 0x21, 0x3d]);
/// let mut payload = *b"\x7f\x9f\x4d\x51\x58";
/// let (head, tail) = payload.split_at_mut(3);
/// apply_mask(key, head, 0);
/// apply_mask(key, tail, 3);
/// assert_eq!(&payload, b"Hello");
/// ```
#[allow(clippy::inline_always)] // A call of its own costs a twentieth of a small message.
#[inline(always)]
pub fn apply_mask(key: MaskingKey, payload: &mut [u8], offset: usize) {
    unmask(key, payload, offset, false);
}

/// The same. If it is `text`, says whether it was seen to be ASCII, which costs next to nothing in passing
/// and spares looking at it once more.
#[allow(clippy::inline_always)] // A call of its own costs a twentieth of a small message.
#[inline(always)]
pub(crate) fn unmask(key: MaskingKey, payload: &mut [u8], offset: usize, text: bool) -> bool {
    const HIGHEST: u64 = u64::from_ne_bytes([0x80; 8]);
    let key = key.at(offset);
    let seen = if payload.len() < LONG {
        mask_short(key, payload)
    } else if text {
        mask_long_text(key, payload)
    } else {
        mask_long(key, payload);
        HIGHEST
    };
    text && seen & HIGHEST == 0
}

/// From this length on it pays to begin where a line of the cache does.
const LONG: usize = 1024;

/// As many bytes are masked at a time: a line of most caches.
const LINE: usize = 64;

/// Masks, and gives the bits that are set in any word of the result.
#[allow(clippy::inline_always)]
#[inline(always)]
fn mask_short(key: MaskingKey, payload: &mut [u8]) -> u64 {
    let key = u32::from_ne_bytes(key.0);
    let wide = u64::from(key) << 32 | u64::from(key);
    let mut seen = 0;
    let (lanes, rest) = payload.as_chunks_mut::<8>();
    for lane in lanes {
        let masked = u64::from_ne_bytes(*lane) ^ wide;
        *lane = masked.to_ne_bytes();
        seen |= masked;
    }
    // Fewer than eight are left: a half of a lane, and then single bytes.
    let (halves, rest) = rest.as_chunks_mut::<4>();
    for half in halves {
        let masked = u32::from_ne_bytes(*half) ^ key;
        *half = masked.to_ne_bytes();
        seen |= u64::from(masked);
    }
    for (byte, mask) in rest.iter_mut().zip(key.to_ne_bytes()) {
        *byte ^= mask;
        seen |= u64::from(*byte);
    }
    seen
}

/// The same for what is not looked at: aligned and a cache line at a time.
///
/// Vectors of 32 bytes would halve its time, which would be 1 or 2 % of an echo. To choose them at run time
/// takes unsafe code, or a dependency that compiles longer than this crate.
#[inline(never)]
fn mask_long(key: MaskingKey, payload: &mut [u8]) {
    let ahead = payload.as_ptr().align_offset(LINE).min(payload.len());
    let (head, aligned) = payload.split_at_mut(ahead);
    mask_short(key, head);
    let key = key.at(ahead);
    let (lines, rest) = aligned.as_chunks_mut::<LINE>();
    for line in lines {
        mask_short(key, line);
    }
    mask_short(key, rest);
}

/// The same for what is, which line by line would take twice as long.
#[inline(never)]
fn mask_long_text(key: MaskingKey, payload: &mut [u8]) -> u64 {
    let ahead = payload.as_ptr().align_offset(LINE).min(payload.len());
    let (head, aligned) = payload.split_at_mut(ahead);
    mask_short(key, head) | mask_short(key.at(ahead), aligned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455 §5.3, word for word.
    fn one_byte_at_a_time(key: [u8; 4], payload: &mut [u8], offset: usize) {
        for (i, byte) in payload.iter_mut().enumerate() {
            *byte ^= key[(offset + i) % 4];
        }
    }

    /// Wherever it lies in memory.
    #[test]
    fn a_long_payload_agrees_too() {
        let key = [0x12, 0xff, 0x00, 0xa7];
        let plain: Vec<u8> = (0..3 * LONG + 5).map(|i| u8::try_from(i % 251).unwrap()).collect();
        for start in 0..=LINE {
            for (len, offset) in [(LONG - 1, 0), (LONG, 0), (LONG, 3), (LONG + 1, 2), (plain.len() - LINE, 5)]
            {
                let mut expected = plain.clone();
                one_byte_at_a_time(key, &mut expected[start..start + len], offset);
                let mut got = plain.clone();
                apply_mask(MaskingKey(key), &mut got[start..start + len], offset);
                assert_eq!(got, expected, "length {len}, offset {offset}, from byte {start} on");
            }
        }
    }

    #[test]
    fn one_byte_that_is_not_ascii_is_seen_wherever_it_is() {
        let key = MaskingKey([0x12, 0xff, 0x00, 0xa7]);
        for len in (0..67).chain([LONG - 1, LONG, LONG + LINE + 7]) {
            let mut payload = vec![0x7f; len];
            apply_mask(key, &mut payload, 1);
            assert!(unmask(key, &mut payload.clone(), 1, true), "length {len}");
            for at in 0..len {
                let mut payload = payload.clone();
                payload[at] ^= 0x80;
                assert!(!unmask(key, &mut payload, 1, true), "length {len}, byte {at}");
            }
        }
    }

    #[test]
    fn agrees_with_the_definition_at_every_length_offset_and_split() {
        let key = [0x12, 0xff, 0x00, 0xa7];
        for len in 0..67 {
            let plain: Vec<u8> = (0..len).map(|i: u8| i.wrapping_mul(7)).collect();
            for offset in 0..9 {
                let mut expected = plain.clone();
                one_byte_at_a_time(key, &mut expected, offset);
                for split in 0..=plain.len() {
                    let mut got = plain.clone();
                    let (head, tail) = got.split_at_mut(split);
                    apply_mask(MaskingKey(key), head, offset);
                    apply_mask(MaskingKey(key), tail, offset + split);
                    assert_eq!(got, expected, "length {len}, offset {offset}, split {split}");
                }
            }
        }
    }
}
