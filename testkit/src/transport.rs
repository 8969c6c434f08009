//! In-memory transports that behave as badly as a test asks: they hand out few bytes at a time,
//! stall, end or break, and count what is done to them.
//!
//! [`pipe`] makes two joined ends; [`rig`] takes hold of any end.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// Two joined ends; each way at most `capacity` bytes are on their way, then writing waits.
#[must_use]
pub fn pipe(capacity: usize) -> (DuplexStream, DuplexStream) {
    tokio::io::duplex(capacity)
}

/// Puts `io` under the control of the [`Rig`].
///
/// ```
/// use stentor_testkit::transport::{pipe, rig};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// let (mut here, there) = pipe(1024);
/// let (mut there, control) = rig(there);
/// control.read_at_most(2);
/// here.write_all(b"Hello").await?;
/// let mut buffer = [0; 16];
/// assert_eq!(there.read(&mut buffer).await?, 2);
/// assert_eq!(control.counts().reads, 1);
/// # Ok(()) }
/// ```
pub fn rig<T>(io: T) -> (Rigged<T>, Rig) {
    let control = Rig::default();
    (Rigged { io, control: control.clone() }, control)
}

/// The control of a [`Rigged`] transport. Its clones control the same one.
#[derive(Clone, Debug, Default)]
pub struct Rig(Arc<Mutex<Controls>>);

/// What was done to a [`Rigged`] transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Reads that gave bytes.
    pub reads: usize,
    /// Bytes that were read.
    pub bytes_read: usize,
    /// Writes that took bytes, vectored or not.
    pub writes: usize,
    /// Those of them that were vectored.
    pub vectored_writes: usize,
    /// Bytes that were written.
    pub bytes_written: usize,
    /// Whether the writing direction was ended.
    pub shut_down: bool,
}

/// How a direction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As a peer ends it: reads give no bytes; writes fail with
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe).
    Quiet,
    /// With an error of this kind.
    Error(io::ErrorKind),
}

#[derive(Debug, Default)]
struct Controls {
    reading: Direction,
    writing: Direction,
    flushing: Direction,
    counts: Counts,
}

/// One of the two directions.
#[derive(Debug, Default)]
struct Direction {
    at_most: Option<usize>,
    stutters: bool,
    /// It has stuttered, so next time something passes.
    stuttered: bool,
    stalled: bool,
    /// Who waits for the stall to end.
    waiting: Option<Waker>,
    /// After how many more bytes it ends, and how.
    cut: Option<(usize, End)>,
}

impl Rig {
    /// From now on a read gives at most `bytes` bytes.
    pub fn read_at_most(&self, bytes: usize) {
        self.controls().reading.at_most = Some(bytes);
    }

    /// From now on a write takes at most `bytes` bytes.
    pub fn write_at_most(&self, bytes: usize) {
        self.controls().writing.at_most = Some(bytes);
    }

    /// From now on every read and write waits once, for nothing, before it does something.
    pub fn stutter(&self) {
        let mut controls = self.controls();
        controls.reading.stutters = true;
        controls.writing.stutters = true;
    }

    /// From now on nothing is held up or cut into pieces.
    pub fn steady(&self) {
        let mut controls = self.controls();
        let Controls { reading, writing, .. } = &mut *controls;
        for direction in [reading, writing] {
            direction.stutters = false;
            direction.at_most = None;
        }
        drop(controls);
        self.release();
    }

    /// From now on reads wait, whatever is there.
    pub fn stall_reading(&self) {
        self.controls().reading.stalled = true;
    }

    /// From now on writes wait, whatever room there is.
    pub fn stall_writing(&self) {
        self.controls().writing.stalled = true;
    }

    /// From now on flushes wait, as those of a transport that holds bytes back itself; and so does
    /// ending the writing direction, which flushes first.
    pub fn stall_flushing(&self) {
        self.controls().flushing.stalled = true;
    }

    /// Ends all stalls and wakes who waits.
    pub fn release(&self) {
        let mut controls = self.controls();
        let Controls { reading, writing, flushing, .. } = &mut *controls;
        let waiting = [reading, writing, flushing].map(|direction| {
            direction.stalled = false;
            direction.waiting.take()
        });
        drop(controls);
        waiting.into_iter().flatten().for_each(Waker::wake);
    }

    /// After `bytes` more bytes, reading ends.
    pub fn cut_reading_after(&self, bytes: usize, end: End) {
        self.controls().reading.cut = Some((bytes, end));
    }

    /// After `bytes` more bytes, writing ends.
    pub fn cut_writing_after(&self, bytes: usize, end: End) {
        self.controls().writing.cut = Some((bytes, end));
    }

    /// What was done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.controls().counts
    }

    /// What was done so far, and starts counting anew.
    #[must_use]
    pub fn take_counts(&self) -> Counts {
        std::mem::take(&mut self.controls().counts)
    }

    fn controls(&self) -> MutexGuard<'_, Controls> {
        // A test that panicked elsewhere has said what is wrong.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Direction {
    /// How many bytes may pass now; `None` while it stalls, `Err` once it is cut.
    fn allowance(&mut self, context: &Context<'_>) -> Option<Result<usize, End>> {
        if self.stalled {
            self.waiting = Some(context.waker().clone());
            return None;
        }
        if self.stutters && !std::mem::replace(&mut self.stuttered, true) {
            context.waker().wake_by_ref();
            return None;
        }
        self.stuttered = false;
        let at_most = self.at_most.unwrap_or(usize::MAX);
        Some(match self.cut {
            Some((0, end)) => Err(end),
            Some((left, _)) => Ok(at_most.min(left)),
            None => Ok(at_most),
        })
    }

    /// So many bytes have passed.
    fn passed(&mut self, bytes: usize) {
        if let Some((left, _)) = &mut self.cut {
            *left -= bytes;
        }
    }
}

/// A transport in the hands of a [`Rig`].
#[derive(Debug)]
pub struct Rigged<T> {
    io: T,
    control: Rig,
}

impl<T: AsyncRead + Unpin> AsyncRead for Rigged<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let allowance = self.control.controls().reading.allowance(context);
        let most = match allowance {
            None => return Poll::Pending,
            Some(Err(End::Quiet)) => return Poll::Ready(Ok(())),
            Some(Err(End::Error(kind))) => return Poll::Ready(Err(kind.into())),
            Some(Ok(most)) => most.min(buffer.remaining()),
        };
        let mut some = ReadBuf::new(buffer.initialize_unfilled_to(most));
        std::task::ready!(Pin::new(&mut self.io).poll_read(context, &mut some))?;
        let read = some.filled().len();
        buffer.advance(read);
        let mut controls = self.control.controls();
        controls.reading.passed(read);
        controls.counts.reads += usize::from(read > 0);
        controls.counts.bytes_read += read;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> Rigged<T> {
    /// Writes what the rig allows of `slices`.
    fn poll_write_some(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        vectored: bool,
    ) -> Poll<io::Result<usize>> {
        let allowance = self.control.controls().writing.allowance(context);
        let most = match allowance {
            None => return Poll::Pending,
            Some(Err(End::Quiet)) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Some(Err(End::Error(kind))) => return Poll::Ready(Err(kind.into())),
            Some(Ok(most)) => most,
        };
        let mut left = most;
        let allowed: Vec<IoSlice<'_>> = slices
            .iter()
            .map(|slice| {
                let part = &slice[..slice.len().min(left)];
                left -= part.len();
                IoSlice::new(part)
            })
            .filter(|part| !part.is_empty())
            .collect();
        let io = Pin::new(&mut self.io);
        let written = std::task::ready!(match allowed.as_slice() {
            [] => Poll::Ready(Ok(0)),
            [one] => io.poll_write(context, one),
            many => io.poll_write_vectored(context, many),
        })?;
        let mut controls = self.control.controls();
        controls.writing.passed(written);
        controls.counts.writes += usize::from(written > 0);
        controls.counts.vectored_writes += usize::from(written > 0 && vectored);
        controls.counts.bytes_written += written;
        Poll::Ready(Ok(written))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Rigged<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_some(context, &[IoSlice::new(bytes)], false)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_some(context, slices, true)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.control.controls().flushing.allowance(context).is_none() {
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        {
            let mut controls = self.control.controls();
            if controls.flushing.allowance(context).is_none() {
                return Poll::Pending;
            }
            controls.counts.shut_down = true;
        }
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{Future, poll_fn};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Whether the future is not done when polled once.
    async fn is_pending(future: &mut (impl Future + Unpin)) -> bool {
        poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context).is_pending())).await
    }

    #[tokio::test]
    async fn reads_and_writes_are_cut_into_pieces_and_counted() {
        let (here, mut there) = pipe(100);
        let (mut here, control) = rig(here);
        control.write_at_most(3);
        control.read_at_most(1);
        here.write_all(b"Hello!!").await.unwrap();
        let mut got = [0; 7];
        there.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"Hello!!");
        there.write_all(b"yes").await.unwrap();
        here.read_exact(&mut got[..3]).await.unwrap();
        let counts = control.take_counts();
        assert_eq!((counts.writes, counts.bytes_written), (3, 7));
        assert_eq!((counts.reads, counts.bytes_read), (3, 3));
        assert_eq!(control.counts(), Counts::default());
    }

    #[tokio::test]
    async fn vectored_writes_are_passed_on_in_one() {
        let (here, mut there) = pipe(100);
        let (mut here, control) = rig(here);
        assert!(here.is_write_vectored());
        let slices = [IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two")];
        assert_eq!(here.write_vectored(&slices).await.unwrap(), 7);
        control.write_at_most(5);
        assert_eq!(here.write_vectored(&slices).await.unwrap(), 5);
        let counts = control.counts();
        assert_eq!((counts.writes, counts.vectored_writes), (2, 2));
        let mut got = [0; 12];
        there.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"one twoone t");
    }

    #[tokio::test]
    async fn a_stall_lasts_until_it_is_released() {
        let (here, mut there) = pipe(100);
        let (mut here, control) = rig(here);
        there.write_all(b"x").await.unwrap();
        control.stall_reading();
        control.stall_writing();
        {
            let mut buffer = [0; 1];
            let mut read = Box::pin(here.read(&mut buffer));
            assert!(is_pending(&mut read).await);
            let (read, ()) = tokio::join!(read, async { control.release() });
            assert_eq!(read.unwrap(), 1);
        }
        assert_eq!(here.write(b"y").await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_stutter_waits_once_before_each_step() {
        let (here, mut there) = pipe(100);
        let (mut here, control) = rig(here);
        control.stutter();
        control.write_at_most(1);
        let mut write = Box::pin(here.write_all(b"ab"));
        assert!(is_pending(&mut write).await);
        assert!(is_pending(&mut write).await);
        write.await.unwrap();
        let mut got = [0; 2];
        there.read_exact(&mut got).await.unwrap();
        assert_eq!((&got, control.counts().writes), (b"ab", 2));
    }

    #[tokio::test]
    async fn a_flush_stalls_apart_from_writing() {
        let (here, _there) = pipe(100);
        let (mut here, control) = rig(here);
        control.stall_flushing();
        here.write_all(b"x").await.unwrap();
        let mut flush = Box::pin(here.flush());
        assert!(is_pending(&mut flush).await);
        control.release();
        flush.await.unwrap();
    }

    #[tokio::test]
    async fn a_cut_comes_after_exactly_so_many_bytes() {
        let (here, mut there) = pipe(100);
        let (mut here, control) = rig(here);
        there.write_all(b"abcdef").await.unwrap();
        control.cut_reading_after(4, End::Quiet);
        let mut got = Vec::new();
        assert_eq!(here.read_to_end(&mut got).await.unwrap(), 4);
        control.cut_reading_after(1, End::Error(io::ErrorKind::ConnectionReset));
        let error = here.read_to_end(&mut got).await.unwrap_err();
        assert_eq!((error.kind(), got.as_slice()), (io::ErrorKind::ConnectionReset, &b"abcde"[..]));

        control.cut_writing_after(2, End::Quiet);
        let error = here.write_all(b"xyz").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(control.counts().bytes_written, 2);
    }

    #[tokio::test]
    async fn a_full_pipe_makes_the_writer_wait() {
        let (mut here, mut there) = pipe(4);
        let mut write = Box::pin(here.write_all(b"Hello"));
        assert!(is_pending(&mut write).await);
        let mut got = [0; 5];
        let (written, read) = tokio::join!(write, there.read_exact(&mut got));
        written.unwrap();
        assert_eq!((read.unwrap(), &got), (5, b"Hello"));
    }
}
