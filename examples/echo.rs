//! Sends every message back. `cargo run --release --example echo -- --listen 127.0.0.1:0`

use stentor::{Server, WebSocket};

#[tokio::main]
async fn main() -> stentor::Result<()> {
    let server = Server::bind(listen_address()).await?;
    println!("listening on http://{}", server.local_addr()?);
    server.serve(echo).await
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
