//! What is sent, made beforehand, and how what comes back is counted.

use std::str::FromStr;

use crate::deflate;

/// What a message's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Binary,
    /// ASCII.
    Text,
    /// Characters of two to four bytes, and a few of one.
    Wide,
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "binary" => Ok(Self::Binary),
            "text" => Ok(Self::Text),
            "wide" => Ok(Self::Wide),
            _ => Err(format!("no kind {name}")),
        }
    }
}

/// What every message is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    /// Bytes.
    pub(crate) payload: usize,
}

const BINARY: u8 = 0x2;
const TEXT: u8 = 0x1;

/// The frames of a client in a row, ready to be written: the same few again and again, so that any
/// number up to the most in flight is one piece of memory.
#[derive(Debug)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    /// Where each frame begins, and behind them where the last one ends.
    starts: Vec<usize>,
    /// How many differ.
    pub(crate) distinct: usize,
    shape: Shape,
}

/// Above this, frames differ no more than they have to, so that the generator's own memory does not
/// push the server's out of the cache.
const SMALL: usize = 64 * 1024;

/// Compressed messages come again only after so many bytes: no window reaches so far back (RFC 7692
/// §7.1.2), so that nobody finds a whole message there.
const WINDOWS: usize = 128 * 1024;

/// How many messages are verified on each connection, or as many as are in flight.
pub(crate) const VERIFIED: usize = 4;

impl Frames {
    /// Frames for up to `in_flight` messages at once, compressed with a window of so many bits.
    pub(crate) fn new(shape: Shape, in_flight: usize, window: Option<u8>) -> Self {
        let distinct = match shape.payload {
            payload if window.is_some() => in_flight.max(WINDOWS / payload.max(1)),
            payload if payload <= SMALL => in_flight.max(VERIFIED),
            _ => in_flight,
        };
        let (mut bytes, mut starts) = (Vec::new(), vec![0]);
        // Any odd multiplier spreads the keys; each frame has one of its own (RFC 6455 §5.3).
        let mut key = 0x9e37_79b9_u32;
        let made: Vec<Vec<u8>> = (0..distinct)
            .map(|slot| {
                key = key.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
                frame(&payload(shape, slot), shape.kind, key.to_be_bytes(), window)
            })
            .collect();
        for frame in made.iter().cycle().take(distinct + in_flight) {
            bytes.extend_from_slice(frame);
            starts.push(bytes.len());
        }
        Self { bytes, starts, distinct, shape }
    }

    /// The bytes from one offset to another.
    pub(crate) fn bytes(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// Where `count` frames are, from the one of `slot` on.
    pub(crate) fn range(&self, slot: usize, count: usize) -> std::ops::Range<usize> {
        self.starts[slot]..self.starts[slot + count]
    }

    /// The most frames that are one piece of memory wherever they begin.
    pub(crate) fn longest(&self) -> usize {
        self.starts.len() - 1 - self.distinct
    }

    /// How long the frame of a slot is.
    fn len(&self, slot: usize) -> usize {
        self.starts[slot + 1] - self.starts[slot]
    }

    /// Whether `received` is the echo of the first `count` frames.
    pub(crate) fn check_echo(&self, count: usize, received: &[u8], raw: bool) -> Result<(), String> {
        if raw {
            let sent: Vec<u8> =
                (0..count).flat_map(|i| &self.bytes[self.range(i % self.distinct, 1)]).copied().collect();
            return if received == sent { Ok(()) } else { Err("not the bytes that were sent".into()) };
        }
        let mut inflater = deflate::Inflater::new();
        let (mut rest, mut message, mut messages) = (received, Vec::new(), 0);
        let mut opening = None;
        while !rest.is_empty() {
            let header = Header::parse(rest)?.ok_or("an incomplete frame")?;
            let (body, behind) =
                rest[header.len..].split_at_checked(header.payload).ok_or("an incomplete frame")?;
            opening.get_or_insert(header.first);
            message.extend_from_slice(body);
            rest = behind;
            if header.is_final() {
                let first = opening.take().unwrap_or_default();
                // RSV1 of a message's first frame: it is compressed (RFC 7692 §6).
                if first & 0x40 != 0 {
                    message = inflater.message(&message)?;
                }
                let expected = payload(self.shape, messages % self.distinct);
                if first & 0xf != opcode(self.shape.kind) || message != expected {
                    return Err(format!("message {messages} is not the one sent"));
                }
                message.clear();
                messages += 1;
            }
        }
        if messages == count { Ok(()) } else { Err(format!("{messages} messages, not {count}")) }
    }
}

fn opcode(kind: Kind) -> u8 {
    if kind == Kind::Binary { BINARY } else { TEXT }
}

/// A client's frame (RFC 6455 §5.2); compressed if that makes it shorter or not.
fn frame(payload: &[u8], kind: Kind, key: [u8; 4], window: Option<u8>) -> Vec<u8> {
    let deflated = window.map(|bits| deflate::message(payload, bits));
    let body = deflated.as_deref().unwrap_or(payload);
    let rsv1 = if window.is_some() { 0x40 } else { 0 };
    let mut frame = vec![0x80 | rsv1 | opcode(kind)];
    let len = body.len();
    if len <= 125 {
        frame.push(0x80 | len.to_le_bytes()[0]);
    } else if let Ok(len) = u16::try_from(len) {
        frame.push(0x80 | 0x7e);
        frame.extend_from_slice(&len.to_be_bytes());
    } else {
        frame.push(0x80 | 0x7f);
        frame.extend_from_slice(&(len as u64).to_be_bytes());
    }
    frame.extend_from_slice(&key);
    frame.extend(body.iter().zip(key.into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The payload of a slot: each begins elsewhere in the same stuff.
fn payload(shape: Shape, slot: usize) -> Vec<u8> {
    match shape.kind {
        Kind::Binary => {
            let mut state = slot as u64 + 1;
            std::iter::repeat_with(|| {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                state.to_be_bytes()[0]
            })
            .take(shape.payload)
            .collect()
        }
        Kind::Text => {
            let mut text = String::new();
            // Far from the lines of the other slots.
            let mut line = slot * 10_000;
            while text.len() < shape.payload {
                text += &chat(line);
                line += 1;
            }
            text.truncate(shape.payload);
            text.into_bytes()
        }
        Kind::Wide => {
            let mut text = String::with_capacity(shape.payload);
            for character in
                "Grüße aus Köln, 世界你好, привет мир, γειά σου κόσμε 🌍 ".chars().cycle().skip(slot)
            {
                if text.len() + character.len_utf8() > shape.payload {
                    break;
                }
                text.push(character);
            }
            text.extend(std::iter::repeat_n('.', shape.payload - text.len()));
            text.into_bytes()
        }
    }
}

/// A line as a chat might send it, another one for each number.
fn chat(line: usize) -> String {
    const WORDS: [&str; 16] = [
        "hello", "there", "who", "has", "seen", "the", "new", "release", "today", "it", "works", "on", "my",
        "machine", "at", "last",
    ];
    let mut state = line.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut text = format!("{{\"id\":{},\"user\":\"user-{}\",\"text\":\"", state % 1_000_003, state % 97);
    for _ in 0..6 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text += WORDS[(state >> 33) % WORDS.len()];
        text.push(' ');
    }
    text + "\"}\n"
}

/// The header of a server's frame.
#[derive(Clone, Copy, Debug)]
struct Header {
    first: u8,
    len: usize,
    payload: usize,
}

impl Header {
    /// `None` as long as it is incomplete.
    #[inline]
    fn parse(bytes: &[u8]) -> Result<Option<Self>, String> {
        let Some((&[first, second], rest)) = bytes.split_first_chunk() else { return Ok(None) };
        if second & 0x80 != 0 {
            return Err("a server must not mask".into());
        }
        if first & 0x8 != 0 {
            return Err(format!("a control frame, {first:02x} {second:02x}, while measuring"));
        }
        let (len, payload) = match second {
            126 => match rest.first_chunk() {
                Some(&length) => (4, usize::from(u16::from_be_bytes(length))),
                None => return Ok(None),
            },
            127 => match rest.first_chunk() {
                Some(&length) => {
                    (10, usize::try_from(u64::from_be_bytes(length)).map_err(|e| e.to_string())?)
                }
                None => return Ok(None),
            },
            short => (2, usize::from(short)),
        };
        Ok(Some(Self { first, len, payload }))
    }

    fn is_final(self) -> bool {
        self.first & 0x80 != 0
    }
}

/// Counts the messages that come back on one connection, however their bytes are cut.
#[derive(Debug)]
pub(crate) enum Counter {
    /// Bytes as they were sent: the slot that is coming back, and what is missing of it.
    Raw { slot: usize, missing: usize },
    /// WebSocket frames.
    Frames(FrameCounter),
}

#[derive(Debug, Default)]
pub(crate) struct FrameCounter {
    /// The beginning of a header that is not complete.
    head: Vec<u8>,
    /// What is missing of the frame's payload.
    missing: usize,
    /// What has come of the message's.
    message: usize,
    last: bool,
    /// Payload bytes of every message; unknown if it is compressed.
    expected: Option<usize>,
}

impl Counter {
    pub(crate) fn new(frames: &Frames, raw: bool, compressed: bool) -> Self {
        if raw {
            Self::Raw { slot: 0, missing: frames.len(0) }
        } else {
            let expected = (!compressed).then_some(frames.shape.payload);
            Self::Frames(FrameCounter { expected, ..FrameCounter::default() })
        }
    }

    /// How many messages these bytes complete.
    #[inline]
    pub(crate) fn count(&mut self, frames: &Frames, bytes: &[u8]) -> Result<usize, String> {
        match self {
            Self::Raw { slot, missing } => {
                let (mut left, mut count) = (bytes.len(), 0);
                while left >= *missing {
                    left -= *missing;
                    count += 1;
                    *slot = (*slot + 1) % frames.distinct;
                    *missing = frames.len(*slot);
                }
                *missing -= left;
                Ok(count)
            }
            Self::Frames(counter) => counter.count(bytes),
        }
    }
}

impl FrameCounter {
    fn count(&mut self, mut bytes: &[u8]) -> Result<usize, String> {
        let mut count = 0;
        loop {
            let taken = bytes.len().min(self.missing);
            self.missing -= taken;
            bytes = &bytes[taken..];
            if self.missing > 0 {
                return Ok(count);
            }
            if std::mem::take(&mut self.last) {
                if self.expected.is_some_and(|expected| expected != self.message) {
                    return Err(format!("an echo of {} bytes", self.message));
                }
                self.message = 0;
                count += 1;
            }
            if bytes.is_empty() {
                return Ok(count);
            }
            let header = if self.head.is_empty() {
                let Some(header) = Header::parse(bytes)? else {
                    self.head.extend_from_slice(bytes);
                    return Ok(count);
                };
                bytes = &bytes[header.len..];
                header
            } else {
                self.head.push(bytes[0]);
                bytes = &bytes[1..];
                let Some(header) = Header::parse(&self.head)? else { continue };
                self.head.clear();
                header
            };
            self.missing = header.payload;
            self.message += header.payload;
            self.last = header.is_final();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_frames(frames: &Frames, count: usize) -> Vec<u8> {
        let mut wire = Vec::new();
        for i in 0..count {
            let payload = payload(frames.shape, i % frames.distinct);
            wire.push(0x80 | opcode(frames.shape.kind));
            match payload.len() {
                short @ 0..=125 => wire.push(u8::try_from(short).unwrap()),
                len => {
                    wire.push(126);
                    wire.extend_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
                }
            }
            wire.extend_from_slice(&payload);
        }
        wire
    }

    #[test]
    fn payloads_have_their_size_and_text_is_utf8() {
        for payload_size in [0, 1, 16, 125, 126, 1024, 16_384] {
            for kind in [Kind::Binary, Kind::Text, Kind::Wide] {
                for slot in 0..5 {
                    let payload = payload(Shape { kind, payload: payload_size }, slot);
                    assert_eq!(payload.len(), payload_size);
                    assert!(kind == Kind::Binary || std::str::from_utf8(&payload).is_ok());
                }
            }
        }
    }

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        for payload in [0, 16, 125, 126, 300] {
            let frames = Frames::new(Shape { kind: Kind::Text, payload }, 3, None);
            let wire = server_frames(&frames, 5);
            for piece in 1..=wire.len() {
                let mut counter = Counter::new(&frames, false, false);
                let count: usize =
                    wire.chunks(piece).map(|bytes| counter.count(&frames, bytes).unwrap()).sum();
                assert_eq!(count, 5, "{payload} bytes in pieces of {piece}");
            }
            assert_eq!(frames.check_echo(5, &wire, false), Ok(()));
        }
    }

    #[test]
    fn a_raw_echo_is_counted_however_it_is_cut() {
        let frames = Frames::new(Shape { kind: Kind::Binary, payload: 16 }, 6, None);
        let wire = frames.bytes(frames.range(0, 6)).to_vec();
        for piece in 1..=wire.len() {
            let mut counter = Counter::new(&frames, true, false);
            let count: usize = wire.chunks(piece).map(|bytes| counter.count(&frames, bytes).unwrap()).sum();
            assert_eq!(count, 6);
        }
        assert_eq!(frames.check_echo(6, &wire, true), Ok(()));
    }

    #[test]
    fn a_wrong_echo_is_noticed() {
        let frames = Frames::new(Shape { kind: Kind::Text, payload: 40 }, 2, None);
        let right = server_frames(&frames, 2);
        for at in 0..right.len() {
            let mut wrong = right.clone();
            wrong[at] ^= 1;
            assert!(frames.check_echo(2, &wrong, false).is_err(), "byte {at}");
        }
        assert!(frames.check_echo(3, &right, false).is_err());
    }

    #[test]
    fn compressed_frames_inflate_to_their_payloads() {
        let shape = Shape { kind: Kind::Text, payload: 1000 };
        for slot in 0..4 {
            let compressed = deflate::message(&payload(shape, slot), 12);
            assert!(compressed.len() < 1000);
            assert_eq!(deflate::Inflater::new().message(&compressed).unwrap(), payload(shape, slot));
        }
    }
}
