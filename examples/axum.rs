//! A page and an echo for those who have a name, in one router of axum.
//! `cargo run --release --features axum --example axum -- --listen 127.0.0.1:8080`

use std::net::SocketAddr;

use axum::response::{Html, Response};
use axum::{Router, extract::State, routing::get};
use stentor::axum::Upgrade;
use stentor::http::StatusCode;
use stentor::{Acceptor, Config, Connections, Deflate, Drain, Rejection, Upgrader, WebSocket};

#[derive(Clone)]
struct Name(String);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config { deflate: Some(Deflate::default()), ..Config::default() };
    let acceptor = Acceptor::new().config(config).authorize(async |request| {
        let name = request.cookie("name").map(|name| Name(name.to_owned()));
        name.ok_or(Rejection::new(StatusCode::FORBIDDEN, "load the page first"))
    });
    let upgrader = Upgrader::new(acceptor);
    let (connections, shutdown) = (upgrader.connections(), upgrader.shutdown());
    let page = Router::new().route("/", get(page)).with_state(connections);
    let app = Router::new().route("/ws", get(ws)).with_state(upgrader).merge(page);

    let listener = tokio::net::TcpListener::bind(listen_address()).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) }).await?;
    // axum has waited for its requests; what they became is left to be seen out.
    let left = shutdown.drain(Drain::default()).await?;
    println!("{} of {} left cleanly", left.cleanly, left.connections);
    Ok(())
}

async fn page(State(connections): State<Connections>) -> ([(&'static str, &'static str); 1], Html<String>) {
    let script = "let ws = new WebSocket('/ws'); ws.onmessage = e => console.log(e.data)";
    let page = format!("{} connections, and yours: <script>{script}</script>", connections.len());
    ([("set-cookie", "name=ann; HttpOnly; SameSite=Strict")], Html(page))
}

async fn ws(upgrade: Upgrade) -> Response {
    upgrade.on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) -> stentor::Result<()> {
    let Some(Name(name)) = socket.context().cloned() else { return Ok(()) };
    socket.send(format!("hello {name}")).await?;
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}

/// The address after `--listen`, or the default.
fn listen_address() -> String {
    let mut args = std::env::args().skip_while(|arg| arg != "--listen").skip(1);
    args.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned())
}
