//! Over tokio: TCP, and WebSocket in place.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use stentor_bench_harness::{handshake, serve};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use crate::{BUFFER, frames};

/// TCP, as everybody writes it.
pub(crate) fn run_tcp() -> io::Result<()> {
    serve(async |mut stream: TcpStream| -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let len = stream.read(&mut buffer).await?;
            if len == 0 {
                return Ok(());
            }
            stream.write_all(&buffer[..len]).await?;
        }
    })
}

/// WebSocket in place.
pub(crate) fn run_ideal() -> io::Result<()> {
    serve(async |mut stream: TcpStream| -> io::Result<()> {
        handshake::perform(&mut stream).await?;
        let mut connection = Connection { stream, unwritten: Vec::new(), unfinished: Vec::new(), missing: 0 };
        poll_fn(|cx| connection.poll(cx)).await
    })
}

thread_local! {
    /// One buffer for all connections: what has been answered is held by none.
    static SHARED: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
}

struct Connection {
    stream: TcpStream,
    /// What a write did not take.
    unwritten: Vec<u8>,
    /// The beginning of a frame, and how much of it is to come.
    unfinished: Vec<u8>,
    missing: usize,
}

impl Connection {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while !self.unwritten.is_empty() {
                let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unwritten))?;
                self.unwritten.drain(..written);
            }
            let open = if self.unfinished.is_empty() {
                SHARED.with_borrow_mut(|shared| self.poll_shared(cx, shared))
            } else {
                self.poll_unfinished(cx)
            };
            if !ready!(open)? {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_shared(&mut self, cx: &mut Context<'_>, shared: &mut [u8]) -> Poll<io::Result<bool>> {
        let mut read = ReadBuf::new(shared);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
        let bytes = read.filled_mut();
        let echoed = frames::echo(bytes)?;
        let rest = &bytes[echoed.rest..];
        if !rest.is_empty() {
            self.unfinished.reserve_exact(echoed.rest_len);
            self.unfinished.extend_from_slice(rest);
            self.missing = echoed.rest_len - rest.len();
        }
        self.write(cx, &bytes[echoed.answers])?;
        Poll::Ready(Ok(!bytes.is_empty()))
    }

    fn poll_unfinished(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        // A header that is incomplete tells nothing about the length: the shortest is read on.
        let missing = self.missing.max(1);
        let filled = self.unfinished.len();
        self.unfinished.resize(filled + missing, 0);
        let mut read = ReadBuf::new(&mut self.unfinished[filled..]);
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut read);
        let len = read.filled().len();
        self.unfinished.truncate(filled + len);
        ready!(polled)?;
        if len == 0 {
            return Poll::Ready(Ok(false));
        }
        let mut bytes = std::mem::take(&mut self.unfinished);
        if len < missing {
            self.missing = missing - len;
            self.unfinished = bytes;
            return Poll::Ready(Ok(true));
        }
        let echoed = frames::echo(&mut bytes)?;
        if echoed.rest < bytes.len() {
            self.missing = echoed.rest_len - bytes.len();
            self.unfinished = bytes;
            return Poll::Ready(Ok(true));
        }
        self.write(cx, &bytes[echoed.answers])?;
        Poll::Ready(Ok(true))
    }

    /// Writes now what the socket takes, and keeps the rest.
    fn write(&mut self, cx: &mut Context<'_>, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, bytes) {
                Poll::Ready(written) => bytes = &bytes[written?..],
                Poll::Pending => {
                    self.unwritten.extend_from_slice(bytes);
                    break;
                }
            }
        }
        Ok(())
    }
}
