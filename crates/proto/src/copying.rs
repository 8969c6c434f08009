//! Copying payloads behind what a buffer holds.

use bytes::BufMut;

/// As much is copied at a time.
const PIECE: usize = 2048;

/// Appends a copy of `bytes` to `out`, which must have room for them or grow.
///
/// It copies in pieces that the C library moves by vector instructions. Larger ones many versions of
/// glibc leave to `rep movsb`, which on some processors of AMD takes ten times as long and more where the
/// destination lies a few bytes behind the source, modulo 4 KiB: see
/// <https://github.com/microsoft/STL/issues/5658>. An echo meets just that, because its header is shorter
/// by the masking key.
#[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
#[inline(always)]
pub fn append(out: &mut impl BufMut, bytes: &[u8]) {
    if bytes.len() <= PIECE { out.put_slice(bytes) } else { append_long(out, bytes) }
}

#[inline(never)]
fn append_long(out: &mut impl BufMut, bytes: &[u8]) {
    for piece in bytes.chunks(PIECE) {
        out.put_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_arrives_whole_behind_what_there_was() {
        let bytes: Vec<u8> = (0..3 * PIECE + 5).map(|i| u8::try_from(i % 251).unwrap()).collect();
        for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 5] {
            let mut out = b"before".to_vec();
            append(&mut out, &bytes[..len]);
            assert_eq!(out, [b"before", &bytes[..len]].concat());
        }
    }
}
