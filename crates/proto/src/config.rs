//! Every limit and deadline of a connection, as plain data. All are finite by default.

use std::time::Duration;

use crate::deflate::Deflate;

/// The limits, deadlines and habits of a connection.
///
/// Start from [`Config::default`] and change what has to be different. A connection shares its
/// configuration with others through an [`Arc`](std::sync::Arc).
///
/// ```
/// use stentor_proto::Config;
///
/// let config = Config { max_message_size: 16 << 20, ..Config::default() };
/// assert_eq!(config.max_message_size, 16_777_216);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The most payload bytes that one received frame may declare; a larger one fails the
    /// connection with 1009 as soon as its header is read. Default: 1 MiB.
    pub max_frame_size: usize,
    /// The most bytes that a received message may hold; a larger one fails the connection with
    /// 1009 before the excess is stored. Default: 1 MiB.
    pub max_message_size: usize,
    /// The most fragments that a received message may come in; one more fails the connection with
    /// 1008. Default: 1,024.
    pub max_fragments: usize,
    /// The most empty fragments in a row within one received message; one more fails the
    /// connection with 1008. Default: 16.
    pub max_empty_fragments: usize,
    /// The most Close, Ping and Pong frames that a peer may send within a second; one more fails
    /// the connection with 1008. Default: 1,000.
    pub max_control_frames_per_second: u32,
    /// Once this many bytes wait to be sent, no further message is taken until some have left; so
    /// at most this much and one message are ever held. Default: 256 KiB.
    pub max_outbox_size: usize,
    /// Sent messages with a payload longer than this are split into fragments of this size.
    /// Default: `None`, every message is one frame.
    pub fragment_size: Option<usize>,
    /// How long a message may take from the first byte of its first frame to its last byte; a
    /// longer one fails the connection with 1008. Default: 60 s.
    pub assembly_timeout: Duration,
    /// How long queued bytes may wait without the transport taking any of them; then the
    /// connection is dropped. Default: 30 s.
    pub write_timeout: Duration,
    /// How long the whole closing handshake may take, from the first Close frame queued to the end
    /// of the transport; then the connection is dropped. Default: 5 s.
    pub close_timeout: Duration,
    /// Pings sent to a silent peer, and how long it has to answer; `None` sends none.
    /// Default: [`Keepalive::default`].
    pub keepalive: Option<Keepalive>,
    /// Whether messages may be compressed, and how; both sides have to want it. Default: `None`.
    pub deflate: Option<Deflate>,
    /// The limits of the opening handshake.
    pub handshake: HandshakeLimits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_frame_size: 1 << 20,
            max_message_size: 1 << 20,
            max_fragments: 1024,
            max_empty_fragments: 16,
            max_control_frames_per_second: 1000,
            max_outbox_size: 256 << 10,
            fragment_size: None,
            assembly_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            keepalive: Some(Keepalive::default()),
            deflate: None,
            handshake: HandshakeLimits::default(),
        }
    }
}

/// When a silent peer is asked for a sign of life, and when it is given up (RFC 6455 §5.5.2).
///
/// Anything that arrives is a sign of life, data as well as a Pong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// How long a peer may be silent before it is sent a Ping. Default: 20 s, below the shortest
    /// idle time-outs of common proxies (30 to 60 s).
    pub interval: Duration,
    /// How long it then has to say anything; after that the connection is dropped. Default: 20 s.
    pub timeout: Duration,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { interval: Duration::from_secs(20), timeout: Duration::from_secs(20) }
    }
}

/// The limits of the opening handshake's HTTP head, on both sides (RFC 6455 §4, RFC 9112).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// The most bytes of the request line; a longer one is refused with 414. Default: 8 KiB.
    pub max_request_line: usize,
    /// The most bytes of one header line; a longer one is refused with 431. Default: 8 KiB.
    pub max_header_line: usize,
    /// The most header lines; one more is refused with 431. Default: 100.
    pub max_headers: usize,
    /// The most bytes of the whole head; a longer one is refused with 431. Default: 20 KiB.
    pub max_head_size: usize,
    /// How long the head may take, from the transport's beginning on; a slower client is refused
    /// with 408, a slower server given up. Default: 10 s.
    pub timeout: Duration,
    /// How long a server's own decision about a request that is in order may take; then it is
    /// refused with 408. Default: 10 s.
    pub authorize_timeout: Duration,
}

impl Default for HandshakeLimits {
    fn default() -> Self {
        Self {
            max_request_line: 8 << 10,
            max_header_line: 8 << 10,
            max_headers: 100,
            max_head_size: 20 << 10,
            timeout: Duration::from_secs(10),
            authorize_timeout: Duration::from_secs(10),
        }
    }
}
