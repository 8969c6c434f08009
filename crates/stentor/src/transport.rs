//! The byte stream under a connection: TCP without indirection, TLS, anything else boxed.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
#[cfg(feature = "tls")]
use tokio_rustls::TlsStream;

/// How many slices one vectored write takes at most.
const MAX_SLICES: usize = 16;

/// Any byte stream a connection can run over.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// A connection's byte stream.
pub(crate) enum Transport {
    Tcp(TcpStream),
    /// Over any of the others. Boxed, because it is a hundred times as large as they are.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<Transport>>),
    Boxed(Box<dyn Io>),
    /// It was dropped.
    Gone,
}

impl Transport {
    /// The address of the other end, over TCP.
    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(tcp) => tcp.peer_addr().ok(),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.get_ref().0.peer_addr(),
            Self::Boxed(_) | Self::Gone => None,
        }
    }

    /// Whether there may be something to read, which costs less to ask than to try. Otherwise the task is
    /// woken when there is.
    #[inline]
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Tcp(tcp) => {
                if let Err(error) = ready!(tcp.poll_read_ready(cx)) {
                    shows_again(error);
                }
                Poll::Ready(())
            }
            _ => Poll::Ready(()),
        }
    }

    /// Reads into the room that `buffer` has; 0 bytes mean the end.
    #[allow(clippy::inline_always)] // See the driver: every frame around a system call costs.
    #[inline(always)]
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut impl BufMut,
    ) -> Poll<io::Result<usize>> {
        // The future reads at most once and keeps nothing between polls, so it need not be kept.
        match self {
            Self::Tcp(tcp) => std::pin::pin!(tcp.read_buf(buffer)).poll(cx),
            _ => self.poll_read_indirectly(cx, buffer),
        }
    }

    #[inline(never)]
    fn poll_read_indirectly(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut impl BufMut,
    ) -> Poll<io::Result<usize>> {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(tls) => match ready!(std::pin::pin!(tls.read_buf(buffer)).poll(cx)) {
                // Many peers hang up without a close_notify. It would say that nothing was cut off
                // (RFC 8446 §6.1), and a Close frame says that, too: without one, an end is an error.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(0)),
                read => Poll::Ready(read),
            },
            Self::Boxed(io) => std::pin::pin!(io.read_buf(buffer)).poll(cx),
            Self::Tcp(_) | Self::Gone => Poll::Ready(Ok(0)),
        }
    }

    /// Writes what it can of `bytes` in one call and advances them.
    #[allow(clippy::inline_always)] // See the driver: every frame around a system call costs.
    #[inline(always)]
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut impl Buf,
    ) -> Poll<io::Result<usize>> {
        let written = match self {
            Self::Tcp(tcp) => ready!(poll_write_buf(Pin::new(tcp), cx, bytes))?,
            _ => ready!(self.poll_write_indirectly(cx, bytes))?,
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        bytes.advance(written);
        Poll::Ready(Ok(written))
    }

    #[inline(never)]
    fn poll_write_indirectly(&mut self, cx: &mut Context<'_>, bytes: &impl Buf) -> Poll<io::Result<usize>> {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(tls) => poll_write_buf(Pin::new(&mut **tls), cx, bytes),
            Self::Boxed(io) => poll_write_buf(Pin::new(io), cx, bytes),
            Self::Tcp(_) | Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Whether bytes that were written may not have left yet.
    #[inline]
    pub(crate) fn holds_back(&self) -> bool {
        !matches!(self, Self::Tcp(_))
    }

    /// Hands on what the transport itself may hold back, as an encrypting one does.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Self::Boxed(io) => Pin::new(io).poll_flush(cx),
            Self::Tcp(_) | Self::Gone => Poll::Ready(Ok(())),
        }
    }

    /// Ends the writing direction.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Self::Boxed(io) => Pin::new(io).poll_shutdown(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

/// An error of the readiness shows again when it is read.
#[cold]
fn shows_again(error: io::Error) {
    drop(error);
}

#[inline]
fn poll_write_buf<W: AsyncWrite>(
    io: Pin<&mut W>,
    cx: &mut Context<'_>,
    bytes: &impl Buf,
) -> Poll<io::Result<usize>> {
    let first = bytes.chunk();
    if first.len() == bytes.remaining() {
        return io.poll_write(cx, first);
    }
    poll_write_slices(io, cx, bytes)
}

#[inline(never)]
fn poll_write_slices<W: AsyncWrite>(
    io: Pin<&mut W>,
    cx: &mut Context<'_>,
    bytes: &impl Buf,
) -> Poll<io::Result<usize>> {
    if !io.is_write_vectored() {
        return io.poll_write(cx, bytes.chunk());
    }
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    let count = bytes.chunks_vectored(&mut slices);
    io.poll_write_vectored(cx, &slices[..count])
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp(_) => "Tcp",
            #[cfg(feature = "tls")]
            Self::Tls(_) => "Tls",
            Self::Boxed(_) => "Boxed",
            Self::Gone => "Gone",
        })
    }
}

/// TLS runs over any transport.
#[cfg(feature = "tls")]
mod under_tls {
    use std::io::{self, IoSlice};
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::Transport;

    impl AsyncRead for Transport {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            match self.get_mut() {
                Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buffer),
                Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
                Self::Boxed(io) => Pin::new(io).poll_read(cx, buffer),
                Self::Gone => Poll::Ready(Ok(())),
            }
        }
    }

    impl AsyncWrite for Transport {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            mut bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Transport::poll_write(self.get_mut(), cx, &mut bytes)
        }

        /// TLS that fails writes once more and no further: the records in front of its alert, and the
        /// alert.
        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            match self.get_mut() {
                Self::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
                Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
                Self::Boxed(io) => Pin::new(io).poll_write_vectored(cx, slices),
                Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            }
        }

        fn is_write_vectored(&self) -> bool {
            match self {
                Self::Tcp(tcp) => tcp.is_write_vectored(),
                Self::Tls(tls) => tls.is_write_vectored(),
                Self::Boxed(io) => io.is_write_vectored(),
                Self::Gone => false,
            }
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Transport::poll_flush(self.get_mut(), cx)
        }

        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Transport::poll_shutdown(self.get_mut(), cx)
        }
    }
}
