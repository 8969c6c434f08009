//! Reading: bytes become messages, as far as there is room for those that nobody has asked for.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use bytes::BytesMut;
use stentor_proto::{Event, Message};

use super::{Core, READ_AHEAD, READS, Reader};
use crate::buffers::Queue;
use crate::error::Result;

impl Core {
    /// Fills the empty queue of a reader with messages, reading on when the caller takes the turns;
    /// `false` at the end.
    pub(crate) fn poll_take(&mut self, cx: &mut Context<'_>, taken: &mut Queue) -> Poll<Result<bool>> {
        // Whoever takes the turns himself may come after a long time; a task comes at once.
        self.now_is_old |= !self.is_driven();
        for _ in 0..READS {
            if self.take(taken) {
                return Poll::Ready(Ok(true));
            }
            taken.give_back();
            self.ahead.give_back();
            if self.is_over() {
                if !self.is_driven() && !self.is_flushed() {
                    // Nobody may call again, so the Close frame leaves now.
                    self.turn(cx);
                }
                return Poll::Ready(self.outcome().map(|()| false));
            }
            if self.is_driven() {
                self.wait_to_read(cx);
                return Poll::Pending;
            }
            self.reader = Reader::Driver;
            if !self.turn(cx) && !self.is_over() && self.ahead.is_empty() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Fills an empty queue with the messages that are there, and says whether there are any.
    #[inline]
    fn take(&mut self, taken: &mut Queue) -> bool {
        if self.ahead.is_empty() {
            // No further than to the next messages: what the reader answers to them goes before
            // the answer to a Close frame behind them.
            while taken.is_empty() && self.has_undecoded() && self.decode(taken.fill()) {}
        } else {
            let was_full = self.ahead_size >= READ_AHEAD;
            std::mem::swap(taken, &mut self.ahead);
            self.ahead_size = 0;
            if was_full {
                self.wake_driver();
            }
        }
        let found = !taken.is_empty();
        if found && !self.is_driven() {
            // The caller may not come again for a long time.
            self.inbound.give_back();
        }
        found
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
    pub(super) fn read_ahead(&mut self) {
        while self.ahead_size < READ_AHEAD && self.has_undecoded() {
            let mut ahead = std::mem::take(&mut self.ahead);
            let messages = ahead.fill();
            let known = messages.len();
            let found = self.decode(messages);
            self.ahead_size += messages.range(known..).map(counted_size).sum::<usize>();
            self.ahead = ahead;
            if !found {
                break;
            }
        }
    }

    /// Whether there is anything to decode, and this the time for it.
    #[inline]
    fn has_undecoded(&self) -> bool {
        (!self.inbound.is_empty() || self.connection.is_inflating()) && !self.pong_first
    }

    /// Decodes a batch of messages or, when none is next, something else. Says whether there was
    /// anything.
    fn decode(&mut self, messages: &mut VecDeque<Message>) -> bool {
        self.renew_now();
        let known = messages.len();
        // What is inflated in pieces may have no bytes behind it.
        let mut none = BytesMut::new();
        let bytes = self.inbound.take_from().unwrap_or(&mut none);
        self.connection.receive_messages(bytes, self.now, messages);
        if messages.len() == known {
            match self.connection.receive(bytes, self.now) {
                Some(Event::Message(message)) => messages.push_back(message),
                Some(event) => {
                    self.note(event);
                    return true;
                }
                None => return false,
            }
        }
        if self.discarding {
            messages.truncate(known);
        }
        true
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

    /// Reads once.
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
            Ok(0) => {
                self.eof = true;
                self.connection.receive_eof(self.now);
                self.wake_if_over();
            }
            Ok(len) => {
                if let Some(watch) = &mut self.watch {
                    let read = self.inbound.bytes();
                    watch.read(&read[read.len() - len..]);
                }
            }
            Err(error) => self.fail(error),
        }
        Poll::Ready(())
    }
}

/// What a message taken ahead counts for: its payload, and its place in the queue.
fn counted_size(message: &Message) -> usize {
    message.len() + size_of::<Message>()
}
