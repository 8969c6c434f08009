//! The drive loop: the only module that knows both a transport and a [`Connection`].
//!
//! One *turn* writes what is queued, reads what there is room for and keeps the deadlines; reading
//! never waits for a blocked write, nor writing for a silent peer. What compresses or inflates a
//! long message ends the turn half-way, and goes on in the next. Who takes the turns is one of two:
//!
//! - *driven*: a task beside the handles does, the connection's own on a server, and one that
//!   [`split`](crate::WebSocket::split) starts on a client. The handles only queue and take, and
//!   the task writes once for all that a handler sent between two suspensions;
//! - *self-driven*: the calls on the [`WebSocket`](crate::WebSocket) do it themselves.
//!
//! Between the task and the system calls lie as few calls as can be, because many processors do not
//! keep where to return to through the kernel: the returns behind a system call are guessed wrong.
//! What seldom happens is `#[cold]`, here and in [`stentor_proto`]: so it does not lie between the
//! instructions that every turn needs, and which the kernel has driven out of the nearest cache.
//!
//! This file has the turn, who takes it and who waits. `reading` and `writing` are its two halves,
//! `ending` is what happens when there are no more, `inbound` is where bytes are read into.

mod ending;
mod inbound;
mod reading;
mod writing;

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::BytesMut;
use stentor_proto::{CloseFrame, Connection};
use tokio::runtime::Handle;

use crate::buffers::Queue;
use crate::error::Result;
use crate::timer::Timer;
use crate::trace::{News, Told};
use crate::transport::Transport;
use crate::watch::Watch;
use inbound::Inbound;

/// Once this many bytes of messages wait that nobody has asked for, no more is read; until then it
/// is, so that the Pings among them are answered. A message counts for what it was on the wire and
/// for its place in the queue. The last batch may be as large again.
const READ_AHEAD: usize = 32 << 10;

/// After this many reads in a row a turn ends, so that a peer that always has more to say holds up
/// neither the deadlines nor the other tasks of the thread.
const READS: usize = 64;

/// A connection, its transport, and who waits for what.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own; together they are no state machine.
pub(crate) struct Core {
    pub(crate) connection: Connection,
    transport: Transport,
    inbound: Inbound,
    /// The time when something happened last: most turns need no other.
    now: Instant,
    /// The task has waited since then, or a handler has run, which may have taken long.
    now_is_old: bool,
    /// Messages taken ahead of a reader, and what they count for.
    ahead: Queue,
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
    #[allow(clippy::box_collection)] // Few connections ever have one.
    waiters: Option<Box<Vec<Waker>>>,
    /// How many Pings of ours were answered.
    pub(crate) pongs: u32,
    driver: Driver,
    /// How many [`WebSocket`](crate::WebSocket)s, senders and receivers there are.
    pub(crate) handles: u32,
    /// Nobody will read any more, so messages are dropped.
    pub(crate) discarding: bool,
    /// What to close with as soon as the reader waits and nothing is there for it.
    farewell: Option<Arc<CloseFrame>>,
    /// The task is to end, whatever the handler does.
    pub(crate) killed: bool,
    /// A stream has yielded why the connection failed, and ends.
    pub(crate) failure_yielded: bool,
    /// `None` when nobody watches, which costs nothing.
    pub(crate) watch: Option<Box<Watch>>,
    /// What the log has been told.
    told: Told,
}

/// Who takes the turns.
#[derive(Debug)]
enum Driver {
    /// Whoever calls. The closing is finished in this runtime when nobody does any more.
    Caller(Option<Handle>),
    /// A task. `in_turn` while it polls the handler, after which it takes a turn anyway.
    Task { waker: Option<Waker>, in_turn: bool },
}

impl Driver {
    fn of_task() -> Self {
        Self::Task { waker: None, in_turn: false }
    }
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
        let driver = if driven { Driver::of_task() } else { Driver::Caller(Handle::try_current().ok()) };
        Self {
            connection,
            transport,
            inbound: Inbound::new(inbound),
            now: now(),
            now_is_old: false,
            ahead: Queue::default(),
            ahead_size: 0,
            eof: false,
            pong_first: false,
            unflushed: false,
            finished_writing: false,
            transport_error: None,
            timer: Timer::default(),
            reader: Reader::Nobody,
            waiters: None,
            pongs: 0,
            driver,
            handles: 1,
            discarding: false,
            farewell: None,
            killed: false,
            failure_yielded: false,
            watch: None,
            told: Told::default(),
        }
    }

    /// Whether there is anything new for the log.
    #[inline]
    pub(crate) fn has_news(&self) -> bool {
        self.told.lacks(&self.connection, self.is_gone())
    }

    /// What is new for the log.
    pub(crate) fn news(&mut self) -> News {
        let is_gone = self.is_gone();
        self.told.update(&self.connection, is_gone)
    }

    /// Counts what passes from now on.
    pub(crate) fn watch(&mut self, only_counts: bool) {
        self.watch = Some(Watch::new(&self.connection, self.inbound.bytes(), only_counts));
    }

    /// Whether a task takes the turns, rather than the caller.
    pub(crate) fn is_driven(&self) -> bool {
        matches!(self.driver, Driver::Task { .. })
    }

    /// From now on a task takes the turns: one that has to be started in the runtime it gives, unless
    /// one does already or there is none to start it in.
    pub(crate) fn hand_over(&mut self) -> Option<Handle> {
        match &mut self.driver {
            Driver::Task { .. } => None,
            Driver::Caller(runtime) => {
                let runtime = runtime.take();
                self.driver = Driver::of_task();
                runtime
            }
        }
    }

    /// The task is about to poll the handler and will take a turn afterwards.
    #[inline]
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
        self.now_is_old = true;
        if let Driver::Task { in_turn, .. } = &mut self.driver {
            *in_turn = false;
        }
    }

    /// Makes sure that a turn is taken for what a handle has just done.
    #[inline]
    pub(crate) fn wake_driver(&self) {
        if let Driver::Task { waker: Some(waker), in_turn: false } = &self.driver {
            waker.wake_by_ref();
        }
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

    fn wait_to_read(&mut self, cx: &Context<'_>) {
        match &self.driver {
            // The task polls the handler again when something was read: no waking is needed.
            Driver::Task { waker: Some(waker), in_turn: true } if waker.will_wake(cx.waker()) => {
                self.reader = Reader::Driver;
            }
            _ => self.wait_to_be_woken(cx),
        }
    }

    #[cold]
    fn wait_to_be_woken(&mut self, cx: &Context<'_>) {
        self.reader = Reader::Task(cx.waker().clone());
        self.wake_driver();
    }

    fn wait_for_change(&mut self, cx: &Context<'_>) {
        let waiters = self.waiters.get_or_insert_default();
        if !waiters.iter().any(|waiter| waiter.will_wake(cx.waker())) {
            waiters.push(cx.waker().clone());
        }
    }

    /// Takes a turn, and says whether the reader should look again at once.
    pub(crate) fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        self.keep_deadlines(cx);
        self.exchange(cx)
    }

    /// The task was woken: does what is due, and reads for a handler that waits for a message. What has
    /// arrived is there before the handler looks, so that it looks once.
    #[inline]
    pub(crate) fn wake_up(&mut self, cx: &mut Context<'_>) {
        self.keep_deadlines(cx);
        if matches!(self.reader, Reader::Driver) && !self.is_gone() && self.wants_bytes() {
            let _ = self.read(cx);
        }
    }

    /// Does what is due.
    #[inline]
    fn keep_deadlines(&mut self, cx: &mut Context<'_>) {
        self.now_is_old = true;
        if !self.timer.is_running() {
            self.do_due(cx);
        }
    }

    #[cold]
    fn do_due(&mut self, cx: &mut Context<'_>) {
        self.renew_now();
        let is_due = self.connection.poll_timeout().is_some_and(|deadline| deadline <= self.now);
        if is_due && !self.is_gone() {
            // A task that comes late must not hold that against the peer: what has arrived
            // meanwhile is a sign of life, too.
            self.catch_up(cx);
            self.connection.handle_timeout(self.now);
            self.wake_if_over();
        }
    }

    /// Takes a turn as far as it is not about deadlines: enough when the last one was a moment ago.
    #[allow(clippy::inline_always)] // See the module: every frame around a system call costs.
    #[inline(always)]
    pub(crate) fn exchange(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_gone() {
            return false;
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
            if unwritten || (self.connection.is_inflating() && self.ahead_size < READ_AHEAD) {
                // The rest of a long message, once the other tasks of the thread had their turn.
                cx.waker().wake_by_ref();
            }
            if !self.wants_bytes() {
                break false;
            }
            if reads.next().is_none() {
                cx.waker().wake_by_ref();
                break false;
            }
            match self.read_on(cx) {
                Poll::Ready(()) if waited_for && self.wake_reader() => break true,
                Poll::Ready(()) if !unwritten => {}
                Poll::Pending if waited_for && self.ahead.is_empty() && self.takes_leave() => {}
                _ => break false,
            }
        };
        if self.connection.is_inflating() && matches!(self.reader, Reader::Task(_)) {
            self.wake_reader();
        }
        let again = again || ((self.is_over() || !self.ahead.is_empty()) && self.wake_reader());
        if !again && !self.is_gone() {
            self.set_timer(cx);
        }
        again
    }

    /// Whether more is to be read: not before there is room for it, and use.
    #[inline]
    fn wants_bytes(&self) -> bool {
        self.ahead_size < READ_AHEAD && !self.connection.is_inflating() && !self.pong_first
    }

    /// Sees to it that the task is woken when something is due.
    fn set_timer(&mut self, cx: &mut Context<'_>) {
        let deadline = match (self.connection.poll_timeout(), self.connection.closing_deadline()) {
            (deadline, None) => deadline,
            deadlines => deadlines.0.into_iter().chain(deadlines.1).min(),
        };
        if let Some(deadline) = deadline {
            self.timer.arm(cx, deadline);
        }
    }

    /// Something happens now, whenever it was that the turn has begun.
    #[inline]
    fn renew_now(&mut self) {
        if std::mem::take(&mut self.now_is_old) {
            self.now = now();
        }
    }

    /// Wakes whoever waits for a message, and says whether that is the one who takes this turn.
    #[inline(never)]
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

    #[inline]
    fn wake_waiters(&mut self) {
        if let Some(waiters) = self.waiters.take() {
            waiters.into_iter().for_each(Waker::wake);
        }
    }

    /// Wakes the waiters when the connection is over; the reader is woken at the turn's end.
    fn wake_if_over(&mut self) {
        if self.is_over() {
            self.wake_waiters();
        }
    }
}

/// The time, which a test may have paused.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
