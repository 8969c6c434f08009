//! A byte stream that keeps what goes over it, and what its frames say afterwards.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use stentor::proto::Role;
use stentor_testkit::frame::Frame;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::content;
use crate::{Error, Result};

/// The first of the reserved bits (RFC 7692 §6).
const RSV1: u8 = 0b100;

/// A TCP connection that is listened to.
pub(super) struct Tap {
    tcp: TcpStream,
    wire: Wire,
}

/// What has gone over it so far.
#[derive(Clone, Default)]
pub(super) struct Wire(Arc<Mutex<Bytes>>);

#[derive(Default)]
struct Bytes {
    read: Vec<u8>,
    written: Vec<u8>,
}

impl Tap {
    pub(super) fn new(tcp: TcpStream) -> (Self, Wire) {
        let wire = Wire::default();
        (Self { tcp, wire: wire.clone() }, wire)
    }
}

impl Wire {
    fn bytes(&self) -> MutexGuard<'_, Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The messages that the end which plays `role` received, and those that it sent.
    pub(super) fn traffic(&self, role: Role) -> Result<(Traffic, Traffic)> {
        let other = match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        let bytes = self.bytes();
        Ok((Traffic::of(&bytes.read, other)?, Traffic::of(&bytes.written, role)?))
    }
}

/// The messages that went one way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    pub(super) messages: usize,
    /// Those with RSV1 on their first frame.
    pub(super) compressed: usize,
    /// The payload of their frames.
    pub(super) bytes: usize,
}

impl Traffic {
    /// Reads a head, then frames.
    fn of(bytes: &[u8], sender: Role) -> Result<Self> {
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or("no head on the wire")?;
        let mut frames = bytes[head + 4..].to_vec();
        let mut traffic = Self::default();
        while let Some(frame) = Frame::decode_with(&mut frames, sender, true) {
            if matches!(frame.opcode, 0x1 | 0x2) {
                traffic.messages += 1;
                traffic.compressed += usize::from(frame.rsv == RSV1);
            }
            if frame.opcode < 0x8 {
                traffic.bytes += frame.payload.len();
            }
        }
        Ok(traffic)
    }

    /// Fails unless these are the [messages](content::messages) and most of them were compressed.
    pub(super) fn check(self, way: &str, more: usize) -> Result {
        let content = content::messages().len();
        // An empty message, and one that does not get smaller, may be left as it is.
        if self.messages == content + more
            && self.compressed + 2 >= content
            && self.bytes * 2 < content::total()
        {
            return Ok(());
        }
        Err(Error::from(format!(
            "{way}: {self} instead of {content} messages, compressed from {} bytes",
            content::total()
        )))
    }
}

/// As JSON.
impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, compressed, bytes } = self;
        write!(f, "{{\"messages\": {messages}, \"compressed\": {compressed}, \"bytes\": {bytes}}}")
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buf))?;
        self.wire.bytes().read.extend_from_slice(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let len = ready!(Pin::new(&mut self.tcp).poll_write(cx, bytes))?;
        self.wire.bytes().written.extend_from_slice(&bytes[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
