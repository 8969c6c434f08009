//! The server behind a proxy.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use stentor::http::header::{HeaderValue, SET_COOKIE};
use stentor::http::{StatusCode, header};
use stentor::tls::ServerTls;
use stentor::{
    Acceptance, Config, Error, ForwardedHeader, Keepalive, Rejection, Server, TrustedProxies, Upgrade,
    UpgradeRequest, WebSocket,
};

use super::{COOKIES, REFUSAL};
use crate::page::page;
use crate::seen::{Query, Seen};
use crate::server::{echo, handle, until_closed};
use crate::{Result, config};

/// From where the proxies of `conformance/proxies` connect, so that they are not taken for their clients.
const PROXY: &str = "127.0.0.3";

/// Serves until the process is ended, behind a proxy that tells of its clients in `way`.
pub(crate) async fn run(way: &str, certificate: Option<(&str, &str)>) -> Result {
    let proxies = TrustedProxies::new([PROXY])?;
    let proxies = match way {
        "x-forwarded-for" => proxies.header(ForwardedHeader::XForwardedFor),
        "forwarded" => proxies.header(ForwardedHeader::Forwarded),
        "proxy-protocol" => proxies.proxy_protocol(),
        unknown => return Err(format!("proxies do not tell of their clients by {unknown}").into()),
    };
    let mut server = Server::bind("127.0.0.1:0")
        .await?
        .config(config())
        .trusted_proxies(proxies)
        .authorize(authorize)
        .subprotocols(["v1"])
        .edit_response(|_, response: &mut Acceptance| {
            for cookie in COOKIES {
                response.headers.append(SET_COOKIE, HeaderValue::from_static(cookie));
            }
        })
        .http(page);
    let address = server.local_addr()?;
    if let Some((chain, key)) = certificate {
        server = server.tls(ServerTls::from_pem_files(chain, key)?);
        println!("listening on https://localhost:{}", address.port());
    } else {
        println!("listening on http://{address}");
    }
    let seen = Arc::new(Seen::default());
    Ok(server.serve_upgrades(move |upgrade| behave(upgrade, Arc::clone(&seen))).await?)
}

async fn authorize(request: UpgradeRequest) -> std::result::Result<(), Rejection> {
    if request.uri().path() != "/refused" {
        return Ok(());
    }
    let refusal = Rejection::new(StatusCode::FORBIDDEN, REFUSAL);
    Err(COOKIES
        .iter()
        .fold(refusal, |refusal, cookie| refusal.header(SET_COOKIE, HeaderValue::from_static(cookie))))
}

async fn behave(upgrade: Upgrade, seen: Arc<Seen>) -> Result {
    let uri = upgrade.request().uri().clone();
    let query = Query(uri.query().unwrap_or_default());
    match uri.path() {
        "/about" => {
            let about = about(&upgrade)?;
            let mut socket = upgrade.accept().await?;
            socket.send(about).await?;
            until_closed(&mut socket).await
        }
        "/held" => {
            let keepalive = match query.get("keepalive") {
                Some(interval) => Some(often(interval.parse()?)),
                None => None,
            };
            let mut socket = upgrade.config(Config { keepalive, ..config() }).accept().await?;
            if let Some(silent) = query.get("silent") {
                tokio::time::sleep(Duration::from_millis(silent.parse()?)).await;
                socket.send("still here").await?;
            }
            let result = echo(&mut socket).await;
            seen.tell(&query.require("id")?, end(&socket, &result));
            result
        }
        _ => handle(upgrade, seen).await,
    }
}

/// A Ping after so many milliseconds of silence.
pub(super) fn often(interval: u64) -> Keepalive {
    Keepalive { interval: Duration::from_millis(interval), timeout: Duration::from_secs(10) }
}

/// What the server knows of a request, a line each.
fn about(upgrade: &Upgrade) -> Result<String> {
    let mut about = String::new();
    let text = |name| upgrade.request().headers().get(name).map_or(Ok(""), HeaderValue::to_str);
    let client = upgrade.client_ip().ok_or("no address of the client")?;
    let proxy = upgrade.peer_addr().ok_or("no address of the proxy")?.ip();
    writeln!(about, "client {client}")?;
    writeln!(about, "proxy {proxy}")?;
    writeln!(about, "target {}", upgrade.request().uri())?;
    writeln!(about, "cookies {}", text(header::COOKIE)?)?;
    Ok(about)
}

/// How a connection has ended, as the type of the error says.
fn end(socket: &WebSocket, result: &Result) -> String {
    let error = match result {
        Ok(()) => None,
        Err(error) => error.downcast_ref(),
    };
    match (error, socket.close_frame()) {
        (None, Some(close)) => format!("{} {}", u16::from(close.code), close.reason),
        (Some(error), None) if is_cut(error) => "cut".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Whether the transport has ended without a Close frame (RFC 6455 §7.1.5).
pub(super) fn is_cut(error: &Error) -> bool {
    match error {
        Error::Closed(closed) => u16::from(closed.code) == 1006,
        Error::Io(_) => true,
        _ => false,
    }
}
