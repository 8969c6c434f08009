//! permessage-deflate (RFC 7692) as far as the generator needs it: messages compressed once,
//! beforehand, and echoes inflated when they are verified.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// What a message's last block is without (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Room for one step of either direction.
const STEP: usize = 16 * 1024;

/// The largest window, of 32 KiB (RFC 7692 §7.1.2): what holds without agreement.
pub(crate) const LARGEST_WINDOW: u8 = 15;

/// A message's compressed payload, made with a window of `bits`. It refers to no message before it, so
/// it fits with and without context takeover, and may be sent again and again.
pub(crate) fn message(payload: &[u8], bits: u8) -> Vec<u8> {
    // zlib makes no streams of the smallest window, of 8 bits; nobody asks for it here.
    let mut compress = Compress::new_with_window_bits(Compression::default(), false, bits.max(9));
    let mut compressed = Vec::new();
    loop {
        let taken = usize::try_from(compress.total_in()).expect("a payload in memory");
        compressed.reserve(STEP);
        compress
            .compress_vec(&payload[taken..], &mut compressed, FlushCompress::Sync)
            .expect("compressing does not fail");
        // All is out when there was room left.
        if compressed.len() < compressed.capacity() {
            break;
        }
    }
    assert!(compressed.ends_with(&TAIL), "a flush ends with an empty block");
    compressed.truncate(compressed.len() - TAIL.len());
    compressed
}

/// Inflates what a server has compressed, with its context taken over.
#[derive(Debug)]
pub(crate) struct Inflater(Decompress);

impl Inflater {
    pub(crate) fn new() -> Self {
        Self(Decompress::new(false))
    }

    pub(crate) fn message(&mut self, compressed: &[u8]) -> Result<Vec<u8>, String> {
        let compressed = [compressed, &TAIL].concat();
        let mut payload = Vec::new();
        let before = self.0.total_in();
        loop {
            let taken = usize::try_from(self.0.total_in() - before).map_err(|error| error.to_string())?;
            payload.reserve(STEP);
            self.0
                .decompress_vec(&compressed[taken..], &mut payload, FlushDecompress::Sync)
                .map_err(|error| error.to_string())?;
            if payload.len() < payload.capacity() {
                return Ok(payload);
            }
        }
    }
}
