//! Ending: closing in order, failing, and what then becomes of the transport.

use std::io;
use std::sync::Arc;
use std::task::Context;

use stentor_proto::{CloseCode, CloseFrame, Failure, Misuse, Teardown};

use super::inbound::Inbound;
use super::{Core, now};
use crate::buffers::Queue;
use crate::error::{Error, Result};
use crate::timer::Timer;
use crate::transport::Transport;

impl Core {
    /// Fails when nothing may be sent any more.
    pub(crate) fn check_open(&mut self) -> Result<()> {
        if self.connection.closed().is_some() { Err(self.ended()) } else { Ok(()) }
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
    pub(super) fn ended(&mut self) -> Error {
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

    /// Nothing has arrived that could be answered: closes the connection, if it is to be.
    #[inline]
    pub(super) fn takes_leave(&mut self) -> bool {
        let farewell = self.farewell.take();
        farewell.is_some_and(|farewell| self.take_leave(&farewell))
    }

    #[cold]
    fn take_leave(&mut self, farewell: &CloseFrame) -> bool {
        // What cannot be sent is refused when it is chosen.
        let _ = self.close(farewell.code, farewell.reason.as_str());
        true
    }

    /// From now on messages are dropped.
    pub(crate) fn discard(&mut self) {
        self.discarding = true;
        self.ahead = Queue::default();
        self.ahead_size = 0;
    }

    /// Does with the transport what the connection asks for, and says whether it is gone.
    #[inline]
    pub(super) fn tear_down(&mut self, cx: &mut Context<'_>) -> bool {
        match self.connection.teardown() {
            Teardown::Keep => self.is_gone(),
            teardown => self.end_transport(teardown, cx),
        }
    }

    #[cold]
    fn end_transport(&mut self, teardown: Teardown, cx: &mut Context<'_>) -> bool {
        self.finished_writing = self.finished_writing || self.transport.poll_shutdown(cx).is_ready();
        if teardown == Teardown::FinishWriting || (!self.finished_writing && self.may_linger()) {
            return false;
        }
        self.let_go();
        true
    }

    /// Whether a transport that needs time to end gets it. One that encrypts may still hold the
    /// Close frame back, and has an ending of its own, without which the peer has to take what it
    /// has read for cut off (RFC 8446 §6.1).
    fn may_linger(&mut self) -> bool {
        self.renew_now();
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
        self.inbound = Inbound::default();
        self.timer = Timer::default();
        if let Some(watch) = &mut self.watch {
            watch.end(&self.connection);
        }
        self.wake_if_over();
    }

    #[cold]
    pub(super) fn fail(&mut self, error: io::Error) {
        self.transport_error = Some(error);
        self.unflushed = false;
        self.renew_now();
        self.connection.transport_failed(self.now);
        self.wake_if_over();
    }
}
