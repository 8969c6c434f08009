//! The behaviours of `conformance/README.md`, with us as the server.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use stentor::http::{Response, StatusCode, Uri};
use stentor::tls::ServerTls;
use stentor::{Acceptor, CloseCode, Config, Rejection, Server, Upgrade, Upgrader, WebSocket};
use tokio::net::TcpListener;

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
    match Behaviour::of(&uri)? {
        Some(behaviour) => {
            if let Some(config) = behaviour.config()? {
                upgrade = upgrade.config(config);
            }
            behaviour.show(upgrade.accept().await?, &closings).await
        }
        None => Ok(upgrade.reject(unknown(&uri)).await?),
    }
}

/// The same behaviours inside axum.
pub(crate) async fn run_inside_axum() -> Result {
    let upgrader = Upgrader::new(Acceptor::new().config(config()));
    let closings = Arc::new(Seen::default());
    let handler = async move |upgrade| handle_inside_axum(upgrade, Arc::clone(&closings));
    let app = Router::new().fallback(handler).with_state(upgrader);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

fn handle_inside_axum(mut upgrade: stentor::axum::Upgrade, closings: Arc<Seen>) -> axum::response::Response {
    let uri = upgrade.request().uri().clone();
    let behaviour = Behaviour::of(&uri).and_then(|behaviour| {
        let config = behaviour.as_ref().map(Behaviour::config).transpose()?.flatten();
        Ok((behaviour, config))
    });
    match behaviour {
        Ok((Some(behaviour), config)) => {
            if let Some(config) = config {
                upgrade = upgrade.config(config);
            }
            upgrade.on_upgrade(async move |socket: WebSocket| behaviour.show(socket, &closings).await)
        }
        Ok((None, _)) => unknown(&uri).map(Body::from),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

fn unknown(uri: &Uri) -> Response<Bytes> {
    Rejection::new(StatusCode::NOT_FOUND, format!("no behaviour {}", uri.path())).into()
}

/// What a connection is to show.
struct Behaviour {
    kind: Kind,
    /// Under which name to tell how it was closed.
    id: Option<String>,
    /// The terms of permessage-deflate.
    deflate: Option<String>,
}

enum Kind {
    Echo,
    Fragments,
    Ping,
    Close { code: u16, reason: String },
    Seen { id: String },
}

impl Behaviour {
    /// As the path and the query say; `None` for a path that says nothing.
    fn of(uri: &Uri) -> Result<Option<Self>> {
        let query = Query(uri.query().unwrap_or_default());
        let kind = match uri.path() {
            "/echo" => Kind::Echo,
            "/fragments" => Kind::Fragments,
            "/ping" => Kind::Ping,
            "/close" => {
                let (code, reason) = (query.require("code")?.parse()?, query.require("reason")?.into_owned());
                Kind::Close { code, reason }
            }
            "/seen" => Kind::Seen { id: query.require("id")?.into_owned() },
            _ => return Ok(None),
        };
        let value = |name| query.get(name).map(Cow::into_owned);
        Ok(Some(Self { kind, id: value("id"), deflate: value("deflate") }))
    }

    /// The configuration, if it takes another than the server's.
    fn config(&self) -> Result<Option<Config>> {
        if let Kind::Fragments = self.kind {
            return Ok(Some(fragmenting()));
        }
        self.deflate.as_deref().map(deflating).transpose()
    }

    async fn show(self, mut socket: WebSocket, closings: &Seen) -> Result {
        match self.kind {
            Kind::Echo => {
                let result = echo(&mut socket).await;
                if let Some(id) = self.id {
                    closings.tell(&id, closing(&socket));
                }
                result
            }
            Kind::Fragments => echo(&mut socket).await,
            Kind::Ping => {
                socket.ping().await?;
                socket.send("pong").await?;
                until_closed(&mut socket).await
            }
            Kind::Close { code, reason } => Ok(socket.close(CloseCode::from(code), &reason).await?),
            Kind::Seen { id } => {
                let closing = closings.wait_for(&id).await?;
                socket.send(closing).await?;
                until_closed(&mut socket).await
            }
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
