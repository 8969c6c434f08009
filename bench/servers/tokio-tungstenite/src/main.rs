//! Echo server on tokio-tungstenite: with its default configuration, with the small read buffer that
//! its documentation names for many connections, and batched by hand.

use std::error::Error;

use futures_util::{SinkExt, StreamExt};
use stentor_bench_harness::{Options, ready_now, serve};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Result};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config};

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let options = Options::parse()?;
    let mut config = WebSocketConfig::default();
    if let Some(bytes) = options.max_message {
        config.max_frame_size = Some(bytes);
        config.max_message_size = Some(bytes);
    }
    let variant = options.variant.unwrap_or_default();
    if variant == "small" {
        config.read_buffer_size = 4096;
    }
    let batched = variant == "batched";
    serve(move |stream| async move {
        let socket = accept_async_with_config(stream, Some(config)).await?;
        if batched { feed_and_flush(socket).await } else { send_each(socket).await }
    })?;
    Ok(())
}

async fn send_each(mut socket: WebSocketStream<TcpStream>) -> Result<()> {
    while let Some(message) = socket.next().await {
        let message = message?;
        if is_data(&message) {
            socket.send(message).await?;
        }
    }
    Ok(())
}

/// Reading does not flush what was fed, so messages are fed while there are any to read, and flushed
/// when there are none.
async fn feed_and_flush(mut socket: WebSocketStream<TcpStream>) -> Result<()> {
    while let Some(first) = socket.next().await {
        let mut next = Some(first);
        while let Some(message) = next {
            let message = message?;
            if is_data(&message) {
                socket.feed(message).await?;
            }
            next = ready_now(|cx| socket.poll_next_unpin(cx)).await.flatten();
        }
        socket.flush().await?;
    }
    Ok(())
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}
