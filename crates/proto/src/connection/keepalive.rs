//! Is the peer alive? Pings when it is silent, a deadline for its answer, the round-trip time
//! (RFC 6455 §5.5.2, §5.5.3).

use std::time::{Duration, Instant};

use crate::config::Keepalive;

/// The length of our Ping payloads: a counter, so that a Pong tells which Ping it answers.
const PAYLOAD_LEN: usize = size_of::<u64>();

/// What is known of the peer's life.
#[derive(Debug)]
pub(super) struct Liveness {
    /// When the peer last said anything.
    heard: Instant,
    /// When the latest Ping was queued that no Pong has answered.
    pinged: Option<Instant>,
    /// How many Pings were sent; the latest one's payload.
    pings: u64,
    round_trip: Option<Duration>,
}

/// What silence calls for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Nothing yet.
    Bearable,
    /// A Ping is due.
    Ping,
    /// The Ping was not answered in time.
    Dead,
}

impl Liveness {
    pub(super) fn new(now: Instant) -> Self {
        Self { heard: now, pinged: None, pings: 0, round_trip: None }
    }

    /// Bytes arrived: any data counts as life.
    #[inline]
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(super) fn last_heard(&self) -> Instant {
        self.heard
    }

    /// A new Ping's payload, or `None` when one is already under way, whose Pong will do.
    pub(super) fn ping(&mut self, now: Instant) -> Option<[u8; PAYLOAD_LEN]> {
        self.pinged.is_none().then(|| self.next_ping(now))
    }

    fn next_ping(&mut self, now: Instant) -> [u8; PAYLOAD_LEN] {
        self.pings += 1;
        self.pinged = Some(now);
        self.pings.to_be_bytes()
    }

    /// A Pong with `payload` arrived: the time since the Ping it answers, if that is our latest.
    pub(super) fn ponged(&mut self, payload: &[u8], now: Instant) -> Option<Duration> {
        if payload != self.pings.to_be_bytes() {
            return None;
        }
        let round_trip = now.saturating_duration_since(self.pinged.take()?);
        self.round_trip = Some(round_trip);
        Some(round_trip)
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// The Ping that the current silence has not yet broken.
    fn unanswered(&self) -> Option<Instant> {
        self.pinged.filter(|&pinged| pinged >= self.heard)
    }

    /// When [`silence`](Self::silence) will next call for something.
    pub(super) fn deadline(&self, keepalive: Keepalive) -> Option<Instant> {
        match self.unanswered() {
            Some(pinged) => pinged.checked_add(keepalive.timeout),
            None => self.heard.checked_add(keepalive.interval),
        }
    }

    /// What the silence until `now` calls for.
    pub(super) fn silence(&self, keepalive: Keepalive, now: Instant) -> Silence {
        match self.deadline(keepalive) {
            Some(deadline) if now >= deadline => match self.unanswered() {
                Some(_) => Silence::Dead,
                None => Silence::Ping,
            },
            _ => Silence::Bearable,
        }
    }

    /// The payload of the Ping that silence calls for, even if an earlier one was never answered.
    pub(super) fn keepalive_ping(&mut self, now: Instant) -> [u8; PAYLOAD_LEN] {
        self.next_ping(now)
    }
}
