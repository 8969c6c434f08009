//! The checks through a proxy.

use std::time::Duration;

use stentor::http::header::{COOKIE, FORWARDED, HeaderName, HeaderValue, SET_COOKIE};
use stentor::http::{HeaderMap, Response};
use stentor::proto::Role;
use stentor::proto::bytes::Bytes;
use stentor::tls::{ClientTls, Roots};
use stentor::{Client, Config, Error, HandshakeFailure, Message, WebSocket};
use stentor_testkit::peer::{Peer, request};
use tokio::net::TcpStream;

use super::{COOKIES, REFUSAL};
use crate::checks::Checks;
use crate::client::{close, expect_close, expect_message, unique_id};
use crate::content::{binary, text};
use crate::{Result, config, deflating};

const TARGET: &str = "/about?room=%C3%A4%20b&plus=1+2&empty=&last=%2Fa%3F";
const JAR: &str = "session=0123456789abcdef; theme=dark%20blue";

/// Runs all checks through the proxy at `http://ADDRESS`, or at `https://ADDRESS` with a certificate that leads to
/// these roots.
pub(crate) async fn run(address: &str, roots: Option<&str>) -> Result {
    let proxy = Proxy::new(address, roots)?;
    let mut checks = Checks::default();
    checks.check("what the server knows: addresses, query, cookies", proxy.tells_the_request()).await;
    checks.check("cookies set", proxy.passes_cookies(address)).await;
    checks.check("subprotocol", proxy.passes_the_subprotocol()).await;
    checks.check("a page of the same origin", proxy.lets_in(address)).await;
    checks.check("a page of another origin", proxy.refuses_others()).await;
    checks.check("refused: status, headers, body", proxy.passes_refusals()).await;
    for (kind, message) in [("text", Message::from(text(1 << 20))), ("binary", binary(1 << 20).into())] {
        checks.check(&format!("1 MiB: {kind}"), proxy.echoes(message.clone())).await;
        checks.check(&format!("1 MiB, compressed: {kind}"), proxy.echoes_compressed(message)).await;
    }
    checks.check("ping sent", proxy.answers_ping()).await;
    checks.check("ping received", proxy.pings()).await;
    checks.check("close sent: 4001", proxy.passes_close(4001, "à bientôt 👋")).await;
    checks.check("close received: 4001", proxy.passes_close_back(4001, "à bientôt 👋")).await;
    checks.finish()
}

/// The way to the server.
pub(super) struct Proxy {
    /// Its address as a `ws` or `wss` URL.
    url: String,
    client: Client,
}

impl Proxy {
    pub(super) fn new(address: &str, roots: Option<&str>) -> Result<Self> {
        let mut client = Client::new().config(config());
        if let Some(roots) = roots {
            client = client.tls(ClientTls::builder().roots(Roots::pem_file(roots)).build()?);
        }
        Ok(Self { url: address.replacen("http", "ws", 1), client })
    }

    pub(super) async fn connect(&self, path: &str) -> Result<WebSocket> {
        self.connect_with(path, config()).await
    }

    pub(super) async fn connect_with(&self, path: &str, config: Config) -> Result<WebSocket> {
        Ok(self.client.clone().config(config).connect(self.to(path)).await?)
    }

    fn to(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// What the server says of a connection: see `conformance/README.md`.
    async fn tells_the_request(&self) -> Result {
        // A proxy must not pass on as its own what its client says of itself.
        let client = self
            .client
            .clone()
            .header(COOKIE, HeaderValue::from_static(JAR))
            .header(FORWARDED, HeaderValue::from_static("for=192.0.2.66"))
            .header(HeaderName::from_static("x-forwarded-for"), HeaderValue::from_static("192.0.2.66"));
        let mut socket = client.connect(self.to(TARGET)).await?;
        let expected = format!("client 127.0.0.1\nproxy 127.0.0.3\ntarget {TARGET}\ncookies {JAR}\n");
        let about = socket.recv().await?.ok_or("a close instead of a message")?;
        if about.as_text() != Some(&expected) {
            return Err(format!("{about:?} instead of {expected:?}").into());
        }
        close(socket).await
    }

    /// With the 101, as our client sees it, and on the wire where that is not encrypted.
    async fn passes_cookies(&self, address: &str) -> Result {
        let socket = self.connect("/about").await?;
        expect_cookies(socket.response().ok_or("a client without a response")?.headers())?;
        close(socket).await?;
        let Some(host) = address.strip_prefix("http://") else { return Ok(()) };
        let mut peer = Peer::new(Role::Client, TcpStream::connect(host).await?);
        peer.send_bytes(request("/about", "").as_bytes()).await;
        let head = peer.head_if_whole().await.ok_or("no head")?;
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        let cookies = lines.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        if !head.starts_with("HTTP/1.1 101 ") || !cookies.map(|(_, value)| value).eq(COOKIES) {
            return Err(format!("{head:?} instead of a 101 with {COOKIES:?}").into());
        }
        Ok(())
    }

    async fn passes_the_subprotocol(&self) -> Result {
        let client = self.client.clone().subprotocol("v2").subprotocol("v1");
        let socket = client.connect(self.to("/echo")).await?;
        if socket.subprotocol() != Some("v1") {
            return Err(format!("{:?} instead of v1", socket.subprotocol()).into());
        }
        close(socket).await
    }

    async fn lets_in(&self, address: &str) -> Result {
        let client = self.client.clone().origin(HeaderValue::from_str(address)?);
        close(client.connect(self.to("/echo")).await?).await
    }

    async fn refuses_others(&self) -> Result {
        let client = self.client.clone().origin(HeaderValue::from_static("https://evil.example"));
        let response = refusal(client.connect(self.to("/echo")).await)?;
        expect_body(&response, "origin not allowed")
    }

    async fn refused(&self, path: &str) -> Result<Response<Bytes>> {
        refusal(self.client.connect(self.to(path)).await)
    }

    async fn passes_refusals(&self) -> Result {
        let response = self.refused("/refused").await?;
        expect_cookies(response.headers())?;
        expect_body(&response, REFUSAL)
    }

    async fn echoes(&self, message: Message) -> Result {
        let mut socket = self.connect("/echo").await?;
        socket.send(message.clone()).await?;
        expect_message(&mut socket, &message).await?;
        close(socket).await
    }

    async fn echoes_compressed(&self, message: Message) -> Result {
        let mut socket = self.connect_with("/echo?deflate=", deflating("")?).await?;
        if socket.deflate().is_none() {
            return Err("compression was not agreed on".into());
        }
        // More than once, because the compressors remember.
        for _ in 0..2 {
            socket.send(message.clone()).await?;
            expect_message(&mut socket, &message).await?;
        }
        close(socket).await
    }

    async fn answers_ping(&self) -> Result {
        let mut socket = self.connect("/echo").await?;
        let round_trip = socket.ping().await?;
        if round_trip > Duration::from_secs(1) {
            return Err(format!("the Pong took {round_trip:?}").into());
        }
        close(socket).await
    }

    async fn pings(&self) -> Result {
        let mut socket = self.connect("/ping").await?;
        expect_message(&mut socket, &"pong".into()).await?;
        close(socket).await
    }

    async fn passes_close(&self, code: u16, reason: &str) -> Result {
        let id = unique_id();
        let mut socket = self.connect(&format!("/held?id={id}")).await?;
        socket.close(code.into(), reason).await?;
        expect_close(&socket, code, None)?;
        self.expect_end(&id, &format!("{code} {reason}")).await
    }

    /// How a connection has ended for the server.
    pub(super) async fn expect_end(&self, id: &str, end: &str) -> Result {
        let mut seen = self.connect(&format!("/seen?id={id}")).await?;
        let told = seen.recv().await?.ok_or("a close instead of a message")?;
        if told.as_text() != Some(end) {
            return Err(format!("the server saw {told:?} instead of {end}").into());
        }
        close(seen).await
    }

    async fn passes_close_back(&self, code: u16, reason: &str) -> Result {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let query = query.append_pair("code", &code.to_string()).append_pair("reason", reason).finish();
        let mut socket = self.connect(&format!("/close?{query}")).await?;
        match socket.recv().await? {
            None => expect_close(&socket, code, Some(reason)),
            Some(message) => Err(format!("a message of {} bytes instead of a close", message.len()).into()),
        }
    }
}

/// What the server has answered in place of a 101.
fn refusal(connected: stentor::Result<WebSocket>) -> Result<Response<Bytes>> {
    match connected {
        Err(Error::Handshake(failure)) => match *failure {
            HandshakeFailure::Refused(response) => Ok(response),
            other => Err(other.into()),
        },
        Err(error) => Err(error.into()),
        Ok(_) => Err("let in".into()),
    }
}

fn expect_cookies(headers: &HeaderMap) -> Result {
    if headers.get_all(SET_COOKIE).iter().eq(COOKIES) {
        return Ok(());
    }
    Err(format!("{headers:?} instead of {COOKIES:?}").into())
}

/// The status 403, and the JSON with this message, unchanged.
fn expect_body(response: &Response<Bytes>, message: &str) -> Result {
    let body = format!(r#"{{"code":403,"message":"{message}","status":"Forbidden"}}"#);
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let as_sent = header("content-type") == Some("application/json")
        && header("cache-control") == Some("no-store")
        && response.status() == 403
        && response.body() == body.as_bytes();
    if as_sent { Ok(()) } else { Err(format!("{response:?} instead of {body}").into()) }
}
