//! Writing: messages are queued while there is room, and leave as the transport takes them.

use std::io;
use std::task::{Context, Poll};

use stentor_proto::{Compress, Message, Misuse, Prepared};

use super::{Core, now};
use crate::buffers;
use crate::error::{Error, Result};

impl Core {
    /// Queues a message, if that is all that there is to do for it; otherwise leaves it where it is. That
    /// is so for small ones of which a task sees to it that they leave.
    #[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
    #[inline(always)]
    pub(crate) fn send_at_once(&mut self, message: &mut Option<Message>) -> bool {
        let sent = self.is_driven() && self.feed_at_once(message);
        if sent {
            self.wake_driver();
        }
        sent
    }

    /// Queues a small message for which there is room; otherwise leaves it where it is.
    #[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
    #[inline(always)]
    pub(crate) fn feed_at_once(&mut self, message: &mut Option<Message>) -> bool {
        self.lend_buffer();
        let fed = message.as_ref().is_some_and(|small| self.connection.send_copy(small));
        if fed {
            *message = None;
        }
        fed
    }

    /// Queues a message if there is room for it; otherwise leaves it where it is.
    #[inline]
    pub(crate) fn try_send(&mut self, message: &mut Option<Message>) -> Result<bool> {
        if self.feed_at_once(message) { Ok(true) } else { self.try_send_with(message, Compress::ByThreshold) }
    }

    /// The same with a choice about compression.
    #[inline(never)]
    pub(crate) fn try_send_with(
        &mut self,
        message: &mut Option<Message>,
        compress: Compress,
    ) -> Result<bool> {
        self.lend_buffer();
        if !self.connection.has_room() {
            return self.check_open().map(|()| false);
        }
        let Some(message) = message.take() else { return Ok(true) };
        match self.connection.send_with(message, compress) {
            Ok(()) => Ok(true),
            Err(misuse) => Err(self.refused(misuse)),
        }
    }

    /// Whether a message was dropped for want of room. Then whoever sends has to wait a moment: a loop
    /// that only sends would otherwise keep the connection from writing, and never end.
    #[inline]
    pub(crate) fn lets_others_go(&mut self, cx: &Context<'_>) -> bool {
        let dropped = self.connection.has_dropped();
        if dropped {
            self.wake_driver();
            cx.waker().wake_by_ref();
        }
        dropped
    }

    /// Why a message was not taken for which there was room.
    fn refused(&mut self, misuse: Misuse) -> Error {
        if misuse == Misuse::OutboxFull {
            // A reader so slow is closed, which the core does when it is told the time.
            self.connection.handle_timeout(now());
            self.wake_driver();
        }
        self.ended()
    }

    #[inline]
    fn lend_buffer(&mut self) {
        if self.connection.wants_buffer() {
            self.connection.lend_buffer(buffers::take_write());
        }
    }

    /// Queues an encoded message if there is room for it.
    pub(crate) fn try_send_prepared(&mut self, message: &Prepared) -> Result<Option<()>> {
        self.check_open()?;
        if !self.connection.has_room() {
            return Ok(None);
        }
        self.lend_buffer();
        self.connection.send_prepared(message).map(Some).map_err(|misuse| self.refused(misuse))
    }

    /// Sees to it that what was queued leaves soon. Pending only when self-driven and the transport
    /// takes no more.
    #[inline]
    pub(crate) fn poll_depart(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.is_driven() {
            self.wake_driver();
            return Poll::Ready(Ok(()));
        }
        self.poll_flush(cx)
    }

    /// Until everything queued was written.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_change(cx, |core| {
            if core.is_flushed() {
                // What the end of the connection has swept away was not written.
                return core.outcome().map(Some);
            }
            Ok(None)
        })
    }

    /// Writes everything that the transport takes, and says whether more is to be compressed first.
    #[inline]
    pub(super) fn write(&mut self, cx: &mut Context<'_>) -> bool {
        let is_idle = self.is_flushed() && self.connection.wants_buffer();
        !is_idle && self.write_queued(cx)
    }

    #[allow(clippy::inline_always)] // See the module: every frame around a system call costs.
    #[inline(always)]
    fn write_queued(&mut self, cx: &mut Context<'_>) -> bool {
        let had_room = self.waiters.is_none() || self.has_room();
        let unwritten = loop {
            match self.write_once(cx) {
                Poll::Ready(Ok(0)) => break self.connection.has_transmit(),
                Poll::Ready(Ok(_)) => {
                    self.unflushed = self.transport.holds_back();
                    if !self.connection.has_transmit() {
                        break false;
                    }
                }
                Poll::Ready(Err(error)) => {
                    self.fail(error);
                    return false;
                }
                Poll::Pending => {
                    self.blocked();
                    break false;
                }
            }
        };
        if let Some(buffer) = self.connection.reclaim_buffer() {
            buffers::give_write(buffer);
        }
        if self.unflushed && !self.flush(cx) {
            return false;
        }
        if self.waiters.is_some() {
            self.wake_after_write(had_room);
        }
        unwritten
    }

    #[cold]
    fn has_room(&self) -> bool {
        self.connection.has_room()
    }

    /// Wakes those who wait for what has been written.
    #[cold]
    fn wake_after_write(&mut self, had_room: bool) {
        if (!had_room && self.connection.has_room()) || self.is_flushed() {
            self.wake_waiters();
        }
    }

    /// Writes as much as the transport takes at once: nothing when it has all there is for now.
    #[allow(clippy::inline_always)] // See the module: every frame around a system call costs.
    #[inline(always)]
    fn write_once(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.watch.is_some() {
            return self.write_watched(cx);
        }
        let Some(mut bytes) = self.connection.poll_transmit() else { return Poll::Ready(Ok(0)) };
        self.transport.poll_write(cx, &mut bytes)
    }

    #[cold]
    fn write_watched(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match (self.connection.poll_transmit(), &mut self.watch) {
            (Some(bytes), Some(watch)) => self.transport.poll_write(cx, &mut watch.writing(bytes)),
            _ => Poll::Ready(Ok(0)),
        }
    }

    /// Has the transport hand on what it holds back, and says whether it still can.
    #[inline(never)]
    fn flush(&mut self, cx: &mut Context<'_>) -> bool {
        match self.transport.poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                self.unflushed = false;
                if !self.connection.has_transmit() {
                    self.connection.transmit_unblocked();
                }
            }
            Poll::Ready(Err(error)) => {
                self.fail(error);
                return false;
            }
            Poll::Pending => self.blocked(),
        }
        true
    }

    /// The transport takes no more for now.
    #[cold]
    fn blocked(&mut self) {
        self.renew_now();
        self.connection.transmit_blocked(self.now);
    }

    /// Whether everything queued was written.
    #[inline]
    pub(crate) fn is_flushed(&self) -> bool {
        !self.connection.has_transmit() && !self.unflushed
    }
}
