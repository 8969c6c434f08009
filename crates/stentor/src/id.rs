//! Numbers for connections.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of a connection: no other has it in the life of the process.
///
/// Numbers are given in order, so they tell how many connections there have been, and can be
/// guessed. To know one must not be enough to be allowed anything.
///
/// ```
/// # async fn example(socket: stentor::WebSocket) {
/// println!("connection {} is open", socket.id());
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

impl ConnectionId {
    /// The next number. At a million a second they last for half a million years.
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl From<ConnectionId> for u64 {
    fn from(id: ConnectionId) -> Self {
        id.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionId({})", self.0)
    }
}
