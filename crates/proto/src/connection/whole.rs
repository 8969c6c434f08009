//! The usual case of receiving (RFC 6455 §5.2, §5.6).
//!
//! Nearly all messages are one frame, and nearly all that arrive are there whole. Such a message is
//! unmasked and checked where it lies and then split off, which costs one share of the buffer and
//! nothing else. Whatever is not the usual case is left, as it arrived, to
//! [`receive`](Connection::receive).

use std::time::Instant;

use bytes::{Buf, BytesMut};

use super::Connection;
use crate::header::FrameHeader;
use crate::mask::{apply_mask, unmask};
use crate::message::Message;
use crate::utf8::{Utf8Bytes, is_utf8};

impl Connection {
    /// The messages at the front of `bytes`, at `now`, as long as each is there whole and in one
    /// frame: the same that [`receive`](Self::receive) would give one by one, for less, and nothing
    /// else. Each is taken from `bytes` when the iterator gives it.
    ///
    /// Where it ends, ask `receive` what comes next.
    ///
    /// ```
    /// use std::{sync::Arc, time::Instant};
    /// use stentor_proto::{Config, Connection, Event, Message, bytes::BytesMut};
    ///
    /// let now = Instant::now();
    /// let mut server = Connection::server(Arc::new(Config::default()), now);
    ///
    /// // "Hello" from the client (RFC 6455 §5.7), twice, and a Ping.
    /// let mut bytes = BytesMut::new();
    /// bytes.extend_from_slice(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    /// bytes.extend_from_slice(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    /// bytes.extend_from_slice(b"\x89\x80\x37\xfa\x21\x3d");
    /// let messages: Vec<_> = server.receive_messages(&mut bytes, now).collect();
    /// assert_eq!(messages, [Message::from("Hello"), Message::from("Hello")]);
    /// assert!(matches!(server.receive(&mut bytes, now), Some(Event::Ping(_))));
    /// ```
    #[inline]
    pub fn receive_messages<'a>(
        &'a mut self,
        bytes: &'a mut BytesMut,
        now: Instant,
    ) -> impl Iterator<Item = Message> {
        let counts = self.policies.as_ref().is_some_and(|policies| policies.counts());
        let is_usual = self.ending.is_none() && !self.inbox.is_busy() && !counts;
        if is_usual && !bytes.is_empty() {
            self.liveness.heard(now);
        }
        WholeMessages { connection: is_usual.then_some(self), bytes }
    }

    /// The message at the front of `bytes`, if it is there whole and nothing else is under way.
    #[inline]
    pub(super) fn whole_message(&mut self, bytes: &mut BytesMut) -> Option<Message> {
        if self.inbox.is_busy() { None } else { self.open_in_place(bytes) }
    }

    /// Takes the message at the front of `bytes`, if it is there whole and nothing is wrong with it.
    /// Otherwise leaves everything as it is. Nothing else may be under way.
    #[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
    #[inline(always)]
    fn open_in_place(&mut self, bytes: &mut BytesMut) -> Option<Message> {
        let (text, len, mask, header_len) = FrameHeader::decode_whole(bytes, self.role().peer())?;
        let len = usize::try_from(len).ok()?;
        if len > self.config.max_frame_size || len > self.config.max_message_size {
            return None;
        }
        let payload = bytes.get_mut(header_len..)?.get_mut(..len)?;
        let is_ascii = mask.is_some_and(|key| unmask(key, payload, 0, text));
        if text && !is_ascii && !is_utf8(payload) {
            if let Some(key) = mask {
                apply_mask(key, payload, 0);
            }
            return None;
        }
        let mut payload = bytes.split_to(header_len + len).freeze();
        payload.advance(header_len);
        self.inbox.finished();
        Some(if text { Message::Text(Utf8Bytes::from_validated(payload)) } else { Message::Binary(payload) })
    }
}

/// What [`Connection::receive_messages`] gives.
struct WholeMessages<'a> {
    /// `None` when nothing is as usual.
    connection: Option<&'a mut Connection>,
    bytes: &'a mut BytesMut,
}

impl Iterator for WholeMessages<'_> {
    type Item = Message;

    #[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
    #[inline(always)]
    fn next(&mut self) -> Option<Message> {
        self.connection.as_mut()?.open_in_place(self.bytes)
    }
}
