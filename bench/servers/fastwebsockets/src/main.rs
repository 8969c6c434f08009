//! Echo server on fastwebsockets, as its own echo example: behind hyper, whole messages.

use std::convert::Infallible;
use std::error::Error;
use std::future::ready;

use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{FragmentCollector, OpCode, WebSocketError};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use stentor_bench_harness::{Options, serve};
use tokio::net::TcpStream;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse()?;
    serve(move |stream| connection(stream, options.max_message))?;
    Ok(())
}

async fn connection(stream: TcpStream, max_message: Option<usize>) {
    let http = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service_fn(|request| ready(upgraded(request, max_message))))
        .with_upgrades();
    let _ = http.await;
}

fn upgraded(
    mut request: Request<Incoming>,
    max_message: Option<usize>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (response, socket) = upgrade(&mut request).expect("a handshake");
    tokio::spawn(echo(socket, max_message));
    Ok(response)
}

async fn echo(socket: UpgradeFut, max_message: Option<usize>) -> Result<(), WebSocketError> {
    let mut socket = socket.await?;
    if let Some(bytes) = max_message {
        socket.set_max_message_size(bytes);
    }
    let mut socket = FragmentCollector::new(socket);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}
