//! Masked frames become their own echo, in place, because a server's header is four bytes shorter than a
//! client's: the answers fit into the bytes that the requests leave behind. Or messages are taken from them,
//! one by one.

use std::io;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

/// What became of a buffer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Echoed {
    /// Where the answers are.
    pub(crate) answers: Range<usize>,
    /// The beginning of a frame that is not complete starts here.
    pub(crate) rest: usize,
    /// How long that frame will be, as far as its header tells.
    pub(crate) rest_len: usize,
}

/// Turns the complete frames of a buffer into their echo.
///
/// # Errors
///
/// For what no client of the measurement sends: fragments, control frames, no mask, bad UTF-8.
pub(crate) fn echo(buffer: &mut [u8]) -> io::Result<Echoed> {
    let mut echoed = Echoed::default();
    loop {
        let bytes = &mut buffer[echoed.rest..];
        let Some((header, payload)) = header(bytes)? else {
            echoed.rest_len = bytes.len();
            return Ok(echoed);
        };
        let len = header + 4 + payload;
        if bytes.len() < len {
            echoed.rest_len = len;
            return Ok(echoed);
        }
        let (head, body) = bytes.split_at_mut(header + 4);
        let body = &mut body[..payload];
        unmask(*head.last_chunk().expect("a header ends with its key"), body);
        if head[0] & 0xf == 1 && simdutf8::basic::from_utf8(body).is_err() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let from = echoed.rest;
        buffer[from + 1] &= 0x7f;
        if from == 0 && payload > SMALL && buffer.len() == len {
            // One large message is not moved: its header goes where the key was.
            buffer.copy_within(0..header, 4);
            return Ok(Echoed { answers: 4..len, rest: len, rest_len: 0 });
        }
        buffer.copy_within(from..from + header, echoed.answers.end);
        buffer.copy_within(from + header + 4..from + len, echoed.answers.end + header);
        echoed.answers.end += header + payload;
        echoed.rest += len;
    }
}

/// What is at the front of a buffer.
pub(crate) enum Frame {
    /// A message, and the first byte of its frame.
    Whole { first: u8, message: Bytes },
    /// The beginning of a frame, or nothing, and how long it will be as far as its header tells.
    Partial { len: usize },
}

/// Takes the first frame, if it is complete, as a share of the buffer.
///
/// # Errors
///
/// As [`echo`].
#[inline]
pub(crate) fn take(buffer: &mut BytesMut) -> io::Result<Frame> {
    let Some((header, payload)) = header(buffer)? else { return Ok(Frame::Partial { len: buffer.len() }) };
    let len = header + 4 + payload;
    if buffer.len() < len {
        return Ok(Frame::Partial { len });
    }
    let (head, body) = buffer.split_at_mut(header + 4);
    let (first, body) = (head[0], &mut body[..payload]);
    unmask(*head.last_chunk().expect("a header ends with its key"), body);
    if first & 0xf == 1 && simdutf8::basic::from_utf8(body).is_err() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = buffer.split_to(len).freeze();
    message.advance(header + 4);
    Ok(Frame::Whole { first, message })
}

/// Writes the header of the answer to `room`.
#[inline]
pub(crate) fn answer_header(room: &mut [u8; 10], first: u8, len: usize) -> &[u8] {
    room[0] = first;
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short @ ..126), _) => {
            room[1] = short;
            &room[..2]
        }
        (_, Ok(len)) => {
            room[1] = 126;
            room[2..4].copy_from_slice(&len.to_be_bytes());
            &room[..4]
        }
        _ => {
            room[1] = 127;
            room[2..].copy_from_slice(&(len as u64).to_be_bytes());
            room
        }
    }
}

/// Above this, moving costs more than looking whether one can do without.
const SMALL: usize = 4096;

/// The lengths of header, without the key, and payload.
#[inline]
fn header(bytes: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let Some((&[first, second], rest)) = bytes.split_first_chunk() else { return Ok(None) };
    if first & 0xf0 != 0x80 || !matches!(first & 0xf, 1 | 2) || second & 0x80 == 0 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(match second & 0x7f {
        126 => rest.first_chunk().map(|&length| (4, usize::from(u16::from_be_bytes(length)))),
        127 => match rest.first_chunk() {
            Some(&length) => {
                let length = usize::try_from(u64::from_be_bytes(length)).map_err(io::Error::other)?;
                Some((10, length))
            }
            None => None,
        },
        short => Some((2, usize::from(short))),
    })
}

#[inline]
fn unmask(key: [u8; 4], payload: &mut [u8]) {
    let key = u32::from_ne_bytes(key);
    let key = u64::from(key) << 32 | u64::from(key);
    let (lanes, rest) = payload.as_chunks_mut::<8>();
    for lane in lanes {
        *lane = (u64::from_ne_bytes(*lane) ^ key).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(key.to_ne_bytes()) {
        *byte ^= mask;
    }
}
