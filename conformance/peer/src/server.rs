//! The behaviours of `conformance/README.md`, with us as the server.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use stentor::http::{Response, header};
use stentor::tls::ServerTls;
use stentor::{CloseCode, Server, Upgrade, WebSocket};
use tokio::sync::watch;

use crate::{Error, Result, config, fragmenting};

/// The page that the browser's checks run in.
const PAGE: &str = include_str!("../../browser/page.html");

/// Serves until the process is ended; over TLS if it has a certificate and its key.
pub(crate) async fn run(certificate: Option<(&str, &str)>) -> Result {
    let mut server = Server::bind("127.0.0.1:0").await?.config(config()).http(async |_| page());
    let address = server.local_addr()?;
    if let Some((chain, key)) = certificate {
        server = server.tls(ServerTls::from_pem_files(chain, key)?);
        println!("listening on https://localhost:{}", address.port());
    } else {
        println!("listening on http://{address}");
    }
    let closings = Arc::new(Closings::default());
    let handler = move |upgrade| handle(upgrade, Arc::clone(&closings));
    Ok(server.serve_upgrades(handler).await?)
}

fn page() -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(PAGE.as_bytes()));
    let html = header::HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}

async fn handle(upgrade: Upgrade, closings: Arc<Closings>) -> Result {
    let uri = upgrade.request().uri().clone();
    let query = Query(uri.query().unwrap_or_default());
    match uri.path() {
        "/echo" => {
            let mut socket = upgrade.accept().await?;
            let result = echo(&mut socket).await;
            if let Some(id) = query.get("id") {
                closings.report(&id, &socket);
            }
            result
        }
        "/fragments" => echo(&mut upgrade.config(fragmenting()).accept().await?).await,
        "/ping" => {
            let mut socket = upgrade.accept().await?;
            socket.ping().await?;
            socket.send("pong").await?;
            until_closed(&mut socket).await
        }
        "/close" => {
            let code: u16 = query.require("code")?.parse()?;
            let reason = query.require("reason")?;
            Ok(upgrade.accept().await?.close(CloseCode::from(code), &reason).await?)
        }
        "/seen" => {
            let mut socket = upgrade.accept().await?;
            let mut closing = closings.of(&query.require("id")?).subscribe();
            let seen = closing.wait_for(Option::is_some).await?.clone().unwrap_or_default();
            socket.send(seen).await?;
            until_closed(&mut socket).await
        }
        unknown => {
            let response = Response::builder().status(404).body(format!("no behaviour {unknown}").into())?;
            Ok(upgrade.reject(response).await?)
        }
    }
}

async fn echo(socket: &mut WebSocket) -> Result {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}

async fn until_closed(socket: &mut WebSocket) -> Result {
    while socket.recv().await?.is_some() {}
    Ok(())
}

/// The part of a URL behind `?`.
struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    fn get(&self, wanted: &str) -> Option<Cow<'a, str>> {
        form_urlencoded::parse(self.0.as_bytes()).find(|(name, _)| name == wanted).map(|(_, value)| value)
    }

    fn require(&self, wanted: &str) -> Result<Cow<'a, str>> {
        self.get(wanted).ok_or_else(|| Error::from(format!("the query has no {wanted}")))
    }
}

/// For each id of a connection, what its client closed it with.
#[derive(Default)]
struct Closings(Mutex<HashMap<String, watch::Sender<Option<String>>>>);

impl Closings {
    /// Where the closing of a connection is told: it may be asked for before it happens, or after.
    fn of(&self, id: &str) -> watch::Sender<Option<String>> {
        let mut closings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        closings.entry(id.to_owned()).or_default().clone()
    }

    fn report(&self, id: &str, socket: &WebSocket) {
        let seen = match socket.close_frame() {
            Some(close) => format!("{} {}", u16::from(close.code), close.reason),
            None => "1006 ".to_owned(), // what RFC 6455 §7.1.5 calls the end without a close frame
        };
        self.of(id).send_replace(Some(seen));
    }
}
