//! The task of a connection: it polls the handler, and takes the turns.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use stentor_proto::CloseCode;

use super::Shared;
use crate::driver::Core;
use crate::handler::{BoxError, Panicked};
use crate::slot::Slot;

/// After this many turns in a row a busy connection lets the others of its thread have theirs.
const TURNS: usize = 32;

/// Why a handler ended otherwise than well, and whose.
#[derive(Debug)]
pub(crate) struct HandlerFailure {
    pub(crate) peer_addr: Option<SocketAddr>,
    pub(crate) error: BoxError,
}

/// Where a task has its connection.
#[derive(Debug)]
pub(crate) enum Seat {
    /// It will be there when somebody accepts the upgrade.
    Awaiting(Arc<Slot<Arc<Shared>>>),
    Found(Arc<Shared>),
}

impl Seat {
    /// The connection, once there is one; until then the task is woken when there is.
    fn look(&mut self, cx: &Context<'_>) -> Option<&Arc<Shared>> {
        self.settle(|slot| {
            let opened = slot.get();
            if opened.is_none() {
                slot.wait(cx);
            }
            opened.cloned()
        })
    }

    /// The task has no handler any more, and ends unless there is a connection.
    fn leave(&mut self) -> Option<&Arc<Shared>> {
        self.settle(|slot| slot.leave().cloned())
    }

    #[inline]
    fn settle(
        &mut self,
        find: impl FnOnce(&Slot<Arc<Shared>>) -> Option<Arc<Shared>>,
    ) -> Option<&Arc<Shared>> {
        if let Self::Awaiting(slot) = self {
            *self = Self::Found(find(slot)?);
        }
        match self {
            Self::Found(shared) => Some(shared),
            Self::Awaiting(_) => None,
        }
    }
}

/// Drives a connection and its handler, in one task, until the handler has ended and the connection is
/// gone.
///
/// Each round polls the handler and then takes a turn for all that it did: whatever it sent before
/// it was suspended leaves in one write.
pub(crate) fn drive<F>(seat: Seat, handler: Pin<&mut Option<F>>) -> Drive<'_, F>
where
    F: Future<Output = Result<(), BoxError>>,
{
    Drive { seat, handler, result: None }
}

/// The future of [`drive`].
pub(crate) struct Drive<'a, F> {
    seat: Seat,
    /// Gone as soon as it has ended, with the handles that it held.
    handler: Pin<&'a mut Option<F>>,
    result: Option<Result<(), BoxError>>,
}

impl<F> Future for Drive<'_, F>
where
    F: Future<Output = Result<(), BoxError>>,
{
    type Output = Result<(), HandlerFailure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        ready!(this.take_turns(cx));
        let Some(Err(error)) = this.result.take() else { return Poll::Ready(Ok(())) };
        let shared = this.seat.leave();
        let span = shared.map(|shared| shared.span.clone()).unwrap_or_default();
        span.handler_failed(&error);
        let peer_addr = shared.and_then(|shared| shared.peer_addr);
        Poll::Ready(Err(HandlerFailure { peer_addr, error }))
    }
}

impl<F> Drive<'_, F>
where
    F: Future<Output = Result<(), BoxError>>,
{
    fn take_turns(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for round in 0..TURNS {
            if let Some(shared) = self.seat.look(cx) {
                shared.with(|core| {
                    if round == 0 {
                        // What has arrived is there before the handler looks, so that it looks once.
                        core.turn(cx);
                    }
                    core.begin_turn(cx);
                });
            }
            self.poll_handler(cx);
            let Self { seat, result, .. } = self;
            let opened = if result.is_some() { seat.leave() } else { seat.look(cx) };
            let Some(shared) = opened else {
                return if result.is_some() { Poll::Ready(()) } else { Poll::Pending };
            };
            let (again, over, killed) = shared.with(|core| {
                core.end_turn();
                close_abandoned(core, result.as_ref());
                let again = core.turn(cx);
                (again, core.is_gone() && core.handles == 0, core.killed)
            });
            shared.tell_as_driver();
            if killed || (over && result.is_some()) {
                return Poll::Ready(());
            }
            if !again {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_handler(&mut self, cx: &mut Context<'_>) {
        let Some(handler) = self.handler.as_mut().as_pin_mut() else { return };
        let result = match catch_unwind(AssertUnwindSafe(|| handler.poll(cx))) {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(result)) => result,
            Err(_) => Err(Panicked.into()),
        };
        self.result = Some(result);
        self.handler.set(None);
    }
}

/// When nobody takes the turns of a connection any more, those who hold it learn that it is over.
impl<F> Drop for Drive<'_, F> {
    fn drop(&mut self) {
        self.handler.set(None);
        if let Some(shared) = self.seat.leave() {
            shared.with(Core::abandon);
            shared.tell_as_driver();
        }
    }
}

/// Closes a connection whose handler has failed, or that nobody holds any more.
fn close_abandoned(core: &mut Core, result: Option<&Result<(), BoxError>>) {
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

/// All that a task does: first the opening, in a box that is given back when it is over, and then what
/// comes of it, in one that is no larger than it has to be.
pub(crate) enum Life<O, L> {
    Opening(Pin<Box<O>>),
    Open(Pin<Box<L>>),
}

impl<O, L> Future for Life<O, L>
where
    O: Future<Output = Option<Pin<Box<L>>>>,
    L: Future<Output = ()>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            match this {
                Self::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Some(open) => *this = Self::Open(open),
                    None => return Poll::Ready(()),
                },
                Self::Open(open) => return open.as_mut().poll(cx),
            }
        }
    }
}
