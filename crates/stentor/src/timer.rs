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
    /// Whether it will still wake somebody. While it does, no deadline that it was armed for has come, which
    /// is known without a look at the clock.
    #[inline]
    pub(crate) fn is_running(&self) -> bool {
        self.sleep.as_ref().is_some_and(|sleep| !sleep.is_elapsed())
    }

    /// Makes sure that the task is woken at `deadline`, or some time before.
    #[inline]
    pub(crate) fn arm(&mut self, cx: &mut Context<'_>, deadline: Instant) {
        let deadline = tokio::time::Instant::from_std(deadline);
        let comes_first = |sleep: &Pin<Box<Sleep>>| sleep.deadline() <= deadline && !sleep.is_elapsed();
        let is_told = |waker: &Waker| waker.will_wake(cx.waker());
        if !self.sleep.as_ref().is_some_and(comes_first) || !self.waker.as_ref().is_some_and(is_told) {
            self.arm_anew(cx, deadline);
        }
    }

    #[inline(never)]
    fn arm_anew(&mut self, cx: &mut Context<'_>, deadline: tokio::time::Instant) {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline || sleep.is_elapsed() {
            sleep.as_mut().reset(deadline);
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
