//! Echo server on wtx, as its examples do it, with and without permessage-deflate.

use std::error::Error;

use stentor_bench_harness::{Options, serve};
use tokio::net::TcpStream;
use wtx::collection::Vector;
use wtx::rng::Rng;
use wtx::web_socket::compression::{Flate2, NegotiatedCompression, WindowBits};
use wtx::web_socket::{
    CompressionLevel, DeflateConfig, OpCode, WebSocketAcceptor, WebSocketOwned, WebSocketPayloadOrigin,
};

fn main() -> Result<(), Box<dyn Error>> {
    let Options { max_message, deflate, .. } = Options::parse()?;
    serve(move |stream| async move {
        if deflate {
            let compression = Flate2::from(DeflateConfig {
                client_max_window_bits: WindowBits::Twelve,
                compression_level: CompressionLevel::default(),
                server_max_window_bits: WindowBits::Twelve,
            });
            echo(WebSocketAcceptor::default().compression(compression).accept(stream).await?, max_message)
                .await
        } else {
            echo(WebSocketAcceptor::default().accept(stream).await?, max_message).await
        }
    })?;
    Ok(())
}

async fn echo(
    mut socket: WebSocketOwned<impl NegotiatedCompression, impl Rng, TcpStream, false>,
    max_message: Option<usize>,
) -> wtx::Result<()> {
    if let Some(bytes) = max_message {
        // The limit is exclusive.
        socket.set_max_payload_len(bytes + 1);
    }
    let mut buffer = Vector::new();
    let (mut common, mut reader, mut writer) = socket.split_mut();
    loop {
        let origin = WebSocketPayloadOrigin::Adaptive;
        let mut frame = reader.read_frame(&mut buffer, &mut common, origin).await?;
        match frame.op_code() {
            OpCode::Binary | OpCode::Text => writer.write_frame(&mut common, &mut frame).await?,
            OpCode::Close => return Ok(()),
            _ => {}
        }
    }
}
