//! Reading an HTTP/1.1 head from pieces of any size, in linear time and bounded space
//! (RFC 9112 §2 to §5).
//!
//! A scanner looks at every byte once, as it arrives, for the end of the head and for what must
//! not be in it; because it decides byte by byte, how the bytes were split cannot change the
//! outcome. Only a complete head is copied out and parsed.

use std::fmt;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::HandshakeLimits;

/// What is wrong with the lines of an HTTP head, whichever side sent it (RFC 9112 §2 to §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    /// The first line exceeds [`HandshakeLimits::max_request_line`].
    StartLineTooLong,
    /// A header line exceeds [`HandshakeLimits::max_header_line`].
    HeaderLineTooLong,
    /// More header lines than [`HandshakeLimits::max_headers`].
    TooManyHeaders,
    /// The head exceeds [`HandshakeLimits::max_head_size`].
    HeadTooLarge,
    /// A line feed without a carriage return.
    BareLineFeed,
    /// A carriage return without a line feed.
    BareCarriageReturn,
    /// A control character.
    ControlCharacter(u8),
    /// A header line that begins with white space: the obsolete way to continue the line before.
    FoldedHeader,
    /// A header line without a colon, or whose name in front of it is no token.
    InvalidHeaderName,
    /// A head without its first line.
    MissingStartLine,
}

impl HeadError {
    /// The section that states the rule; for limits, the one that asks for them.
    #[must_use]
    pub const fn section(&self) -> &'static str {
        match self {
            Self::StartLineTooLong | Self::MissingStartLine => "RFC 9112 section 3",
            Self::HeaderLineTooLong | Self::TooManyHeaders | Self::HeadTooLarge => "RFC 9110 section 5.4",
            Self::BareLineFeed | Self::BareCarriageReturn => "RFC 9112 section 2.2",
            Self::ControlCharacter(_) => "RFC 9110 section 5.5",
            Self::FoldedHeader => "RFC 9112 section 5.2",
            Self::InvalidHeaderName => "RFC 9112 section 5.1",
        }
    }

    /// The rule in words.
    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::StartLineTooLong => "first line too long",
            Self::HeaderLineTooLong => "header line too long",
            Self::TooManyHeaders => "too many header lines",
            Self::HeadTooLarge => "head too large",
            Self::BareLineFeed => "line feed without a carriage return",
            Self::BareCarriageReturn => "carriage return without a line feed",
            Self::ControlCharacter(_) => "control character",
            Self::FoldedHeader => "folded header line",
            Self::InvalidHeaderName => "invalid header name",
            Self::MissingStartLine => "no first line",
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())?;
        match self {
            Self::ControlCharacter(byte) => write!(f, " {byte:#04x}"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for HeadError {}

/// A complete head: the first line, without its end, and the headers.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) start_line: Bytes,
    pub(super) headers: HeaderMap,
}

/// Finds the end of a head and enforces the limits on the way there.
#[derive(Clone, Debug)]
pub(super) struct HeadReader {
    limits: HandshakeLimits,
    /// Whether one empty line may precede the head (RFC 9112 §2.2: a server should skip it).
    skip_empty_line: bool,
    /// Bytes at the front of the buffer that have been looked at.
    scanned: usize,
    /// Bytes of all heads so far, and header lines: interim responses share the limits.
    total: usize,
    headers: usize,
    /// Where the current head begins, behind a skipped empty line, and how long its first line is.
    start: usize,
    start_line: Option<usize>,
    /// Bytes of the current line so far, without its end.
    line: usize,
    after_cr: bool,
}

impl HeadReader {
    pub(super) const fn new(limits: HandshakeLimits, skip_empty_line: bool) -> Self {
        Self {
            limits,
            skip_empty_line,
            scanned: 0,
            total: 0,
            headers: 0,
            start: 0,
            start_line: None,
            line: 0,
            after_cr: false,
        }
    }

    pub(super) const fn limits(&self) -> HandshakeLimits {
        self.limits
    }

    /// Looks at what has arrived since the last call. A complete head is taken out of `bytes`;
    /// until then nothing is.
    pub(super) fn read(&mut self, bytes: &mut BytesMut) -> Result<Option<Head>, HeadError> {
        for byte in bytes.iter().skip(self.scanned) {
            self.scanned += 1;
            if self.step(*byte)? {
                return self.finish(bytes).map(Some);
            }
        }
        Ok(None)
    }

    /// Takes in one byte; true when it ends the head.
    fn step(&mut self, byte: u8) -> Result<bool, HeadError> {
        self.total += 1;
        if self.total > self.limits.max_head_size {
            return Err(HeadError::HeadTooLarge);
        }
        if self.after_cr {
            self.after_cr = false;
            // RFC 9112 §2.2: a bare CR must not pass as part of the head.
            return if byte == b'\n' { self.end_line() } else { Err(HeadError::BareCarriageReturn) };
        }
        match byte {
            b'\r' => self.after_cr = true,
            // RFC 9112 §2.2 lets a recipient take a lone LF for a line end; those who do not agree
            // with their neighbours about it can be made to see two requests in one.
            b'\n' => return Err(HeadError::BareLineFeed),
            0..=8 | 11..=31 | 127 => return Err(HeadError::ControlCharacter(byte)),
            _ => self.line_byte(byte)?,
        }
        Ok(false)
    }

    fn line_byte(&mut self, byte: u8) -> Result<(), HeadError> {
        self.line += 1;
        if self.start_line.is_none() {
            let too_long = self.line > self.limits.max_request_line;
            return if too_long { Err(HeadError::StartLineTooLong) } else { Ok(()) };
        }
        if self.line == 1 {
            // RFC 9112 §5.2: refuse folding rather than guess what it means.
            if matches!(byte, b' ' | b'\t') {
                return Err(HeadError::FoldedHeader);
            }
            self.headers += 1;
            if self.headers > self.limits.max_headers {
                return Err(HeadError::TooManyHeaders);
            }
        }
        if self.line > self.limits.max_header_line { Err(HeadError::HeaderLineTooLong) } else { Ok(()) }
    }

    /// Takes in the end of a line; true when the line is the empty one behind the headers.
    fn end_line(&mut self) -> Result<bool, HeadError> {
        let line = std::mem::take(&mut self.line);
        match (self.start_line, line) {
            (Some(_), 0) => return Ok(true),
            (Some(_), _) => {}
            (None, 0) if self.skip_empty_line => {
                self.skip_empty_line = false;
                self.start = self.scanned;
            }
            (None, 0) => return Err(HeadError::MissingStartLine),
            (None, _) => self.start_line = Some(line),
        }
        Ok(false)
    }

    /// Parses the head that the scanner found, and makes ready for the next.
    fn finish(&mut self, bytes: &mut BytesMut) -> Result<Head, HeadError> {
        // Copied, so that whoever keeps a header value keeps the head alive and not a read buffer.
        let head = Bytes::copy_from_slice(bytes.get(self.start..self.scanned).unwrap_or_default());
        bytes.advance(self.scanned);
        let start_line = self.start_line.take().unwrap_or_default();
        (self.scanned, self.start, self.skip_empty_line) = (0, 0, false);

        // The count takes in interim responses, so it may be more than this head needs.
        let mut parsed = vec![httparse::EMPTY_HEADER; self.headers];
        let fields = head.get(start_line + 2..).unwrap_or_default();
        // The scanner has seen to line ends, control characters and the number of lines, so what
        // is left to be wrong is the name in front of the colon.
        let Ok(httparse::Status::Complete((_, parsed))) = httparse::parse_headers(fields, &mut parsed) else {
            return Err(HeadError::InvalidHeaderName);
        };
        let mut headers =
            HeaderMap::try_with_capacity(parsed.len()).map_err(|_| HeadError::TooManyHeaders)?;
        for field in parsed {
            let name =
                HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| HeadError::InvalidHeaderName)?;
            let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value))
                .map_err(|_| HeadError::InvalidHeaderName)?;
            headers.try_append(name, value).map_err(|_| HeadError::TooManyHeaders)?;
        }
        Ok(Head { start_line: head.slice(..start_line), headers })
    }
}

#[cfg(test)]
mod tests;
