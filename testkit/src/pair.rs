//! A client and a server, joined in memory, on a clock that only the test moves.

use std::mem;
use std::time::{Duration, Instant};

use stentor_proto::bytes::{Buf, BytesMut};
use stentor_proto::{Config, Connection, DeflateParams, Event, Message, Role};

use crate::script::connection;

/// Two connections and the bytes between them.
///
/// ```
/// use stentor_proto::{Config, Message};
/// use stentor_testkit::pair::Pair;
///
/// let mut pair = Pair::new(Config::default(), Config::default());
/// pair.client.connection.send(Message::from("Hello")).unwrap();
/// pair.settle();
/// assert_eq!(pair.server.take_messages(), [Message::from("Hello")]);
/// ```
#[derive(Debug)]
pub struct Pair {
    /// The client's end.
    pub client: End,
    /// The server's end.
    pub server: End,
    now: Instant,
    start: Instant,
    cut: bool,
    piece: usize,
}

/// One of the two connections.
#[derive(Debug)]
pub struct End {
    /// The connection.
    pub connection: Connection,
    /// What it told its application that nobody has taken yet.
    pub events: Vec<Event>,
    /// Bytes that arrived and were not consumed.
    inbox: BytesMut,
}

impl Pair {
    /// A pair with the configurations of the client and of the server.
    #[must_use]
    pub fn new(client: Config, server: Config) -> Self {
        let now = Instant::now();
        Self {
            client: End::new(connection(Role::Client, client, now)),
            server: End::new(connection(Role::Server, server, now)),
            now,
            start: now,
            cut: false,
            piece: usize::MAX,
        }
    }

    /// A pair that has agreed on permessage-deflate.
    #[must_use]
    pub fn with_deflate(client: Config, server: Config, params: DeflateParams) -> Self {
        let mut pair = Self::new(client, server);
        let (client, server) = (pair.client.connection, pair.server.connection);
        pair.client.connection = client.with_deflate(params);
        pair.server.connection = server.with_deflate(params);
        pair
    }

    /// From now on bytes arrive in pieces of this size.
    #[must_use]
    pub fn in_pieces_of(mut self, piece: usize) -> Self {
        self.piece = piece;
        self
    }

    /// The clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// How far the clock has moved.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Carries bytes both ways until none is left, handling no time-out.
    pub fn settle(&mut self) {
        loop {
            let there = self.client.carry(&mut self.server, self.piece, self.now, self.cut);
            let back = self.server.carry(&mut self.client, self.piece, self.now, self.cut);
            if !there && !back {
                break;
            }
        }
    }

    /// Moves the clock to the next deadline of either end and settles; `false` when there is none.
    pub fn pass_to_next_timeout(&mut self) -> bool {
        let deadlines = [&self.client, &self.server].map(|end| end.connection.poll_timeout());
        let Some(deadline) = deadlines.into_iter().flatten().min() else { return false };
        self.pass(deadline.saturating_duration_since(self.now));
        true
    }

    /// Moves the clock, handling each deadline at its moment, and settles.
    pub fn pass(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            let deadlines = [&self.client, &self.server].map(|end| end.connection.poll_timeout());
            let Some(deadline) = deadlines.into_iter().flatten().min().filter(|&at| at <= until) else {
                break;
            };
            self.now = self.now.max(deadline);
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
            self.settle();
        }
        self.now = until;
    }

    /// From now on nothing that either end writes arrives, and neither is told.
    pub fn cut(&mut self) {
        self.cut = true;
    }

    /// Ends the bytes both ways.
    pub fn end(&mut self) {
        self.client.receive_eof(self.now);
        self.server.receive_eof(self.now);
    }
}

impl End {
    fn new(connection: Connection) -> Self {
        Self { connection, events: Vec::new(), inbox: BytesMut::new() }
    }

    /// The messages among the events, which are all taken.
    pub fn take_messages(&mut self) -> Vec<Message> {
        let messages = mem::take(&mut self.events).into_iter().filter_map(|event| match event {
            Event::Message(message) => Some(message),
            _ => None,
        });
        messages.collect()
    }

    /// Writes everything that waits, for `to` to receive; whether there was anything.
    fn carry(&mut self, to: &mut Self, piece: usize, now: Instant, lost: bool) -> bool {
        let mut any = false;
        loop {
            let Some(mut transmit) = self.connection.poll_transmit() else {
                if self.connection.has_transmit() {
                    // A long message is being compressed, with pauses.
                    continue;
                }
                break;
            };
            let len = transmit.chunk().len().min(piece);
            if !lost {
                to.inbox.extend_from_slice(&transmit.chunk()[..len]);
            }
            transmit.advance(len);
            to.receive(now);
            any = true;
        }
        any
    }

    fn receive(&mut self, now: Instant) {
        loop {
            while let Some(event) = self.connection.receive(&mut self.inbox, now) {
                self.events.push(event);
            }
            if !self.connection.has_work() || self.connection.has_transmit() {
                break;
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.connection.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.connection.handle_timeout(now);
            self.receive(now);
        }
    }

    fn receive_eof(&mut self, now: Instant) {
        self.connection.receive_eof(now);
        self.receive(now);
    }
}
