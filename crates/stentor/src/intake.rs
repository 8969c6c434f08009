//! The receiving end of a connection, and the messages it has at hand.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use stentor_proto::Message;

use crate::buffers::Queue;
use crate::error::Result;
use crate::shared::Shared;

/// Takes messages from a connection: many at a time, so that most calls touch nothing that another
/// task could.
pub(crate) struct Intake {
    shared: Arc<Shared>,
    /// Taken and not handed out; holds no memory when the connection had nothing more.
    taken: Queue,
}

impl Intake {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, taken: Queue::default() }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The next message or the end.
    #[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
    #[inline(always)]
    pub(crate) fn recv(&mut self) -> Recv<'_> {
        Recv(self)
    }

    #[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
    #[inline(always)]
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>>> {
        match self.taken.pop() {
            Some(message) => Poll::Ready(Ok(Some(message))),
            None => self.poll_more(cx),
        }
    }

    #[inline(never)]
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>>> {
        let next = ready!(self.shared.with(|core| core.poll_take(cx, &mut self.taken)));
        if !matches!(next, Ok(Some(_))) {
            // Nobody may call again, and the closing still has to be seen out.
            self.shared.hand_over();
        }
        Poll::Ready(next)
    }

    /// The next item of a stream, which ends behind its first error.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message>>> {
        let next = ready!(self.poll_recv(cx)).transpose();
        if matches!(next, Some(Err(_)))
            && self.shared.with(|core| std::mem::replace(&mut core.failure_yielded, true))
        {
            return Poll::Ready(None);
        }
        Poll::Ready(next)
    }

    /// Drops the messages at hand.
    pub(crate) fn clear(&mut self) {
        self.taken = Queue::default();
    }
}

/// The future of [`Intake::recv`]: written out, because it has to be inlined.
pub(crate) struct Recv<'a>(&'a mut Intake);

impl Future for Recv<'_> {
    type Output = Result<Option<Message>>;

    #[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().0.poll_recv(cx)
    }
}
