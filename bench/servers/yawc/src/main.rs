//! Echo server on yawc behind hyper: with its default options, which do not check UTF-8; with the check;
//! and batched by hand as the README describes its own benchmark.

use std::convert::Infallible;
use std::error::Error;
use std::future::ready;

use futures_util::{SinkExt, StreamExt};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use stentor_bench_harness::{self as harness, ready_now, serve};
use tokio::net::TcpStream;
use yawc::{CompressionLevel, Frame, HttpWebSocket, OpCode, Options, UpgradeFut, WebSocket};

/// The most messages in one batch, and the buffers, of yawc's own benchmark.
const BATCH: usize = 32;
const READ_BUFFER: usize = 128 * 1024;
const WRITE_BOUNDARY: usize = 64 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let asked = harness::Options::parse()?;
    let mut options = Options::default();
    if let Some(bytes) = asked.max_message {
        // The limits are exclusive.
        options = options.with_limits(bytes + 1, 2 * bytes + 2);
    }
    if asked.deflate {
        options = options.with_compression_level(CompressionLevel::default());
    }
    let variant = asked.variant.unwrap_or_default();
    let batched = variant == "batched";
    if batched {
        options = options.with_read_buffer_capacity(READ_BUFFER).with_backpressure_boundary(WRITE_BOUNDARY);
    }
    if variant == "checked" {
        options = options.with_utf8();
    }
    serve(move |stream| connection(stream, options.clone(), batched))?;
    Ok(())
}

async fn connection(stream: TcpStream, options: Options, batched: bool) {
    let upgraded = |request| ready(Ok::<_, Infallible>(upgraded(request, options.clone(), batched)));
    let http = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service_fn(upgraded))
        .with_upgrades();
    // A client that goes away without a Close is how every measurement ends.
    let _ = http.await;
}

fn upgraded(mut request: Request<Incoming>, options: Options, batched: bool) -> Response<Empty<Bytes>> {
    let (response, socket) = WebSocket::upgrade_with_options(&mut request, options).expect("a handshake");
    tokio::spawn(echo(socket, batched));
    response
}

async fn echo(socket: UpgradeFut, batched: bool) -> yawc::Result<()> {
    let socket = socket.await?;
    if batched { feed_and_flush(socket).await } else { send_each(socket).await }
}

async fn send_each(mut socket: HttpWebSocket) -> yawc::Result<()> {
    while let Some(frame) = socket.next().await {
        if is_data(&frame) {
            socket.send(frame).await?;
        }
    }
    Ok(())
}

async fn feed_and_flush(mut socket: HttpWebSocket) -> yawc::Result<()> {
    while let Some(first) = socket.next().await {
        let mut next = Some(first);
        let mut fed = 0;
        while let Some(frame) = next {
            if is_data(&frame) {
                socket.feed(frame).await?;
                fed += 1;
            }
            if fed == BATCH {
                break;
            }
            next = ready_now(|cx| socket.poll_next_unpin(cx)).await.flatten();
        }
        socket.flush().await?;
    }
    Ok(())
}

fn is_data(frame: &Frame) -> bool {
    matches!(frame.opcode(), OpCode::Text | OpCode::Binary)
}
