//! Echo server on sockudo-ws: as its example `simple_echo`; batched by hand; and with
//! permessage-deflate at its default level.

use std::error::Error;

use bytes::BytesMut;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use sockudo_ws::deflate::{DeflateNegotiation, negotiate_server_deflate};
use sockudo_ws::error::Result;
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use sockudo_ws::{CompressedWebSocketStream, Config, DeflateConfig, Message, WebSocketStream};
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
    let deflate = options.deflate;
    serve(move |mut stream| {
        let config = config.clone();
        async move {
            let agreed = handshake(&mut stream, deflate).await?;
            if let Some(agreed) = agreed {
                send_each(CompressedWebSocketStream::server(stream, config, agreed)).await
            } else if batched {
                feed_each(WebSocketStream::server(stream, config)).await
            } else {
                send_each(WebSocketStream::server(stream, config)).await
            }
        }
    })?;
    Ok(())
}

trait Socket: Stream<Item = Result<Message>> + Sink<Message, Error = sockudo_ws::Error> + Unpin {}

impl<S: Stream<Item = Result<Message>> + Sink<Message, Error = sockudo_ws::Error> + Unpin> Socket for S {}

async fn send_each(mut socket: impl Socket) -> Result<()> {
    while let Some(message) = socket.next().await {
        match message? {
            message @ (Message::Text(_) | Message::Binary(_)) => socket.send(message).await?,
            Message::Close(_) => break,
            Message::Ping(_) | Message::Pong(_) => {}
        }
    }
    Ok(())
}

/// What was fed is flushed when the next read has to wait.
async fn feed_each(mut socket: impl Socket) -> Result<()> {
    while let Some(message) = socket.next().await {
        match message? {
            message @ (Message::Text(_) | Message::Binary(_)) => socket.feed(message).await?,
            Message::Close(_) => break,
            Message::Ping(_) | Message::Pong(_) => {}
        }
    }
    Ok(())
}

async fn handshake(stream: &mut TcpStream, deflate: bool) -> Result<Option<DeflateConfig>> {
    let mut buffer = BytesMut::with_capacity(4096);
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(sockudo_ws::Error::ConnectionClosed);
        }
        if let Some((request, _)) = parse_request(&buffer)? {
            let accept_key = generate_accept_key(request.key);
            let offer = request.extensions.filter(|_| deflate);
            let agreed = offer.and_then(|offer| negotiate_server_deflate(offer, &DeflateConfig::default()));
            let extensions = agreed.as_ref().map(DeflateNegotiation::to_response_header);
            stream.write_all(&build_response(&accept_key, None, extensions.as_deref())).await?;
            return Ok(agreed.map(|agreed| agreed.config));
        }
    }
}
