//! Compresses: one stream of DEFLATE data (RFC 1951) in the form of RFC 7692 §7.2.1.

use std::fmt;

use zlib_rs::{Deflate as Stream, DeflateConfig, DeflateFlush};

use super::{Deflate, TAIL};

/// What an encoder is made of: those alike can be exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    level: u8,
    window_bits: u8,
    mem_level: u8,
}

impl Shape {
    /// The encoder that the settings ask for, in a window of 2^`window_bits` bytes.
    ///
    /// zlib cannot encode in a window of 2^8 bytes. In one of 2^9 it never looks back further than
    /// 250 bytes (its window less 262), so that is as good (RFC 7692 §7.1.2.1 limits the distance,
    /// not the memory).
    pub(crate) fn new(settings: &Deflate, window_bits: u8) -> Self {
        Self {
            level: settings.level.clamp(1, 9),
            window_bits: window_bits.clamp(9, 15),
            mem_level: settings.mem_level.clamp(1, 9),
        }
    }

    /// The window in bytes.
    pub(crate) fn window(self) -> usize {
        1 << self.window_bits
    }

    /// Which of the seven windows there are, from 0.
    pub(crate) fn window_class(self) -> usize {
        usize::from(self.window_bits) - 9
    }
}

/// A compressor. Its memory of earlier messages is lost by [`reset`](Self::reset).
pub(crate) struct Encoder {
    shape: Shape,
    stream: Stream,
}

impl Encoder {
    /// A new one; allocates.
    pub(super) fn new(shape: Shape) -> Self {
        let config = DeflateConfig {
            level: shape.level.into(),
            // Below zero means without the header of zlib.
            window_bits: -i32::from(shape.window_bits),
            mem_level: shape.mem_level.into(),
            ..DeflateConfig::default()
        };
        Self { shape, stream: Stream::new_with_config(config) }
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// Forgets all that it has seen.
    pub(crate) fn reset(&mut self) {
        self.stream.reset();
    }

    /// Compresses the next part of a message to the front of `scratch`, which grows as needed, and
    /// says how many bytes those are. What comes of a part may be held back until the `end`.
    pub(crate) fn compress(&mut self, mut input: &[u8], end: bool, scratch: &mut Vec<u8>) -> usize {
        let flush = if end { DeflateFlush::SyncFlush } else { DeflateFlush::NoFlush };
        let mut len = 0;
        loop {
            let room = len + bound(input.len());
            if scratch.len() < room {
                scratch.resize(room, 0);
            }
            let Some(free) = scratch.get_mut(len..) else { return len };
            let (read, written) = (self.stream.total_in(), self.stream.total_out());
            let status = self.stream.compress(input, free, flush);
            debug_assert!(status.is_ok(), "zlib refuses no input");
            len += count(self.stream.total_out() - written);
            input = input.get(count(self.stream.total_in() - read)..).unwrap_or_default();
            if len < scratch.len() || status.is_err() {
                // There was room for more, so nothing is left.
                return len;
            }
        }
    }

    /// Compresses a whole message, or its last part. What is in `scratch` then lacks the tail that
    /// the peer will add.
    pub(crate) fn finish(&mut self, input: &[u8], scratch: &mut Vec<u8>) -> usize {
        if input.is_empty() {
            // RFC 7692 §7.2.3.6: an empty message is the one byte before the tail. zlib would not
            // flush twice in a row.
            scratch.truncate(0);
            scratch.push(0x00);
            return 1;
        }
        let len = self.compress(input, true, scratch);
        // RFC 7692 §7.2.1: "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end."
        debug_assert!(scratch.get(..len).is_some_and(|data| data.ends_with(&TAIL)));
        len.saturating_sub(TAIL.len())
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("shape", &self.shape).finish_non_exhaustive()
    }
}

/// Room enough for so many bytes: no code of theirs is longer than nine bits, and a block costs no
/// more than one byte in twenty.
fn bound(len: usize) -> usize {
    len + len / 4 + 64
}

/// A number of bytes of a slice.
pub(super) fn count(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_brought_into_it() {
        let odd = Deflate { level: 0, mem_level: 0, ..Deflate::default() };
        assert_eq!(Shape::new(&odd, 8), Shape { level: 1, window_bits: 9, mem_level: 1 });
        let odd = Deflate { level: 10, mem_level: 255, ..Deflate::default() };
        assert_eq!(Shape::new(&odd, 16), Shape { level: 9, window_bits: 15, mem_level: 9 });
    }
}
