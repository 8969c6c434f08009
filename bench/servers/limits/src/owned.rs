//! Over tokio by hand, but with messages that may be kept: each is a share of the buffer it was read
//! into, so what is sent goes into another one.
//!
//! That is the least that a library costs which hands messages over, without any of its limits, control
//! frames, handles and deadlines.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use stentor_bench_harness::{handshake, serve};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

use crate::frames::{Frame, answer_header, take};

/// What a read takes at most, unless a larger frame is under way.
const BLOCK: usize = 64 * 1024;

/// Larger messages are not copied.
const COPY_MAX: usize = 32 * 1024;

/// What all connections share, because none holds any of it for long.
#[derive(Default)]
struct Shared {
    block: BytesMut,
    answers: Vec<u8>,
}

thread_local! {
    static SHARED: RefCell<Shared> = RefCell::default();
}

pub(crate) fn run() -> io::Result<()> {
    serve(async |mut stream: TcpStream| -> io::Result<()> {
        handshake::perform(&mut stream).await?;
        let mut connection =
            Connection { stream, unwritten: Vec::new(), unfinished: BytesMut::new(), len: 0 };
        poll_fn(|cx| connection.poll(cx)).await
    })
}

struct Connection {
    stream: TcpStream,
    /// What a write did not take.
    unwritten: Vec<u8>,
    /// The beginning of a frame, and how long that will be, as far as is known.
    unfinished: BytesMut,
    len: usize,
}

impl Connection {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while !self.unwritten.is_empty() {
                let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unwritten))?;
                self.unwritten.drain(..written);
            }
            let open = SHARED.with_borrow_mut(|Shared { block, answers }| {
                if self.unfinished.is_empty() {
                    block.reserve(BLOCK);
                    return self.poll_turn(cx, block, answers, BLOCK);
                }
                let mut unfinished = std::mem::take(&mut self.unfinished);
                let room = self.len.max(BLOCK) - unfinished.len();
                unfinished.reserve(room);
                let polled = self.poll_turn(cx, &mut unfinished, answers, room);
                if polled.is_pending() {
                    self.unfinished = unfinished;
                }
                polled
            });
            if !ready!(open)? {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Reads once into `bytes`, and answers what is there whole. `false` when the client has ended.
    fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut BytesMut,
        answers: &mut Vec<u8>,
        room: usize,
    ) -> Poll<io::Result<bool>> {
        let read = ready!(pin!(self.stream.read_buf(&mut bytes.limit(room))).poll(cx))?;
        answers.clear();
        // It has a buffer of its own already.
        let is_large = self.len > BLOCK;
        self.len = loop {
            match take(bytes)? {
                Frame::Whole { first, message } => self.send(cx, answers, first, message)?,
                Frame::Partial { len } => break len,
            }
        };
        if !bytes.is_empty() {
            self.unfinished = if is_large {
                std::mem::take(bytes)
            } else {
                let mut begun = BytesMut::with_capacity(self.len.max(BLOCK));
                begun.put_slice(bytes);
                bytes.clear();
                begun
            };
        }
        self.write(cx, answers)?;
        Poll::Ready(Ok(read > 0))
    }

    fn send(
        &mut self,
        cx: &mut Context<'_>,
        answers: &mut Vec<u8>,
        first: u8,
        message: Bytes,
    ) -> io::Result<()> {
        let mut head = [0; 10];
        let head = answer_header(&mut head, first, message.len());
        if message.len() <= COPY_MAX {
            answers.reserve(head.len() + message.len());
            answers.extend_from_slice(head);
            answers.extend_from_slice(&message);
            return Ok(());
        }
        self.write(cx, answers)?;
        answers.clear();
        let mut rest = Buf::chain(head, message);
        while self.unwritten.is_empty() && rest.has_remaining() {
            let mut slices = [IoSlice::new(&[]); 2];
            let count = rest.chunks_vectored(&mut slices);
            match Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..count]) {
                Poll::Ready(written) => rest.advance(written?),
                Poll::Pending => break,
            }
        }
        self.unwritten.put(rest);
        Ok(())
    }

    /// Writes now what the socket takes, and keeps the rest.
    fn write(&mut self, cx: &mut Context<'_>, mut bytes: &[u8]) -> io::Result<()> {
        while self.unwritten.is_empty() && !bytes.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, bytes) {
                Poll::Ready(written) => bytes = &bytes[written?..],
                Poll::Pending => break,
            }
        }
        self.unwritten.extend_from_slice(bytes);
        Ok(())
    }
}
