//! One connection in several hands: senders that can be cloned, and one receiver.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use futures_sink::Sink;
use stentor_proto::{CloseCode, CloseFrame, Closed, Compress, Message, Prepared};

use crate::error::{Error, Result};
use crate::intake::Intake;
use crate::shared::Shared;

/// Sends on a connection; clones may be used from any number of tasks at once.
///
/// Each message goes out whole, in the order in which the calls queued them. No lock is held while
/// a call waits. When all senders and the receiver are gone, the connection is closed with 1000.
///
/// ```
/// # async fn example(socket: stentor::WebSocket) -> stentor::Result<()> {
/// let (sender, mut receiver) = socket.split();
/// let clock = sender.clone();
/// tokio::spawn(async move { clock.send("tick").await });
/// while let Some(message) = receiver.recv().await? {
///     sender.send(message).await?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct Sender {
    shared: Arc<Shared>,
}

impl Sender {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Sends a message, as [`WebSocket::send`](crate::WebSocket::send) does; it leaves as soon as
    /// the connection's task has its turn.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the connection is closing or closed, or why it failed.
    ///
    /// # Cancel safety
    ///
    /// A message is queued whole or, when dropped while it waits for room, not at all.
    #[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
    #[inline(always)]
    pub fn send(&self, message: impl Into<Message>) -> impl Future<Output = Result<()>> + Send {
        self.shared.send(message.into())
    }

    /// Queues a message without waking the connection's task: it leaves with the next
    /// [`send`](Self::send) or [`flush`](Self::flush), or when the task has its turn for another
    /// reason.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    pub async fn feed(&self, message: impl Into<Message>) -> Result<()> {
        let mut message = Some(message.into());
        std::future::poll_fn(|cx| self.shared.poll_feed(cx, &mut message)).await
    }

    /// Sends a message like [`send`](Self::send), compressed or not, where permessage-deflate was
    /// agreed on (RFC 7692 §6).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    pub async fn send_with(&self, message: impl Into<Message>, compress: Compress) -> Result<()> {
        let mut message = Some(message.into());
        std::future::poll_fn(|cx| self.shared.poll_feed_with(cx, &mut message, compress)).await?;
        std::future::poll_fn(|cx| self.shared.poll_depart(cx)).await
    }

    /// Sends a message that was encoded before, sharing its bytes with other connections.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    pub async fn send_prepared(&self, message: &Prepared) -> Result<()> {
        std::future::poll_fn(|cx| self.shared.poll_feed_prepared(cx, message)).await?;
        self.shared.pause().await;
        std::future::poll_fn(|cx| self.shared.poll_depart(cx)).await
    }

    /// Waits until everything that was queued has been handed to the transport.
    ///
    /// # Errors
    ///
    /// Why the connection failed before that.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn flush(&self) -> Result<()> {
        std::future::poll_fn(|cx| self.shared.poll_flush(cx)).await
    }

    /// Sends a Ping and waits for its Pong: gives the round-trip time.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the connection is closing or closed, or why it failed.
    ///
    /// # Cancel safety
    ///
    /// Safe: the Ping may still be sent.
    pub async fn ping(&self) -> Result<Duration> {
        self.shared.ping().await
    }

    /// Closes the connection, as [`WebSocket::close`](crate::WebSocket::close) does.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::close`](crate::WebSocket::close).
    ///
    /// # Cancel safety
    ///
    /// Once polled, the closing goes on, with its deadline, even if this future is dropped.
    pub async fn close(&self, code: CloseCode, reason: &str) -> Result<()> {
        self.shared.close(code, reason).await
    }

    /// How the connection ended, once its end has begun.
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        self.shared.with(|core| core.connection.closed().cloned())
    }
}

impl Clone for Sender {
    fn clone(&self) -> Self {
        self.shared.add_handle();
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.shared.drop_handle();
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("peer_addr", &self.shared.peer_addr).finish_non_exhaustive()
    }
}

impl Sink<Message> for Sender {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.shared.poll_room(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<()> {
        self.shared.start_send(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.shared.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.shared.poll_close(cx, CloseCode::NORMAL, "")
    }
}

/// Receives from a connection. After it is dropped, messages that arrive are dropped too.
pub struct Receiver {
    intake: Intake,
}

impl Receiver {
    pub(crate) fn new(intake: Intake) -> Self {
        Self { intake }
    }

    fn shared(&self) -> &Arc<Shared> {
        self.intake.shared()
    }

    /// The next message, or `None` once the peer has closed.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::recv`](crate::WebSocket::recv).
    ///
    /// # Cancel safety
    ///
    /// Safe: a message is handed out whole or stays for the next call.
    #[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
    #[inline(always)]
    pub fn recv(&mut self) -> impl Future<Output = Result<Option<Message>>> + Send {
        self.intake.recv()
    }

    /// The Close frame that the peer sent, if it has.
    #[must_use]
    pub fn close_frame(&self) -> Option<CloseFrame> {
        self.shared().with(|core| core.connection.close_received().cloned())
    }

    /// How the connection ended, once its end has begun.
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        self.shared().with(|core| core.connection.closed().cloned())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared().with(|core| {
            core.discard();
            core.wake_driver();
        });
        self.shared().drop_handle();
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("peer_addr", &self.shared().peer_addr).finish_non_exhaustive()
    }
}

/// The messages, then why the connection failed, if it did, then the end.
impl Stream for Receiver {
    type Item = Result<Message>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.intake.poll_next(cx)
    }
}
