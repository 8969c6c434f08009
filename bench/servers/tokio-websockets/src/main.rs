//! Echo server on tokio-websockets: with its default configuration, and batched by hand.

use std::error::Error;

use futures_util::{SinkExt, StreamExt};
use stentor_bench_harness::{Options, ready_now, serve};
use tokio::net::TcpStream;
use tokio_websockets::{Limits, Message, ServerBuilder, WebSocketStream};

type Result = std::result::Result<(), tokio_websockets::Error>;

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let options = Options::parse()?;
    let mut limits = Limits::default();
    if let Some(bytes) = options.max_message {
        limits.set_max_payload_len(Some(bytes));
    }
    let batched = options.variant.as_deref() == Some("batched");
    serve(move |stream| async move {
        let (_, socket) = ServerBuilder::new().limits(limits).accept(stream).await?;
        if batched { feed_and_flush(socket).await } else { send_each(socket).await }
    })?;
    Ok(())
}

async fn send_each(mut socket: WebSocketStream<TcpStream>) -> Result {
    while let Some(message) = socket.next().await {
        let message = message?;
        if is_data(&message) {
            socket.send(message).await?;
        }
    }
    Ok(())
}

/// Reading flushes whatever was fed, so all that can be read is read before anything is fed.
async fn feed_and_flush(mut socket: WebSocketStream<TcpStream>) -> Result {
    let mut batch = Vec::new();
    while let Some(first) = socket.next().await {
        let mut next = Some(first);
        while let Some(message) = next {
            batch.push(message?);
            next = ready_now(|cx| socket.poll_next_unpin(cx)).await.flatten();
        }
        for message in batch.drain(..).filter(is_data) {
            socket.feed(message).await?;
        }
        socket.flush().await?;
    }
    Ok(())
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}
