//! Whichever of two futures is done first.

use std::pin::pin;
use std::task::Poll;

/// Which of two futures was done first, and what it gave.
#[derive(Debug)]
pub(crate) enum First<A, B> {
    Left(A),
    Right(B),
}

/// Polls both until one is done, and drops the other. The right one is polled first, so that what
/// interrupts wins over what could go on for ever.
pub(crate) async fn race<A: Future, B: Future>(left: A, right: B) -> First<A::Output, B::Output> {
    let (mut left, mut right) = (pin!(left), pin!(right));
    std::future::poll_fn(|cx| {
        if let Poll::Ready(output) = right.as_mut().poll(cx) {
            return Poll::Ready(First::Right(output));
        }
        left.as_mut().poll(cx).map(First::Left)
    })
    .await
}
