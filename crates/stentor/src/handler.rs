//! What a server's handler may end with.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::error::Error;
use crate::socket::WebSocket;

/// Any error, owned.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a handler may return: nothing, or a `Result` with any error.
///
/// An error closes the connection with 1011, if it is still open.
pub trait HandlerOutput {
    /// The handler's result.
    ///
    /// # Errors
    ///
    /// What the handler failed with.
    fn into_result(self) -> Result<(), BoxError>;
}

impl HandlerOutput for () {
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError>> HandlerOutput for Result<(), E> {
    fn into_result(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

/// User code panicked; as an error, it is the handler that did.
#[derive(Debug)]
pub(crate) struct Panicked;

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the handler panicked")
    }
}

impl std::error::Error for Panicked {}

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
    A: Future<Output = Result<WebSocket, Error>>,
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

/// What `future` gives, unless it panics.
pub(crate) async fn catch_panic<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        // Nothing of ours is inside that a panic could leave half done.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}
