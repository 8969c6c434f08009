//! What the handles of one connection share with whoever drives it.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use stentor_proto::{CloseCode, Connection, Failure, Message, Misuse, Prepared};
use tokio::runtime::Handle;

use crate::driver::{Core, READS, now};
use crate::error::Result;
use crate::slot::Slot;
use crate::transport::Transport;

/// After this many turns in a row a busy connection lets the others of its thread have theirs.
const TURNS: usize = 32;

/// One connection.
#[derive(Debug)]
pub(crate) struct Shared {
    core: Mutex<Core>,
    pub(crate) peer_addr: Option<SocketAddr>,
    pub(crate) subprotocol: Option<Box<str>>,
    /// Where a self-driven connection finishes its closing when it is dropped.
    runtime: Option<Handle>,
}

/// What is known of a connection when its opening handshake is done.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) transport: Transport,
    /// What arrived behind the handshake.
    pub(crate) inbound: BytesMut,
    pub(crate) peer_addr: Option<SocketAddr>,
    pub(crate) subprotocol: Option<Box<str>>,
}

impl Shared {
    /// A connection with one handle, which a task drives or the handle itself.
    pub(crate) fn new(opened: Opened, driven: bool) -> Arc<Self> {
        Arc::new(Self {
            core: Mutex::new(Core::new(opened.connection, opened.transport, opened.inbound, driven)),
            peer_addr: opened.peer_addr,
            subprotocol: opened.subprotocol,
            runtime: if driven { None } else { Handle::try_current().ok() },
        })
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, Core> {
        // Nothing that holds the lock runs code of the user but wakers, and those hold no state.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next message, or the end.
    #[inline]
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>>> {
        let mut core = self.lock();
        for _ in 0..READS {
            if let Some(result) = core.next_message() {
                if !core.is_driven() {
                    if core.is_over() && !core.is_flushed() {
                        // Nobody may call again, so the Close frame leaves now.
                        core.turn(cx);
                    }
                    core.give_back();
                }
                return Poll::Ready(result);
            }
            if core.is_driven() {
                core.wait_to_read(cx);
                return Poll::Pending;
            }
            core.expect_message(true);
            if !core.turn(cx) && !core.is_over() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The next item of a stream, which ends behind its first error: `failed` remembers that.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>, failed: &mut bool) -> Poll<Option<Result<Message>>> {
        if *failed {
            return Poll::Ready(None);
        }
        let next = ready!(self.poll_recv(cx)).transpose();
        *failed = matches!(next, Some(Err(_)));
        Poll::Ready(next)
    }

    /// Queues a message once there is room.
    #[inline]
    pub(crate) fn poll_feed(&self, cx: &mut Context<'_>, message: &mut Option<Message>) -> Poll<Result<()>> {
        let mut core = self.lock();
        if core.try_send(message)? {
            return Poll::Ready(Ok(()));
        }
        poll_change(core, cx, |core| core.try_send(message).map(|sent| sent.then_some(())))
    }

    /// Queues a message that was encoded before, once there is room.
    pub(crate) fn poll_feed_prepared(&self, cx: &mut Context<'_>, message: &Prepared) -> Poll<Result<()>> {
        poll_change(self.lock(), cx, |core| core.try_send_prepared(message))
    }

    /// Until there is room for a message.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        poll_change(self.lock(), cx, |core| {
            core.check_open().map(|()| core.connection.has_room().then_some(()))
        })
    }

    /// Queues a message for which there is room.
    pub(crate) fn start_send(&self, message: Message) -> Result<()> {
        let mut core = self.lock();
        if core.try_send(&mut Some(message))? { Ok(()) } else { Err(Misuse::OutboxFull.into()) }
    }

    /// A Ping, and the time until its Pong.
    pub(crate) async fn ping(&self) -> Result<Duration> {
        let answered = {
            let mut core = self.lock();
            core.check_open()?;
            core.connection.ping(now())?;
            core.pongs
        };
        std::future::poll_fn(|cx| {
            poll_change(self.lock(), cx, |core| {
                if core.pongs > answered {
                    return Ok(core.connection.round_trip());
                }
                core.check_open().map(|()| None)
            })
        })
        .await
    }

    /// The closing handshake.
    pub(crate) async fn close(&self, code: CloseCode, reason: &str) -> Result<()> {
        std::future::poll_fn(|cx| self.poll_close(cx, code, reason)).await
    }

    /// The closing handshake, which the first call begins.
    pub(crate) fn poll_close(&self, cx: &mut Context<'_>, code: CloseCode, reason: &str) -> Poll<Result<()>> {
        let mut core = self.lock();
        core.close(code, reason)?;
        poll_change(core, cx, |core| {
            if !core.is_over() || !core.is_flushed() {
                return Ok(None);
            }
            match core.connection.failure() {
                // A peer that hangs up instead of answering has closed too.
                Some(Failure::Disconnected) => Ok(Some(())),
                _ => core.outcome().map(Some),
            }
        })
    }

    /// Queues a message once there is room, and sees to it that it leaves soon: at once when
    /// self-driven, else at the task's next turn.
    #[inline]
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>, message: &mut Option<Message>) -> Poll<Result<()>> {
        let mut core = self.lock();
        if message.is_some() && !core.try_send(message)? {
            ready!(poll_change(core, cx, |core| core.try_send(message).map(|sent| sent.then_some(()))))?;
            core = self.lock();
        }
        depart(core, cx)
    }

    /// Sees to it that what was queued leaves soon.
    pub(crate) fn poll_depart(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        depart(self.lock(), cx)
    }

    /// Until everything queued was written.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        flush(self.lock(), cx)
    }

    /// Has a task drive the connection that its handles drove so far.
    pub(crate) fn hand_over(self: &Arc<Self>) {
        let mut core = self.lock();
        if core.is_driven() {
            return;
        }
        core.hand_over();
        drop(core);
        if let Some(runtime) = &self.runtime {
            let slot = Slot::of(Arc::clone(self));
            runtime.spawn(async move { drive(&slot, std::future::ready(Ok(()))).await });
        }
    }

    /// One handle more.
    pub(crate) fn add_handle(&self) {
        self.lock().handles += 1;
    }

    /// One handle less. After the last, whoever drives closes the connection.
    pub(crate) fn drop_handle(self: &Arc<Self>) {
        let mut core = self.lock();
        core.handles -= 1;
        if core.handles > 0 {
            return;
        }
        core.discard();
        if core.is_driven() {
            core.wake_driver();
        } else if !core.is_gone() {
            drop(core);
            self.hand_over();
        }
    }
}

/// Pending only when self-driven and the transport takes no more.
#[inline]
fn depart(core: MutexGuard<'_, Core>, cx: &mut Context<'_>) -> Poll<Result<()>> {
    if core.is_driven() {
        core.wake_driver();
        return Poll::Ready(Ok(()));
    }
    flush(core, cx)
}

fn flush(core: MutexGuard<'_, Core>, cx: &mut Context<'_>) -> Poll<Result<()>> {
    poll_change(core, cx, |core| {
        if core.is_flushed() {
            // What the end of the connection has swept away was not written.
            return core.outcome().map(Some);
        }
        Ok(None)
    })
}

/// Until `done` gives a result, looking again whenever the connection has changed.
fn poll_change<T>(
    mut core: MutexGuard<'_, Core>,
    cx: &mut Context<'_>,
    mut done: impl FnMut(&mut Core) -> Result<Option<T>>,
) -> Poll<Result<T>> {
    if let Some(result) = done(&mut core).transpose() {
        return Poll::Ready(result);
    }
    if core.is_driven() {
        core.wait_for_change(cx);
        core.wake_driver();
        return Poll::Pending;
    }
    core.expect_message(false);
    core.turn(cx);
    match done(&mut core).transpose() {
        Some(result) => Poll::Ready(result),
        None => Poll::Pending,
    }
}

/// Why a handler ended otherwise than well.
#[derive(Debug)]
pub(crate) enum HandlerFailure {
    Error(Box<dyn std::error::Error + Send + Sync>),
    Panic,
}

/// Drives the connection that stands in `slot`, or will, and its handler, in one task, until the
/// handler has ended and the connection is gone.
///
/// Each round polls the handler and then takes a turn for all that it did: whatever it sent before
/// it was suspended leaves in one write.
pub(crate) async fn drive<F>(slot: &Slot, handler: F) -> Result<(), HandlerFailure>
where
    F: Future<Output = Result<(), Box<dyn std::error::Error + Send + Sync>>>,
{
    let _abandon = AbandonOnDrop(slot);
    let mut handler = pin!(Some(handler));
    let mut result = None;
    std::future::poll_fn(move |cx| {
        for _ in 0..TURNS {
            match slot.get() {
                Some(shared) => shared.lock().begin_turn(cx),
                None => slot.wait(cx),
            }
            if let Some(handler_now) = handler.as_mut().as_pin_mut() {
                result = match std::panic::catch_unwind(AssertUnwindSafe(|| handler_now.poll(cx))) {
                    Ok(Poll::Pending) => None,
                    Ok(Poll::Ready(result)) => Some(result.map_err(HandlerFailure::Error)),
                    Err(_) => Some(Err(HandlerFailure::Panic)),
                };
                if result.is_some() {
                    handler.set(None);
                }
            }
            let opened = if result.is_some() { slot.leave() } else { slot.get() };
            let Some(shared) = opened else {
                return result.take().map_or(Poll::Pending, Poll::Ready);
            };
            let mut core = shared.lock();
            core.end_turn();
            close_abandoned(&mut core, result.as_ref());
            let again = core.turn(cx);
            if core.is_gone() && core.handles == 0 && result.is_some() {
                return result.take().map_or(Poll::Pending, Poll::Ready);
            }
            if !again {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// When nobody takes the turns of a connection any more, those who hold it learn that it is over.
struct AbandonOnDrop<'a>(&'a Slot);

impl Drop for AbandonOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(shared) = self.0.leave() {
            shared.lock().abandon();
        }
    }
}

/// Closes a connection whose handler has failed, or that nobody holds any more.
fn close_abandoned(core: &mut Core, result: Option<&Result<(), HandlerFailure>>) {
    let code = match result {
        Some(Err(_)) => CloseCode::INTERNAL_ERROR,
        _ if core.handles == 0 => CloseCode::NORMAL,
        _ => return,
    };
    if core.connection.closed().is_none() {
        // Neither code nor reason can be refused.
        let _ = core.close(code, "");
    }
}
