//! Compressed messages arrive (RFC 7692 §7.2.2), a bounded piece of work at a time.
//!
//! A short message that is there whole is inflated at once. Every other goes through the
//! [`Assembler`], as its bytes arrive and as the work done allows.

use bytes::{Buf, Bytes, BytesMut};

use super::Connection;
use super::receive::{Inbox, PartialFrame, Taken};
use crate::assembler::Assembler;
use crate::deflate::{give_scratch, take_scratch};
use crate::error::ProtocolError;
use crate::event::Event;
use crate::header::RSV1;
use crate::mask::apply_mask;
use crate::message::Message;
use crate::opcode::Opcode;
use crate::utf8::{Utf8Bytes, is_utf8};

/// A message that inflates to no more than this is inflated beside the others of its thread, and
/// copied once its length is known.
const SHORT: usize = 16 << 10;

impl Connection {
    /// Begins a compressed message by its first frame, whose header was taken. It is complete when
    /// it is short and there whole; otherwise it is in the inbox from now on, and what was taken of its
    /// frame as well.
    #[inline(never)]
    pub(super) fn begin_inflating(
        &mut self,
        mut frame: PartialFrame,
        bytes: &mut BytesMut,
    ) -> Result<Taken, ProtocolError> {
        let Some(codec) = &mut self.codec else { return Err(ProtocolError::ReservedBits(RSV1)) };
        let mut inflation = codec.decoder.begin();
        let text = frame.header.opcode == Opcode::Text;
        let mut inflated = 0;
        let mut taken = None;
        if frame.header.fin
            && !codec.inflating.is_done()
            && let Some(payload) = bytes.get_mut(..frame.len)
        {
            if let Some(key) = frame.header.mask {
                apply_mask(key, payload, 0);
            }
            frame.done = frame.len;
            // One byte more than may be, to see that it is too much.
            let room = SHORT.min(self.config.max_message_size).saturating_add(1);
            let mut scratch = take_scratch(room);
            let output = scratch.get_mut(..room).unwrap_or_default();
            let step = inflation.step(payload, output)?;
            codec.inflating.spend(step);
            if step.produced > self.config.max_message_size {
                return Err(ProtocolError::MessageTooLarge);
            }
            bytes.advance(step.consumed);
            let output = scratch.get(..step.produced).unwrap_or_default();
            if step.consumed == frame.len && step.produced < room {
                inflation.finish()?;
                codec.decoder.end(inflation, output);
                if text && !is_utf8(output) {
                    return Err(ProtocolError::InvalidUtf8);
                }
                let payload = Bytes::copy_from_slice(output);
                give_scratch(scratch);
                self.inbox.finished();
                return Ok(Taken::Event(Event::Message(if text {
                    Message::Text(Utf8Bytes::from_validated(payload))
                } else {
                    Message::Binary(payload)
                })));
            }
            inflated = step.consumed;
            taken = Some((scratch, step.produced));
        }
        let mut assembler = Box::new(Assembler::compressed(frame.header.opcode, inflation));
        assembler.begin_fragment(frame.len, &self.config)?;
        if let Some((scratch, len)) = taken {
            // Given up rather than given back: what a long message holds is bounded without it.
            assembler.begin_inflated(scratch.get(..len).unwrap_or_default())?;
        }
        self.inbox.assembler = Some(assembler);
        self.inbox.frame = Some(frame);
        self.inbox.inflated = inflated;
        self.inflate_payload(bytes)
    }

    /// Takes what `bytes` hold of the payload of the inbox's frame, which belongs to a compressed
    /// message, or as much of it as may be inflated before a pause.
    #[inline(never)]
    pub(super) fn inflate_payload(&mut self, bytes: &mut BytesMut) -> Result<Taken, ProtocolError> {
        let Inbox { frame: Some(frame), assembler: Some(assembler), inflated, paused, .. } = &mut self.inbox
        else {
            return Ok(Taken::Partial);
        };
        let Some(codec) = &mut self.codec else { return Ok(Taken::Partial) };
        // What was unmasked before a pause stands at the front.
        let unmasked = frame.done - *inflated;
        let end = bytes.len().min(frame.len - *inflated);
        if let (Some(key), Some(fresh)) = (frame.header.mask, bytes.get_mut(unmasked..end)) {
            apply_mask(key, fresh, frame.done);
        }
        frame.done = *inflated + end;
        let piece = bytes.get(..end).unwrap_or_default();
        let taken = assembler.inflate(piece, &codec.decoder, &mut codec.inflating, &self.config)?;
        bytes.advance(taken);
        *inflated += taken;
        *paused = codec.inflating.is_done();
        if *paused || *inflated < frame.len {
            return Ok(Taken::Partial);
        }
        *inflated = 0;
        let fin = frame.header.fin;
        self.inbox.frame = None;
        let Some(assembler) = self.inbox.assembler.take_if(|_| fin) else { return Ok(Taken::Fragment) };
        self.inbox.finished();
        assembler.finish(Some(&mut codec.decoder)).map(|message| Taken::Event(Event::Message(message)))
    }

    /// A pause begins, or nothing more is there: after it, inflating may go on for a while.
    pub(super) fn renew_inflating(&mut self) {
        if let Some(codec) = &mut self.codec {
            codec.inflating.renew();
        }
    }
}
