//! The usual case of receiving, many messages at a time (RFC 6455 §5.2, §5.6).
//!
//! Nearly all messages are one frame, and nearly all that arrive are there whole. Such messages are
//! unmasked and checked where they lie, one behind the other, and then split off together, so that
//! a message costs one share of the buffer and nothing else. Whatever is not the usual case ends
//! the batch and is left, as it arrived, to [`receive`](Connection::receive).

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};

use super::Connection;
use crate::header::FrameHeader;
use crate::mask::apply_mask;
use crate::message::Message;
use crate::utf8::{Utf8Bytes, is_utf8};

/// How many messages are split off together.
const BATCH: usize = 16;

/// Where a payload lies in the bytes of its batch.
#[derive(Clone, Copy, Default)]
struct Place {
    start: u32,
    end: u32,
    text: bool,
}

impl Connection {
    /// Takes messages from the front of `bytes`, at `now`, as long as each is there whole and in
    /// one frame, and appends them to `messages`: the same messages that
    /// [`receive`](Self::receive) would give one by one, at a fraction of the cost.
    ///
    /// When it appends nothing, ask `receive` what comes next, and then again. One call takes at
    /// most 16 messages.
    ///
    /// ```
    /// use std::{collections::VecDeque, sync::Arc, time::Instant};
    /// use stentor_proto::{Config, Connection, Event, Message, bytes::BytesMut};
    ///
    /// let now = Instant::now();
    /// let mut server = Connection::server(Arc::new(Config::default()), now);
    /// let mut messages = VecDeque::new();
    ///
    /// // "Hello" from the client (RFC 6455 §5.7), twice, and a Ping.
    /// let mut bytes = BytesMut::new();
    /// bytes.extend_from_slice(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    /// bytes.extend_from_slice(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    /// bytes.extend_from_slice(b"\x89\x80\x37\xfa\x21\x3d");
    /// server.receive_messages(&mut bytes, now, &mut messages);
    /// assert_eq!(messages, [Message::from("Hello"), Message::from("Hello")]);
    /// assert!(matches!(server.receive(&mut bytes, now), Some(Event::Ping(_))));
    /// ```
    pub fn receive_messages(&mut self, bytes: &mut BytesMut, now: Instant, messages: &mut VecDeque<Message>) {
        if self.ending.is_some() || self.inbox.is_busy() {
            return;
        }
        if self.policies.as_ref().is_some_and(|policies| policies.counts()) {
            return;
        }
        let mut places = [Place::default(); BATCH];
        let mut found = 0;
        let mut end = 0;
        for place in &mut places {
            let Some(next) = self.open_in_place(bytes, end) else { break };
            end = next.end as usize;
            *place = next;
            found += 1;
        }
        let Some((last, others)) = places.get(..found).and_then(<[_]>::split_last) else { return };
        self.liveness.heard(now);
        self.inbox.finished();
        let mut payloads = bytes.split_to(end).freeze();
        messages.reserve(found);
        for place in others {
            messages.push_back(message(payloads.slice(place.start as usize..place.end as usize), place.text));
        }
        // The last takes over the share that the others were made from.
        payloads.advance(last.start as usize);
        messages.push_back(message(payloads, last.text));
    }

    /// Unmasks and checks the message at `from`, if it is there whole and nothing is wrong with it.
    /// Otherwise leaves everything as it is.
    #[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
    #[inline(always)]
    fn open_in_place(&self, bytes: &mut BytesMut, from: usize) -> Option<Place> {
        let rest = bytes.get_mut(from..)?;
        let (text, len, mask, header_len) = FrameHeader::decode_whole(rest, self.role().peer())?;
        let len = usize::try_from(len).ok()?;
        if len > self.config.max_frame_size || len > self.config.max_message_size {
            return None;
        }
        let payload = rest.get_mut(header_len..)?.get_mut(..len)?;
        let start = u32::try_from(from + header_len).ok()?;
        let end = u32::try_from(from + header_len + len).ok()?;
        if let Some(key) = mask {
            apply_mask(key, payload, 0);
        }
        if text && !is_utf8(payload) {
            if let Some(key) = mask {
                apply_mask(key, payload, 0);
            }
            return None;
        }
        Some(Place { start, end, text })
    }
}

#[inline]
fn message(payload: Bytes, text: bool) -> Message {
    if text { Message::Text(Utf8Bytes::from_validated(payload)) } else { Message::Binary(payload) }
}
