//! Where a connection's task finds the connection once it has been accepted, which the handler may
//! leave to another task.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Waker};

use crate::shared::{Opened, Shared};

/// Empty until the connection is accepted.
#[derive(Debug)]
pub(crate) struct Slot {
    opened: OnceLock<Arc<Shared>>,
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

impl Slot {
    pub(crate) fn new() -> Self {
        Self { opened: OnceLock::new(), task: Mutex::new(Task::Waiting(None)) }
    }

    /// One that holds its connection from the beginning.
    pub(crate) fn of(shared: Arc<Shared>) -> Self {
        Self { opened: shared.into(), ..Self::new() }
    }

    /// The connection, once there is one.
    #[inline]
    pub(crate) fn get(&self) -> Option<&Arc<Shared>> {
        self.opened.get()
    }

    /// The task waits for the connection.
    pub(crate) fn wait(&self, cx: &Context<'_>) {
        *self.task() = Task::Waiting(Some(cx.waker().clone()));
    }

    /// The connection is accepted: the task drives it if it still can, else its calls do.
    pub(crate) fn open(&self, opened: Opened) -> Arc<Shared> {
        let mut task = self.task();
        let Task::Waiting(waker) = &mut *task else { return Shared::new(opened, false) };
        let shared = Shared::new(opened, true);
        // Only one upgrade has this slot, so it is still empty.
        let _ = self.opened.set(Arc::clone(&shared));
        // Even when the handler itself opens it: the task has to begin a turn to be known.
        if let Some(waker) = waker.take() {
            waker.wake();
        }
        shared
    }

    /// The task ends, unless there is a connection for it after all.
    pub(crate) fn leave(&self) -> Option<&Arc<Shared>> {
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
