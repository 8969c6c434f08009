//! Frames become events (RFC 6455 §5, §8.1).
//!
//! Messages that are there whole are the business of [`whole`](super::whole), which comes first. Any
//! other frame is unmasked and checked where it lies, as far as it has arrived, so that bad text
//! fails inside a frame; until it is complete it stays in the caller's buffer. Fragments are gathered
//! by the [`Assembler`].

use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};

use super::Connection;
use crate::assembler::Assembler;
use crate::close::{CloseCode, CloseFrame};
use crate::error::ProtocolError;
use crate::event::{Event, Pong};
use crate::header::{FrameHeader, RSV1};
use crate::mask::unmask;
use crate::message::Message;
use crate::opcode::Opcode;
use crate::utf8::{Utf8Bytes, Utf8Validator};

/// What has arrived and is not an event yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// The frame whose header was taken and whose payload is not complete.
    pub(super) frame: Option<PartialFrame>,
    /// The message under way, when it is fragmented, large or compressed.
    pub(super) assembler: Option<Box<Assembler>>,
    /// Since when a message or frame has been unfinished.
    unfinished_since: Option<Instant>,
    control_rate: ControlRate,
    /// How much of the frame's payload was inflated and is gone from the caller's buffer.
    pub(super) inflated: usize,
    /// Inflating stopped for a while, with the frame in hand.
    pub(super) paused: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct PartialFrame {
    pub(super) header: FrameHeader,
    pub(super) len: usize,
    /// How much of the payload was unmasked and, in text that lies in place, checked.
    pub(super) done: usize,
    /// The check of a text that waits in place.
    utf8: Utf8Validator,
}

impl PartialFrame {
    /// Unmasks the bytes of its payload that begin at `start`, as far as they are there, and says, if it
    /// is `text`, whether they were seen to be ASCII.
    #[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
    #[inline(always)]
    fn take_fresh<'a>(&mut self, bytes: &'a mut [u8], start: usize, text: bool) -> (&'a mut [u8], bool) {
        let end = bytes.len().min(start + (self.len - self.done));
        let fresh = bytes.get_mut(start..end).unwrap_or_default();
        let is_ascii = self.header.mask.is_some_and(|key| unmask(key, fresh, self.done, text));
        self.done += fresh.len();
        (fresh, is_ascii)
    }
}

impl Inbox {
    #[inline]
    pub(super) fn unfinished_since(&self) -> Option<Instant> {
        self.unfinished_since
    }

    /// Whether inflating goes on without more bytes.
    #[inline]
    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// How many bytes of the frame under way have not arrived, when it waits in the caller's buffer.
    #[inline]
    pub(super) fn missing(&self) -> usize {
        let gathered = |frame: &&PartialFrame| self.assembler.is_none() || frame.header.opcode.is_control();
        self.frame.as_ref().filter(gathered).map_or(0, |frame| frame.len - frame.done)
    }

    /// Whether a frame or a message is under way.
    #[inline]
    pub(super) fn is_busy(&self) -> bool {
        self.frame.is_some() || self.assembler.is_some()
    }

    /// Nothing is unfinished.
    #[inline]
    pub(super) fn finished(&mut self) {
        self.unfinished_since = None;
    }

    /// Forgets the unfinished message: nothing more will be looked at.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// What a piece of payload led to.
pub(super) enum Taken {
    /// The frame is complete, and an event with it.
    Event(Event),
    /// The frame is complete; its message is not.
    Fragment,
    /// The frame goes on, when more of it arrives or after a pause.
    Partial,
}

impl Connection {
    /// The next event of `bytes`, or the rule they break.
    pub(super) fn next_event(
        &mut self,
        bytes: &mut BytesMut,
        now: Instant,
    ) -> Result<Option<Event>, ProtocolError> {
        if let Some(message) = self.whole_message(bytes) {
            return Ok(Some(Event::Message(message)));
        }
        loop {
            let taken = if self.inbox.frame.is_some() {
                self.go_on(bytes, now)?
            } else {
                let allowed_rsv = self.allowed_rsv(bytes);
                let Some((header, header_len)) = FrameHeader::decode(bytes, self.role().peer(), allowed_rsv)?
                else {
                    return Ok(self.wait_for_more(bytes, now));
                };
                let len = self.admit(&header, now)?;
                bytes.advance(header_len);
                let frame = PartialFrame { header, len, done: 0, utf8: Utf8Validator::default() };
                if header.rsv == RSV1 {
                    self.begin_inflating(frame, bytes)?
                } else {
                    self.take_payload(frame, bytes, now)?
                }
            };
            match taken {
                Taken::Event(event) => return Ok(Some(event)),
                Taken::Fragment => {}
                Taken::Partial => return Ok(self.wait_for_more(bytes, now)),
            }
        }
    }

    /// Takes more of the payload of the inbox's frame.
    #[inline(never)]
    fn go_on(&mut self, bytes: &mut BytesMut, now: Instant) -> Result<Taken, ProtocolError> {
        match self.inbox.frame.take() {
            Some(frame) => self.take_payload(frame, bytes, now),
            None => Ok(Taken::Partial),
        }
    }

    /// Checks a new frame against the frames before it and against the limits, by its header
    /// alone, and says how long its payload is.
    #[inline]
    fn admit(&mut self, header: &FrameHeader, now: Instant) -> Result<usize, ProtocolError> {
        let len = usize::try_from(header.payload_len).map_err(|_| ProtocolError::FrameTooLarge)?;
        if header.opcode.is_control() {
            let limit = self.config.max_control_frames_per_second;
            return self.inbox.control_rate.admit(now, limit).map(|()| len);
        }
        let begins = header.opcode != Opcode::Continuation;
        match (&self.inbox.assembler, begins) {
            // §5.4: the fragments of one message "MUST NOT be interleaved between the fragments of
            // another message".
            (Some(_), true) => return Err(ProtocolError::UnfinishedMessage),
            (None, false) => return Err(ProtocolError::UnexpectedContinuation),
            _ => {}
        }
        if len > self.config.max_frame_size {
            return Err(ProtocolError::FrameTooLarge);
        }
        if header.rsv == RSV1 {
            // How large the message is shows when it is inflated.
            return Ok(len);
        }
        if begins && header.fin {
            if len > self.config.max_message_size {
                return Err(ProtocolError::MessageTooLarge);
            }
            return Ok(len);
        }
        let assembler = self.inbox.assembler.get_or_insert_with(|| Box::new(Assembler::new(header.opcode)));
        assembler.begin_fragment(len, &self.config)?;
        Ok(len)
    }

    /// The reserved bits that the frame at the front of `bytes` may have set. RFC 7692 §6: the bit
    /// RSV1 is for the first frame of a message; on "control frames and non-first fragments of a
    /// data message" it fails the connection.
    #[inline]
    fn allowed_rsv(&self, bytes: &[u8]) -> u8 {
        let begins =
            |first: &u8| matches!(Opcode::from_bits(first & 0x0f), Some(Opcode::Text | Opcode::Binary));
        if self.codec.is_some() && bytes.first().is_some_and(begins) { RSV1 } else { 0 }
    }

    /// Takes what `bytes` hold of the payload of `frame`.
    #[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
    #[inline(always)]
    fn take_payload(
        &mut self,
        mut frame: PartialFrame,
        bytes: &mut BytesMut,
        now: Instant,
    ) -> Result<Taken, ProtocolError> {
        if !frame.header.opcode.is_control()
            && let Some(assembler) = &self.inbox.assembler
        {
            if !assembler.is_compressed() {
                return self.gather_payload(frame, bytes);
            }
            self.inbox.frame = Some(frame);
            return self.inflate_payload(bytes);
        }
        // What was looked at before stays in front.
        let text = frame.header.opcode == Opcode::Text;
        let (fresh, is_ascii) = frame.take_fresh(bytes, frame.done, text);
        let complete = frame.done == frame.len;
        if text {
            // §8.1, as early as the bytes allow.
            frame.utf8.feed_seen(fresh, is_ascii).map_err(|_| ProtocolError::InvalidUtf8)?;
            if complete && !frame.utf8.is_complete() {
                return Err(ProtocolError::InvalidUtf8);
            }
        }
        if !complete {
            self.inbox.frame = Some(frame);
            return Ok(Taken::Partial);
        }
        let payload = bytes.split_to(frame.len).freeze();
        let message = match frame.header.opcode {
            Opcode::Text => Message::Text(Utf8Bytes::from_validated(payload)),
            Opcode::Binary | Opcode::Continuation => Message::Binary(payload),
            control => return self.control_frame(control, payload, now).map(Taken::Event),
        };
        self.inbox.finished();
        Ok(Taken::Event(Event::Message(message)))
    }

    /// Takes what `bytes` hold of the payload of `frame`, which belongs to the message under way.
    #[inline(never)]
    fn gather_payload(
        &mut self,
        mut frame: PartialFrame,
        bytes: &mut BytesMut,
    ) -> Result<Taken, ProtocolError> {
        let text = self.inbox.assembler.as_ref().is_some_and(|assembler| assembler.is_text());
        let (fresh, is_ascii) = frame.take_fresh(bytes, 0, text);
        let len = fresh.len();
        if let Some(assembler) = &mut self.inbox.assembler {
            assembler.append(fresh, is_ascii, &self.config)?;
        }
        bytes.advance(len);
        if frame.done < frame.len {
            self.inbox.frame = Some(frame);
            return Ok(Taken::Partial);
        }
        let Some(assembler) = self.inbox.assembler.take_if(|_| frame.header.fin) else {
            return Ok(Taken::Fragment);
        };
        self.inbox.finished();
        Ok(Taken::Event(Event::Message(assembler.finish(None)?)))
    }

    /// The event of a complete Close, Ping or Pong frame.
    fn control_frame(
        &mut self,
        opcode: Opcode,
        payload: Bytes,
        now: Instant,
    ) -> Result<Event, ProtocolError> {
        if self.inbox.assembler.is_none() {
            self.inbox.finished();
        }
        match opcode {
            Opcode::Ping => {
                // §5.5.2: "an endpoint MUST send a Pong frame in response".
                self.outbox.push_pong(&payload);
                Ok(Event::Ping(payload))
            }
            Opcode::Pong => {
                let round_trip = self.liveness.ponged(&payload, now);
                Ok(Event::Pong(Pong { payload, round_trip }))
            }
            _ => {
                let frame = parse_close(&payload)?;
                self.peer_closed(frame.clone(), now);
                Ok(Event::Close(frame))
            }
        }
    }

    /// No event: notes whether something is unfinished, so that its deadline runs.
    fn wait_for_more(&mut self, bytes: &BytesMut, now: Instant) -> Option<Event> {
        self.renew_inflating();
        if bytes.is_empty() && !self.inbox.is_busy() {
            self.inbox.finished();
        } else {
            self.inbox.unfinished_since.get_or_insert(now);
        }
        None
    }
}

/// The body of a Close frame (RFC 6455 §5.5.1).
fn parse_close(payload: &Bytes) -> Result<CloseFrame, ProtocolError> {
    if payload.is_empty() {
        return Ok(CloseFrame { code: CloseCode::NO_STATUS, reason: Utf8Bytes::new() });
    }
    let Some((code, reason)) = payload.split_first_chunk() else {
        // "the first two bytes of the body MUST be a 2-byte unsigned integer".
        return Err(ProtocolError::CloseBodyTooShort);
    };
    let code = CloseCode::from(u16::from_be_bytes(*code));
    if !code.is_sendable() {
        return Err(ProtocolError::InvalidCloseCode(code));
    }
    // A copy, so that the few bytes do not keep the receive buffer.
    let reason = Utf8Bytes::try_from(reason.to_vec()).map_err(|_| ProtocolError::InvalidUtf8)?;
    Ok(CloseFrame { code, reason })
}

/// Counts control frames in windows of a second.
#[derive(Debug, Default)]
struct ControlRate {
    window: Option<Instant>,
    count: u32,
}

impl ControlRate {
    fn admit(&mut self, now: Instant, limit: u32) -> Result<(), ProtocolError> {
        const WINDOW: Duration = Duration::from_secs(1);
        if self.window.is_none_or(|began| now.saturating_duration_since(began) >= WINDOW) {
            *self = Self { window: Some(now), count: 0 };
        }
        self.count += 1;
        if self.count > limit { Err(ProtocolError::TooManyControlFrames) } else { Ok(()) }
    }
}
