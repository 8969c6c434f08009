//! The state machine of an open connection: what arrives, what is sent, how it ends.
//!
//! This module owns the [`Connection`] and its order of calls. Its parts: `receive` (frames become
//! events, RFC 6455 §5), `whole` (the same for messages that are there whole), `send` (commands
//! become frames), `deflate` and `inflate` (compressed messages, RFC 7692), `closing` (§7),
//! `keepalive` (§5.5.2) and `state`. It knows no socket, no task and no clock.

mod closing;
mod deflate;
mod inflate;
mod keepalive;
mod policies;
mod receive;
mod send;
mod state;
mod whole;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};

use crate::config::Config;
use crate::deflate::{Deflate, DeflateParams};
use crate::entropy::Entropy;
use crate::error::ProtocolError;
use crate::event::Event;
use crate::outbox::{COPY_MAX, Outbox};
use crate::role::Role;

pub use closing::{Failure, Teardown};
pub use state::State;

/// One open WebSocket connection, without its transport.
///
/// Bytes and instants go in, events and bytes come out. The order of calls is a loop:
///
/// 1. feed it: [`receive`](Self::receive) until it gives `None`, [`receive_eof`](Self::receive_eof)
///    at the transport's end, [`handle_timeout`](Self::handle_timeout) when
///    [`poll_timeout`](Self::poll_timeout) has come; or command it: [`send`](Self::send),
///    [`ping`](Self::ping), [`close`](Self::close);
/// 2. write what [`poll_transmit`](Self::poll_transmit) holds;
/// 3. do with the transport what [`teardown`](Self::teardown) says.
///
/// A connection comes out of an opening handshake (see [`handshake`](crate::handshake)), or is made
/// directly when the handshake was done elsewhere.
///
/// ```
/// use std::{sync::Arc, time::Instant};
/// use bytes::{Buf, BytesMut};
/// use stentor_proto::{Config, Connection, Event, Message};
///
/// let now = Instant::now();
/// let mut connection = Connection::server(Arc::new(Config::default()), now);
///
/// // A masked text frame "Hello" from the client (RFC 6455 §5.7).
/// let mut bytes = BytesMut::from(&b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..]);
/// while let Some(event) = connection.receive(&mut bytes, now) {
///     if let Event::Message(message) = event {
///         assert_eq!(message, Message::from("Hello"));
///         connection.send(message)?;
///     }
/// }
/// let mut out = connection.poll_transmit().expect("the echo");
/// assert_eq!(out.copy_to_bytes(out.remaining()), b"\x81\x05Hello"[..]);
/// # Ok::<(), stentor_proto::Misuse>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    inbox: receive::Inbox,
    outbox: Outbox,
    masking: Masking,
    liveness: keepalive::Liveness,
    /// Since when the transport has refused to take bytes.
    blocked_since: Option<Instant>,
    /// How it ends; `None` while it is open.
    ending: Option<Box<closing::Ending>>,
    /// Messages shorter than this are sent as one frame that is copied, with nothing else to be
    /// decided: none where permessage-deflate was agreed on, or a policy has to be asked.
    copied_below: usize,
    /// `None` where permessage-deflate was not agreed on.
    codec: Option<Box<deflate::Codec>>,
    /// `None` where the configuration asks for none of them, which is usual.
    policies: Option<Box<policies::Policies>>,
}

impl Connection {
    /// The server's end of a connection whose opening handshake is done.
    #[must_use]
    pub fn server(config: Arc<Config>, now: Instant) -> Self {
        Self::new(config, Masking(None), now)
    }

    /// The client's end of a connection whose opening handshake is done. `entropy` is where the
    /// masking keys come from: it must be unpredictable (RFC 6455 §10.3).
    #[must_use]
    pub fn client(config: Arc<Config>, entropy: Box<dyn Entropy>, now: Instant) -> Self {
        Self::new(config, Masking(Some(entropy)), now)
    }

    fn new(config: Arc<Config>, masking: Masking, now: Instant) -> Self {
        let policies = policies::Policies::new(&config, now);
        let copied_below = match policies {
            None => config.fragment_size.unwrap_or(COPY_MAX).min(COPY_MAX) + 1,
            Some(_) => 0,
        };
        Self {
            copied_below,
            policies,
            config,
            inbox: receive::Inbox::default(),
            outbox: Outbox::default(),
            masking,
            liveness: keepalive::Liveness::new(now),
            blocked_since: None,
            ending: None,
            codec: None,
        }
    }

    /// This connection with permessage-deflate, under the parameters that its opening handshake
    /// has agreed on (RFC 7692 §7). How it compresses is told by
    /// [`Config::deflate`](crate::Config::deflate), or by [`Deflate::default`](crate::Deflate) when
    /// that is `None`.
    ///
    /// Call it before anything is received or sent.
    ///
    /// ```
    /// use std::{sync::Arc, time::Instant};
    /// use stentor_proto::{Config, Connection, DeflateParams};
    ///
    /// let agreed = DeflateParams { server_max_window_bits: 12, ..DeflateParams::default() };
    /// let server = Connection::server(Arc::new(Config::default()), Instant::now());
    /// assert_eq!(server.deflate(), None);
    /// assert_eq!(server.with_deflate(agreed).deflate(), Some(agreed));
    /// ```
    #[must_use]
    pub fn with_deflate(mut self, params: DeflateParams) -> Self {
        let usual = Deflate::default();
        let settings = self.config.deflate.as_ref().unwrap_or(&usual);
        self.codec = Some(Box::new(deflate::Codec::new(self.role(), params, settings)));
        self.copied_below = 0;
        self
    }

    /// The parameters of permessage-deflate, when it was agreed on.
    #[must_use]
    pub fn deflate(&self) -> Option<DeflateParams> {
        self.codec.as_ref().map(|codec| codec.params)
    }

    /// Which side this is.
    #[must_use]
    #[inline]
    pub fn role(&self) -> Role {
        // RFC 6455 §5.1: a client masks, and a server never does.
        if self.masking.0.is_some() { Role::Client } else { Role::Server }
    }

    /// The limits and deadlines it keeps.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The last round-trip time measured by a Ping and its Pong, if any was.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.liveness.round_trip()
    }

    /// How many bytes are missing of the frame whose beginning waits in the caller's buffer, as far
    /// as its header has told: what the buffer has to have room for, in the end. 0 when no frame
    /// does. It is the peer's word: who makes room for much more than has arrived gives memory to a
    /// peer that sends nothing.
    ///
    /// ```
    /// use std::{sync::Arc, time::Instant};
    /// use stentor_proto::{Config, Connection, bytes::BytesMut};
    ///
    /// let now = Instant::now();
    /// let mut server = Connection::server(Arc::new(Config::default()), now);
    /// let mut bytes = BytesMut::from(&b"\x82\xfe\x03\xe8\x00\x00\x00\x00only so much"[..]);
    /// assert_eq!(server.receive(&mut bytes, now), None);
    /// assert_eq!(server.missing(), 1000 - 12);
    /// ```
    #[must_use]
    #[inline]
    pub fn missing(&self) -> usize {
        self.inbox.missing()
    }

    /// Takes bytes from the front of `bytes` up to the next event, at `now`. Call it again until
    /// it gives `None`.
    ///
    /// What then stays in `bytes` belongs to an unfinished frame and may be partly processed:
    /// append what arrives next behind it and change nothing else. Payloads are unmasked in place
    /// and split off `bytes` without a copy, unless they are fragments or compressed: for a large
    /// frame, [`missing`](Self::missing) tells how much room it still needs. Between two `None`s at most 256 KiB are inflated: then
    /// [`has_work`](Self::has_work) tells that there is more to come without more bytes.
    ///
    /// It cannot fail: a violation is an [`Event::Violation`] and has queued its Close frame.
    ///
    /// [`receive_messages`](Self::receive_messages) gives messages alone, and stops at anything else.
    pub fn receive(&mut self, bytes: &mut BytesMut, now: Instant) -> Option<Event> {
        if !bytes.is_empty() {
            self.liveness.heard(now);
        } else if !self.inbox.is_paused() {
            self.renew_inflating();
            return None;
        }
        if !self.is_receiving() {
            // §7.1.7: an endpoint that fails the connection "MUST NOT continue to attempt to
            // process data"; the same goes for what follows a Close frame (§5.5.1).
            bytes.clear();
            return None;
        }
        let next = match self.next_event(bytes, now) {
            Ok(Some(Event::Message(message))) => {
                self.count_message(message.len(), now).map(|()| Some(Event::Message(message)))
            }
            next => next,
        };
        next.unwrap_or_else(|error| Some(self.violated(error, bytes, now)))
    }

    #[cold]
    fn violated(&mut self, error: ProtocolError, bytes: &mut BytesMut, now: Instant) -> Event {
        bytes.clear();
        self.fail(error, now);
        Event::Violation(error)
    }

    /// The bytes to be written now, or `None` when there are none. Call
    /// [`advance`](Buf::advance) with the number of bytes that the transport took; when it took
    /// fewer than all, report [`transmit_blocked`](Self::transmit_blocked).
    ///
    /// Between two `None`s at most 64 KiB are compressed, so a message may wait that is not there
    /// to be written yet: see [`has_work`](Self::has_work).
    #[inline]
    pub fn poll_transmit(&mut self) -> Option<impl Buf + '_> {
        if !self.outbox.has_bytes() {
            self.encode_more();
        }
        let masking = &mut self.masking;
        let transmit = self.outbox.transmit(|| masking.key())?;
        Some(Progress { transmit, blocked_since: &mut self.blocked_since })
    }

    /// Encodes what waited for the outbox to be empty.
    #[cold]
    fn encode_more(&mut self) {
        if self.outbox.is_empty() && self.policies.is_some() {
            self.refill();
        }
        if self.codec.is_some() {
            self.encode_queued();
        }
    }

    /// The transport takes no more bytes for now, or holds back those it took. From the first such
    /// report until the next byte leaves, or until
    /// [`transmit_unblocked`](Self::transmit_unblocked), [`Config::write_timeout`] runs.
    pub fn transmit_blocked(&mut self, now: Instant) {
        self.blocked_since.get_or_insert(now);
    }

    /// The transport, which held back bytes that it had taken, has handed on all of them.
    pub fn transmit_unblocked(&mut self) {
        self.blocked_since = None;
    }

    /// Whether there is something to do without anything having happened: a compressed message was
    /// inflated in part, or a long one is to be compressed. Let others have their turn, then call
    /// [`receive`](Self::receive) and [`poll_transmit`](Self::poll_transmit) again, which do the
    /// next piece. Report the end of the transport ([`receive_eof`](Self::receive_eof)) only
    /// when there is none.
    ///
    /// ```
    /// use std::{sync::Arc, time::Instant};
    /// use stentor_proto::bytes::Buf;
    /// use stentor_proto::{Config, Connection, DeflateParams, Message};
    ///
    /// let mut server = Connection::server(Arc::new(Config::default()), Instant::now())
    ///     .with_deflate(DeflateParams::default());
    /// server.send(Message::from("long ".repeat(100_000)))?;
    /// let mut pauses = 0;
    /// while server.has_transmit() {
    ///     // Here a server would look after its other connections, if `has_work`.
    ///     while let Some(mut out) = server.poll_transmit() {
    ///         out.advance(out.remaining());
    ///     }
    ///     pauses += u32::from(server.has_work());
    /// }
    /// assert_eq!(pauses, 7); // 500,000 bytes in pieces of 64 KiB
    /// # Ok::<(), stentor_proto::Misuse>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn has_work(&self) -> bool {
        self.is_inflating() || (self.outbox.is_holding() && !self.outbox.has_bytes())
    }

    /// Whether that work is to inflate the rest of a message. Until it is done, there is no use in
    /// reading more bytes from the transport.
    #[must_use]
    #[inline]
    pub fn is_inflating(&self) -> bool {
        self.inbox.is_paused()
    }

    /// Whether something waits to be written: what [`poll_transmit`](Self::poll_transmit) gives, or
    /// what has to be compressed before.
    #[must_use]
    #[inline]
    pub fn has_transmit(&self) -> bool {
        !self.outbox.is_empty() || self.has_backlog()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called next, unless something else
    /// happens before.
    #[must_use]
    #[inline]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let is_quiet = self.inbox.unfinished_since().is_none() && self.blocked_since.is_none();
        let is_plain = self.ending.is_none() && self.codec.is_none() && self.policies.is_none();
        if is_quiet && is_plain { self.keepalive_deadline() } else { self.first_deadline() }
    }

    #[cold]
    fn first_deadline(&self) -> Option<Instant> {
        let after = |since: Option<Instant>, timeout| since.and_then(|since| since.checked_add(timeout));
        let ends = if self.ending.is_none() { self.keepalive_deadline() } else { self.close_deadline() };
        let assembled = after(self.inbox.unfinished_since(), self.config.assembly_timeout);
        let written = after(self.blocked_since, self.config.write_timeout);
        [ends, assembled, written, self.release_deadline(), self.policies_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    #[inline]
    fn keepalive_deadline(&self) -> Option<Instant> {
        self.config.keepalive.and_then(|keepalive| self.liveness.deadline(keepalive))
    }
}

/// A [`Transmit`](crate::outbox::Transmit) that notes when the transport moves again.
struct Progress<'a, B> {
    transmit: B,
    blocked_since: &'a mut Option<Instant>,
}

impl<B: Buf> Buf for Progress<'_, B> {
    #[inline]
    fn remaining(&self) -> usize {
        self.transmit.remaining()
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        self.transmit.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [std::io::IoSlice<'a>]) -> usize {
        self.transmit.chunks_vectored(slices)
    }

    #[inline]
    fn advance(&mut self, len: usize) {
        if len > 0 {
            *self.blocked_since = None;
        }
        self.transmit.advance(len);
    }
}

/// Draws a masking key for every frame of a client, none for a server's (RFC 6455 §5.1, §5.3).
struct Masking(Option<Box<dyn Entropy>>);

impl Masking {
    #[inline]
    fn key(&mut self) -> Option<crate::mask::MaskingKey> {
        let entropy = self.0.as_mut()?;
        let mut key = [0; 4];
        entropy.fill(&mut key);
        Some(crate::mask::MaskingKey(key))
    }
}

impl std::fmt::Debug for Masking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Masking(..)" } else { "Masking(none)" })
    }
}
