//! What hostile peers have done to WebSocket libraries, done to this one, under an allocator that
//! counts: memory stays bounded, work stays linear, the close code is the right one.
//!
//! Memory is what one thread holds at its peak, the caller's read buffer and the old half of a
//! growing buffer included. Work is compared between an attack and one four times as long, so that
//! no figure depends on the machine.

// These lints guard the library from what a peer sends; a test is meant to panic.
#![allow(clippy::expect_used, clippy::indexing_slicing)]

mod bombs;
mod fragments;
mod lengths;
mod pings;
mod rubbish;

use std::time::{Duration, Instant};

use allocation_counter::{AllocationInfo, measure};
use stentor_proto::bytes::{Buf, BytesMut};
use stentor_proto::{Config, Connection, DeflateParams, Event, ProtocolError, Role};
use stentor_testkit::script::connection;

/// The size of the caller's read buffer in these attacks.
const READ_BUFFER: usize = 16 << 10;

/// What a connection may hold beside its limits.
const SLACK: u64 = 64 << 10;

/// A connection under attack, with a read buffer that is refilled as a socket would.
struct Victim {
    connection: Connection,
    now: Instant,
    inbox: BytesMut,
    events: u64,
    violation: Option<ProtocolError>,
    reads: bool,
}

impl Victim {
    fn new(role: Role, config: Config) -> Self {
        Self::of(connection(role, config, Instant::now()))
    }

    /// One that has agreed on permessage-deflate.
    fn with_deflate(role: Role, config: Config, params: DeflateParams) -> Self {
        Self::of(connection(role, config, Instant::now()).with_deflate(params))
    }

    fn of(connection: Connection) -> Self {
        let now = Instant::now();
        Self {
            connection,
            now,
            inbox: BytesMut::with_capacity(READ_BUFFER),
            events: 0,
            violation: None,
            reads: true,
        }
    }

    /// Bytes arrive, in pieces no larger than the read buffer, until one breaks a rule.
    fn receive(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(READ_BUFFER) {
            self.inbox.extend_from_slice(piece);
            loop {
                while let Some(event) = self.connection.receive(&mut self.inbox, self.now) {
                    self.events += 1;
                    if let Event::Violation(error) = event {
                        self.violation = Some(error);
                    }
                }
                if !self.connection.has_work() {
                    break;
                }
            }
            if self.reads {
                self.write();
            }
        }
    }

    /// The same bytes arrive many times over.
    fn receive_repeatedly(&mut self, bytes: &[u8], times: usize) {
        let batch = (READ_BUFFER / bytes.len()).max(1);
        let many = bytes.repeat(batch);
        for _ in 0..times / batch {
            self.receive(&many);
        }
        self.receive(&bytes.repeat(times % batch));
    }

    /// The transport takes everything that waits.
    fn write(&mut self) -> Vec<u8> {
        let mut written = Vec::new();
        while let Some(mut transmit) = self.connection.poll_transmit() {
            let chunk = transmit.chunk();
            written.extend_from_slice(chunk);
            let len = chunk.len();
            transmit.advance(len);
        }
        written
    }
}

/// A configuration without the limits that would end an attack before it shows anything.
fn unlimited() -> Config {
    Config {
        max_fragments: usize::MAX,
        max_empty_fragments: usize::MAX,
        max_control_frames_per_second: u32::MAX,
        keepalive: None,
        ..Config::default()
    }
}

/// Checks that four times the attack takes no more than about four times the work: quadratic work
/// would be sixteen times.
fn assert_linear(attack: impl Fn(usize), n: usize) {
    // Four small attacks take about as long as the large one, so that whatever else the machine does
    // meanwhile disturbs both alike; the fastest of several runs were disturbed least.
    let timed = |times: usize, n: usize| -> (AllocationInfo, Duration) {
        let mut info = AllocationInfo::default();
        let start = Instant::now();
        for _ in 0..times {
            info = measure(|| attack(n));
        }
        (info, start.elapsed())
    };
    let (mut fastest_small, mut fastest_large) = (Duration::MAX, Duration::MAX);
    for _ in 0..5 {
        let (small, four_small) = timed(4, n);
        let (large, one_large) = timed(1, 4 * n);
        fastest_small = fastest_small.min(four_small);
        fastest_large = fastest_large.min(one_large);
        assert!(
            large.bytes_total <= 6 * small.bytes_total + SLACK,
            "{} bytes were allocated for {n}, {} for four times as much",
            small.bytes_total,
            large.bytes_total
        );
    }
    assert!(
        fastest_large < 3 * fastest_small.max(Duration::from_micros(400)),
        "{fastest_small:?} for four times {n}, {fastest_large:?} for {n} times four"
    );
}
