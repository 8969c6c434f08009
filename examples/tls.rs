//! Echoes over TLS, and reads its certificate again on SIGHUP:
//! `cargo run --release --features tls --example tls -- fullchain.pem privkey.pem --listen 127.0.0.1:8443`

use std::error::Error;

use stentor::tls::ServerTls;
use stentor::{Server, WebSocket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(chain), Some(key)) = (args.next(), args.next()) else {
        return Err("usage: tls CHAIN.pem KEY.pem [--listen ADDRESS]".into());
    };
    let tls = ServerTls::from_pem_files(chain, key)?;
    let server = Server::bind(listen_address()).await?.tls(tls.clone());
    println!("listening on https://{}", server.local_addr()?);
    tokio::spawn(reload_on_hangup(tls));
    Ok(server.serve(echo).await?)
}

async fn echo(mut socket: WebSocket) -> stentor::Result<()> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}

/// Connections live on; whoever comes next sees the new certificate.
#[cfg(unix)]
async fn reload_on_hangup(tls: ServerTls) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut hangups = signal(SignalKind::hangup())?;
    while hangups.recv().await.is_some() {
        match tls.reload() {
            Ok(()) => println!("a new certificate"),
            // The old one stays in use.
            Err(error) => eprintln!("{error}"),
        }
    }
    Ok(())
}

#[cfg(not(unix))]
async fn reload_on_hangup(_: ServerTls) {}

/// The address after `--listen`, or the default.
fn listen_address() -> String {
    let mut args = std::env::args().skip_while(|arg| arg != "--listen").skip(1);
    args.next().unwrap_or_else(|| "127.0.0.1:8443".to_owned())
}
