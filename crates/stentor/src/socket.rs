//! One connection in one hand: receive, send, ping, close, split.

use std::any::Any;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use futures_core::Stream;
use futures_sink::Sink;
use http::{Response, Uri};
use stentor_proto::{
    CloseCode, CloseFrame, Closed, Compress, Connection, DeflateParams, Message, Prepared, State,
};

use crate::error::{Error, Result};
use crate::id::ConnectionId;
use crate::intake::Intake;
use crate::observer::Arrival;
use crate::shared::{Opened, Shared, Watchers};
use crate::split::{Receiver, Sender};
use crate::trace::Span;
use crate::traffic::Traffic;
use crate::transport::{Io, Transport};

/// An open WebSocket connection.
///
/// A server's handler is handed one, [`connect`](crate::connect) and [`Client`](crate::Client)
/// give one. It is also a [`Stream`] and a [`Sink`] of [`Message`]s.
///
/// # When bytes leave
///
/// In a server's handler, everything sent between two suspensions leaves in one write, at the next
/// suspension. A handler that computes for long after a [`send`](Self::send) without awaiting
/// anything calls [`flush`](Self::flush) first. Anywhere else, as on a client, `send` writes before
/// it returns; [`feed`](Self::feed) gathers.
///
/// # When bytes are read
///
/// In a server's handler the connection is read and its Pings are answered whatever the handler is
/// waiting for, until 64 to 128 KiB of messages wait to be received. Anywhere else it is read during the
/// calls on it; [`split`](Self::split) gives it a task of its own.
///
/// # Dropping it
///
/// An open connection that is dropped is closed with 1000 in the background; use
/// [`close`](Self::close) to choose the code.
pub struct WebSocket {
    intake: Intake,
}

impl WebSocket {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { intake: Intake::new(shared) }
    }

    fn shared(&self) -> &Arc<Shared> {
        self.intake.shared()
    }

    /// Whether a task drives the connection.
    pub(crate) fn is_driven(&self) -> bool {
        self.shared().with(|core| core.is_driven())
    }

    /// Runs a connection whose opening handshake was done elsewhere, over any byte stream.
    /// `received` is what arrived behind the handshake.
    ///
    /// ```
    /// use std::{sync::Arc, time::Instant};
    /// use stentor::{WebSocket, proto::{Config, Connection}};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> stentor::Result<()> {
    /// let (io, peer) = tokio::io::duplex(1024);
    /// let server = Connection::server(Arc::new(Config::default()), Instant::now());
    /// let mut socket = WebSocket::from_connection(server, io, Default::default());
    /// drop(peer);
    /// assert!(socket.recv().await.is_err()); // no Close frame
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_connection(connection: Connection, io: impl Io, received: BytesMut) -> Self {
        let transport = Transport::Boxed(Box::new(io));
        let span = Span::given(connection.role());
        let opened = Opened {
            connection,
            transport,
            inbound: received,
            peer_addr: None,
            about: None,
            registry: None,
            watchers: Watchers::default(),
            arrival: Arrival { span, took: None },
        };
        Self::new(Shared::new(opened, false))
    }

    /// The next message, or `None` once the peer has closed: [`closed`](Self::closed) then tells
    /// with which code and reason.
    ///
    /// # Errors
    ///
    /// [`Error::Protocol`] when the peer broke a rule, [`Error::Timeout`] when it did not answer a
    /// Ping or took too long, [`Error::Closed`] or [`Error::Io`] when the transport ended without a
    /// Close frame.
    ///
    /// # Cancel safety
    ///
    /// Safe: a message is handed out whole or stays for the next call.
    #[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
    #[inline(always)]
    pub fn recv(&mut self) -> impl Future<Output = Result<Option<Message>>> + Send {
        self.intake.recv()
    }

    /// Sends a message: waits until fewer than
    /// [`Config::max_outbox_size`](crate::Config::max_outbox_size) bytes are queued, then queues
    /// it. When the bytes leave is told on the [type](Self#when-bytes-leave).
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
    pub fn send(&mut self, message: impl Into<Message>) -> impl Future<Output = Result<()>> + Send {
        self.shared().send(message.into())
    }

    /// Queues a message like [`send`](Self::send), without seeing to it that it leaves.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    pub async fn feed(&mut self, message: impl Into<Message>) -> Result<()> {
        let mut message = Some(message.into());
        std::future::poll_fn(|cx| self.shared().poll_feed(cx, &mut message)).await
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
    pub async fn flush(&mut self) -> Result<()> {
        std::future::poll_fn(|cx| self.shared().poll_flush(cx)).await
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
    pub async fn send_with(&mut self, message: impl Into<Message>, compress: Compress) -> Result<()> {
        let mut message = Some(message.into());
        std::future::poll_fn(|cx| self.shared().poll_feed_with(cx, &mut message, compress)).await?;
        std::future::poll_fn(|cx| self.shared().poll_depart(cx)).await
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
    pub async fn send_prepared(&mut self, message: &Prepared) -> Result<()> {
        std::future::poll_fn(|cx| self.shared().poll_feed_prepared(cx, message)).await?;
        self.shared().pause().await;
        std::future::poll_fn(|cx| self.shared().poll_depart(cx)).await
    }

    /// Sends a Ping and waits for its Pong: gives the round-trip time. When a Ping is already under
    /// way, its Pong answers this call too.
    ///
    /// Messages that arrive meanwhile are kept for [`recv`](Self::recv), up to 64 KiB or so; behind more
    /// than that the Pong is not seen, and the call waits for the keepalive to end the connection.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the connection is closing or closed, or why it failed.
    ///
    /// # Cancel safety
    ///
    /// Safe: the Ping may still be sent.
    pub async fn ping(&mut self) -> Result<Duration> {
        self.shared().ping().await
    }

    /// Closes the connection: sends a Close frame behind what was sent before, drops the messages
    /// that still arrive and waits for the peer's Close frame, at most
    /// [`Config::close_timeout`](crate::Config::close_timeout).
    ///
    /// Closing what the peer has closed already is fine.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] when the code may not be sent (RFC 6455 §7.4) or the reason is longer than
    /// 123 bytes; then nothing was done. [`Error::Timeout`] when the peer did not answer in time,
    /// or another reason why the connection failed.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the closing goes on, with its deadline, even if this future is dropped.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<()> {
        self.shared().begin_close(code, reason)?;
        self.intake.clear();
        self.shared().close(code, reason).await
    }

    /// Parts the connection into a [`Sender`], which can be cloned, and a [`Receiver`], for use in
    /// different tasks. A self-driven connection gets a task that drives it.
    #[must_use]
    pub fn split(mut self) -> (Sender, Receiver) {
        let shared = Arc::clone(self.shared());
        // Two more, because this one goes at the end of the call.
        shared.add_handle();
        shared.add_handle();
        shared.hand_over();
        let intake = std::mem::replace(&mut self.intake, Intake::new(Arc::clone(&shared)));
        (Sender::new(shared), Receiver::new(intake))
    }

    /// Where the connection is in its life.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared().with(|core| core.connection.state())
    }

    /// How the connection ended, once its end has begun: the code and the reason of the first
    /// Close frame, and whose it was.
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        self.shared().with(|core| core.connection.closed().cloned())
    }

    /// The Close frame that the peer sent, if it has.
    #[must_use]
    pub fn close_frame(&self) -> Option<CloseFrame> {
        self.shared().with(|core| core.connection.close_received().cloned())
    }

    /// The subprotocol that was agreed on, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.shared().subprotocol()
    }

    /// The terms on which messages are compressed, if that was agreed on (RFC 7692 §7.1).
    #[must_use]
    pub fn deflate(&self) -> Option<DeflateParams> {
        self.shared().with(|core| core.connection.deflate())
    }

    /// The address of the peer's end of the TCP connection; `None` over other byte streams.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.shared().peer_addr
    }

    /// How many messages were dropped because the peer did not read, where
    /// [`Config::slow_reader`](crate::Config::slow_reader) says so.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared().with(|core| core.connection.dropped())
    }

    /// The number of the connection, which no other has in the life of the process.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.shared().id
    }

    /// The span of the connection, for what works on it in another task than a server's handler, which
    /// runs within it anyway.
    ///
    /// ```
    /// use stentor::WebSocket;
    /// use tracing::Instrument as _;
    ///
    /// async fn listen(mut socket: WebSocket) {
    ///     while let Ok(Some(message)) = socket.recv().await {
    ///         tracing::info!(len = message.len(), "received");
    ///     }
    /// }
    ///
    /// # async fn example() -> stentor::Result<()> {
    /// let socket = stentor::connect("ws://127.0.0.1:9001").await?;
    /// let span = socket.span();
    /// tokio::spawn(listen(socket).instrument(span));
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tracing")]
    #[must_use]
    pub fn span(&self) -> tracing::Span {
        self.shared().span.get()
    }

    /// On a server, the client's address: the peer's, or the one told by a
    /// [trusted proxy](crate::TrustedProxies). `None` where neither is known.
    #[must_use]
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.shared().client_ip()
    }

    /// On a server, what its [authorize hook](crate::Server::authorize) has returned for this
    /// connection, when its type is `T`.
    #[must_use]
    pub fn context<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.shared().about.as_ref()?.context.get()
    }

    /// On a server that [keeps it](crate::Server::keep_uri), the target of the request, with its
    /// query.
    #[must_use]
    pub fn uri(&self) -> Option<&Uri> {
        self.shared().about.as_ref()?.uri.as_ref()
    }

    /// On a client, the response by which the server has accepted: status 101, and its headers
    /// (RFC 6455 §4.2.2). `None` on a server.
    ///
    /// ```no_run
    /// use stentor::http::header::SET_COOKIE;
    ///
    /// # async fn example() -> stentor::Result<()> {
    /// let socket = stentor::connect("ws://127.0.0.1:9001").await?;
    /// let cookies = socket.response().into_iter().flat_map(|response| response.headers().get_all(SET_COOKIE));
    /// for cookie in cookies {
    ///     println!("{}", cookie.to_str().unwrap_or("not text"));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn response(&self) -> Option<&Response<()>> {
        self.shared().about.as_ref()?.response()
    }

    /// What has passed over the connection, where that is [counted](crate::Server::count_traffic).
    #[must_use]
    pub fn traffic(&self) -> Option<Traffic> {
        self.shared().traffic()
    }

    /// The last round-trip time measured by a Ping and its Pong.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.shared().with(|core| core.connection.round_trip())
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        self.shared().drop_handle();
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("peer_addr", &self.peer_addr()).finish_non_exhaustive()
    }
}

/// The messages, then why the connection failed, if it did, then the end.
impl Stream for WebSocket {
    type Item = Result<Message>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.intake.poll_next(cx)
    }
}

impl Sink<Message> for WebSocket {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.shared().poll_room(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<()> {
        self.shared().start_send(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.shared().poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.intake.clear();
        self.shared().poll_close(cx, CloseCode::NORMAL, "")
    }
}
