//! What was read and is not decoded, and where the next bytes are read into.
//!
//! Usually that is a block of the thread, which the messages that are decoded from it share. The
//! beginning of a frame that fits none, or that nothing follows for now, has a buffer of its own.

use bytes::buf::Limit;
use bytes::{BufMut as _, BytesMut};
use stentor_proto::append_in_pieces;

use crate::buffers;

/// While nothing more arrives, the beginning of a frame moves out of its block when it is not larger
/// than this, so that a peer who stops there does not hold the block.
const OWN_MAX: usize = 8 << 10;

/// A buffer for a large frame has room for so many times what has arrived, at most.
const MAX_GROWTH: usize = 16;

/// Bytes that wait to be decoded.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    /// Boxed, because it changes hands all the time. `None` while it is empty and the peer silent.
    bytes: Option<Box<BytesMut>>,
    /// They are in no block but in a buffer of their own, with the beginning of a frame. Says nothing while
    /// there are none.
    own: bool,
}

impl Inbound {
    /// With what arrived behind the opening handshake.
    pub(super) fn new(bytes: BytesMut) -> Self {
        Self { bytes: (!bytes.is_empty()).then(|| Box::new(bytes)), own: true }
    }

    /// The bytes that wait.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.as_ref().map_or(&[], |bytes| bytes)
    }

    /// The same, to be taken from.
    #[inline]
    pub(super) fn bytes_mut(&mut self) -> &mut BytesMut {
        self.bytes.get_or_insert_default()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.as_ref().is_none_or(|bytes| bytes.is_empty())
    }

    /// Holds no block in which there is little or nothing.
    #[inline]
    pub(super) fn give_back(&mut self) {
        let Some(bytes) = self.bytes.take() else { return };
        if bytes.is_empty() && !self.own {
            buffers::give_read(bytes);
        } else {
            self.keep_little(bytes);
        }
    }

    #[inline(never)]
    fn keep_little(&mut self, mut bytes: Box<BytesMut>) {
        if bytes.is_empty() {
            return;
        }
        if !self.own && bytes.len() <= OWN_MAX {
            self.bytes = Some(Box::new(BytesMut::from(&bytes[..])));
            self.own = true;
            bytes.clear();
            buffers::give_read(bytes);
        } else {
            self.bytes = Some(bytes);
        }
    }

    /// Room to read into. `missing` is how much the frame that has begun still wants.
    #[inline]
    pub(super) fn room(&mut self, missing: usize) -> Limit<&mut BytesMut> {
        let limit = if self.has_room(missing) { usize::MAX } else { self.make_room(missing) };
        let own = &mut self.own;
        let bytes = self.bytes.get_or_insert_with(|| {
            *own = false;
            buffers::take_read()
        });
        (&mut **bytes).limit(limit)
    }

    /// Whether there is a block with enough of it left, or nothing that had to go on in one.
    #[inline]
    fn has_room(&self, missing: usize) -> bool {
        let Some(bytes) = &self.bytes else { return missing == 0 };
        // A block that is used up is begun anew as soon as nobody shares it.
        let enough = if bytes.is_empty() { buffers::READ_BLOCK / 2 } else { buffers::MIN_READ };
        missing == 0 && !self.own && bytes.capacity() - bytes.len() >= enough
    }

    /// Sees to it that there is room, and says how much may be read at most.
    #[inline(never)]
    fn make_room(&mut self, missing: usize) -> usize {
        let mut bytes = self.bytes.take().unwrap_or_default();
        if bytes.len() + missing > buffers::READ_BLOCK {
            self.bytes = Some(self.enlarge(bytes, missing));
            return missing;
        }
        let is_block = !std::mem::take(&mut self.own) && bytes.capacity() > 0;
        let room = bytes.capacity() - bytes.len();
        let is_used_up = bytes.is_empty() || room < buffers::MIN_READ;
        if is_block && (!is_used_up || buffers::has_room(&mut bytes)) {
            self.bytes = Some(bytes);
            return usize::MAX;
        }
        // Messages still share the block, or what has begun in a buffer of its own goes on in a block.
        self.bytes = Some(in_another_block(&bytes));
        if is_block {
            bytes.clear();
            buffers::give_read(bytes);
        }
        usize::MAX
    }

    /// Makes room for a frame that fits no block, in a buffer of its own, which becomes its message.
    /// That grows with what has arrived, not with what the header has declared.
    #[allow(clippy::unnecessary_box_returns)] // It stays in its box, from hand to hand.
    fn enlarge(&mut self, mut bytes: Box<BytesMut>, missing: usize) -> Box<BytesMut> {
        let len = bytes.len();
        let room = bytes.capacity() - len;
        if room >= buffers::MIN_READ.min(missing) {
            return bytes;
        }
        let capacity = (len + missing).min(len.max(buffers::READ_BLOCK) * MAX_GROWTH);
        if self.own {
            bytes.reserve(capacity - len);
            return bytes;
        }
        self.own = true;
        let mut large = BytesMut::with_capacity(capacity);
        append_in_pieces(&mut large, &bytes);
        Box::new(large)
    }
}

/// What there is, at the beginning of a block.
#[allow(clippy::unnecessary_box_returns)] // It stays in its box, from hand to hand.
fn in_another_block(begun: &[u8]) -> Box<BytesMut> {
    let mut block = buffers::take_read();
    // Of a block that messages share, less may be left.
    if block.capacity() < begun.len() + buffers::MIN_READ {
        *block = BytesMut::with_capacity(buffers::READ_BLOCK);
    }
    append_in_pieces(&mut *block, begun);
    block
}
