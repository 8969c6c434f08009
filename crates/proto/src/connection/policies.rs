//! What few connections are asked to keep: how much a peer may send in a second, for how long
//! nothing may happen, and what becomes of messages for a peer that does not read (RFC 6455 §10.4).
//!
//! A connection of which none of this is asked has nothing of it but a `None`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Connection;
use crate::close::{CloseCode, CloseFrame, ClosedBy};
use crate::config::{Config, SlowReader};
use crate::deflate::Compress;
use crate::error::{Misuse, ProtocolError};
use crate::message::Message;
use crate::prepared::Prepared;
use crate::utf8::Utf8Bytes;

/// So much is encoded ahead of the transport when messages may still be dropped: what one write
/// takes gladly.
const REFILL: usize = 16 << 10;

/// What has to be kept for what the configuration asks.
#[derive(Debug)]
pub(super) struct Policies {
    messages: Window,
    bytes: Window,
    idle: Idle,
    backlog: Backlog,
    /// How many messages were dropped because the peer did not read.
    dropped: u64,
    /// One was, and nobody has asked.
    has_dropped: bool,
    /// The peer does not read, and is to be closed as soon as the time is known.
    overflowed: bool,
    /// Every message that is received has to be looked at.
    counts: bool,
}

impl Policies {
    /// `None` when nothing has to be kept.
    pub(super) fn new(config: &Config, now: Instant) -> Option<Box<Self>> {
        let rates = config.max_messages_per_second.is_some() || config.max_bytes_per_second.is_some();
        let policy = config.slow_reader != SlowReader::Wait;
        let counts = rates || config.idle_timeout.is_some();
        (counts || policy).then(|| {
            Box::new(Self {
                messages: Window::new(now),
                bytes: Window::new(now),
                idle: Idle { last: now, sent: false },
                backlog: Backlog::default(),
                dropped: 0,
                has_dropped: false,
                overflowed: false,
                counts,
            })
        })
    }

    fn drop_one(&mut self) {
        self.dropped += 1;
        self.has_dropped = true;
    }

    /// Whether every message that is received has to be looked at.
    #[cold]
    pub(super) fn counts(&self) -> bool {
        self.counts
    }

    /// Whether messages wait that are not encoded.
    #[cold]
    fn has_backlog(&self) -> bool {
        !self.backlog.waiting.is_empty()
    }
}

/// Counts within windows of a second.
#[derive(Debug)]
struct Window {
    began: Instant,
    count: usize,
}

impl Window {
    fn new(now: Instant) -> Self {
        Self { began: now, count: 0 }
    }

    /// Counts `more`, and says whether that stays within the limit.
    fn admits(&mut self, more: usize, now: Instant, limit: usize) -> bool {
        const WINDOW: Duration = Duration::from_secs(1);
        if now.saturating_duration_since(self.began) >= WINDOW {
            *self = Self::new(now);
        }
        self.count = self.count.saturating_add(more);
        self.count <= limit
    }
}

/// When a message was last seen, either way.
#[derive(Debug)]
struct Idle {
    last: Instant,
    /// One was sent since time was last looked at: the calls that send are not told the time.
    sent: bool,
}

/// Messages that wait unencoded, so that the oldest can still be dropped.
#[derive(Debug, Default)]
struct Backlog {
    waiting: VecDeque<Waiting>,
    len: usize,
}

#[derive(Debug)]
enum Waiting {
    Message(Message, Compress),
    Prepared(Prepared),
    /// The body of a Close frame, which keeps its place behind the others.
    Close(Bytes),
}

impl Waiting {
    /// What it counts for: its payload, and its own place in the queue, so that the limit holds for
    /// tiny messages, too.
    fn len(&self) -> usize {
        let payload = match self {
            Self::Message(message, _) => message.len(),
            Self::Prepared(prepared) => prepared.message().len(),
            Self::Close(body) => body.len(),
        };
        payload + size_of::<Self>()
    }
}

/// What is to be done with a message that somebody wants to send.
pub(super) enum Admission {
    /// Send it.
    Send,
    /// Keep it behind those that wait.
    Keep,
    /// Nothing: it is dropped.
    Drop,
}

impl Connection {
    /// A message was received: counts it.
    pub(super) fn count_message(&mut self, len: usize, now: Instant) -> Result<(), ProtocolError> {
        let Some(policies) = self.policies.as_mut().filter(|policies| policies.counts) else { return Ok(()) };
        policies.idle.last = now;
        if self.config.max_messages_per_second.is_some_and(|limit| {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            !policies.messages.admits(1, now, limit)
        }) {
            return Err(ProtocolError::TooManyMessages);
        }
        if self.config.max_bytes_per_second.is_some_and(|limit| !policies.bytes.admits(len, now, limit)) {
            return Err(ProtocolError::TooManyBytes);
        }
        Ok(())
    }

    /// What is to be done with a message in view of those that wait already.
    pub(super) fn admit_sending(&mut self) -> Result<Admission, Misuse> {
        if self.ending.is_some() {
            // §5.5.1: "The application MUST NOT send any more data frames after sending a Close frame."
            return Err(Misuse::NotOpen);
        }
        let full = self.is_full();
        let Some(policies) = &mut self.policies else {
            return if full { Err(Misuse::OutboxFull) } else { Ok(Admission::Send) };
        };
        policies.idle.sent = true;
        match self.config.slow_reader {
            SlowReader::DropOldest if self.outbox.len() < REFILL && policies.backlog.waiting.is_empty() => {
                Ok(Admission::Send)
            }
            SlowReader::DropOldest => Ok(Admission::Keep),
            _ if !full => Ok(Admission::Send),
            SlowReader::Wait => Err(Misuse::OutboxFull),
            SlowReader::DropNewest => {
                policies.drop_one();
                Ok(Admission::Drop)
            }
            SlowReader::Close => {
                policies.overflowed = true;
                Err(Misuse::OutboxFull)
            }
        }
    }

    /// Keeps a message behind others, and drops the oldest of them while there are too many.
    pub(super) fn keep_message(&mut self, message: Message, compress: Compress) {
        self.keep(Waiting::Message(message, compress));
    }

    /// The same for one that is encoded already.
    pub(super) fn keep_prepared(&mut self, prepared: Prepared) {
        self.keep(Waiting::Prepared(prepared));
    }

    fn keep(&mut self, waiting: Waiting) {
        let Some(policies) = &mut self.policies else { return };
        policies.backlog.len += waiting.len();
        policies.backlog.waiting.push_back(waiting);
        // The newest stays, however large it is.
        while self.outbox.len() + policies.backlog.len > self.config.max_outbox_size
            && policies.backlog.waiting.len() > 1
        {
            let oldest = policies.backlog.waiting.pop_front();
            policies.backlog.len -= oldest.as_ref().map_or(0, Waiting::len);
            policies.drop_one();
        }
    }

    /// Encodes of what waits as much as is soon to leave.
    #[inline(never)]
    pub(super) fn refill(&mut self) {
        while self.outbox.len() < REFILL && self.encode_oldest() {}
        if let Some(policies) = &mut self.policies
            && policies.backlog.waiting.is_empty()
        {
            // An idle connection holds no memory for it.
            policies.backlog.waiting = VecDeque::new();
        }
    }

    /// Keeps a Close frame behind the messages that wait; `false` when there is none.
    pub(super) fn close_behind_backlog(&mut self, body: &Bytes) -> bool {
        let Some(policies) = self.policies.as_mut() else { return false };
        let waits = !policies.backlog.waiting.is_empty();
        if waits {
            let close = Waiting::Close(body.clone());
            policies.backlog.len += close.len();
            policies.backlog.waiting.push_back(close);
        }
        waits
    }

    fn encode_oldest(&mut self) -> bool {
        let Some(policies) = &mut self.policies else { return false };
        let Some(waiting) = policies.backlog.waiting.pop_front() else { return false };
        policies.backlog.len -= waiting.len();
        match waiting {
            Waiting::Message(message, compress) => self.push_with(message, compress),
            Waiting::Prepared(prepared) => self.push_any_prepared(&prepared),
            Waiting::Close(body) => self.push_close_body(body),
        }
        true
    }

    /// Whether messages wait that are not encoded.
    pub(super) fn has_backlog(&self) -> bool {
        self.policies.as_ref().is_some_and(|policies| policies.has_backlog())
    }

    /// Bytes of messages that wait and are not encoded.
    pub(super) fn backlog_len(&self) -> usize {
        self.policies.as_ref().map_or(0, |policies| policies.backlog.len)
    }

    /// Nothing more will be sent.
    pub(super) fn drop_backlog(&mut self) {
        if let Some(policies) = &mut self.policies {
            policies.backlog = Backlog::default();
        }
    }

    /// How many messages were dropped because the peer did not read them fast enough, under
    /// [`SlowReader::DropOldest`] or [`SlowReader::DropNewest`].
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.policies.as_ref().map_or(0, |policies| policies.dropped)
    }

    /// Whether a message was dropped since this was last asked. Who sends without ever waiting
    /// should then let the connection write.
    #[inline]
    pub fn has_dropped(&mut self) -> bool {
        self.policies.as_mut().is_some_and(|policies| std::mem::take(&mut policies.has_dropped))
    }

    /// When something is due for what is kept here.
    pub(super) fn policies_deadline(&self) -> Option<Instant> {
        let policies = self.policies.as_ref().filter(|_| self.ending.is_none())?;
        if policies.overflowed {
            // Long ago, which is at once.
            return Some(policies.idle.last);
        }
        policies.idle.last.checked_add(self.config.idle_timeout?)
    }

    /// Time has come: closes a peer that does not read, or with whom nothing happens any more.
    pub(super) fn enforce_policies(&mut self, now: Instant) {
        let Some(deadline) = self.policies_deadline() else { return };
        let Some(policies) = &mut self.policies else { return };
        if policies.overflowed {
            // What it has not read so far it will not read before the Close frame either.
            self.drop_backlog();
            self.drop_queued();
            self.outbox.clear_waiting();
            return self.close_for(CloseCode::TRY_AGAIN_LATER, "too slow a reader", now);
        }
        if now < deadline {
            return;
        }
        if std::mem::take(&mut policies.idle.sent) {
            policies.idle.last = now;
        } else {
            self.close_for(CloseCode::TIMEOUT, "idle for too long", now);
        }
    }

    fn close_for(&mut self, code: CloseCode, reason: &'static str, now: Instant) {
        let reason = Utf8Bytes::from_static(reason);
        self.begin_closing(code, reason.clone(), ClosedBy::Us, now);
        self.push_close(CloseFrame { code, reason });
    }
}
