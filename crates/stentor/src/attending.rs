//! From an accepted upgrade to its handler, for handlers that want only the connection.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::error::Result;
use crate::handler::{BoxError, HandlerOutput};
use crate::socket::WebSocket;

pin_project! {
    /// What a handler does that wants only the connection: accepts, and then handles.
    ///
    /// Written out, because every poll of a handler passes through it.
    #[project = Stage]
    pub(crate) enum Attending<A, H, F> {
        Accepting { #[pin] accepting: A, handler: Option<H> },
        Handling { #[pin] handling: F },
    }
}

impl<A, H, F> Attending<A, H, F> {
    pub(crate) fn new(accepting: A, handler: H) -> Self
    where
        H: FnOnce(WebSocket) -> F,
    {
        Self::Accepting { accepting, handler: Some(handler) }
    }
}

impl<A, H, F> Future for Attending<A, H, F>
where
    A: Future<Output = Result<WebSocket>>,
    H: FnOnce(WebSocket) -> F,
    F: Future<Output: HandlerOutput>,
{
    type Output = Result<(), BoxError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.as_mut().project() {
                Stage::Handling { handling } => return handling.poll(cx).map(HandlerOutput::into_result),
                Stage::Accepting { accepting, handler } => {
                    let socket = ready!(accepting.poll(cx))?;
                    // It is taken once, because afterwards this is at its next stage.
                    let Some(handler) = handler.take() else { return Poll::Pending };
                    let handling = handler(socket);
                    self.set(Self::Handling { handling });
                }
            }
        }
    }
}
