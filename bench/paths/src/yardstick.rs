//! The yardstick: an echo server in place over one buffer, written for nothing but to be short
//! and fast. It knows no fragments, no control frames, no limits and no closing; it shows what small
//! messages could at best cost. Large ones it moves once, which a library need not.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::row::{Kind, Seen, Served, Task, Way};
use crate::transport::Transport;

/// Room for every scenario's burst.
const BUFFER: usize = 128 * 1024;

/// The yardstick's rows.
#[must_use]
pub fn ways() -> Vec<Way> {
    vec![
        Way {
            name: "yardstick, in place",
            kind: Kind::Yardstick,
            task: Task::Echo,
            open: |scenario| Served::echo(scenario, echo),
        },
        Way {
            name: "yardstick, in place",
            kind: Kind::Yardstick,
            task: Task::Decode,
            open: |scenario| Served::decode(scenario, decode),
        },
    ]
}

async fn echo(mut transport: Transport) {
    let mut buffer = vec![0; BUFFER];
    let mut filled = 0;
    loop {
        filled += transport.read(&mut buffer[filled..]).await.expect("the transport never fails");
        // A server's header is four bytes shorter than a client's, so the answers fit into the
        // bytes that the requests have left.
        let (mut at, mut out) = (0, 0);
        while let Some(frame) = Frame::parse(&buffer[at..filled]) {
            frame.check_and_unmask(&mut buffer[at..]);
            frame.move_header(&mut buffer, at, out);
            buffer.copy_within(at + frame.header()..at + frame.len(), out + frame.length_bytes);
            at += frame.len();
            out += frame.length_bytes + frame.payload;
        }
        transport.write_all(&buffer[..out]).await.expect("the transport never fails");
        buffer.copy_within(at..filled, 0);
        filled -= at;
    }
}

async fn decode(mut transport: Transport, seen: Seen) {
    let mut buffer = vec![0; BUFFER];
    let mut filled = 0;
    loop {
        filled += transport.read(&mut buffer[filled..]).await.expect("the transport never fails");
        let mut at = 0;
        while let Some(frame) = Frame::parse(&buffer[at..filled]) {
            frame.check_and_unmask(&mut buffer[at..]);
            seen.message(&buffer[at + frame.header()..at + frame.len()]);
            at += frame.len();
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
    }
}

/// Where a masked frame's parts are.
#[derive(Clone, Copy)]
struct Frame {
    text: bool,
    /// The header without the masking key.
    length_bytes: usize,
    payload: usize,
}

impl Frame {
    #[inline]
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (&[first, second], rest) = bytes.split_first_chunk()?;
        assert!(first & 0xf0 == 0x80 && second & 0x80 != 0, "only whole masked messages");
        let (length_bytes, payload) = match second & 0x7f {
            126 => (4, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
            127 => panic!("scenarios stay below 64 KiB"),
            short => (2, usize::from(short)),
        };
        let frame = Self { text: first & 0xf == 1, length_bytes, payload };
        (bytes.len() >= frame.len()).then_some(frame)
    }

    fn header(self) -> usize {
        self.length_bytes + 4
    }

    fn len(self) -> usize {
        self.header() + self.payload
    }

    /// Writes the header of the answer to `to`.
    #[inline]
    fn move_header(self, buffer: &mut [u8], from: usize, to: usize) {
        let [first, second, length @ ..] = *buffer[from..].first_chunk::<4>().expect("a masked header");
        buffer[to] = first;
        buffer[to + 1] = second & 0x7f;
        if self.length_bytes == 4 {
            buffer[to + 2..to + 4].copy_from_slice(&length);
        }
    }

    #[inline]
    fn check_and_unmask(self, bytes: &mut [u8]) {
        let (header, payload) = bytes[..self.len()].split_at_mut(self.header());
        let key: &[u8; 4] = header.last_chunk().expect("a masked header ends with its key");
        let key = u32::from_ne_bytes(*key);
        let key = u64::from(key) << 32 | u64::from(key);
        let (lanes, rest) = payload.as_chunks_mut::<8>();
        for lane in lanes {
            *lane = (u64::from_ne_bytes(*lane) ^ key).to_ne_bytes();
        }
        for (byte, mask) in rest.iter_mut().zip(key.to_ne_bytes()) {
            *byte ^= mask;
        }
        if self.text {
            simdutf8::basic::from_utf8(payload).expect("the scenarios' text is UTF-8");
        }
    }
}
