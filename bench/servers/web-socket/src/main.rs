//! Echo server on web-socket, over a buffered reader as in its examples. It has no `feed`, so the
//! batched form corks the transport below it. It leaves checking text to the caller.

use std::error::Error;
use std::io;

use stentor_bench_harness::{Corked, Options, handshake, serve};
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use web_socket::{CloseCode, DataType, Event, MessageType, WebSocket};

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse()?;
    let batched = options.variant.as_deref() == Some("batched");
    serve(move |mut stream| async move {
        handshake::perform(&mut stream).await?;
        if batched {
            echo(BufReader::new(Corked::new(stream)), options.max_message).await
        } else {
            echo(BufReader::new(stream), options.max_message).await
        }
    })?;
    Ok(())
}

async fn echo<T: AsyncRead + AsyncWrite + Unpin>(stream: T, max_message: Option<usize>) -> io::Result<()> {
    let mut socket = WebSocket::server(stream);
    if let Some(bytes) = max_message {
        socket.max_payload_len = bytes;
    }
    loop {
        match socket.recv_event().await? {
            Event::Data { ty: DataType::Complete(MessageType::Text), data } => {
                socket.send(std::str::from_utf8(&data).map_err(io::Error::other)?).await?;
            }
            Event::Data { ty: DataType::Complete(MessageType::Binary), data } => socket.send(&*data).await?,
            Event::Data { ty: DataType::Stream(_), .. } => return Err(io::ErrorKind::Unsupported.into()),
            Event::Ping(data) => socket.send_pong(data).await?,
            Event::Pong(_) => {}
            Event::Error(_) => return socket.close(CloseCode::ProtocolError).await,
            Event::Close { .. } => return socket.close(()).await,
        }
    }
}
