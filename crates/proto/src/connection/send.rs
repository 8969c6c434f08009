//! Commands become frames (RFC 6455 §5.6, §6.1).

use std::time::Instant;

use bytes::Bytes;

use super::Connection;
use super::policies::Admission;
use crate::config::SlowReader;
use crate::deflate::Compress;
use crate::error::Misuse;
use crate::header::FrameHeader;
use crate::message::Message;
use crate::opcode::Opcode;
use crate::outbox::COPY_MAX;
use crate::prepared::Prepared;

impl Connection {
    /// Queues a message, in fragments if [`Config::fragment_size`](crate::Config::fragment_size)
    /// says so. The payload is copied when it is small, taken over otherwise. With
    /// permessage-deflate it is compressed as [`Compress::ByThreshold`] says.
    ///
    /// # Errors
    ///
    /// [`Misuse::NotOpen`] once a Close frame was sent or received; [`Misuse::OutboxFull`] when
    /// [`has_room`](Self::has_room) is false, or when the connection is about to be closed by
    /// [`SlowReader::Close`]: then [`handle_timeout`](Self::handle_timeout) is due.
    pub fn send(&mut self, message: Message) -> Result<(), Misuse> {
        if self.send_copy(&message) {
            return Ok(());
        }
        self.send_with(message, Compress::ByThreshold)
    }

    /// Queues a message like [`send`](Self::send), compressed or not (RFC 7692 §6.1: a sender may
    /// leave any message uncompressed). The example is at [`Compress`].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    #[inline(never)] // It is not what `send` usually does.
    pub fn send_with(&mut self, message: Message, compress: Compress) -> Result<(), Misuse> {
        match self.admit_sending()? {
            Admission::Send => self.push_with(message, compress),
            Admission::Keep => self.keep_message(message, compress),
            Admission::Drop => {}
        }
        Ok(())
    }

    /// Queues a message, compressed or not.
    pub(super) fn push_with(&mut self, message: Message, compress: Compress) {
        if self.codec.is_some() {
            self.send_by_codec(message, compress);
        } else {
            self.push_message(message);
        }
    }

    /// Queues a message as it is.
    pub(super) fn push_message(&mut self, message: Message) {
        match self.config.fragment_size {
            Some(size) if message.len() > size => {
                self.push_fragments(message.opcode(), message.into_bytes(), size.max(1));
            }
            _ if message.len() <= COPY_MAX => {
                let mask = self.masking.key();
                self.outbox.push_copy(mask, message.opcode(), message.payload());
            }
            _ => self.push_frame(true, message.opcode(), message.into_bytes()),
        }
    }

    /// Queues a copy of a message if it is small and nothing speaks against it, which is the usual
    /// case of [`send`](Self::send), and cheaper. `false` means that nothing was done: `send` knows
    /// what is to be done instead, or why nothing can be.
    ///
    /// ```
    /// use std::{sync::Arc, time::Instant};
    /// use stentor_proto::{Config, Connection, Message};
    ///
    /// let mut server = Connection::server(Arc::new(Config::default()), Instant::now());
    /// assert!(server.send_copy(&Message::from("hello")));
    /// assert!(!server.send_copy(&Message::from(vec![0; 100_000])));
    /// assert_eq!(server.queued(), 7);
    /// ```
    #[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
    #[inline(always)]
    pub fn send_copy(&mut self, message: &Message) -> bool {
        let usual = message.len() < self.copied_below && self.ending.is_none() && !self.is_full();
        if usual {
            let mask = self.masking.key();
            self.outbox.push_copy(mask, message.opcode(), message.payload());
        }
        usual
    }

    /// Queues a message that was encoded before, sharing its bytes where the role allows.
    ///
    /// With permessage-deflate it is compressed once for all connections with the same window. What
    /// is shared refers to no earlier message, so that any of them can read it; afterwards the
    /// connection's own compressor begins anew.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Misuse> {
        match self.admit_sending()? {
            Admission::Send => self.push_any_prepared(prepared),
            Admission::Keep => self.keep_prepared(prepared.clone()),
            Admission::Drop => {}
        }
        Ok(())
    }

    /// Queues a prepared message, compressed or not.
    pub(super) fn push_any_prepared(&mut self, prepared: &Prepared) {
        if self.codec.is_some() {
            self.send_prepared_by_codec(prepared);
        } else {
            self.push_prepared(prepared);
        }
    }

    /// Queues a prepared message as it is.
    pub(super) fn push_prepared(&mut self, prepared: &Prepared) {
        if self.masking.0.is_some() || self.config.fragment_size.is_some() {
            self.push_message(prepared.message().clone());
        } else {
            self.outbox.push_encoded(prepared.frame().clone());
        }
    }

    /// Sends a Ping, whose Pong will tell the round-trip time. When one is already under way, its
    /// Pong answers for both, so no second is sent.
    ///
    /// # Errors
    ///
    /// [`Misuse::NotOpen`] once a Close frame was sent or received.
    pub fn ping(&mut self, now: Instant) -> Result<(), Misuse> {
        if self.ending.is_some() {
            return Err(Misuse::NotOpen);
        }
        if let Some(payload) = self.liveness.ping(now) {
            self.outbox.push_ping(&payload);
        }
        Ok(())
    }

    /// Whether a message may be sent now without waiting: fewer than
    /// [`Config::max_outbox_size`](crate::Config::max_outbox_size) bytes wait, or
    /// [`Config::slow_reader`](crate::Config::slow_reader) says what else becomes of it.
    #[must_use]
    #[inline]
    pub fn has_room(&self) -> bool {
        !self.is_full() || self.config.slow_reader != SlowReader::Wait
    }

    /// Whether as many bytes wait as may.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.outbox.len() >= self.config.max_outbox_size
    }

    /// How many bytes of messages wait to be written, headers included. A message that waits to be
    /// compressed counts as it is.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.outbox.len() + self.backlog_len()
    }

    /// Whether the connection holds no buffer to gather small frames in, so that
    /// [`lend_buffer`](Self::lend_buffer) would spare it an allocation.
    #[must_use]
    #[inline]
    pub fn wants_buffer(&self) -> bool {
        self.outbox.wants_buffer()
    }

    /// Hands in a buffer to gather small frames in; its content is dropped.
    pub fn lend_buffer(&mut self, buffer: Vec<u8>) {
        self.outbox.lend_buffer(buffer);
    }

    /// Takes the gathering buffer back when nothing waits in it, so that an idle connection holds
    /// none.
    #[inline]
    pub fn reclaim_buffer(&mut self) -> Option<Vec<u8>> {
        self.outbox.reclaim_buffer()
    }

    #[inline]
    pub(super) fn push_frame(&mut self, fin: bool, opcode: Opcode, payload: Bytes) {
        let mask = self.masking.key();
        let header = FrameHeader { fin, rsv: 0, opcode, mask, payload_len: payload.len() as u64 };
        self.outbox.push(&header, payload);
    }

    /// RFC 6455 §5.4: the first fragment has the opcode, the others are continuations, the last
    /// has FIN.
    fn push_fragments(&mut self, mut opcode: Opcode, mut payload: Bytes, size: usize) {
        while payload.len() > size {
            let fragment = payload.split_to(size);
            self.push_frame(false, opcode, fragment);
            opcode = Opcode::Continuation;
        }
        self.push_frame(true, opcode, payload);
    }

    /// Puts the head of the opening handshake before everything else.
    pub(crate) fn push_head(&mut self, head: Bytes) {
        self.outbox.push_head(head);
    }
}
