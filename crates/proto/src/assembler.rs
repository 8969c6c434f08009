//! Fragments become a message: one contiguous buffer, under limits that hold before anything is
//! stored (RFC 6455 §5.4, §10.4).
//!
//! A message also goes through here when it is one frame too large to wait for in the caller's
//! buffer.

use bytes::Bytes;

use crate::config::Config;
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
        }
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
        // most the limit.
        if len > config.max_message_size.saturating_sub(self.payload.len()) {
            return Err(ProtocolError::MessageTooLarge);
        }
        Ok(())
    }

    /// Takes the next piece of payload, unmasked; `begin_fragment` has admitted its frame.
    pub(crate) fn append(&mut self, piece: &[u8], config: &Config) -> Result<(), ProtocolError> {
        if self.text {
            // §8.1: "When an endpoint is to interpret a byte stream as UTF-8 but finds that the
            // byte stream is not, in fact, a valid UTF-8 stream", it fails the connection.
            self.utf8.feed(piece).map_err(|_| ProtocolError::InvalidUtf8)?;
        }
        let needed = self.payload.len() + piece.len();
        if needed > self.payload.capacity() {
            // Doubling keeps the copying linear; the limit keeps it from overshooting, and what a
            // header declares never allocates anything.
            let wanted = (self.payload.capacity() * 2).max(MIN_GROWTH).min(config.max_message_size);
            self.payload.reserve_exact(wanted.max(needed) - self.payload.len());
        }
        self.payload.extend_from_slice(piece);
        Ok(())
    }

    /// Ends the message.
    pub(crate) fn finish(self) -> Result<Message, ProtocolError> {
        if !self.utf8.is_complete() {
            return Err(ProtocolError::InvalidUtf8);
        }
        let payload = Bytes::from(self.payload);
        Ok(if self.text {
            Message::Text(Utf8Bytes::from_validated(payload))
        } else {
            Message::Binary(payload)
        })
    }
}
