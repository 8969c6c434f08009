//! Echo server on Stentor: the loop of its README, its default configuration, keepalive on.

use std::io;

use stentor::{Config, Server, WebSocket};
use stentor_bench_harness::{Options, run};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse()?;
    let mut config = Config::default();
    if let Some(bytes) = options.max_message {
        config.max_frame_size = config.max_frame_size.max(bytes);
        config.max_message_size = config.max_message_size.max(bytes);
    }
    run(async |listener| {
        Server::from_listener(listener).config(config).serve(echo).await.map_err(io::Error::other)
    })?;
    Ok(())
}

async fn echo(mut socket: WebSocket) -> stentor::Result<()> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}
