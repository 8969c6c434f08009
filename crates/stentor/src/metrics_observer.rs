//! What observers are told, as metrics of the crate [`metrics`], with the feature of that name.

use std::fmt;
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Label, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use stentor_proto::{Closed, ClosedBy, ProtocolError};

use crate::observer::{Observed, Observer, Refused};
use crate::traffic::{Flow, Traffic};

/// The close codes that are counted by themselves; a peer can send some thousands of others.
const CODES: [u16; 18] = [
    1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015, 3000, 3003,
    3008,
];

/// The codes with which a peer is closed that has broken a rule.
const FAULTS: [u16; 4] = [1002, 1007, 1008, 1009];

/// The statuses of refusals that are counted by themselves.
const STATUSES: [u16; 16] = [400, 401, 403, 404, 405, 408, 411, 413, 414, 417, 426, 429, 431, 500, 503, 505];

/// Counts what observers are told, for whatever recorder of the crate `metrics` the program has
/// installed.
///
/// Make it behind the recorder: all its metrics are registered then, with the value 0, so that nothing
/// is looked up later and rates are right from the first event on. The numbers are those of
/// [`Traffic`]: what was on the wire, added up once for each turn that has read or written anything.
/// What is added up last is there before a connection counts as closed.
///
/// The metrics and their labels are listed in the chapter on observability. No label has a value that a
/// peer can choose: whatever is not expected counts as `other`.
///
/// ```
/// use stentor::{MetricsObserver, Server, WebSocket};
///
/// # async fn example() -> stentor::Result<()> {
/// let server = Server::bind("127.0.0.1:8080").await?.observe(MetricsObserver::new());
/// server.serve(async |mut socket: WebSocket| socket.send("hello").await).await
/// # }
/// ```
pub struct MetricsObserver {
    opened: Counter,
    /// By code, the last for all others, and by whom: us, or the peer.
    closed: [[Counter; 2]; CODES.len() + 1],
    open: Gauge,
    /// By status, the last for all others.
    refused: [Counter; STATUSES.len() + 1],
    /// Those who were refused without a status.
    unanswered: Counter,
    violations: [Counter; FAULTS.len() + 1],
    handshake: Histogram,
    round_trip: Histogram,
    received: Direction,
    sent: Direction,
    /// Messages for peers that did not read.
    dropped: Counter,
}

/// Labels beside those that are common to all metrics.
type More<'a> = &'a [(&'static str, &'a str)];

/// What passes in one direction.
struct Direction {
    bytes: Counter,
    frames: Counter,
    texts: Counter,
    binaries: Counter,
    text_payload: Counter,
    binary_payload: Counter,
    pings: Counter,
    pongs: Counter,
}

impl MetricsObserver {
    /// Registers the metrics with the recorder that is installed.
    #[must_use]
    pub fn new() -> Self {
        Self::with_labels::<&str, &str>([])
    }

    /// The same, with more labels on every metric: to tell several servers in one process apart, or
    /// clients from servers.
    ///
    /// ```
    /// let inside = stentor::MetricsObserver::with_labels([("listener", "inside")]);
    /// ```
    #[must_use]
    pub fn with_labels<N, V>(labels: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        describe();
        let common: Vec<_> =
            labels.into_iter().map(|(name, value)| Label::new(name.into(), value.into())).collect();
        let with = |more: More<'_>| {
            let more = more.iter().map(|(name, value)| Label::new(*name, (*value).to_owned()));
            common.iter().cloned().chain(more).collect::<Vec<_>>()
        };
        let plain = || with(&[]);
        let ended = |code: &str, by| {
            counter!("stentor_connections_closed_total", with(&[("code", code), ("by", by)]))
        };
        let refused =
            |status: &str| counter!("stentor_handshakes_refused_total", with(&[("status", status)]));
        Self {
            opened: counter!("stentor_connections_opened_total", plain()),
            closed: each_or_other(&CODES, |code| [ended(code, "us"), ended(code, "peer")]),
            open: gauge!("stentor_connections", plain()),
            refused: each_or_other(&STATUSES, refused),
            unanswered: refused("none"),
            violations: each_or_other(&FAULTS, |code| {
                counter!("stentor_violations_total", with(&[("code", code)]))
            }),
            handshake: histogram!("stentor_handshake_duration_seconds", plain()),
            round_trip: histogram!("stentor_round_trip_seconds", plain()),
            received: Direction::new("received", &with),
            sent: Direction::new("sent", &with),
            dropped: counter!("stentor_dropped_messages_total", plain()),
        }
    }
}

/// One for each of `values`, and one for all others.
fn each_or_other<T, const N: usize, const M: usize>(
    values: &[u16; N],
    mut make: impl FnMut(&str) -> T,
) -> [T; M] {
    std::array::from_fn(|index| match values.get(index) {
        Some(value) => make(&value.to_string()),
        None => make("other"),
    })
}

/// The place of `value` among `values`, or the one behind them.
fn place(values: &[u16], value: u16) -> usize {
    values.iter().position(|known| *known == value).unwrap_or(values.len())
}

fn describe() {
    describe_gauge!("stentor_connections", Unit::Count, "Connections that are open");
    describe_histogram!(
        "stentor_handshake_duration_seconds",
        Unit::Seconds,
        "From the beginning of a connection to the end of its opening handshake"
    );
    describe_histogram!("stentor_round_trip_seconds", Unit::Seconds, "From a Ping of ours to its Pong");
    for (name, unit, description) in [
        ("stentor_connections_opened_total", Unit::Count, "Opening handshakes done"),
        ("stentor_connections_closed_total", Unit::Count, "Connections that have ended, by close code"),
        ("stentor_handshakes_refused_total", Unit::Count, "Opening handshakes refused, by status"),
        ("stentor_violations_total", Unit::Count, "Rules broken by peers, by the close code for that"),
        ("stentor_dropped_messages_total", Unit::Count, "Messages dropped because the peer did not read"),
        ("stentor_received_bytes_total", Unit::Bytes, "Bytes of frames received, headers included"),
        ("stentor_received_frames_total", Unit::Count, "Frames received"),
        ("stentor_received_messages_total", Unit::Count, "Messages received"),
        ("stentor_received_payload_bytes_total", Unit::Bytes, "Payload of messages received, as on the wire"),
        ("stentor_received_pings_total", Unit::Count, "Pings received"),
        ("stentor_received_pongs_total", Unit::Count, "Pongs received"),
        ("stentor_sent_bytes_total", Unit::Bytes, "Bytes of frames sent, headers included"),
        ("stentor_sent_frames_total", Unit::Count, "Frames sent"),
        ("stentor_sent_messages_total", Unit::Count, "Messages sent"),
        ("stentor_sent_payload_bytes_total", Unit::Bytes, "Payload of messages sent, as on the wire"),
        ("stentor_sent_pings_total", Unit::Count, "Pings sent"),
        ("stentor_sent_pongs_total", Unit::Count, "Pongs sent"),
    ] {
        describe_counter!(name, unit, description);
    }
}

impl Direction {
    fn new(way: &str, with: &impl Fn(More<'_>) -> Vec<Label>) -> Self {
        let of = |what: &str, labels| counter!(format!("stentor_{way}_{what}_total"), with(labels));
        Self {
            bytes: of("bytes", &[]),
            frames: of("frames", &[]),
            texts: of("messages", &[("kind", "text")]),
            binaries: of("messages", &[("kind", "binary")]),
            text_payload: of("payload_bytes", &[("kind", "text")]),
            binary_payload: of("payload_bytes", &[("kind", "binary")]),
            pings: of("pings", &[]),
            pongs: of("pongs", &[]),
        }
    }

    fn add(&self, flow: &Flow) {
        for (counter, passed) in [
            (&self.bytes, flow.bytes),
            (&self.frames, flow.frames),
            (&self.texts, flow.texts),
            (&self.binaries, flow.messages - flow.texts),
            (&self.text_payload, flow.text_payload),
            (&self.binary_payload, flow.payload - flow.text_payload),
            (&self.pings, flow.pings),
            (&self.pongs, flow.pongs),
        ] {
            add(counter, passed);
        }
    }
}

/// Most turns see only some kinds of frames.
fn add(counter: &Counter, passed: u64) {
    if passed > 0 {
        counter.increment(passed);
    }
}

impl Observer for MetricsObserver {
    fn refused(&self, refused: &Refused<'_>) {
        match refused.status {
            Some(status) => self.refused[place(&STATUSES, status.as_u16())].increment(1),
            None => self.unanswered.increment(1),
        }
    }

    fn opened(&self, connection: &Observed<'_>) {
        self.opened.increment(1);
        self.open.increment(1.0);
        if let Some(took) = connection.handshake() {
            self.handshake.record(took.as_secs_f64());
        }
    }

    fn pong(&self, _: &Observed<'_>, _: &[u8], round_trip: Option<Duration>) {
        if let Some(round_trip) = round_trip {
            self.round_trip.record(round_trip.as_secs_f64());
        }
    }

    fn violation(&self, _: &Observed<'_>, violation: ProtocolError) {
        self.violations[place(&FAULTS, violation.close_code().into())].increment(1);
    }

    fn traffic(&self, _: &Observed<'_>, traffic: &Traffic) {
        self.received.add(&traffic.received);
        self.sent.add(&traffic.sent);
        add(&self.dropped, traffic.dropped);
    }

    fn closed(&self, _: &Observed<'_>, closed: &Closed) {
        let by = match closed.by {
            ClosedBy::Us => 0,
            ClosedBy::Peer => 1,
        };
        self.closed[place(&CODES, closed.code.into())][by].increment(1);
        self.open.decrement(1.0);
    }
}

impl Default for MetricsObserver {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MetricsObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsObserver").finish_non_exhaustive()
    }
}
