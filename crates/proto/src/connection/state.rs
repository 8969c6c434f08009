//! The four states of a connection (RFC 6455 §4.1, §7.1).

/// Where a connection is in its life.
///
/// ```text
///               handshake done            close() · Close received
///  Connecting ─────────────────► Open ─── rule broken · time out ───► Closing
///                                  │                                    │
///                                  │ transport ended               both Close frames,
///                                  │                               end of transport,
///                                  ▼                               or the deadline
///                               Closed ◄────────────────────────────────┘
/// ```
///
/// A [`Connection`](crate::Connection) begins `Open`: while it is `Connecting` it is a
/// [`ClientHandshake`](crate::handshake::ClientHandshake) or a
/// [`ServerHandshake`](crate::handshake::ServerHandshake).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The opening handshake is under way.
    Connecting,
    /// Messages flow.
    Open,
    /// A Close frame was sent or received; no new message may be sent.
    Closing,
    /// The closing handshake is over, or the transport is.
    Closed,
}
