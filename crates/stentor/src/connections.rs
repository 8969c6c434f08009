//! A server's open connections: look at them, close them, send to all of them.

use std::any::Any;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};

use stentor_proto::{CloseCode, Closed, Message, Misuse, Prepared};

use crate::error::{Error, Result};
use crate::id::ConnectionId;
use crate::registry::Registry;
use crate::shared::Shared;
use crate::split::Sender;
use crate::traffic::Traffic;

/// The open connections of a [`Server`](crate::Server) or [`Acceptor`](crate::Acceptor). Clones show
/// the same ones.
///
/// It keeps none of them open, and waits for none of them.
///
/// ```no_run
/// use stentor::{CloseCode, Message, Prepared, Server, WebSocket};
///
/// # async fn example() -> stentor::Result<()> {
/// let server = Server::bind("127.0.0.1:8080").await?;
/// let connections = server.connections();
/// tokio::spawn(async move {
///     let news = Prepared::new(Message::from("news"));
///     let sent = connections.broadcast(&news);
///     println!("{} will get the news, {} are too slow", sent.queued, sent.skipped);
///     // Whoever is logged in as ann is not any more.
///     connections.close_where(CloseCode::POLICY_VIOLATION, "logged out", |connection| {
///         connection.context::<String>().is_some_and(|name| name == "ann")
///     })
/// });
/// server.serve(async |mut socket: WebSocket| while let Ok(Some(_)) = socket.recv().await {}).await
/// # }
/// ```
#[derive(Clone)]
pub struct Connections {
    registry: Arc<Registry<Shared>>,
}

/// What came of a [broadcast](Connections::broadcast).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Broadcast {
    /// Connections for which the message was queued.
    pub queued: usize,
    /// Connections that were passed over, because they have
    /// [`Config::max_outbox_size`](crate::Config::max_outbox_size) bytes to read already. With
    /// another [`Config::slow_reader`](crate::Config::slow_reader) than to wait there are none.
    pub skipped: usize,
}

impl Connections {
    pub(crate) fn new() -> Self {
        Self { registry: Arc::new(Registry::new()) }
    }

    pub(crate) fn registry(&self) -> &Arc<Registry<Shared>> {
        &self.registry
    }

    /// How many there are, those included that are closing.
    #[must_use]
    pub fn len(&self) -> usize {
        self.registry.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those that there are at this moment, in no order.
    pub fn iter(&self) -> impl Iterator<Item = ConnectionHandle> + use<> {
        self.registry.snapshot().into_iter().map(|(id, shared)| ConnectionHandle { id, shared })
    }

    /// The one with this number, if it still exists.
    #[must_use]
    pub fn get(&self, id: ConnectionId) -> Option<ConnectionHandle> {
        self.registry.get(id).map(|shared| ConnectionHandle { id, shared })
    }

    /// Queues a message for all of them, encoded once. It waits for nobody: what becomes of it where
    /// the outbox is full is told by [`Config::slow_reader`](crate::Config::slow_reader), and where
    /// others would wait, the connection is passed over.
    #[allow(clippy::must_use_candidate)] // What it says may be of no interest.
    pub fn broadcast(&self, message: &Prepared) -> Broadcast {
        self.broadcast_where(message, |_| true)
    }

    /// Queues a message for those that `wanted` picks, like [`broadcast`](Self::broadcast).
    pub fn broadcast_where(
        &self,
        message: &Prepared,
        mut wanted: impl FnMut(&ConnectionHandle) -> bool,
    ) -> Broadcast {
        let mut sent = Broadcast::default();
        for connection in self.iter().filter(|connection| wanted(connection)) {
            match connection.try_send_prepared(message) {
                Ok(()) => sent.queued += 1,
                Err(Error::Misuse(Misuse::OutboxFull)) => sent.skipped += 1,
                // It has ended, which is not for the broadcast to tell.
                Err(_) => {}
            }
        }
        sent
    }

    /// Begins to close those that `unwanted` picks, and says how many those are. It waits for none
    /// of them.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] when the code may not be sent (RFC 6455 §7.4) or the reason is longer than
    /// 123 bytes; then nobody was asked.
    pub fn close_where(
        &self,
        code: CloseCode,
        reason: &str,
        mut unwanted: impl FnMut(&ConnectionHandle) -> bool,
    ) -> Result<usize> {
        check_close(code, reason)?;
        let mut closed = 0;
        for connection in self.iter().filter(|connection| unwanted(connection)) {
            closed += usize::from(connection.is_open() && connection.close(code, reason).is_ok());
        }
        Ok(closed)
    }
}

/// Whether a Close frame may say this.
pub(crate) fn check_close(code: CloseCode, reason: &str) -> Result<(), Misuse> {
    if !code.is_sendable() {
        return Err(Misuse::UnsendableCloseCode(code));
    }
    if reason.len() > stentor_proto::MAX_REASON_LEN {
        return Err(Misuse::ReasonTooLong);
    }
    Ok(())
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// One connection of a server, held by somebody who does not keep it open.
///
/// ```
/// use stentor::{ConnectionHandle, Error};
///
/// fn remind(connection: &ConnectionHandle) {
///     match connection.try_send("are you still there?") {
///         Ok(()) => {}
///         Err(Error::Closed(closed)) => println!("{} is gone: {closed}", connection.id()),
///         Err(error) => println!("{} does not read: {error}", connection.id()),
///     }
/// }
/// ```
#[derive(Clone)]
pub struct ConnectionHandle {
    id: ConnectionId,
    shared: Weak<Shared>,
}

impl ConnectionHandle {
    /// The number of the connection.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Whether messages may still be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.with(|shared| shared.with(|core| core.connection.closed().is_none())).unwrap_or(false)
    }

    /// How the connection ended, once its end has begun; `None` too when nothing is left of it.
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        self.with(|shared| shared.with(|core| core.connection.closed().cloned()))?
    }

    /// A copy of what the authorize hook has returned, when its type is `T` and the connection
    /// still exists.
    #[must_use]
    pub fn context<T: Clone + Any + Send + Sync>(&self) -> Option<T> {
        self.with(|shared| shared.about.as_ref()?.context.get().cloned())?
    }

    /// The other end of the TCP connection; `None` over other byte streams, or when the connection
    /// is gone.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.with(|shared| shared.peer_addr)?
    }

    /// The client's address: see [`WebSocket::client_ip`](crate::WebSocket::client_ip).
    #[must_use]
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.with(Shared::client_ip)?
    }

    /// How many messages were dropped because the peer does not read: see
    /// [`WebSocket::dropped`](crate::WebSocket::dropped).
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.with(|shared| shared.with(|core| core.connection.dropped())).unwrap_or_default()
    }

    /// What has passed over the connection, where that is [counted](crate::Server::count_traffic)
    /// and the connection still exists.
    #[must_use]
    pub fn traffic(&self) -> Option<Traffic> {
        self.with(Shared::traffic)?
    }

    /// Queues a message without waiting. What becomes of it when there is no room is told by
    /// [`Config::slow_reader`](crate::Config::slow_reader).
    ///
    /// # Errors
    ///
    /// [`Misuse::OutboxFull`] when there is no room for it and others would wait, [`Error::Closed`] or another reason why
    /// the connection has ended.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<()> {
        let shared = self.upgrade()?;
        shared.start_send(message.into())?;
        shared.nudge();
        Ok(())
    }

    /// Queues a message that was encoded before, without waiting.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Self::try_send).
    pub fn try_send_prepared(&self, message: &Prepared) -> Result<()> {
        let shared = self.upgrade()?;
        let queued = shared.with(|core| core.try_send_prepared(message))?;
        shared.nudge();
        queued.ok_or_else(|| Misuse::OutboxFull.into())
    }

    /// Begins to close the connection, without waiting for its end. To close what is closed already
    /// is fine.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] when the code may not be sent (RFC 6455 §7.4) or the reason is longer than
    /// 123 bytes.
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<()> {
        check_close(code, reason)?;
        if let Some(shared) = self.shared.upgrade() {
            shared.with(|core| core.close(code, reason))?;
            shared.nudge();
        }
        Ok(())
    }

    /// Ends the connection at once, without a closing handshake, and its handler with it.
    pub fn abort(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.kill();
        }
    }

    /// A sender, which does keep the connection open; `None` when it is gone.
    #[must_use]
    pub fn sender(&self) -> Option<Sender> {
        let shared = self.shared.upgrade()?;
        shared.hand_over();
        shared.add_handle();
        Some(Sender::new(shared))
    }

    pub(crate) fn shared(&self) -> Option<Arc<Shared>> {
        self.shared.upgrade()
    }

    fn upgrade(&self) -> Result<Arc<Shared>> {
        self.shared.upgrade().ok_or_else(|| Misuse::NotOpen.into())
    }

    fn with<T>(&self, use_it: impl FnOnce(&Shared) -> T) -> Option<T> {
        self.shared.upgrade().map(|shared| use_it(&shared))
    }
}

impl fmt::Debug for ConnectionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionHandle").field("id", &self.id).finish_non_exhaustive()
    }
}
