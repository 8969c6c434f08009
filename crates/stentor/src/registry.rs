//! The members of a set that leave it by themselves: which there are, and how the others have left.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

use crate::id::ConnectionId;

/// Connections by their numbers. It keeps none of them alive, and knows nothing of them.
#[derive(Debug)]
pub(crate) struct Registry<T> {
    members: Mutex<Members<T>>,
}

#[derive(Debug)]
struct Members<T> {
    present: HashMap<ConnectionId, Weak<T>>,
    left: Left,
}

/// How many have left, since somebody began to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// After a closing handshake.
    pub(crate) cleanly: usize,
    /// In another way.
    pub(crate) otherwise: usize,
}

impl<T> Registry<T> {
    pub(crate) fn new() -> Self {
        Self { members: Mutex::new(Members { present: HashMap::new(), left: Left::default() }) }
    }

    pub(crate) fn insert(&self, id: ConnectionId, member: Weak<T>) {
        self.members().present.insert(id, member);
    }

    /// The member is gone.
    pub(crate) fn leave(&self, id: ConnectionId, cleanly: bool) {
        let mut members = self.members();
        if members.present.remove(&id).is_some() {
            let Left { cleanly: clean, otherwise } = &mut members.left;
            *(if cleanly { clean } else { otherwise }) += 1;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.members().present.len()
    }

    pub(crate) fn get(&self, id: ConnectionId) -> Option<Weak<T>> {
        self.members().present.get(&id).cloned()
    }

    /// Those present at this moment, in no order.
    ///
    /// A copy, because whoever uses a member may be the last to hold it, and so make it leave.
    pub(crate) fn snapshot(&self) -> Vec<(ConnectionId, Weak<T>)> {
        self.members().present.iter().map(|(id, member)| (*id, Weak::clone(member))).collect()
    }

    /// Begins to count anew those who leave.
    pub(crate) fn count_from_here(&self) {
        self.members().left = Left::default();
    }

    pub(crate) fn left(&self) -> Left {
        self.members().left
    }

    fn members(&self) -> MutexGuard<'_, Members<T>> {
        // Nothing is left half done under the lock.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn members_are_counted_once_as_they_leave() {
        let registry = Registry::new();
        let (one, two) = (ConnectionId::next(), ConnectionId::next());
        let member = Arc::new("one");
        registry.insert(one, Arc::downgrade(&member));
        assert_eq!((registry.len(), registry.snapshot().len()), (1, 1));
        assert_eq!(registry.get(one).unwrap().upgrade().as_deref(), Some(&"one"));
        assert!(registry.get(two).is_none());
        registry.leave(two, true);
        assert_eq!(registry.left(), Left::default(), "it was never there");
        registry.leave(one, true);
        registry.leave(one, false);
        assert_eq!(registry.left(), Left { cleanly: 1, otherwise: 0 });
        assert_eq!(registry.len(), 0);
        registry.count_from_here();
        registry.insert(two, Weak::new());
        registry.leave(two, false);
        assert_eq!(registry.left(), Left { cleanly: 0, otherwise: 1 });
    }
}
