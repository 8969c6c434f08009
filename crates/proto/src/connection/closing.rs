//! How a connection ends: the closing handshake with one deadline, violations, time-outs and
//! transports that break (RFC 6455 §7).

use std::fmt;
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};

use super::keepalive::Silence;
use super::{Connection, State};
use crate::close::{CloseCode, CloseFrame, Closed, ClosedBy, MAX_REASON_LEN};
use crate::error::{Misuse, Phase, ProtocolError};
use crate::opcode::Opcode;
use crate::role::Role;
use crate::utf8::Utf8Bytes;

/// Why a connection ended in another way than by a closing handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The peer broke a rule.
    Protocol(ProtocolError),
    /// Time ran out.
    Timeout(Phase),
    /// The transport ended without a Close frame.
    Disconnected,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => error.fmt(f),
            Self::Timeout(phase) => write!(f, "timed out: {phase}"),
            Self::Disconnected => f.write_str("the transport ended without a Close frame"),
        }
    }
}

/// What the connection asks to be done with its transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teardown {
    /// Keep it.
    Keep,
    /// End the writing direction only and read on, discarding, until the peer ends too. Dropping
    /// a transport with unread bytes in it could destroy our Close frame on its way.
    FinishWriting,
    /// Drop it.
    Disconnect,
}

/// What is known of the end.
#[derive(Debug)]
pub(super) struct Ending {
    closed: Closed,
    sent: Option<CloseFrame>,
    received: Option<CloseFrame>,
    failure: Option<Failure>,
    /// When the peer's patience ends: one deadline for the whole closing.
    deadline: Option<Instant>,
    /// The transport gives no more bytes.
    eof: bool,
    /// The transport is given up, whatever waits.
    aborted: bool,
}

impl Ending {
    fn new(code: CloseCode, reason: Utf8Bytes, by: ClosedBy, deadline: Option<Instant>) -> Self {
        Self {
            closed: Closed { code, reason, by },
            sent: None,
            received: None,
            failure: None,
            deadline,
            eof: false,
            aborted: false,
        }
    }
}

impl Connection {
    /// Begins the closing handshake: queues a Close frame behind what was sent before. From now on
    /// [`Config::close_timeout`](crate::Config::close_timeout) runs. Messages still arrive until
    /// the peer's Close frame does (RFC 6455 §7.1.2).
    ///
    /// # Errors
    ///
    /// [`Misuse::NotOpen`] when the connection is already closing,
    /// [`Misuse::UnsendableCloseCode`] and [`Misuse::ReasonTooLong`] when the frame would break
    /// the protocol (RFC 6455 §7.4, §5.5).
    pub fn close(&mut self, code: CloseCode, reason: &str, now: Instant) -> Result<(), Misuse> {
        if self.ending.is_some() {
            return Err(Misuse::NotOpen);
        }
        if !code.is_sendable() {
            return Err(Misuse::UnsendableCloseCode(code));
        }
        if reason.len() > MAX_REASON_LEN {
            return Err(Misuse::ReasonTooLong);
        }
        self.begin_closing(code, reason.into(), ClosedBy::Us, now);
        self.push_close(CloseFrame { code, reason: reason.into() });
        Ok(())
    }

    /// The transport will give no more bytes.
    pub fn receive_eof(&mut self, now: Instant) {
        if self.ending.is_none() {
            // §7.1.5: without a Close frame the code is 1006.
            self.begin_closing(CloseCode::ABNORMAL, Utf8Bytes::new(), ClosedBy::Peer, now);
        }
        if let Some(ending) = &mut self.ending {
            ending.eof = true;
            if ending.received.is_none() {
                // §7.1.4: only after a complete closing handshake is it closed cleanly.
                ending.failure.get_or_insert(Failure::Disconnected);
            }
            // Nobody is left to read what waits, unless the peer has only said its last word.
            ending.aborted |= ending.received.is_none() && ending.failure == Some(Failure::Disconnected);
        }
        self.inbox.clear();
        self.drop_queue_if_aborted();
    }

    /// The transport broke: nothing more can be read or written.
    pub fn transport_failed(&mut self, now: Instant) {
        self.receive_eof(now);
        if let Some(ending) = &mut self.ending {
            ending.aborted = true;
        }
        self.drop_queue_if_aborted();
    }

    /// This endpoint drops the transport without a word: nothing more can be read or written.
    ///
    /// ```
    /// use std::{sync::Arc, time::Instant};
    /// use stentor_proto::{CloseCode, ClosedBy, Config, Connection};
    ///
    /// let mut server = Connection::server(Arc::new(Config::default()), Instant::now());
    /// server.transport_dropped(Instant::now());
    /// let closed = server.closed().expect("it is over");
    /// assert_eq!((closed.code, closed.by), (CloseCode::ABNORMAL, ClosedBy::Us));
    /// ```
    pub fn transport_dropped(&mut self, now: Instant) {
        if self.ending.is_none() {
            // RFC 6455 §7.1.5: without a Close frame the code is 1006.
            self.begin_closing(CloseCode::ABNORMAL, Utf8Bytes::new(), ClosedBy::Us, now);
        }
        self.transport_failed(now);
    }

    fn drop_queue_if_aborted(&mut self) {
        if self.ending.as_ref().is_some_and(|ending| ending.aborted) {
            self.outbox.clear();
            self.drop_queued();
            self.drop_backlog();
            self.blocked_since = None;
        }
    }

    /// Time has come to [`poll_timeout`](Self::poll_timeout): does what is due at `now`, which may
    /// be nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |since: Option<Instant>, timeout| {
            since.and_then(|since| since.checked_add(timeout)).is_some_and(|deadline| now >= deadline)
        };
        if self.close_deadline().is_some_and(|deadline| now >= deadline) {
            return self.abort(Phase::Close, now);
        }
        if due(self.blocked_since, self.config.write_timeout) {
            return self.abort(Phase::Write, now);
        }
        if due(self.inbox.unfinished_since(), self.config.assembly_timeout) {
            return self.fail(ProtocolError::MessageTooSlow, now);
        }
        self.release_idle(now);
        self.enforce_policies(now);
        let Some(keepalive) = self.config.keepalive.filter(|_| self.ending.is_none()) else { return };
        match self.liveness.silence(keepalive, now) {
            Silence::Bearable => {}
            Silence::Ping => {
                let payload = self.liveness.keepalive_ping(now);
                self.outbox.push_ping(&payload);
            }
            Silence::Dead => self.abort(Phase::Keepalive, now),
        }
    }

    /// Gives the connection up at once, without a closing handshake.
    pub fn abort(&mut self, phase: Phase, now: Instant) {
        if self.ending.is_none() {
            self.begin_closing(CloseCode::ABNORMAL, Utf8Bytes::new(), ClosedBy::Us, now);
        }
        if let Some(ending) = &mut self.ending {
            ending.aborted = true;
            let handshake_done = ending.sent.is_some() && ending.received.is_some();
            if !handshake_done || phase != Phase::Close {
                ending.failure.get_or_insert(Failure::Timeout(phase));
            }
        }
        self.inbox.clear();
        self.drop_queue_if_aborted();
    }

    /// The connection's state (RFC 6455 §4.1, §7.1).
    #[must_use]
    pub fn state(&self) -> State {
        match (&self.ending, self.teardown()) {
            (None, _) => State::Open,
            (Some(_), Teardown::Disconnect) => State::Closed,
            (Some(_), _) => State::Closing,
        }
    }

    /// What to do with the transport, once everything that
    /// [`poll_transmit`](Self::poll_transmit) holds is written.
    #[must_use]
    #[inline]
    pub fn teardown(&self) -> Teardown {
        self.ending.as_ref().map_or(Teardown::Keep, |ending| self.teardown_at_end(ending))
    }

    #[cold]
    fn teardown_at_end(&self, ending: &Ending) -> Teardown {
        if ending.aborted {
            return Teardown::Disconnect;
        }
        if self.has_transmit() {
            return Teardown::Keep;
        }
        match self.role() {
            _ if ending.eof => Teardown::Disconnect,
            // §7.1.1: "the server MUST close the underlying TCP connection immediately", while the
            // client waits for it to do so.
            Role::Server if ending.sent.is_some() && ending.received.is_some() => Teardown::Disconnect,
            _ if ending.failure.is_some() => Teardown::FinishWriting,
            _ => Teardown::Keep,
        }
    }

    /// How the closing began, once it has: the code and reason of the first Close frame, and whose
    /// it was.
    #[must_use]
    pub fn closed(&self) -> Option<&Closed> {
        self.ending.as_ref().map(|ending| &ending.closed)
    }

    /// The Close frame that the peer sent, if it has.
    #[must_use]
    pub fn close_received(&self) -> Option<&CloseFrame> {
        self.ending.as_ref()?.received.as_ref()
    }

    /// The Close frame that this endpoint sent, if it has.
    #[must_use]
    pub fn close_sent(&self) -> Option<&CloseFrame> {
        self.ending.as_ref()?.sent.as_ref()
    }

    /// Why the connection ended without a closing handshake, if so it did.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.ending.as_ref()?.failure
    }

    /// By when the closing has to be over, the end of the transport included; `None` before it has begun.
    ///
    /// [`poll_timeout`](Self::poll_timeout) keeps it until [`Teardown::Disconnect`]. After that it concerns only
    /// those whose transport needs time to end, because it holds bytes back or has an ending of its own.
    #[must_use]
    pub fn closing_deadline(&self) -> Option<Instant> {
        self.ending.as_ref()?.deadline
    }

    /// Whether what arrives is still looked at.
    pub(super) fn is_receiving(&self) -> bool {
        self.ending
            .as_ref()
            .is_none_or(|ending| ending.received.is_none() && ending.failure.is_none() && !ending.aborted)
    }

    /// When the closing has taken too long.
    pub(super) fn close_deadline(&self) -> Option<Instant> {
        let ending = self.ending.as_ref().filter(|_| self.teardown() != Teardown::Disconnect)?;
        ending.deadline
    }

    /// The peer broke a rule (RFC 6455 §7.1.7).
    pub(super) fn fail(&mut self, error: ProtocolError, now: Instant) {
        let code = error.close_code();
        let reason = Utf8Bytes::from_static(error.reason());
        if self.ending.is_none() {
            self.begin_closing(code, reason.clone(), ClosedBy::Us, now);
            self.push_close(CloseFrame { code, reason });
        }
        if let Some(ending) = &mut self.ending {
            ending.failure.get_or_insert(Failure::Protocol(error));
        }
        self.inbox.clear();
    }

    /// The peer's Close frame arrived.
    pub(super) fn peer_closed(&mut self, frame: CloseFrame, now: Instant) {
        if self.ending.is_none() {
            self.begin_closing(frame.code, frame.reason.clone(), ClosedBy::Peer, now);
            // §5.5.1: "the endpoint MUST send a Close frame in response … it typically echos the
            // status code it received".
            self.push_close(frame.clone());
        }
        if let Some(ending) = &mut self.ending {
            ending.received = Some(frame);
        }
        self.inbox.clear();
    }

    pub(super) fn begin_closing(
        &mut self,
        code: CloseCode,
        reason: Utf8Bytes,
        by: ClosedBy,
        now: Instant,
    ) -> &mut Ending {
        let deadline = now.checked_add(self.config.close_timeout);
        self.ending.insert(Box::new(Ending::new(code, reason, by, deadline)))
    }

    pub(super) fn push_close(&mut self, frame: CloseFrame) {
        let body = if frame.code == CloseCode::NO_STATUS {
            Bytes::new()
        } else {
            let mut body = BytesMut::with_capacity(2 + frame.reason.len());
            body.put_u16(frame.code.into());
            body.put_slice(frame.reason.as_bytes());
            body.freeze()
        };
        if !self.close_behind_backlog(&body) {
            self.push_close_body(body);
        }
        if let Some(ending) = &mut self.ending {
            ending.sent = Some(frame);
        }
    }

    /// Queues the Close frame with this body, behind what is still to be compressed.
    pub(super) fn push_close_body(&mut self, body: Bytes) {
        if !self.close_behind_queue(&body) {
            self.push_frame(true, Opcode::Close, body);
        }
    }
}
