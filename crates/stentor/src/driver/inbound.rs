//! What was read and is not decoded, and where the next bytes are read into.
//!
//! Usually that is a block of the thread, which the messages that are decoded from it share. The
//! beginning of a frame that fits none, or that nothing follows for now, has a buffer of its own.

use bytes::BytesMut;

use crate::buffers;

/// While nothing more arrives, the beginning of a frame moves out of its block when it is not larger
/// than this, so that a peer who stops there does not hold the block.
const OWN_MAX: usize = 8 << 10;

/// A buffer for a large frame has room for so many times what has arrived, at most.
const MAX_GROWTH: usize = 16;

/// Bytes that wait to be decoded.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    /// Holds no block while it is empty and the peer silent.
    pub(super) bytes: BytesMut,
    /// It is no block but a buffer of its own, with the beginning of a frame.
    own: bool,
}

impl Inbound {
    /// With what arrived behind the opening handshake.
    pub(super) fn new(bytes: BytesMut) -> Self {
        Self { bytes, own: false }
    }

    /// Holds no block in which there is little or nothing.
    #[inline]
    pub(super) fn give_back(&mut self) {
        if self.bytes.is_empty() && !self.own {
            buffers::give_read(std::mem::take(&mut self.bytes));
        } else {
            self.keep_little();
        }
    }

    #[inline(never)]
    fn keep_little(&mut self) {
        if self.bytes.is_empty() {
            *self = Self::default();
        } else if !self.own && self.bytes.len() <= OWN_MAX {
            let begun = BytesMut::from(&self.bytes[..]);
            let mut block = std::mem::replace(&mut self.bytes, begun);
            block.clear();
            buffers::give_read(block);
            self.own = true;
        }
    }

    /// Makes room to read into, and says how much may be read at most. `missing` is how much the
    /// frame that has begun still wants.
    #[inline]
    pub(super) fn make_room(&mut self, missing: usize) -> usize {
        // A block that is used up is begun anew as soon as nobody shares it.
        let enough = if self.bytes.is_empty() { buffers::READ_BLOCK / 2 } else { buffers::MIN_READ };
        if missing > 0 || self.own || self.bytes.capacity() - self.bytes.len() < enough {
            return self.make_more_room(missing);
        }
        usize::MAX
    }

    #[inline(never)]
    fn make_more_room(&mut self, missing: usize) -> usize {
        if self.bytes.len() + missing > buffers::READ_BLOCK {
            self.make_large(missing);
            return missing;
        }
        if std::mem::take(&mut self.own) {
            self.move_to_block();
            return usize::MAX;
        }
        if self.bytes.capacity() == 0 {
            self.bytes = buffers::take_read();
            return usize::MAX;
        }
        let room = self.bytes.capacity() - self.bytes.len();
        if (self.bytes.is_empty() || room < buffers::MIN_READ) && !buffers::has_room(&mut self.bytes) {
            // Messages still share the block, and a frame begun at its end goes on in another.
            let mut block = self.move_to_block();
            block.clear();
            buffers::give_read(block);
        }
        usize::MAX
    }

    /// Moves what there is to the beginning of another block, and gives the buffer it was in.
    fn move_to_block(&mut self) -> BytesMut {
        let begun = std::mem::replace(&mut self.bytes, buffers::take_read());
        // Of a block that messages share, less may be left.
        if self.bytes.capacity() < begun.len() + buffers::MIN_READ {
            self.bytes = BytesMut::with_capacity(buffers::READ_BLOCK);
        }
        self.bytes.extend_from_slice(&begun);
        begun
    }

    /// Makes room for a frame that fits no block, in a buffer of its own, which becomes its message.
    /// That grows with what has arrived, not with what the header has declared.
    fn make_large(&mut self, missing: usize) {
        let len = self.bytes.len();
        let room = self.bytes.capacity() - len;
        if room >= buffers::MIN_READ.min(missing) {
            return;
        }
        let capacity = (len + missing).min(len.max(buffers::READ_BLOCK) * MAX_GROWTH);
        if self.own {
            self.bytes.reserve(capacity - len);
        } else {
            let begun = std::mem::replace(&mut self.bytes, BytesMut::with_capacity(capacity));
            self.bytes.extend_from_slice(&begun);
            self.own = true;
        }
    }
}
