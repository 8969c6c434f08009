//! One row of a table: one connection of one library that stays open and takes burst after burst.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::scenario::{HANDSHAKE, Scenario};
use crate::transport::{Remote, Transport, transport};

/// What the server does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Sends it back.
    Echo,
    /// Looks at it and drops it.
    Decode,
}

/// Whose code a row runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What hand-written code in place costs.
    Yardstick,
    /// Another library.
    Peer,
    /// Stentor.
    Ours,
}

/// A named way to serve, before it is given a scenario.
#[derive(Clone, Copy)]
pub struct Way {
    /// The name in the table.
    pub name: &'static str,
    /// Whose code it is.
    pub kind: Kind,
    /// What it does with a message.
    pub task: Task,
    /// Opens a connection on which the scenario's burst arrives again and again.
    pub open: fn(&Scenario) -> Box<dyn Burst>,
}

/// Something that takes a burst from the first byte read to the last message answered.
pub trait Burst {
    /// Takes one burst.
    fn burst(&mut self);
    /// Bytes and calls written so far.
    fn written(&self) -> (usize, usize);
    /// Takes one burst and returns what was written.
    fn recorded_burst(&mut self) -> Vec<u8>;
}

/// Counts the messages that a decoding server has seen, where the harness can look.
#[derive(Clone, Debug, Default)]
pub struct Seen(Rc<Cell<usize>>);

impl Seen {
    /// One more message, whose payload the optimiser must not lose.
    #[inline]
    pub fn message(&self, payload: &[u8]) {
        std::hint::black_box(payload);
        self.0.set(self.0.get() + 1);
    }
}

/// A server that is a future over a [`Transport`].
///
/// It is polled by hand with a waker that does nothing, so no runtime's own cost is in the
/// figures: what is left is the library's.
pub struct Served {
    server: Pin<Box<dyn Future<Output = ()>>>,
    remote: Remote,
    seen: Seen,
    echo_len: usize,
    messages: usize,
}

impl Served {
    /// Opens an echoing server.
    pub fn echo<F>(scenario: &Scenario, serve: impl FnOnce(Transport) -> F) -> Box<dyn Burst>
    where
        F: Future<Output = ()> + 'static,
    {
        Box::new(Self::open(scenario, Task::Echo, b"", |transport, _| serve(transport)))
    }

    /// Opens a server that tells `Seen` of each message.
    pub fn decode<F>(scenario: &Scenario, serve: impl FnOnce(Transport, Seen) -> F) -> Box<dyn Burst>
    where
        F: Future<Output = ()> + 'static,
    {
        Box::new(Self::open(scenario, Task::Decode, b"", serve))
    }

    /// Opens a server that performs the opening handshake first, and does `task` then.
    pub fn after_handshake<F>(
        scenario: &Scenario,
        task: Task,
        serve: impl FnOnce(Transport, Seen) -> F,
    ) -> Box<dyn Burst>
    where
        F: Future<Output = ()> + 'static,
    {
        let mut served = Self::open(scenario, task, HANDSHAKE, serve);
        served.remote.record(true);
        let mut response = Vec::new();
        while !response.ends_with(b"\r\n\r\n") {
            assert!(served.poll().is_pending(), "the handshake was refused");
            response.extend(served.remote.take_recorded());
        }
        assert!(response.starts_with(b"HTTP/1.1 101 "));
        served.remote.record(false);
        Box::new(served)
    }

    fn open<F>(
        scenario: &Scenario,
        task: Task,
        opening: &[u8],
        serve: impl FnOnce(Transport, Seen) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let (server_end, remote) = transport(opening, &scenario.request());
        let seen = Seen::default();
        let server = Box::pin(serve(server_end, seen.clone()));
        let (echo_len, messages) = match task {
            Task::Echo => (scenario.echo().len(), 0),
            Task::Decode => (0, scenario.messages),
        };
        Self { server, remote, seen, echo_len, messages }
    }

    fn poll(&mut self) -> Poll<()> {
        self.server.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }
}

impl Burst for Served {
    fn burst(&mut self) {
        let written = self.remote.written() + self.echo_len;
        let seen = self.seen.0.get() + self.messages;
        self.remote.send_burst();
        // A library may yield before all is done; one that never finishes is a bug to be seen.
        for _ in 0..1000 {
            assert!(self.poll().is_pending(), "the server has ended");
            if self.remote.is_drained() && self.remote.written() >= written && self.seen.0.get() >= seen {
                assert_eq!((self.remote.written(), self.seen.0.get()), (written, seen));
                return;
            }
        }
        panic!(
            "{} of {written} bytes written, {} of {seen} messages seen",
            self.remote.written(),
            self.seen.0.get()
        );
    }

    fn written(&self) -> (usize, usize) {
        (self.remote.written(), self.remote.writes())
    }

    fn recorded_burst(&mut self) -> Vec<u8> {
        self.remote.record(true);
        self.burst();
        self.remote.record(false);
        self.remote.take_recorded()
    }
}
