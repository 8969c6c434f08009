//! A peer by hand over any byte stream: what it sends may break every rule, and what it gets is
//! taken apart frame by frame.

use std::io::ErrorKind;

use stentor_proto::Role;
use stentor_proto::handshake::{AcceptKey, HandshakeKey};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::frame::Frame;

/// The key of RFC 6455 §1.3.
pub const SAMPLE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The answer to [`SAMPLE_KEY`] in RFC 6455 §1.3.
pub const SAMPLE_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// One end of a byte stream in the hand of a test.
///
/// ```
/// use stentor_proto::Role;
/// use stentor_testkit::frame::text;
/// use stentor_testkit::peer::Peer;
/// use stentor_testkit::transport::pipe;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let (a, b) = pipe(1024);
/// let (mut client, mut server) = (Peer::new(Role::Client, a), Peer::new(Role::Server, b));
/// client.send(&text("Hello")).await;
/// assert_eq!(server.frame().await, Some(text("Hello")));
/// client.finish_writing().await;
/// assert_eq!(server.frame().await, None);
/// # }
/// ```
#[derive(Debug)]
pub struct Peer<T> {
    io: T,
    role: Role,
    inbox: Vec<u8>,
    deflate: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Peer<T> {
    /// Plays `role` on a connection whose opening handshake is done.
    pub fn new(role: Role, io: T) -> Self {
        Self { io, role, inbox: Vec::new(), deflate: false }
    }

    /// The same where permessage-deflate was agreed on: frames may come compressed.
    #[must_use]
    pub fn with_deflate(mut self) -> Self {
        self.deflate = true;
        self
    }

    /// A client that does the opening handshake (RFC 6455 §4.1) for `/`.
    ///
    /// Panics unless the server accepts it.
    pub async fn connect(io: T) -> Self {
        Self::connect_to(io, "/", "").await.0
    }

    /// A client that does the opening handshake for `path`, with more header lines, each ended by
    /// CR LF. Gives the head of the answer too.
    pub async fn connect_to(io: T, path: &str, headers: &str) -> (Self, String) {
        let mut peer = Self::new(Role::Client, io);
        peer.send_bytes(request(path, headers).as_bytes()).await;
        let head = peer.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains(SAMPLE_ACCEPT), "{head}");
        (peer, head)
    }

    /// A server that accepts whatever the client asks for. Gives the head of the request too.
    pub async fn accept(io: T) -> (Self, String) {
        let mut peer = Self::new(Role::Server, io);
        let head = peer.head().await;
        peer.send_bytes(answer(&head).as_bytes()).await;
        (peer, head)
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: &Frame) {
        let bytes = frame.encode(self.role);
        self.send_bytes(&bytes).await;
    }

    /// Sends bytes as they stand. That the other end has gone shows when reading.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        match self.io.write_all(bytes).await {
            Err(error) if !is_end(error.kind()) => panic!("writing failed: {error}"),
            _ => {}
        }
    }

    /// Ends the writing direction.
    pub async fn finish_writing(&mut self) {
        // That the other end has gone already shows when reading.
        let _ = self.io.shutdown().await;
    }

    /// The head of an HTTP message, with its empty line.
    ///
    /// Panics when the stream ends before.
    pub async fn head(&mut self) -> String {
        let head = self.head_if_whole().await;
        head.unwrap_or_else(|| panic!("no whole head in {}", self.inbox.escape_ascii()))
    }

    /// The head of an HTTP message, or `None` when the stream ends before its empty line.
    pub async fn head_if_whole(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.inbox.windows(4).position(|window| window == b"\r\n\r\n") {
                let rest = self.inbox.split_off(end + 4);
                let head = std::mem::replace(&mut self.inbox, rest);
                return Some(String::from_utf8(head).expect("a head in UTF-8"));
            }
            if !self.read_more().await {
                return None;
            }
        }
    }

    /// The next frame, or `None` at the end of the stream.
    ///
    /// Panics when the stream ends inside a frame, or a frame breaks a rule.
    pub async fn frame(&mut self) -> Option<Frame> {
        let sender = match self.role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        loop {
            if let Some(frame) = Frame::decode_with(&mut self.inbox, sender, self.deflate) {
                return Some(frame);
            }
            if !self.read_more().await {
                assert!(self.inbox.is_empty(), "half a frame: {}", self.inbox.escape_ascii());
                return None;
            }
        }
    }

    /// Expects this frame next.
    pub async fn expect(&mut self, expected: Frame) {
        assert_eq!(self.frame().await, Some(expected));
    }

    /// Expects a Close frame with `code` next, and gives its reason.
    pub async fn expect_close(&mut self, code: u16) -> String {
        let frame = self.frame().await.expect("a Close frame");
        let (found, reason) = frame.close_code_and_reason();
        assert_eq!(found, code, "{reason}");
        reason
    }

    /// Expects the end of the stream next.
    pub async fn expect_end(&mut self) {
        assert_eq!(self.frame().await, None);
    }

    /// Everything up to the end of the stream.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.read_more().await {}
        std::mem::take(&mut self.inbox)
    }

    /// The stream, without what was read from it and not asked for.
    pub fn into_inner(self) -> T {
        self.io
    }

    /// Reads once, and says whether there was anything.
    async fn read_more(&mut self) -> bool {
        match self.io.read_buf(&mut self.inbox).await {
            Ok(len) => len > 0,
            Err(error) if is_end(error.kind()) => false,
            Err(error) => panic!("reading failed: {error}"),
        }
    }
}

/// A valid opening handshake with [`SAMPLE_KEY`], for `path` and with more header lines.
#[must_use]
pub fn request(path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {SAMPLE_KEY}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
    )
}

/// The answer that accepts the request with this head (RFC 6455 §4.2.2).
#[must_use]
pub fn answer(head: &str) -> String {
    let accept = accept_of(head);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// The `Sec-WebSocket-Accept` that answers the request with this head (RFC 6455 §4.2.2).
#[must_use]
pub fn accept_of(head: &str) -> String {
    let key = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("Sec-WebSocket-Key"))
        .and_then(|(_, key)| HandshakeKey::parse(key))
        .expect("a valid Sec-WebSocket-Key");
    AcceptKey::from(&key).as_str().to_owned()
}

/// An end of the stream, whether the other end has left politely or not.
fn is_end(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::NotConnected)
}
