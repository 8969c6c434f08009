//! Decompresses: DEFLATE data (RFC 1951) in the form of RFC 7692 §7.2.2.
//!
//! The [`Decoder`] is what a connection keeps between messages, the [`Inflation`] one message under
//! way.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use zlib_rs::{Inflate, InflateFlush, Status};

use super::TAIL;
use super::encoder::count;
use super::history::History;
use super::pool::{self, Stopped};
use crate::error::ProtocolError;

/// The largest window there is (RFC 1951 §2).
const MAX_WINDOW_BITS: u8 = 15;

/// The receiving half of permessage-deflate.
///
/// With context takeover it remembers the last window of what was received. A decoder out of the
/// pool is told that before each message, so a message that refers to what has left the window by
/// then is found out. Filling the largest window takes longer than a short message, and nothing
/// that is within zlib's reach can have left it; there a decoder that has stopped at the end of the
/// last message is used as it is.
#[derive(Debug)]
pub(crate) struct Decoder {
    history: Option<History>,
    /// Which connection this is, and how many messages it has received, where that matters.
    stopped: Option<Stopped>,
}

impl Decoder {
    /// For a peer that compresses in a window of 2^`window_bits` bytes, and remembers earlier
    /// messages if `takeover`.
    pub(crate) fn new(takeover: bool, window_bits: u8) -> Self {
        static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
        let bits = window_bits.clamp(8, MAX_WINDOW_BITS);
        let reused = takeover && bits == MAX_WINDOW_BITS;
        Self {
            history: takeover.then(|| History::new(1 << bits)),
            stopped: reused.then(|| (CONNECTIONS.fetch_add(1, Ordering::Relaxed), 0)),
        }
    }

    /// Begins a message.
    pub(crate) fn begin(&self) -> Inflation {
        let (stream, same) = pool::take_decoder(self.stopped);
        let mut inflation = Inflation { stream, ended: false, whole: true };
        if !same {
            self.tell(&mut inflation);
        }
        inflation
    }

    /// Goes on behind a final block, with the message so far: what follows may refer to all that a
    /// window reaches (RFC 7692 §7.2.3.4 sets BFINAL for nothing but a flush). Says how many bytes
    /// that was about.
    pub(crate) fn resume<'a>(
        &self,
        inflation: &mut Inflation,
        received: impl DoubleEndedIterator<Item = &'a [u8]>,
    ) -> usize {
        inflation.stream.reset(false);
        inflation.ended = false;
        inflation.whole = false;
        let mut told = self.tell(inflation);
        // The last window of it, from the end backwards.
        let mut wanted = 1 << MAX_WINDOW_BITS;
        let mut pieces = Vec::new();
        for piece in received.rev() {
            let piece = piece.get(piece.len().saturating_sub(wanted)..).unwrap_or_default();
            wanted -= piece.len();
            pieces.push(piece);
        }
        for piece in pieces.into_iter().rev() {
            told += inflation.tell(piece);
        }
        told
    }

    /// Ends a message whose payload is `received`.
    pub(crate) fn end(&mut self, inflation: Inflation, received: &[u8]) {
        if let Some(history) = &mut self.history {
            history.push(received);
        }
        if let Some((_, messages)) = &mut self.stopped {
            *messages += 1;
        }
        let Inflation { stream, ended, whole } = inflation;
        pool::give_decoder(stream, self.stopped.filter(|_| whole && !ended));
    }

    fn tell(&self, inflation: &mut Inflation) -> usize {
        let Some(history) = &self.history else { return 0 };
        for piece in history.pieces() {
            inflation.tell(piece);
        }
        history.len()
    }
}

/// A compressed message under way.
pub(crate) struct Inflation {
    stream: Box<Inflate>,
    /// The last block was a final one, and nothing follows so far.
    ended: bool,
    /// There was no final block before.
    whole: bool,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// How many bytes of the input were taken.
    pub(crate) consumed: usize,
    /// How many bytes were written.
    pub(crate) produced: usize,
}

impl Inflation {
    /// Whether more input needs [`Decoder::resume`] first.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes from `input` what fills `output`, or all. When `output` is filled there may be more to
    /// come, even from no further input.
    pub(crate) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, ProtocolError> {
        let (status, step) = self.run(input, output, InflateFlush::NoFlush)?;
        self.ended = status == Status::StreamEnd;
        let stuck = step.consumed == 0 && step.produced == 0 && !input.is_empty() && !output.is_empty();
        if stuck && !self.ended { Err(ProtocolError::InvalidDeflate) } else { Ok(step) }
    }

    /// The message has no more input: its last block must have ended.
    ///
    /// RFC 7692 §7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of
    /// the message", where they are the rest of an empty stored block. That has arrived when the
    /// decoder stops between two blocks, right behind them.
    pub(crate) fn finish(&mut self) -> Result<(), ProtocolError> {
        if self.ended {
            // §7.2.3.4: a final block needs no more, though a zero byte should follow it.
            return Ok(());
        }
        let [a, b, c, d] = TAIL;
        // The fifth byte is there to be left: within a block it would be taken as well.
        let (status, step) = self.run(&[a, b, c, d, 0xff], &mut [0], InflateFlush::Block)?;
        self.ended = status == Status::StreamEnd;
        if step == (Step { consumed: TAIL.len(), produced: 0 }) {
            Ok(())
        } else {
            Err(ProtocolError::InvalidDeflate)
        }
    }

    fn run(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        flush: InflateFlush,
    ) -> Result<(Status, Step), ProtocolError> {
        let (read, written) = (self.stream.total_in(), self.stream.total_out());
        let status = self.stream.decompress(input, output, flush);
        let status = status.map_err(|_| ProtocolError::InvalidDeflate)?;
        let consumed = count(self.stream.total_in() - read);
        let produced = count(self.stream.total_out() - written);
        Ok((status, Step { consumed, produced }))
    }

    fn tell(&mut self, bytes: &[u8]) -> usize {
        if !bytes.is_empty() {
            // It has no checksum to compare, so it cannot refuse.
            let told = self.stream.set_dictionary(bytes);
            debug_assert!(told.is_ok());
        }
        bytes.len()
    }
}

impl fmt::Debug for Inflation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflation").field("ended", &self.ended).finish_non_exhaustive()
    }
}
