//! A transport without sockets, the same for every library: it hands a whole burst to one read
//! and swallows writes, counting calls and bytes so that nothing can be skipped.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The server's end. A read takes what fits of the burst, then the transport is empty until
/// [`Remote::send_burst`] fills it again.
#[derive(Debug)]
pub struct Transport(Arc<Shared>);

/// The hands on the other end of a [`Transport`].
#[derive(Clone, Debug)]
pub struct Remote(Arc<Shared>);

/// Some libraries want transports that are `Send`, so these are atomics; only one thread ever
/// touches them, so plain loads and stores do, and cost what a `Cell` would.
#[derive(Debug)]
struct Shared {
    /// What is sent once, and behind it what is sent again and again.
    bytes: Vec<u8>,
    opening: usize,
    /// What is readable now: from here, to there.
    position: AtomicUsize,
    end: AtomicUsize,
    written: AtomicUsize,
    writes: AtomicUsize,
    reader: AtomicWaker,
    recording: AtomicBool,
    recorded: Mutex<Vec<u8>>,
}

/// A transport whose remote end sends `opening` once, if that is not empty, and then repeats `burst`.
#[must_use]
pub fn transport(opening: &[u8], burst: &[u8]) -> (Transport, Remote) {
    let shared = Arc::new(Shared {
        bytes: [opening, burst].concat(),
        opening: opening.len(),
        position: AtomicUsize::new(0),
        end: AtomicUsize::new(opening.len()),
        written: AtomicUsize::new(0),
        writes: AtomicUsize::new(0),
        reader: AtomicWaker::new(),
        recording: AtomicBool::new(false),
        recorded: Mutex::default(),
    });
    (Transport(shared.clone()), Remote(shared))
}

impl Remote {
    /// Makes the burst readable, and wakes who waits for it as a reactor would.
    pub fn send_burst(&self) {
        self.0.position.store(self.0.opening, Relaxed);
        self.0.end.store(self.0.bytes.len(), Relaxed);
        self.0.reader.wake();
    }

    /// Whether everything sent was read.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.0.position.load(Relaxed) == self.0.end.load(Relaxed)
    }

    /// Bytes written so far.
    #[must_use]
    pub fn written(&self) -> usize {
        self.0.written.load(Relaxed)
    }

    /// Write calls so far, plain and vectored.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.0.writes.load(Relaxed)
    }

    /// Keeps a copy of what is written from now on, or stops doing so.
    pub fn record(&self, on: bool) {
        self.0.recording.store(on, Relaxed);
    }

    /// What was written while recording.
    #[must_use]
    pub fn take_recorded(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.recorded.lock().expect("one thread"))
    }
}

impl Shared {
    fn swallow(&self, slices: &[IoSlice<'_>]) -> usize {
        let len = slices.iter().map(|slice| slice.len()).sum();
        self.written.store(self.written.load(Relaxed) + len, Relaxed);
        self.writes.store(self.writes.load(Relaxed) + 1, Relaxed);
        if self.recording.load(Relaxed) {
            let mut recorded = self.recorded.lock().expect("one thread");
            for slice in slices {
                recorded.extend_from_slice(slice);
            }
        }
        len
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let shared = &*self.0;
        let position = shared.position.load(Relaxed);
        let rest = &shared.bytes[position..shared.end.load(Relaxed)];
        if rest.is_empty() {
            shared.reader.register(cx.waker());
            return Poll::Pending;
        }
        let len = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..len]);
        shared.position.store(position + len, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.0.swallow(&[IoSlice::new(bytes)])))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.0.swallow(slices)))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
