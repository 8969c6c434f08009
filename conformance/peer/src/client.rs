//! The checks of `conformance/README.md`, with us as the client.

use std::sync::atomic::{AtomicU64, Ordering};

use stentor::tls::{ClientTls, Roots};
use stentor::{Client, CloseCode, Config, Message, WebSocket};

use crate::checks::Checks;
use crate::content::{binary, text};
use crate::{Result, config, fragmenting};

const SIZES: [usize; 8] = [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 16 << 20];

/// Runs all checks against the server at `http://ADDRESS`, or at `https://ADDRESS` with a certificate that leads to
/// these roots.
pub(crate) async fn run(address: &str, roots: Option<&str>) -> Result {
    let mut client = Client::new();
    if let Some(roots) = roots {
        client = client.tls(ClientTls::builder().roots(Roots::pem_file(roots)).build()?);
    }
    let server = Server { url: address.replacen("http", "ws", 1), client };
    let mut checks = Checks::default();

    for (kind, content) in [("text", text_message as fn(usize) -> Message), ("binary", binary_message)] {
        for size in SIZES {
            checks.check(&format!("{kind} {size}"), server.echoes("/echo", config(), content(size))).await;
        }
        let fragmented = server.echoes("/echo", fragmenting(), content(1000));
        checks.check(&format!("fragments sent: {kind}"), fragmented).await;
        let fragmented = server.echoes("/fragments", config(), content(1000));
        checks.check(&format!("fragments received: {kind}"), fragmented).await;
    }

    checks.check("ping sent", server.answers_ping()).await;
    checks.check("ping received", server.pings()).await;

    // The last one has 123 bytes: the longest reason a close frame can carry (RFC 6455 §5.5).
    let longest = "é".repeat(61) + "!";
    for (code, reason) in [(1000, ""), (4001, "à bientôt 👋"), (3999, &longest)] {
        checks.check(&format!("close sent: {code}"), server.sees_close(code, reason)).await;
        checks.check(&format!("close received: {code}"), server.closes(code, reason)).await;
    }
    checks.finish()
}

fn text_message(size: usize) -> Message {
    text(size).into()
}

fn binary_message(size: usize) -> Message {
    binary(size).into()
}

/// The server, and how to reach it.
struct Server {
    /// Its address as a `ws` or `wss` URL.
    url: String,
    client: Client,
}

impl Server {
    async fn connect(&self, path: &str, config: Config) -> Result<WebSocket> {
        Ok(self.client.clone().config(config).connect(&format!("{}{path}", self.url)).await?)
    }

    async fn echoes(&self, path: &str, config: Config, message: Message) -> Result {
        let mut socket = self.connect(path, config).await?;
        socket.send(message.clone()).await?;
        expect_message(&mut socket, &message).await?;
        close(socket).await
    }

    async fn answers_ping(&self) -> Result {
        let mut socket = self.connect("/echo", config()).await?;
        socket.ping().await?;
        close(socket).await
    }

    async fn pings(&self) -> Result {
        let mut socket = self.connect("/ping", config()).await?;
        expect_message(&mut socket, &"pong".into()).await?;
        close(socket).await
    }

    async fn sees_close(&self, code: u16, reason: &str) -> Result {
        let id = unique_id();
        let mut socket = self.connect(&format!("/echo?id={id}"), config()).await?;
        let mut seen = self.connect(&format!("/seen?id={id}"), config()).await?;
        socket.close(CloseCode::from(code), reason).await?;
        expect_close(&socket, code, None)?;
        expect_message(&mut seen, &format!("{code} {reason}").into()).await?;
        close(seen).await
    }

    async fn closes(&self, code: u16, reason: &str) -> Result {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let query = query.append_pair("code", &code.to_string()).append_pair("reason", reason).finish();
        let mut socket = self.connect(&format!("/close?{query}"), config()).await?;
        if let Some(message) = socket.recv().await? {
            return Err(format!("a message of {} bytes instead of a close", message.len()).into());
        }
        expect_close(&socket, code, Some(reason))
    }
}

pub(crate) async fn expect_message(socket: &mut WebSocket, expected: &Message) -> Result {
    let message = socket.recv().await?.ok_or("a close instead of a message")?;
    if message.is_text() != expected.is_text() {
        return Err("the type of the message changed".into());
    }
    if message.len() != expected.len() {
        return Err(format!("{} bytes instead of {}", message.len(), expected.len()).into());
    }
    if message != *expected {
        return Err("the bytes of the message changed".into());
    }
    Ok(())
}

pub(crate) fn expect_close(socket: &WebSocket, code: u16, reason: Option<&str>) -> Result {
    let close = socket.close_frame().ok_or("no close frame")?;
    if u16::from(close.code) != code || reason.is_some_and(|reason| close.reason.as_str() != reason) {
        return Err(format!("closed with {close:?} instead of {code} {reason:?}").into());
    }
    Ok(())
}

pub(crate) async fn close(mut socket: WebSocket) -> Result {
    socket.close(CloseCode::NORMAL, "").await?;
    expect_close(&socket, 1000, None)
}

/// An id for a connection that the server has not had from us, nor from another process.
pub(crate) fn unique_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
