//! Echoes on `/ws`, and answers everything else, in a server of hyper.
//! `cargo run --release --features hyper --example hyper -- --listen 127.0.0.1:8080`

use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use stentor::http::{Request, Response};
use stentor::proto::bytes::Bytes;
use stentor::{Acceptor, PeerAddr, Upgrader, WebSocket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let upgrader = Upgrader::new(Acceptor::new());
    let listener = tokio::net::TcpListener::bind(listen_address()).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (tcp, peer) = listener.accept().await?;
        let upgrader = upgrader.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            let upgrader = upgrader.clone();
            // So that clients are counted by address.
            request.extensions_mut().insert(PeerAddr(peer));
            async move { Ok::<_, Infallible>(answer(&upgrader, request).await) }
        });
        // The timer gives hyper a deadline for requests that never end.
        let mut server = http1::Builder::new();
        let connection = server.timer(TokioTimer::new()).serve_connection(TokioIo::new(tcp), service);
        tokio::spawn(connection.with_upgrades());
    }
}

async fn answer(upgrader: &Upgrader, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if request.uri().path() != "/ws" {
        return Response::new("WebSocket is at /ws".into());
    }
    match stentor::hyper::upgrade(upgrader, request).await {
        Ok(upgrade) => upgrade.on_upgrade(echo),
        Err(refusal) => refusal,
    }
}

async fn echo(mut socket: WebSocket) -> stentor::Result<()> {
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
