//! The drive loop: the only file that knows both a transport and a [`Connection`].
//!
//! One *turn* writes what is queued, reads what there is room for and keeps the deadlines; reading
//! never waits for a blocked write, nor writing for a silent peer. What compresses or inflates a
//! long message ends the turn half-way, and goes on in the next. Who takes the turns is one of two:
//!
//! - *driven*: a task beside the handles does, the connection's own on a server, and one that
//!   [`split`](crate::WebSocket::split) starts on a client. The handles only queue and take, and
//!   the task writes once for all that a handler sent between two suspensions;
//! - *self-driven*: the calls on the [`WebSocket`](crate::WebSocket) do it themselves.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::{BufMut as _, BytesMut};
use stentor_proto::{
    CloseCode, CloseFrame, Compress, Connection, Event, Failure, Message, Misuse, Prepared, Teardown,
};

use crate::buffers;
use crate::error::{Error, Result};
use crate::timer::Timer;
use crate::transport::Transport;
use crate::watch::Watch;

/// Once this many bytes of messages wait that nobody has asked for, no more is read; until then it
/// is, so that the Pings among them are answered. A message counts for what it was on the wire and
/// for its place in the queue. The last batch may be as large again.
const READ_AHEAD: usize = 32 << 10;

/// After this many reads in a row a turn ends, so that a peer that always has more to say holds up
/// neither the deadlines nor the other tasks of the thread.
const READS: usize = 64;

/// While nothing more arrives, the beginning of a frame moves out of its block when it is not larger
/// than this, so that a peer who stops there does not hold the block.
const OWN_MAX: usize = 8 << 10;

/// A buffer for a large frame has room for so many times what has arrived, at most.
const MAX_GROWTH: usize = 16;

/// A connection, its transport, and who waits for what.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own; together they are no state machine.
pub(crate) struct Core {
    pub(crate) connection: Connection,
    transport: Transport,
    /// What was read and is not decoded; holds no block while it is empty and the peer silent.
    inbound: BytesMut,
    /// `inbound` is no block but a buffer of its own, with the beginning of a frame.
    own: bool,
    /// The time at the beginning of the last turn.
    now: Instant,
    /// Messages taken ahead of a reader, and what they count for.
    ahead: VecDeque<Message>,
    ahead_size: usize,
    /// The transport has ended.
    eof: bool,
    /// A Ping was decoded whose Pong should leave before the next is.
    pong_first: bool,
    /// The transport holds bytes back until it is flushed.
    unflushed: bool,
    /// The writing direction was ended.
    finished_writing: bool,
    transport_error: Option<io::Error>,
    timer: Timer,
    reader: Reader,
    /// Those who wait for room, for everything to be written, for a Pong or for the end.
    waiters: Vec<Waker>,
    /// How many Pings of ours were answered.
    pub(crate) pongs: u64,
    driver: Driver,
    /// How many [`WebSocket`](crate::WebSocket)s, senders and receivers there are.
    pub(crate) handles: usize,
    /// Nobody will read any more, so messages are dropped.
    pub(crate) discarding: bool,
    /// What to close with as soon as the reader waits and nothing is there for it.
    farewell: Option<Arc<CloseFrame>>,
    /// The task is to end, whatever the handler does.
    pub(crate) killed: bool,
    /// `None` when nobody watches, which costs nothing.
    pub(crate) watch: Option<Box<Watch>>,
}

/// Who takes the turns.
#[derive(Debug)]
enum Driver {
    /// Whoever calls.
    Caller,
    /// A task. `in_turn` while it polls the handler, after which it takes a turn anyway.
    Task { waker: Option<Waker>, in_turn: bool },
}

/// Who waits for a message.
#[derive(Debug)]
enum Reader {
    Nobody,
    /// The one who takes the turns.
    Driver,
    /// Another task.
    Task(Waker),
}

impl Core {
    pub(crate) fn new(connection: Connection, transport: Transport, inbound: BytesMut, driven: bool) -> Self {
        let driver = if driven { Driver::Task { waker: None, in_turn: false } } else { Driver::Caller };
        Self {
            connection,
            transport,
            inbound,
            own: false,
            now: now(),
            ahead: VecDeque::new(),
            ahead_size: 0,
            eof: false,
            pong_first: false,
            unflushed: false,
            finished_writing: false,
            transport_error: None,
            timer: Timer::default(),
            reader: Reader::Nobody,
            waiters: Vec::new(),
            pongs: 0,
            driver,
            handles: 1,
            discarding: false,
            farewell: None,
            killed: false,
            watch: None,
        }
    }

    /// Counts what passes from now on.
    pub(crate) fn watch(&mut self) {
        self.watch = Some(Watch::new(&self.connection, &self.inbound));
    }

    /// Whether a task takes the turns, rather than the caller.
    pub(crate) fn is_driven(&self) -> bool {
        matches!(self.driver, Driver::Task { .. })
    }

    /// From now on a task takes the turns. Says whether one did before.
    pub(crate) fn hand_over(&mut self) -> bool {
        let was_driven = self.is_driven();
        if !was_driven {
            self.driver = Driver::Task { waker: None, in_turn: false };
        }
        was_driven
    }

    /// The task is about to poll the handler and will take a turn afterwards.
    pub(crate) fn begin_turn(&mut self, cx: &Context<'_>) {
        if let Driver::Task { waker, in_turn } = &mut self.driver {
            *in_turn = true;
            match waker {
                Some(waker) => waker.clone_from(cx.waker()),
                None => *waker = Some(cx.waker().clone()),
            }
        }
        if matches!(self.reader, Reader::Driver) {
            self.reader = Reader::Nobody;
        }
    }

    /// The task has polled the handler.
    pub(crate) fn end_turn(&mut self) {
        if let Driver::Task { in_turn, .. } = &mut self.driver {
            *in_turn = false;
        }
    }

    /// Makes sure that a turn is taken for what a handle has just done.
    pub(crate) fn wake_driver(&self) {
        if let Driver::Task { waker: Some(waker), in_turn: false } = &self.driver {
            waker.wake_by_ref();
        }
    }

    /// Fills the empty queue of a reader with messages, reading on when the caller takes the turns;
    /// `false` at the end.
    pub(crate) fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        taken: &mut VecDeque<Message>,
    ) -> Poll<Result<bool>> {
        for _ in 0..READS {
            // No further than to the next messages: what the reader answers to them goes before
            // the answer to a Close frame behind them.
            while self.ahead.is_empty() && self.decode() {}
            if !self.ahead.is_empty() {
                let was_full = self.ahead_size >= READ_AHEAD;
                std::mem::swap(taken, &mut self.ahead);
                self.ahead_size = 0;
                if was_full {
                    self.wake_driver();
                }
                if !self.is_driven() {
                    // The caller may not come again for a long time.
                    self.give_back();
                }
                return Poll::Ready(Ok(true));
            }
            buffers::give_queue(std::mem::take(taken));
            buffers::give_queue(std::mem::take(&mut self.ahead));
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

    /// Until `done` gives a result, looking again whenever the connection has changed.
    pub(crate) fn poll_change<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut done: impl FnMut(&mut Self) -> Result<Option<T>>,
    ) -> Poll<Result<T>> {
        if let Some(result) = done(self).transpose() {
            return Poll::Ready(result);
        }
        if self.is_driven() {
            self.wait_for_change(cx);
            self.wake_driver();
            return Poll::Pending;
        }
        self.reader = Reader::Nobody;
        self.turn(cx);
        match done(self).transpose() {
            Some(result) => Poll::Ready(result),
            None => Poll::Pending,
        }
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

    fn wait_to_read(&mut self, cx: &Context<'_>) {
        match &self.driver {
            // The task polls the handler again when something was read: no waking is needed.
            Driver::Task { waker: Some(waker), in_turn: true } if waker.will_wake(cx.waker()) => {
                self.reader = Reader::Driver;
            }
            _ => {
                self.reader = Reader::Task(cx.waker().clone());
                self.wake_driver();
            }
        }
    }

    fn wait_for_change(&mut self, cx: &Context<'_>) {
        if !self.waiters.iter().any(|waiter| waiter.will_wake(cx.waker())) {
            self.waiters.push(cx.waker().clone());
        }
    }

    /// Queues a message if there is room for it; otherwise leaves it where it is.
    #[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
    #[inline(always)]
    pub(crate) fn try_send(&mut self, message: &mut Option<Message>) -> Result<bool> {
        self.lend_buffer();
        match message {
            Some(small) if self.connection.send_copy(small) => {
                *message = None;
                Ok(true)
            }
            _ => self.try_send_with(message, Compress::ByThreshold),
        }
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

    /// Fails when nothing may be sent any more.
    pub(crate) fn check_open(&mut self) -> Result<()> {
        if self.connection.closed().is_some() { Err(self.ended()) } else { Ok(()) }
    }

    /// Whether everything queued was written.
    pub(crate) fn is_flushed(&self) -> bool {
        !self.connection.has_transmit() && !self.unflushed
    }

    /// Whether nothing more will be read: the peer's Close frame arrived, the connection failed or
    /// the transport is gone.
    pub(crate) fn is_over(&self) -> bool {
        self.is_gone() || self.connection.close_received().is_some() || self.connection.failure().is_some()
    }

    /// Whether the transport is gone.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.transport, Transport::Gone)
    }

    /// How the connection ended, as a reader sees it: a clean close is no error.
    pub(crate) fn outcome(&mut self) -> Result<()> {
        match self.connection.failure() {
            None => Ok(()),
            Some(_) => Err(self.ended()),
        }
    }

    /// How the connection ended, as a sender sees it.
    fn ended(&mut self) -> Error {
        match self.connection.failure() {
            Some(Failure::Protocol(error)) => return error.into(),
            Some(Failure::Timeout(phase)) => return Error::Timeout(phase),
            _ => {}
        }
        if let Some(error) = self.transport_error.take() {
            return error.into();
        }
        match self.connection.closed() {
            Some(closed) => Error::Closed(Box::new(closed.clone())),
            None => Misuse::NotOpen.into(),
        }
    }

    /// Begins the closing, if nobody has; what still arrives is dropped.
    pub(crate) fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Misuse> {
        let result = self.connection.close(code, reason, now());
        if !matches!(result, Err(Misuse::UnsendableCloseCode(_) | Misuse::ReasonTooLong)) {
            self.discard();
        }
        match result {
            Err(Misuse::NotOpen) => Ok(()),
            result => result,
        }
    }

    /// Closes the connection as soon as its reader waits for a message and none has arrived, so that
    /// what has arrived is still answered.
    pub(crate) fn retire(&mut self, farewell: Arc<CloseFrame>) {
        self.farewell = Some(farewell);
        self.wake_driver();
    }

    fn take_leave(&mut self, cx: &mut Context<'_>) {
        if let Some(farewell) = self.farewell.take() {
            // What cannot be sent is refused when it is chosen.
            let _ = self.close(farewell.code, farewell.reason.as_str());
            self.write(cx);
        }
    }

    /// From now on messages are dropped.
    pub(crate) fn discard(&mut self) {
        self.discarding = true;
        self.ahead = VecDeque::new();
        self.ahead_size = 0;
    }

    /// Takes a turn, and says whether the reader should look again at once.
    pub(crate) fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_gone() {
            return false;
        }
        self.now = now();
        if self.timer.may_be_due(self.now)
            && self.connection.poll_timeout().is_some_and(|deadline| deadline <= self.now)
        {
            // A task that comes late must not hold that against the peer: what has arrived
            // meanwhile is a sign of life, too.
            self.catch_up(cx);
            self.connection.handle_timeout(self.now);
            self.wake_if_over();
        }
        let mut reads = 0..READS;
        let again = loop {
            let waited_for = !self.discarding && !matches!(self.reader, Reader::Nobody);
            if !waited_for {
                self.read_ahead();
            }
            let unwritten = self.write(cx);
            if self.tear_down(cx) {
                break false;
            }
            if std::mem::take(&mut self.pong_first) {
                if waited_for && self.wake_reader() {
                    break true;
                }
                continue;
            }
            let is_full = self.ahead_size >= READ_AHEAD;
            let is_inflating = self.connection.is_inflating();
            if unwritten || (is_inflating && !is_full) {
                // The rest of a long message, once the other tasks of the thread had their turn.
                cx.waker().wake_by_ref();
            }
            if is_full || is_inflating {
                break false;
            }
            if reads.next().is_none() {
                cx.waker().wake_by_ref();
                break false;
            }
            match self.read(cx) {
                Poll::Ready(()) if waited_for && self.wake_reader() => break true,
                Poll::Ready(()) if !unwritten => {}
                Poll::Ready(()) => break false,
                Poll::Pending => {
                    if waited_for && self.ahead.is_empty() {
                        self.take_leave(cx);
                    }
                    break false;
                }
            }
        };
        if self.connection.is_inflating() && matches!(self.reader, Reader::Task(_)) {
            self.wake_reader();
        }
        let deadlines = [self.connection.poll_timeout(), self.connection.closing_deadline()];
        if let Some(deadline) = deadlines.into_iter().flatten().min().filter(|_| !self.is_gone()) {
            self.timer.arm(cx, deadline, self.now);
        }
        again || ((self.is_over() || !self.ahead.is_empty()) && self.wake_reader())
    }

    /// Takes what has arrived and that there is room for.
    fn catch_up(&mut self, cx: &mut Context<'_>) {
        for _ in 0..READS {
            self.read_ahead();
            let enough = self.ahead_size >= READ_AHEAD || self.pong_first || self.is_over();
            if enough || self.connection.is_inflating() || self.read(cx).is_pending() {
                break;
            }
        }
    }

    /// Decodes what was read, as far as there is room for messages that nobody has asked for.
    fn read_ahead(&mut self) {
        while self.ahead_size < READ_AHEAD && self.decode() {}
    }

    /// Decodes a batch of messages or, when none is next, something else. Says whether there was
    /// anything.
    fn decode(&mut self) -> bool {
        if self.pong_first || (self.inbound.is_empty() && !self.connection.is_inflating()) {
            return false;
        }
        if self.ahead.capacity() == 0 {
            self.ahead = buffers::take_queue();
        }
        let known = self.ahead.len();
        self.connection.receive_messages(&mut self.inbound, self.now, &mut self.ahead);
        if self.ahead.len() == known {
            match self.connection.receive(&mut self.inbound, self.now) {
                Some(Event::Message(message)) => self.ahead.push_back(message),
                Some(event) => self.note(event),
                None => return false,
            }
        }
        if self.discarding {
            self.ahead.truncate(known);
        }
        self.ahead_size += self.ahead.range(known..).map(counted_size).sum::<usize>();
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
                self.pongs += u64::from(pong.round_trip.is_some());
                self.wake_waiters();
            }
            _ => self.wake_if_over(),
        }
    }

    /// Reads once.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.eof {
            return Poll::Pending;
        }
        let limit = self.make_room();
        match self.transport.poll_read(cx, &mut (&mut self.inbound).limit(limit)) {
            Poll::Pending => {
                self.give_back();
                return Poll::Pending;
            }
            Poll::Ready(Ok(0)) => {
                self.eof = true;
                self.connection.receive_eof(self.now);
                self.wake_if_over();
            }
            Poll::Ready(Ok(len)) => {
                if let Some(watch) = &mut self.watch {
                    watch.read(&self.inbound[self.inbound.len() - len..]);
                }
            }
            Poll::Ready(Err(error)) => self.fail(error),
        }
        Poll::Ready(())
    }

    /// Holds no block in which there is little or nothing.
    #[inline]
    pub(crate) fn give_back(&mut self) {
        if self.inbound.is_empty() {
            let block = std::mem::take(&mut self.inbound);
            if !std::mem::take(&mut self.own) {
                buffers::give_read(block);
            }
        } else if !self.own && self.inbound.len() <= OWN_MAX {
            let begun = BytesMut::from(&self.inbound[..]);
            let mut block = std::mem::replace(&mut self.inbound, begun);
            block.clear();
            buffers::give_read(block);
            self.own = true;
        }
    }

    /// Makes room to read into, and says how much may be read at most.
    fn make_room(&mut self) -> usize {
        let missing = self.connection.missing();
        if self.inbound.len() + missing > buffers::READ_BLOCK {
            self.make_large(missing);
            return missing;
        }
        if std::mem::take(&mut self.own) {
            let begun = std::mem::replace(&mut self.inbound, buffers::take_read());
            // Of a block that messages share, less may be left.
            if self.inbound.capacity() < begun.len() + buffers::MIN_READ {
                self.inbound = BytesMut::with_capacity(buffers::READ_BLOCK);
            }
            self.inbound.extend_from_slice(&begun);
            return usize::MAX;
        }
        if self.inbound.capacity() == 0 {
            self.inbound = buffers::take_read();
            return usize::MAX;
        }
        let room = self.inbound.capacity() - self.inbound.len();
        if (self.inbound.is_empty() || room < buffers::MIN_READ) && !buffers::has_room(&mut self.inbound) {
            // Messages still share the block, and a frame begun at its end goes on in another.
            let begun = std::mem::replace(&mut self.inbound, BytesMut::with_capacity(buffers::READ_BLOCK));
            self.inbound.extend_from_slice(&begun);
        }
        usize::MAX
    }

    /// Makes room for a frame that fits no block, in a buffer of its own, which becomes its message.
    /// That grows with what has arrived, not with what the header has declared.
    fn make_large(&mut self, missing: usize) {
        let len = self.inbound.len();
        let room = self.inbound.capacity() - len;
        if room >= buffers::MIN_READ.min(missing) {
            return;
        }
        let capacity = (len + missing).min(len.max(buffers::READ_BLOCK) * MAX_GROWTH);
        if self.own {
            self.inbound.reserve(capacity - len);
        } else {
            let begun = std::mem::replace(&mut self.inbound, BytesMut::with_capacity(capacity));
            self.inbound.extend_from_slice(&begun);
            self.own = true;
        }
    }

    /// Writes everything that the transport takes, and says whether more is to be compressed first.
    fn write(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_flushed() && self.connection.wants_buffer() {
            return false;
        }
        let had_room = self.connection.has_room();
        let mut is_blocked = false;
        while !is_blocked {
            let written = match self.connection.poll_transmit() {
                Some(mut bytes) => match &mut self.watch {
                    None => self.transport.poll_write(cx, &mut bytes),
                    Some(watch) => self.transport.poll_write(cx, &mut watch.writing(bytes)),
                },
                None => break,
            };
            match written {
                Poll::Ready(Ok(_)) => self.unflushed = true,
                Poll::Ready(Err(error)) => {
                    self.fail(error);
                    return false;
                }
                Poll::Pending => {
                    self.connection.transmit_blocked(self.now);
                    is_blocked = true;
                }
            }
        }
        if let Some(buffer) = self.connection.reclaim_buffer() {
            buffers::give_write(buffer);
        }
        if self.unflushed {
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
                Poll::Pending => self.connection.transmit_blocked(self.now),
            }
        }
        if (!had_room && self.connection.has_room()) || self.is_flushed() {
            self.wake_waiters();
        }
        !is_blocked && self.connection.has_transmit()
    }

    /// Does with the transport what the connection asks for, and says whether it is gone.
    fn tear_down(&mut self, cx: &mut Context<'_>) -> bool {
        match self.connection.teardown() {
            Teardown::Keep => return self.is_gone(),
            Teardown::FinishWriting => {
                if !self.finished_writing {
                    self.finished_writing = self.transport.poll_shutdown(cx).is_ready();
                }
                return false;
            }
            Teardown::Disconnect => {}
        }
        let ended = self.finished_writing || self.transport.poll_shutdown(cx).is_ready();
        if !ended && self.may_linger() {
            return false;
        }
        self.let_go();
        true
    }

    /// Whether a transport that needs time to end gets it. One that encrypts may still hold the
    /// Close frame back, and has an ending of its own, without which the peer has to take what it
    /// has read for cut off (RFC 8446 §6.1).
    fn may_linger(&self) -> bool {
        let in_order =
            !matches!(self.connection.failure(), Some(Failure::Timeout(_) | Failure::Disconnected));
        in_order && self.connection.closing_deadline().is_none_or(|deadline| self.now < deadline)
    }

    /// Nobody takes turns any more: drops the transport, if that has not happened yet.
    pub(crate) fn abandon(&mut self) {
        if !self.is_gone() {
            self.connection.transport_dropped(now());
            self.let_go();
            self.wake_reader();
        }
    }

    fn let_go(&mut self) {
        self.transport = Transport::Gone;
        self.unflushed = false;
        self.inbound = BytesMut::new();
        self.timer = Timer::default();
        if let Some(watch) = &mut self.watch {
            watch.end(&self.connection);
        }
        self.wake_if_over();
    }

    fn fail(&mut self, error: io::Error) {
        self.transport_error = Some(error);
        self.unflushed = false;
        self.connection.transport_failed(self.now);
        self.wake_if_over();
    }

    /// Wakes whoever waits for a message, and says whether that is the one who takes this turn.
    fn wake_reader(&mut self) -> bool {
        match std::mem::replace(&mut self.reader, Reader::Nobody) {
            Reader::Nobody => false,
            Reader::Driver => true,
            Reader::Task(waker) => {
                waker.wake();
                false
            }
        }
    }

    fn wake_waiters(&mut self) {
        for waiter in self.waiters.drain(..) {
            waiter.wake();
        }
    }

    /// Wakes the waiters when the connection is over; the reader is woken at the turn's end.
    fn wake_if_over(&mut self) {
        if self.is_over() {
            self.wake_waiters();
        }
    }
}

/// What a message taken ahead counts for: its payload, and its place in the queue.
fn counted_size(message: &Message) -> usize {
    message.len() + size_of::<Message>()
}

/// The time, which a test may have paused.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
