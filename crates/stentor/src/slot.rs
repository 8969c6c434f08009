//! Where a connection's task finds the connection once it has been accepted, which the handler may
//! leave to another task.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Waker};

/// Empty until the connection is accepted.
#[derive(Debug)]
pub(crate) struct Slot<T> {
    opened: OnceLock<T>,
    task: Mutex<Task>,
}

/// The task that is to drive the connection.
#[derive(Debug)]
enum Task {
    /// It is there, and can be woken once it has waited.
    Waiting(Option<Waker>),
    /// It has ended, and drives nothing any more.
    Gone,
}

impl<T: Clone> Slot<T> {
    pub(crate) fn new() -> Self {
        Self { opened: OnceLock::new(), task: Mutex::new(Task::Waiting(None)) }
    }

    /// The connection, once there is one.
    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        self.opened.get()
    }

    /// The task waits for the connection.
    pub(crate) fn wait(&self, cx: &Context<'_>) {
        *self.task() = Task::Waiting(Some(cx.waker().clone()));
    }

    /// The connection is accepted, and `make` is told whether the task drives it: if not, because it
    /// has ended, its calls do.
    pub(crate) fn open(&self, make: impl FnOnce(bool) -> T) -> T {
        let mut task = self.task();
        let Task::Waiting(waker) = &mut *task else { return make(false) };
        let connection = make(true);
        // Only one upgrade has this slot, so it is still empty.
        let _ = self.opened.set(connection.clone());
        // Even when the handler itself opens it: the task has to begin a turn to be known.
        if let Some(waker) = waker.take() {
            waker.wake();
        }
        connection
    }

    /// The task ends, unless there is a connection for it after all.
    pub(crate) fn leave(&self) -> Option<&T> {
        let mut task = self.task();
        if self.get().is_none() {
            *task = Task::Gone;
        }
        self.get()
    }

    fn task(&self) -> MutexGuard<'_, Task> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
