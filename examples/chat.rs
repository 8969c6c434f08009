//! A chat for browsers: everybody hears everybody. `cargo run --release --example chat`

use bytes::Bytes;
use stentor::http::{Request, Response, header::CONTENT_TYPE};
use stentor::{Message, Prepared, Server, Upgrade, WebSocket};
use tokio::sync::broadcast::{Sender, error::RecvError};

#[tokio::main]
async fn main() -> stentor::Result<()> {
    let server = Server::bind(listen_address()).await?.http(page);
    println!("listening on http://{}", server.local_addr()?);
    let room = Sender::new(256);
    server.serve_upgrades(move |upgrade| enter(upgrade, room.clone())).await
}

/// Every plain request is answered with the page.
async fn page(_: Request<Bytes>) -> Response<Bytes> {
    let page = Bytes::from_static(include_bytes!("chat.html"));
    Response::builder().header(CONTENT_TYPE, "text/html; charset=utf-8").body(page).expect("a valid response")
}

async fn enter(upgrade: Upgrade, room: Sender<Prepared>) -> stentor::Result<()> {
    let query = upgrade.request().uri().query().unwrap_or_default();
    let name = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "name");
    let name = name.map_or_else(|| "somebody".to_owned(), |(_, name)| name.into_owned());
    let mut socket = upgrade.accept().await?;
    let result = talk(&mut socket, &name, &room).await;
    say(&room, format!("{name} left"));
    result
}

async fn talk(socket: &mut WebSocket, name: &str, room: &Sender<Prepared>) -> stentor::Result<()> {
    let mut heard = room.subscribe();
    say(room, format!("{name} joined"));
    loop {
        tokio::select! {
            message = socket.recv() => match message? {
                Some(Message::Text(text)) => say(room, format!("{name}: {text}")),
                Some(Message::Binary(_)) => {}
                None => return Ok(()),
            },
            line = heard.recv() => match line {
                Ok(line) => socket.send_prepared(&line).await?,
                Err(RecvError::Lagged(missed)) => socket.send(format!("({missed} lines missed)")).await?,
                Err(RecvError::Closed) => return Ok(()),
            },
        }
    }
}

/// Encodes the line once for all who listen; nobody may be listening.
fn say(room: &Sender<Prepared>, line: String) {
    let _ = room.send(Prepared::new(line.into()));
}

/// The address after `--listen`, or the default.
fn listen_address() -> String {
    let mut args = std::env::args().skip_while(|arg| arg != "--listen").skip(1);
    args.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned())
}
