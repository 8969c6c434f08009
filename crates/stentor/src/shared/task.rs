//! The task of a connection: it polls the handler, and takes the turns.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use stentor_proto::CloseCode;

use super::Shared;
use crate::driver::Core;
use crate::handler::{BoxError, Handler, HandlerOutput};
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
    /// The task is done with it.
    Left,
}

impl Seat {
    /// The connection, once there is one; until then the task is woken when there is.
    #[inline]
    fn look(&mut self, cx: &Context<'_>) -> Option<&Arc<Shared>> {
        match self {
            Self::Found(shared) => Some(shared),
            Self::Awaiting(_) | Self::Left => self.look_again(cx),
        }
    }

    #[cold]
    fn look_again(&mut self, cx: &Context<'_>) -> Option<&Arc<Shared>> {
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

    fn settle(
        &mut self,
        find: impl FnOnce(&Slot<Arc<Shared>>) -> Option<Arc<Shared>>,
    ) -> Option<&Arc<Shared>> {
        if let Self::Awaiting(slot) = self {
            *self = Self::Found(find(slot)?);
        }
        match self {
            Self::Found(shared) => Some(shared),
            Self::Awaiting(_) | Self::Left => None,
        }
    }
}

pin_project! {
    #[project = DriveProjection]
    /// What a task does for its connection: drives it and its handler until the handler has ended and the
    /// connection is gone.
    ///
    /// Each round polls the handler and then takes a turn for all that it did: whatever it sent before
    /// it was suspended leaves in one write.
    pub(crate) struct Drive<F, E> {
        seat: Seat,
        #[pin]
        handler: Handler<F>,
        end: Option<E>,
    }

    impl<F, E> PinnedDrop for Drive<F, E> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _ = this.handler.as_mut().end();
            this.leave();
        }
    }
}

/// Drives the connection at `seat` and the handler that `start` begins, and tells `end` how it went.
pub(crate) fn drive<F, E>(seat: Seat, start: impl FnOnce() -> F, end: E) -> Drive<F, E>
where
    F: Future<Output: HandlerOutput>,
    E: FnOnce(Result<(), HandlerFailure>),
{
    Drive { seat, handler: Handler::start(start), end: Some(end) }
}

impl<F, E> Future for Drive<F, E>
where
    F: Future<Output: HandlerOutput>,
    E: FnOnce(Result<(), HandlerFailure>),
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.as_mut().take_turns(cx));
        self.end();
        Poll::Ready(())
    }
}

impl<F, E> DriveProjection<'_, F, E> {
    /// Drops the connection. Nobody takes its turns any more, so those who still hold it learn that it is
    /// over.
    fn leave(&mut self) {
        if let Some(shared) = self.seat.leave() {
            shared.with(Core::abandon);
            shared.tell_as_driver();
            shared.leave();
        }
        *self.seat = Seat::Left;
    }
}

impl<F, E> Drive<F, E>
where
    E: FnOnce(Result<(), HandlerFailure>),
{
    #[cold]
    fn end(self: Pin<&mut Self>) {
        let mut this = self.project();
        let ended = this.handler.as_mut().end().map_err(|error| {
            let shared = this.seat.leave();
            let span = shared.map(|shared| shared.span.clone()).unwrap_or_default();
            span.handler_failed(&error);
            HandlerFailure { peer_addr: shared.and_then(|shared| shared.peer_addr), error }
        });
        // First, because whoever is told looks for it no more.
        this.leave();
        if let Some(end) = this.end.take() {
            end(ended);
        }
    }
}

impl<F: Future<Output: HandlerOutput>, E> Drive<F, E> {
    fn take_turns(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let DriveProjection { seat, mut handler, .. } = self.project();
        for round in 0..TURNS {
            if let Some(shared) = seat.look(cx) {
                shared.with(|core| {
                    if round == 0 {
                        core.wake_up(cx);
                    }
                    core.begin_turn(cx);
                });
            }
            handler.as_mut().poll(cx);
            let result = handler.result();
            let opened = if result.is_some() { seat.leave() } else { seat.look(cx) };
            let Some(shared) = opened else {
                return if result.is_some() { Poll::Ready(()) } else { Poll::Pending };
            };
            let (again, over, killed) = shared.with(|core| {
                core.end_turn();
                close_abandoned(core, result);
                let again = core.exchange(cx);
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
