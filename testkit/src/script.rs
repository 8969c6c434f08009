//! A scripted peer: tests of one connection that read like packet traces.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stentor_proto::bytes::{Buf, BytesMut};
use stentor_proto::{
    Closed, ClosedBy, Config, Connection, DeflateParams, Entropy, Event, Message, ProtocolError, Role, State,
};

use crate::frame::Frame;

/// Masking keys for tests: the bytes count upwards, so that no two keys are the same and every run
/// draws the same ones.
#[derive(Debug, Default)]
pub struct Counting(u8);

impl Entropy for Counting {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
    }
}

/// A new connection of this role, masking with [`Counting`] keys.
#[must_use]
pub fn connection(role: Role, config: Config, now: Instant) -> Connection {
    match role {
        Role::Client => Connection::client(Arc::new(config), Box::new(Counting::default()), now),
        Role::Server => Connection::server(Arc::new(config), now),
    }
}

/// The peer of one connection under test, on a clock that only the test moves.
///
/// What the connection does is collected; each `expect_*` takes the oldest of it. Events and frames
/// are two queues. When the peer is dropped, both must be empty: everything was expected.
///
/// ```
/// use stentor_proto::Config;
/// use stentor_testkit::frame::{ping, pong, text};
/// use stentor_testkit::script::Peer;
///
/// let mut peer = Peer::of_server(Config::default());
/// peer.sends(text("Hel").more());
/// peer.sends(ping("x")).expect_ping("x").expect_frame(pong("x"));
/// peer.sends(stentor_testkit::frame::continuation("lo")).expect_message("Hello");
/// ```
#[derive(Debug)]
pub struct Peer {
    connection: Connection,
    role: Role,
    now: Instant,
    inbox: BytesMut,
    events: VecDeque<Event>,
    wire: Vec<u8>,
    reads: bool,
}

impl Peer {
    /// The client of a server under test.
    #[must_use]
    pub fn of_server(config: Config) -> Self {
        Self::of(Role::Server, config)
    }

    /// The server of a client under test.
    #[must_use]
    pub fn of_client(config: Config) -> Self {
        Self::of(Role::Client, config)
    }

    /// The peer of a connection that plays `role`.
    #[must_use]
    pub fn of(role: Role, config: Config) -> Self {
        let now = Instant::now();
        Self::around(connection(role, config, now), now)
    }

    /// The same, where permessage-deflate was agreed on.
    #[must_use]
    pub fn with_deflate(role: Role, config: Config, params: DeflateParams) -> Self {
        let now = Instant::now();
        Self::around(connection(role, config, now).with_deflate(params), now)
    }

    fn around(connection: Connection, now: Instant) -> Self {
        Self {
            role: connection.role(),
            connection,
            now,
            inbox: BytesMut::new(),
            events: VecDeque::new(),
            wire: Vec::new(),
            reads: true,
        }
    }

    /// The connection under test.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// A call on the connection under test; what it queues is read at once, if the peer reads.
    pub fn calls<T>(&mut self, call: impl FnOnce(&mut Connection, Instant) -> T) -> T {
        let result = call(&mut self.connection, self.now);
        self.read_all();
        result
    }

    /// A frame arrives at the connection.
    #[allow(clippy::needless_pass_by_value)] // A trace reads better without ampersands.
    pub fn sends(&mut self, frame: Frame) -> &mut Self {
        let bytes = frame.encode(self.role.peer());
        self.sends_bytes(&bytes)
    }

    /// Bytes arrive at the connection.
    pub fn sends_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.inbox.extend_from_slice(bytes);
        self.receive()
    }

    /// The peer's bytes end.
    pub fn ends(&mut self) -> &mut Self {
        self.connection.receive_eof(self.now);
        self.receive()
    }

    /// From now on nothing that the connection wants written is taken.
    pub fn stops_reading(&mut self) -> &mut Self {
        self.reads = false;
        self
    }

    /// What waits is taken, and from now on everything at once.
    pub fn reads_again(&mut self) -> &mut Self {
        self.reads = true;
        self.read_all();
        self
    }

    /// Up to `len` bytes of what waits are taken, in however many pieces.
    pub fn reads(&mut self, len: usize) -> &mut Self {
        let mut left = len;
        while left > 0 {
            let Some(mut transmit) = self.connection.poll_transmit() else {
                if self.connection.has_transmit() {
                    // A long message is being compressed, with pauses.
                    continue;
                }
                break;
            };
            let waiting = transmit.remaining();
            let chunk = transmit.chunk();
            let taken = chunk.len().min(left);
            self.wire.extend_from_slice(&chunk[..taken]);
            transmit.advance(taken);
            assert!(taken > 0 && transmit.remaining() == waiting - taken, "an advance that does not advance");
            left -= taken;
        }
        self
    }

    /// Time passes; the connection is told of every deadline on the way at its very moment.
    pub fn waits(&mut self, duration: Duration) -> &mut Self {
        let until = self.now + duration;
        let mut repeats = 0;
        while let Some(deadline) = self.connection.poll_timeout().filter(|&deadline| deadline <= until) {
            // Two deadlines may fall on one moment, but none may stay when it was handled.
            repeats = if deadline > self.now { 0 } else { repeats + 1 };
            assert!(repeats < 8, "the deadline of this moment does not go away");
            self.now = self.now.max(deadline);
            self.connection.handle_timeout(self.now);
            self.receive();
        }
        self.now = until;
        self
    }

    /// Time passes until the next deadline, which is handled; how long that took.
    pub fn waits_for_timeout(&mut self) -> Duration {
        let deadline = self.connection.poll_timeout().expect("there is a deadline");
        let wait = deadline.saturating_duration_since(self.now);
        self.waits(wait);
        wait
    }

    /// The next event must be this message.
    #[track_caller]
    pub fn expect_message(&mut self, message: impl Into<Message>) -> &mut Self {
        self.expect_event(&Event::Message(message.into()))
    }

    /// The next event must be a Ping with this payload.
    #[track_caller]
    pub fn expect_ping(&mut self, payload: impl AsRef<[u8]>) -> &mut Self {
        self.expect_event(&Event::Ping(payload.as_ref().to_vec().into()))
    }

    /// Whether the next event is a Pong.
    #[must_use]
    pub fn next_event_is_pong(&self) -> bool {
        matches!(self.events.front(), Some(Event::Pong(_)))
    }

    /// The next event must be a Pong; its payload and round-trip time.
    #[track_caller]
    pub fn expect_pong(&mut self) -> (Vec<u8>, Option<Duration>) {
        match self.events.pop_front() {
            Some(Event::Pong(pong)) => (pong.payload.to_vec(), pong.round_trip),
            other => panic!("a Pong was due, there is {other:?}"),
        }
    }

    /// The next event must be the peer's Close with this code and reason.
    #[track_caller]
    pub fn expect_close(&mut self, code: u16, reason: &str) -> &mut Self {
        match self.events.pop_front() {
            Some(Event::Close(frame)) => {
                assert_eq!((u16::from(frame.code), &*frame.reason), (code, reason));
            }
            other => panic!("Close {code} was due, there is {other:?}"),
        }
        self
    }

    /// The next event must be this violation, and the next frame the Close that says so.
    #[track_caller]
    pub fn expect_violation(&mut self, error: ProtocolError) -> &mut Self {
        self.expect_event(&Event::Violation(error));
        self.expect_close_frame(error.close_code().into())
    }

    /// The next event must be this one.
    #[track_caller]
    pub fn expect_event(&mut self, event: &Event) -> &mut Self {
        assert_next(self.events.pop_front().as_ref(), event);
        self
    }

    /// The next frame must be this one.
    #[track_caller]
    #[allow(clippy::needless_pass_by_value)] // A trace reads better without ampersands.
    pub fn expect_frame(&mut self, frame: Frame) -> &mut Self {
        let next = self.next_frame();
        assert_next(next.as_ref(), &frame);
        self
    }

    /// The next frame must be a Close with this code, whatever its reason.
    #[track_caller]
    pub fn expect_close_frame(&mut self, code: u16) -> &mut Self {
        let next = self.next_frame();
        match &next {
            Some(frame) if frame.opcode == 0x8 => assert_eq!(frame.close_code_and_reason().0, code),
            other => panic!("Close {code} was due, there is {other:?}"),
        }
        self
    }

    /// No event and no byte may wait to be expected.
    #[track_caller]
    pub fn expect_nothing(&mut self) -> &mut Self {
        assert!(self.events.is_empty(), "not expected: {:?}", self.events);
        let next = self.next_frame();
        assert!(next.is_none(), "not expected: {next:?}");
        assert!(self.wire.is_empty(), "not expected: half a frame, {:x?}", self.wire);
        self
    }

    /// The connection must be in this state.
    #[track_caller]
    pub fn expect_state(&mut self, state: State) -> &mut Self {
        assert_eq!(self.connection.state(), state);
        self
    }

    /// The connection must have ended, or be ending, like this.
    #[track_caller]
    pub fn expect_closed(&mut self, code: u16, reason: &str, by: ClosedBy) -> &mut Self {
        let closed = Closed { code: code.into(), reason: reason.into(), by };
        assert_next(self.connection.closed(), &closed);
        self
    }

    /// Events that wait are none of the test's business.
    pub fn discards_events(&mut self) -> &mut Self {
        self.events.clear();
        self
    }

    /// Frames that wait are none of the test's business.
    pub fn discards_frames(&mut self) -> &mut Self {
        while self.next_frame().is_some() {}
        self
    }

    /// What waits is taken, as bytes that no longer count as frames to be expected.
    pub fn reads_raw(&mut self) -> Vec<u8> {
        self.reads(usize::MAX);
        mem::take(&mut self.wire)
    }

    /// The next frame, if a whole one was read.
    pub fn next_frame(&mut self) -> Option<Frame> {
        Frame::decode_with(&mut self.wire, self.role, self.connection.deflate().is_some())
    }

    fn receive(&mut self) -> &mut Self {
        loop {
            while let Some(event) = self.connection.receive(&mut self.inbox, self.now) {
                self.events.push_back(event);
                self.read_all();
            }
            self.read_all();
            if !self.reads || !self.connection.has_work() {
                break self;
            }
        }
    }

    fn read_all(&mut self) {
        if self.reads {
            self.reads(usize::MAX);
        } else if self.connection.has_transmit() {
            self.connection.transmit_blocked(self.now);
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.expect_nothing();
        }
    }
}

#[track_caller]
fn assert_next<T: Debug + PartialEq>(got: Option<&T>, wanted: &T) {
    assert!(got == Some(wanted), "this was due: {wanted:?}\nthere is:     {got:?}");
}
