//! Buffers that the connections of one thread share.
//!
//! A connection borrows a buffer when bytes arrive or are queued and gives it back as soon as it is
//! empty, so an idle connection holds none and a busy thread works in the few that its cache knows.

use std::cell::RefCell;
use std::collections::VecDeque;

use bytes::BytesMut;
use stentor_proto::Message;

/// The size of the blocks that bytes are read into.
///
/// A received frame that fits is a slice of such a block, so a message that is kept pins at
/// most this much. Larger ones have buffers of their own.
pub(crate) const READ_BLOCK: usize = 64 << 10;

/// What is left of a block is used while it is at least this much.
pub(crate) const MIN_READ: usize = 4 << 10;

const WRITE_BUFFER: usize = 32 << 10;

/// A write buffer that grew beyond this is not kept.
const MAX_KEPT_WRITE_BUFFER: usize = 128 << 10;

/// How many buffers of each kind a thread keeps.
const KEPT: usize = 4;

#[derive(Default)]
#[allow(clippy::vec_box)] // They change hands as they are.
struct Pool {
    read: Vec<Box<BytesMut>>,
    write: Vec<Vec<u8>>,
    queues: Vec<Box<VecDeque<Message>>>,
}

impl Pool {
    /// One of those kept, if there is room in any.
    #[inline]
    fn take_read(&mut self) -> Option<Box<BytesMut>> {
        if self.read.last_mut().is_some_and(|latest| has_room(latest)) {
            self.read.pop()
        } else {
            self.search_read()
        }
    }

    #[inline(never)]
    fn search_read(&mut self) -> Option<Box<BytesMut>> {
        let usable = self.read.iter_mut().rposition(|block| has_room(block));
        if usable.is_none() && self.read.len() == KEPT {
            // Messages that are kept for long share them all: make room for others.
            self.read.remove(0);
        }
        usable.map(|index| self.read.swap_remove(index))
    }
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { read: Vec::new(), write: Vec::new(), queues: Vec::new() }) };
}

/// An empty block with at least [`MIN_READ`] bytes of room.
#[allow(clippy::unnecessary_box_returns)] // It stays in its box, from hand to hand.
pub(crate) fn take_read() -> Box<BytesMut> {
    POOL.try_with(|pool| pool.borrow_mut().take_read())
        .ok()
        .flatten()
        .unwrap_or_else(|| Box::new(BytesMut::with_capacity(READ_BLOCK)))
}

/// Whether `block` can be read into, begun anew when no message shares it any more.
pub(crate) fn has_room(block: &mut BytesMut) -> bool {
    block.try_reclaim(READ_BLOCK - block.len()) || block.capacity() - block.len() >= MIN_READ
}

/// Gives a block back; messages may still share parts of it.
pub(crate) fn give_read(block: Box<BytesMut>) {
    debug_assert!(block.is_empty());
    if block.capacity() > 0 {
        // A thread that is ending keeps nothing.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.read.len() < KEPT {
                pool.read.push(block);
            }
        });
    }
}

/// An empty buffer to gather frames in.
pub(crate) fn take_write() -> Vec<u8> {
    let kept = POOL.try_with(|pool| pool.borrow_mut().write.pop()).ok().flatten();
    kept.unwrap_or_else(|| Vec::with_capacity(WRITE_BUFFER))
}

/// Gives a gathering buffer back.
pub(crate) fn give_write(buffer: Vec<u8>) {
    if buffer.capacity() <= MAX_KEPT_WRITE_BUFFER {
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.write.len() < KEPT {
                pool.write.push(buffer);
            }
        });
    }
}

/// Room for messages, with none in it.
#[allow(clippy::box_collection, clippy::unnecessary_box_returns)] // It changes hands as it is.
fn take_queue() -> Box<VecDeque<Message>> {
    POOL.try_with(|pool| pool.borrow_mut().queues.pop()).ok().flatten().unwrap_or_default()
}

/// Gives the room back.
#[allow(clippy::box_collection)] // It changes hands as it is.
fn give_queue(messages: Box<VecDeque<Message>>) {
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.queues.len() < KEPT {
            pool.queues.push(messages);
        }
    });
}

/// Messages in their order: one word, which holds no memory while there are none and it is not filled.
#[derive(Debug, Default)]
#[allow(clippy::box_collection)] // Every connection has two, nearly always empty.
pub(crate) struct Queue(Option<Box<VecDeque<Message>>>);

impl Queue {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|messages| messages.is_empty())
    }

    /// Takes the first.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Message> {
        self.0.as_mut()?.pop_front()
    }

    /// The messages, to append others.
    #[inline]
    pub(crate) fn fill(&mut self) -> &mut VecDeque<Message> {
        self.0.get_or_insert_with(take_queue)
    }

    /// Gives the memory back, when no message is there.
    #[inline]
    pub(crate) fn give_back(&mut self) {
        if let Some(messages) = self.0.take_if(|messages| messages.is_empty()) {
            give_queue(messages);
        }
    }
}
