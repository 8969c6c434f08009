//! The behaviours of `conformance/README.md`, with us as the server.

use std::sync::Arc;

use stentor::http::Response;
use stentor::tls::ServerTls;
use stentor::{CloseCode, Server, Upgrade, WebSocket};

use crate::page::page;
use crate::seen::{Query, Seen};
use crate::{Result, config, deflating, fragmenting};

/// Serves until the process is ended; over TLS if it has a certificate and its key.
pub(crate) async fn run(certificate: Option<(&str, &str)>) -> Result {
    let mut server = Server::bind("127.0.0.1:0").await?.config(config()).http(page);
    let address = server.local_addr()?;
    if let Some((chain, key)) = certificate {
        server = server.tls(ServerTls::from_pem_files(chain, key)?);
        println!("listening on https://localhost:{}", address.port());
    } else {
        println!("listening on http://{address}");
    }
    let closings = Arc::new(Seen::default());
    let handler = move |upgrade| handle(upgrade, Arc::clone(&closings));
    Ok(server.serve_upgrades(handler).await?)
}

pub(crate) async fn handle(mut upgrade: Upgrade, closings: Arc<Seen>) -> Result {
    let uri = upgrade.request().uri().clone();
    let query = Query(uri.query().unwrap_or_default());
    if let Some(terms) = query.get("deflate") {
        upgrade = upgrade.config(deflating(&terms)?);
    }
    match uri.path() {
        "/echo" => {
            let mut socket = upgrade.accept().await?;
            let result = echo(&mut socket).await;
            if let Some(id) = query.get("id") {
                closings.tell(&id, closing(&socket));
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
            let closing = closings.wait_for(&query.require("id")?).await?;
            socket.send(closing).await?;
            until_closed(&mut socket).await
        }
        unknown => {
            let response = Response::builder().status(404).body(format!("no behaviour {unknown}").into())?;
            Ok(upgrade.reject(response).await?)
        }
    }
}

/// What the client closed its connection with.
fn closing(socket: &WebSocket) -> String {
    match socket.close_frame() {
        Some(close) => format!("{} {}", u16::from(close.code), close.reason),
        None => "1006 ".to_owned(), // what RFC 6455 §7.1.5 calls the end without a close frame
    }
}

pub(crate) async fn echo(socket: &mut WebSocket) -> Result {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}

pub(crate) async fn until_closed(socket: &mut WebSocket) -> Result {
    while socket.recv().await?.is_some() {}
    Ok(())
}
