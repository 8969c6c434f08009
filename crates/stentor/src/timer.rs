//! The one timer of a connection.

use std::pin::{Pin, pin};
use std::task::{Context, Waker};
use std::time::Instant;

use tokio::task::coop::unconstrained;
use tokio::time::Sleep;

/// A timer that is moved only when it has to be: most deadlines are put off again and again, which
/// then costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whom it wakes.
    waker: Option<Waker>,
}

impl Timer {
    /// Whether a deadline that it was armed for may have come.
    pub(crate) fn may_be_due(&self, now: Instant) -> bool {
        self.sleep.as_ref().is_none_or(|sleep| sleep.deadline().into_std() <= now)
    }

    /// Makes sure that the task is woken at `deadline`, or some time before.
    pub(crate) fn arm(&mut self, cx: &mut Context<'_>, deadline: Instant, now: Instant) {
        let deadline = tokio::time::Instant::from_std(deadline);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        let due = sleep.deadline();
        if due > deadline || due.into_std() <= now {
            sleep.as_mut().reset(deadline);
        } else if self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return;
        }
        // Outside the task's budget, so that it cannot be pending without being registered.
        if pin!(unconstrained(sleep.as_mut())).poll(cx).is_ready() {
            cx.waker().wake_by_ref();
            self.waker = None;
        } else {
            self.waker = Some(cx.waker().clone());
        }
    }
}
