//! Echo server on Stentor: the loop of its README, its default configuration, keepalive on. With
//! permessage-deflate it compresses as is its default, or, as variant `common`, at the level and with the
//! window that other libraries have by default, which is all that shows on the wire. As a variant named
//! by what becomes of messages for slow readers, it broadcasts news to those who have asked for them,
//! besides.

use std::io;

use stentor::{Config, Deflate, Server, WebSocket};
use stentor_bench_harness::{Options, run};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse()?;
    let mut config = Config::default();
    if let Some(bytes) = options.max_message {
        config.max_frame_size = config.max_frame_size.max(bytes);
        config.max_message_size = config.max_message_size.max(bytes);
    }
    if options.deflate {
        config.deflate = Some(match options.variant.as_deref() {
            Some("common") => Deflate {
                level: 6,
                server_max_window_bits: 15,
                client_max_window_bits: 15,
                ..Deflate::default()
            },
            _ => Deflate::default(),
        });
    }
    let policy = options.variant.as_deref().and_then(news::policy);
    run(async |listener| {
        let server = match policy {
            None => Server::from_listener(listener).config(config),
            Some(slow_reader) => news::server(listener, Config { slow_reader, ..config })?,
        };
        server.serve(echo).await.map_err(io::Error::other)
    })?;
    Ok(())
}

async fn echo(mut socket: WebSocket) -> stentor::Result<()> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}
