//! Echo server on sockudo-ws: as its example `simple_echo`, and batched by hand.

use std::error::Error;
use std::future::poll_fn;
use std::task::Poll;

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use sockudo_ws::error::Result;
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use sockudo_ws::{Config, Message, WebSocketStream};
use stentor_bench_harness::{Options, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let options = Options::parse()?;
    let mut config = Config::default();
    if let Some(bytes) = options.max_message {
        config.max_frame_size = config.max_frame_size.max(bytes);
        config.max_message_size = config.max_message_size.max(bytes);
    }
    let batched = options.variant.as_deref() == Some("batched");
    serve(move |stream| {
        let config = config.clone();
        async move {
            let stream = handshake(stream).await?;
            let socket = WebSocketStream::server(stream, config);
            if batched { feed_and_flush(socket).await } else { send_each(socket).await }
        }
    })?;
    Ok(())
}

async fn send_each(mut socket: WebSocketStream<TcpStream>) -> Result<()> {
    while let Some(message) = socket.next().await {
        match message? {
            message @ (Message::Text(_) | Message::Binary(_)) => socket.send(message).await?,
            Message::Close(_) => break,
            Message::Ping(_) | Message::Pong(_) => {}
        }
    }
    Ok(())
}

/// Feeds while there is something to read, and flushes when there is nothing.
async fn feed_and_flush(mut socket: WebSocketStream<TcpStream>) -> Result<()> {
    loop {
        let mut next = socket.next().await;
        if next.is_none() {
            return Ok(());
        }
        while let Some(message) = next {
            match message? {
                message @ (Message::Text(_) | Message::Binary(_)) => socket.feed(message).await?,
                Message::Close(_) => return Ok(()),
                Message::Ping(_) | Message::Pong(_) => {}
            }
            next = poll_fn(|cx| match socket.poll_next_unpin(cx) {
                Poll::Ready(item) => Poll::Ready(item),
                Poll::Pending => Poll::Ready(None),
            })
            .await;
        }
        socket.flush().await?;
    }
}

async fn handshake(mut stream: TcpStream) -> Result<TcpStream> {
    let mut buffer = BytesMut::with_capacity(4096);
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(sockudo_ws::Error::ConnectionClosed);
        }
        if let Some((request, _)) = parse_request(&buffer)? {
            let accept_key = generate_accept_key(request.key);
            stream.write_all(&build_response(&accept_key, None, None)).await?;
            return Ok(stream);
        }
    }
}
