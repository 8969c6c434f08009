//! Echo server on fastwebsockets, as its own echo example: behind hyper, whole messages. It has no
//! `feed`, so the batched form corks the transport below it.

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
use stentor_bench_harness::{Corked, Options, serve};
use tokio::io::{AsyncRead, AsyncWrite};

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse()?;
    let max = options.max_message;
    if options.variant.as_deref() == Some("batched") {
        serve(move |stream| connection(Corked::new(stream), max))?;
    } else {
        serve(move |stream| connection(stream, max))?;
    }
    Ok(())
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    max_message: Option<usize>,
) {
    let upgraded = |request| ready(Ok::<_, Infallible>(upgraded(request, max_message)));
    let http = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service_fn(upgraded))
        .with_upgrades();
    // A client that goes away without a Close is how every measurement ends.
    let _ = http.await;
}

fn upgraded(mut request: Request<Incoming>, max_message: Option<usize>) -> Response<Empty<Bytes>> {
    let (response, socket) = upgrade(&mut request).expect("a handshake");
    tokio::spawn(echo(socket, max_message));
    response
}

async fn echo(socket: UpgradeFut, max_message: Option<usize>) -> Result<(), WebSocketError> {
    let mut socket = socket.await?;
    if let Some(bytes) = max_message {
        // The limit is exclusive.
        socket.set_max_message_size(bytes + 1);
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
