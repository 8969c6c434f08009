//! Reading: bytes become messages, as far as there is room for those that nobody has asked for.

use std::task::{Context, Poll};
use std::time::Instant;

use bytes::BytesMut;
use stentor_proto::{Connection, Event, Message};

use super::{Core, READ_AHEAD, READS, Reader};
use crate::buffers::Queue;
use crate::error::Result;

/// How many messages are decoded at a time, at most: however small they are, so many wait in a queue.
const BATCH: usize = 16;

impl Core {
    /// The next message for a reader, reading on when the caller takes the turns, or `None` at the end. Those
    /// that lie behind it go to `more`, which is empty.
    pub(crate) fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        more: &mut Queue,
    ) -> Poll<Result<Option<Message>>> {
        if !self.is_driven() {
            return self.poll_take_by_turns(cx, more);
        }
        if let Some(message) = self.take(more) {
            return Poll::Ready(Ok(Some(message)));
        }
        self.give_back(more);
        if self.is_over() {
            return Poll::Ready(self.outcome().map(|()| None));
        }
        self.wait_to_read(cx);
        Poll::Pending
    }

    /// The same where the caller takes the turns.
    #[inline(never)]
    fn poll_take_by_turns(
        &mut self,
        cx: &mut Context<'_>,
        more: &mut Queue,
    ) -> Poll<Result<Option<Message>>> {
        // He may come after a long time; a task comes at once.
        self.now_is_old = true;
        for _ in 0..READS {
            if let Some(message) = self.take(more) {
                // And may not come again for one.
                self.inbound.give_back();
                return Poll::Ready(Ok(Some(message)));
            }
            self.give_back(more);
            if self.is_over() {
                if !self.is_flushed() {
                    // Nobody may call again, so the Close frame leaves now.
                    self.turn(cx);
                }
                return Poll::Ready(self.outcome().map(|()| None));
            }
            self.reader = Reader::Driver;
            if !self.turn(cx) && !self.is_over() && self.ahead.is_empty() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Nothing waits in the queues, so they need no memory.
    #[inline]
    fn give_back(&mut self, more: &mut Queue) {
        more.give_back();
        self.ahead.give_back();
    }

    /// The next message that is there, and into `more`, which is empty, those behind it.
    #[allow(clippy::inline_always)] // So that a message does not pass through memory in pieces.
    #[inline(always)]
    fn take(&mut self, more: &mut Queue) -> Option<Message> {
        if self.ahead.is_empty() { self.decode(more) } else { self.take_ahead(more) }
    }

    #[inline(never)]
    fn take_ahead(&mut self, more: &mut Queue) -> Option<Message> {
        let was_full = self.ahead_size >= READ_AHEAD;
        std::mem::swap(more, &mut self.ahead);
        self.ahead_size = 0;
        if was_full {
            self.wake_driver();
        }
        more.pop()
    }

    /// Takes what has arrived and that there is room for.
    pub(super) fn catch_up(&mut self, cx: &mut Context<'_>) {
        for _ in 0..READS {
            self.read_ahead();
            let enough = self.ahead_size >= READ_AHEAD || self.pong_first || self.is_over();
            if enough || self.connection.is_inflating() || self.read(cx).is_pending() {
                break;
            }
        }
    }

    /// Decodes what was read, as far as there is room for messages that nobody has asked for.
    #[inline(never)]
    pub(super) fn read_ahead(&mut self) {
        let mut more = Queue::default();
        while self.ahead_size < READ_AHEAD
            && let Some(first) = self.decode(&mut more)
        {
            for message in std::iter::once(first).chain(std::iter::from_fn(|| more.pop())) {
                self.ahead_size += counted_size(&message);
                self.ahead.fill().push_back(message);
            }
        }
        more.give_back();
    }

    /// Whether there is anything to decode, and this the time for it.
    #[inline]
    fn has_undecoded(&self) -> bool {
        (!self.inbound.is_empty() || self.connection.is_inflating()) && !self.pong_first
    }

    /// Decodes up to the next message, and takes note of what comes before. The messages that lie whole
    /// behind it go to `more`, but nothing else: what the reader answers to them goes before the answer to a
    /// Close frame.
    #[inline]
    fn decode(&mut self, more: &mut Queue) -> Option<Message> {
        if self.has_undecoded() { self.decode_bytes(more) } else { None }
    }

    /// The same, when there is anything.
    #[allow(clippy::inline_always)] // So that a message does not pass through memory in pieces.
    #[inline(always)]
    fn decode_bytes(&mut self, more: &mut Queue) -> Option<Message> {
        loop {
            self.renew_now();
            // What is inflated in pieces may have no bytes behind it.
            let bytes = self.inbound.bytes_mut();
            let first = self.connection.receive_messages(bytes, self.now).next();
            if first.is_some() && !bytes.is_empty() {
                decode_behind(&mut self.connection, bytes, self.now, more);
            }
            let next = match first {
                Some(message) => Event::Message(message),
                None => self.connection.receive(bytes, self.now)?,
            };
            match next {
                Event::Message(_) if self.discarding => *more = Queue::default(),
                Event::Message(message) => return Some(message),
                event => self.note(event),
            }
            if !self.has_undecoded() {
                return None;
            }
        }
    }

    /// Takes note of an event that is no message.
    #[inline(never)]
    fn note(&mut self, event: Event) {
        if let Some(watch) = &mut self.watch {
            watch.note(&event);
        }
        match event {
            // The Pong leaves before the next Ping is looked at, lest that replace it.
            Event::Ping(_) => self.pong_first = true,
            Event::Pong(pong) => {
                self.pongs = self.pongs.wrapping_add(pong.round_trip.is_some().into());
                self.wake_waiters();
            }
            _ => self.wake_if_over(),
        }
    }

    /// Reads once, where that is likely to find nothing.
    #[inline]
    pub(super) fn read_on(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.transport.poll_readable(cx).is_pending() {
            self.inbound.give_back();
            return Poll::Pending;
        }
        self.read(cx)
    }

    /// Reads once.
    #[allow(clippy::inline_always)] // See the module: every frame around a system call costs.
    #[inline(always)]
    pub(super) fn read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.eof {
            return Poll::Pending;
        }
        let Poll::Ready(read) =
            self.transport.poll_read(cx, &mut self.inbound.room(self.connection.missing()))
        else {
            self.inbound.give_back();
            return Poll::Pending;
        };
        self.renew_now();
        match read {
            Ok(0) => self.end_of_stream(),
            Ok(len) if self.watch.is_some() => self.watch_read(len),
            Ok(_) => {}
            Err(error) => self.fail(error),
        }
        Poll::Ready(())
    }

    #[cold]
    fn end_of_stream(&mut self) {
        self.eof = true;
        self.connection.receive_eof(self.now);
        self.wake_if_over();
    }

    #[cold]
    fn watch_read(&mut self, len: usize) {
        if let Some(watch) = &mut self.watch {
            let read = self.inbound.bytes();
            watch.read(&read[read.len() - len..]);
        }
    }
}

/// Decodes the messages that lie whole behind the first. Apart, so that the loop has all the registers.
#[inline(never)]
fn decode_behind(connection: &mut Connection, bytes: &mut BytesMut, now: Instant, more: &mut Queue) {
    let queue = more.fill();
    for message in connection.receive_messages(bytes, now).take(BATCH - 1) {
        queue.push_back(message);
    }
}

/// What a message taken ahead counts for: its payload, and its place in the queue.
fn counted_size(message: &Message) -> usize {
    message.len() + size_of::<Message>()
}
