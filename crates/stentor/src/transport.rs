//! The byte stream under a connection: TCP without indirection, anything else boxed.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;

/// How many slices one vectored write takes at most.
const MAX_SLICES: usize = 16;

/// Any byte stream a connection can run over.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// A connection's byte stream.
pub(crate) enum Transport {
    Tcp(TcpStream),
    Boxed(Box<dyn Io>),
    /// It was dropped.
    Gone,
}

impl Transport {
    /// The address of the other end, over TCP.
    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(tcp) => tcp.peer_addr().ok(),
            Self::Boxed(_) | Self::Gone => None,
        }
    }

    /// Reads into the room that `buffer` has; 0 bytes mean the end.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut impl BufMut,
    ) -> Poll<io::Result<usize>> {
        // The future reads at most once and keeps nothing between polls, so it need not be kept.
        match self {
            Self::Tcp(tcp) => std::pin::pin!(tcp.read_buf(buffer)).poll(cx),
            Self::Boxed(io) => std::pin::pin!(io.read_buf(buffer)).poll(cx),
            Self::Gone => Poll::Ready(Ok(0)),
        }
    }

    /// Writes what it can of `bytes` in one call and advances them.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut impl Buf,
    ) -> Poll<io::Result<usize>> {
        let written = match self {
            Self::Tcp(tcp) => ready!(poll_write_buf(Pin::new(tcp), cx, bytes))?,
            Self::Boxed(io) => ready!(poll_write_buf(Pin::new(io), cx, bytes))?,
            Self::Gone => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        bytes.advance(written);
        Poll::Ready(Ok(written))
    }

    /// Hands on what the transport itself may hold back, as an encrypting one does.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Boxed(io) => Pin::new(io).poll_flush(cx),
            Self::Tcp(_) | Self::Gone => Poll::Ready(Ok(())),
        }
    }

    /// Ends the writing direction.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Boxed(io) => Pin::new(io).poll_shutdown(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

fn poll_write_buf<W: AsyncWrite>(
    io: Pin<&mut W>,
    cx: &mut Context<'_>,
    bytes: &impl Buf,
) -> Poll<io::Result<usize>> {
    let first = bytes.chunk();
    if first.len() == bytes.remaining() || !io.is_write_vectored() {
        return io.poll_write(cx, first);
    }
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    let count = bytes.chunks_vectored(&mut slices);
    io.poll_write_vectored(cx, &slices[..count])
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp(_) => "Tcp",
            Self::Boxed(_) => "Boxed",
            Self::Gone => "Gone",
        })
    }
}
