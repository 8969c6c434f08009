//! The behaviour of one connection in time: closing, keepalive, deadlines, what leaves in which
//! order. The peer is scripted, the clock is the test's.

// These lints guard the library from what a peer sends; a test is meant to panic.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing)]

mod closing;
mod deadlines;
mod fragments;
mod keepalive;
mod outbox;
mod pairs;
mod policies;

use std::time::Duration;

use stentor_proto::{
    CloseCode, ClosedBy, Config, Connection, Failure, Keepalive, Message, Misuse, Phase, ProtocolError, Role,
    State, Teardown,
};
use stentor_testkit::frame::{Frame, binary, close, close_without_code, continuation, ping, pong, text};
use stentor_testkit::script::Peer;

const ROLES: [Role; 2] = [Role::Client, Role::Server];

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// All but the last nanosecond of so many seconds.
fn just_under(seconds: u64) -> Duration {
    Duration::new(seconds - 1, 999_999_999)
}

/// The default configuration, silent unless spoken to.
fn quiet() -> Config {
    Config { keepalive: None, ..Config::default() }
}
