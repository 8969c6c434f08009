//! Fragments become a message: one contiguous buffer, under limits that hold before anything is
//! stored (RFC 6455 §5.4, §10.4).
//!
//! A message also goes through here when it is one frame that inflates to more than a little
//! (RFC 7692 §7.2.2).

use bytes::Bytes;

use crate::config::Config;
use crate::copying::append;
use crate::deflate::{Decoder, Inflation, Segments, Work};
use crate::error::ProtocolError;
use crate::message::Message;
use crate::opcode::Opcode;
use crate::utf8::{Utf8Bytes, Utf8Validator};

/// The buffer is never grown by less than this, nor by more than doubles what has arrived.
const MIN_GROWTH: usize = 4 << 10;

/// A message under way.
#[derive(Debug)]
pub(crate) struct Assembler {
    text: bool,
    payload: Vec<u8>,
    utf8: Utf8Validator,
    fragments: usize,
    empty_fragments: usize,
    /// Of a compressed message, which is kept in segments rather than in `payload`.
    inflating: Option<(Inflation, Segments)>,
}

impl Assembler {
    /// Begins the message whose first frame has `opcode`.
    pub(crate) fn new(opcode: Opcode) -> Self {
        Self {
            text: opcode == Opcode::Text,
            payload: Vec::new(),
            utf8: Utf8Validator::default(),
            fragments: 0,
            empty_fragments: 0,
            inflating: None,
        }
    }

    /// Begins the compressed message whose first frame has `opcode`.
    pub(crate) fn compressed(opcode: Opcode, inflation: Inflation) -> Self {
        Self { inflating: Some((inflation, Segments::default())), ..Self::new(opcode) }
    }

    /// Whether this is a compressed message.
    pub(crate) fn is_compressed(&self) -> bool {
        self.inflating.is_some()
    }

    /// Admits a fragment by what its header declares.
    pub(crate) fn begin_fragment(&mut self, len: usize, config: &Config) -> Result<(), ProtocolError> {
        self.fragments += 1;
        if self.fragments > config.max_fragments {
            return Err(ProtocolError::TooManyFragments);
        }
        if len == 0 {
            self.empty_fragments += 1;
            if self.empty_fragments > config.max_empty_fragments {
                return Err(ProtocolError::TooManyEmptyFragments);
            }
        } else {
            self.empty_fragments = 0;
        }
        // The running total, before anything is copied; it cannot overflow, because both are at
        // most the limit. What compressed bytes come to is known when they are inflated.
        if !self.is_compressed() && len > config.max_message_size.saturating_sub(self.payload.len()) {
            return Err(ProtocolError::MessageTooLarge);
        }
        Ok(())
    }

    /// Whether it is text that is gathered.
    pub(crate) fn is_text(&self) -> bool {
        self.text
    }

    /// Takes the next piece of payload, unmasked and perhaps seen to be ASCII; `begin_fragment` has admitted
    /// its frame.
    pub(crate) fn append(
        &mut self,
        piece: &[u8],
        is_ascii: bool,
        config: &Config,
    ) -> Result<(), ProtocolError> {
        if self.text {
            // §8.1: "When an endpoint is to interpret a byte stream as UTF-8 but finds that the
            // byte stream is not, in fact, a valid UTF-8 stream", it fails the connection.
            self.utf8.feed_seen(piece, is_ascii).map_err(|_| ProtocolError::InvalidUtf8)?;
        }
        let needed = self.payload.len() + piece.len();
        if needed > self.payload.capacity() {
            // Doubling keeps the copying linear; the limit keeps it from overshooting, and what a
            // header declares never allocates anything.
            let wanted = (self.payload.capacity() * 2).max(MIN_GROWTH).min(config.max_message_size);
            self.payload.reserve_exact(wanted.max(needed) - self.payload.len());
        }
        append(&mut self.payload, piece);
        Ok(())
    }

    /// Takes the beginning of a compressed message that was inflated elsewhere, within the limit.
    pub(crate) fn begin_inflated(&mut self, mut inflated: &[u8]) -> Result<(), ProtocolError> {
        if self.text {
            self.utf8.feed(inflated).map_err(|_| ProtocolError::InvalidUtf8)?;
        }
        let Some((_, segments)) = &mut self.inflating else { return Ok(()) };
        while !inflated.is_empty() {
            let room = segments.room(inflated.len());
            let (piece, rest) = inflated.split_at_checked(room.len()).unwrap_or_default();
            room.copy_from_slice(piece);
            let _ = segments.fill(piece.len());
            inflated = rest;
        }
        Ok(())
    }

    /// Takes as much as `work` allows of the next piece of compressed payload, unmasked. Says how
    /// many bytes it took; when those are not all, or more may come of them, `work` is done.
    pub(crate) fn inflate(
        &mut self,
        piece: &[u8],
        decoder: &Decoder,
        work: &mut Work,
        config: &Config,
    ) -> Result<usize, ProtocolError> {
        let Some((inflation, segments)) = &mut self.inflating else { return Ok(0) };
        let mut rest = piece;
        while !work.is_done() {
            if inflation.has_ended() {
                if rest.is_empty() {
                    break;
                }
                work.spend_output(decoder.resume(inflation, segments.iter()));
            }
            // The limit holds while inflating, to the byte (RFC 6455 §10.4): at the limit, what
            // follows may go on without yielding anything, and the first byte it yields is too much.
            let left = config.max_message_size - segments.len();
            let mut excess = [0];
            let room = if left > 0 { segments.room(left.min(work.left())) } else { &mut excess };
            let filled = room.len();
            let step = inflation.step(rest, room)?;
            if step.produced > left {
                return Err(ProtocolError::MessageTooLarge);
            }
            let text = segments.fill(step.produced);
            if self.text {
                // §8.1, as early as the bytes allow.
                self.utf8.feed(text).map_err(|_| ProtocolError::InvalidUtf8)?;
            }
            rest = rest.get(step.consumed..).unwrap_or_default();
            work.spend(step);
            if rest.is_empty() && step.produced < filled {
                // There was room for more, so nothing is held back.
                break;
            }
        }
        Ok(piece.len() - rest.len())
    }

    /// Ends the message.
    pub(crate) fn finish(self, decoder: Option<&mut Decoder>) -> Result<Message, ProtocolError> {
        let payload = match (self.inflating, decoder) {
            (Some((mut inflation, segments)), Some(decoder)) => {
                inflation.finish()?;
                let payload = segments.join();
                decoder.end(inflation, &payload);
                payload
            }
            _ => self.payload,
        };
        if !self.utf8.is_complete() {
            return Err(ProtocolError::InvalidUtf8);
        }
        let payload = Bytes::from(payload);
        Ok(if self.text {
            Message::Text(Utf8Bytes::from_validated(payload))
        } else {
            Message::Binary(payload)
        })
    }
}
