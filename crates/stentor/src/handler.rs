//! A server's handler, and what it may end with.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

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

pin_project! {
    /// A handler, or what it has come to.
    #[project = HandlerProjection]
    pub(crate) enum Handler<F> {
        Running { #[pin] running: F },
        // It is gone, with the handles that it held.
        Ended { result: Result<(), BoxError> },
    }
}

impl<F: Future<Output: HandlerOutput>> Handler<F> {
    pub(crate) fn start(start: impl FnOnce() -> F) -> Self {
        match catch_unwind(AssertUnwindSafe(start)) {
            Ok(running) => Self::Running { running },
            Err(_) => Self::Ended { result: Err(Panicked.into()) },
        }
    }

    /// Polls the handler, if it has not ended.
    #[inline]
    pub(crate) fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let HandlerProjection::Running { running } = self.as_mut().project() else { return };
        let polled = catch_unwind(AssertUnwindSafe(|| running.poll(cx).map(HandlerOutput::into_result)));
        let result = match polled {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(result)) => result,
            Err(_) => Err(Panicked.into()),
        };
        self.set(Self::Ended { result });
    }
}

impl<F> Handler<F> {
    pub(crate) fn result(&self) -> Option<&Result<(), BoxError>> {
        match self {
            Self::Running { .. } => None,
            Self::Ended { result } => Some(result),
        }
    }

    /// Drops the handler, and gives what it has come to: a failure only once.
    pub(crate) fn end(mut self: Pin<&mut Self>) -> Result<(), BoxError> {
        match self.as_mut().project() {
            HandlerProjection::Ended { result } => std::mem::replace(result, Ok(())),
            HandlerProjection::Running { .. } => {
                self.set(Self::Ended { result: Ok(()) });
                Ok(())
            }
        }
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
