//! A message there and back between a client and a server of the same library, over
//! `tokio::io::duplex`, both on one thread: nanoseconds per round trip.

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, Role};
use futures_util::{SinkExt, StreamExt};
use stentor_paths::runtime;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_tungstenite::tungstenite;

criterion_group!(benches, round_trips);
criterion_main!(benches);

/// Room of the pipe in each direction: for a message of 16 KiB at once.
const PIPE: usize = 64 * 1024;

fn round_trips(criterion: &mut Criterion) {
    for (name, len) in [("16 B", 16), ("16 KiB", 16 * 1024)] {
        let mut group = criterion.benchmark_group(format!("duplex, {name}"));
        let payload = vec![7; len];
        group.bench_function("bytes alone", |b| b.iter_custom(|n| run(bytes_alone(payload.clone(), n))));
        group.bench_function("stentor", |b| b.iter_custom(|n| run(stentor(payload.clone(), n))));
        group
            .bench_function("tokio-tungstenite", |b| b.iter_custom(|n| run(tungstenite(payload.clone(), n))));
        group.bench_function("tokio-websockets", |b| {
            b.iter_custom(|n| run(tokio_websockets(payload.clone(), n)));
        });
        group
            .bench_function("fastwebsockets", |b| b.iter_custom(|n| run(fastwebsockets(payload.clone(), n))));
        group.finish();
    }
}

fn run(round_trips: impl Future<Output = Duration>) -> Duration {
    runtime().block_on(round_trips)
}

async fn bytes_alone(payload: Vec<u8>, count: u64) -> Duration {
    let (mut client, mut server) = duplex(PIPE);
    let (mut buffer, mut received) = (payload.clone(), payload.clone());
    tokio::spawn(async move {
        while server.read_exact(&mut buffer).await.is_ok() {
            server.write_all(&buffer).await.expect("a client that waits");
        }
    });
    let start = Instant::now();
    for _ in 0..count {
        client.write_all(&payload).await.expect("a server");
        client.read_exact(&mut received).await.expect("the echo");
    }
    start.elapsed()
}

async fn stentor(payload: Vec<u8>, count: u64) -> Duration {
    let (client, server) = duplex(PIPE);
    tokio::spawn(async move { stentor::Acceptor::new().serve_connection(server, stentor_echo).await });
    let mut socket = stentor::Client::new().connect_over("ws://localhost/", client).await.expect("a server");
    let message = stentor::Message::from(payload);
    let start = Instant::now();
    for _ in 0..count {
        socket.send(message.clone()).await.expect("a server");
        let echo = socket.recv().await.expect("an echo").expect("an open connection");
        assert!(echo.len() == message.len());
    }
    start.elapsed()
}

async fn stentor_echo(mut socket: stentor::WebSocket) -> stentor::Result<()> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}

async fn tungstenite(payload: Vec<u8>, count: u64) -> Duration {
    let (client, server) = duplex(PIPE);
    let open = tokio_tungstenite::WebSocketStream::<DuplexStream>::from_raw_socket;
    let mut server = open(server, tungstenite::protocol::Role::Server, None).await;
    tokio::spawn(async move {
        while let Some(Ok(message)) = server.next().await {
            server.send(message).await.expect("a client that waits");
        }
    });
    let mut socket = open(client, tungstenite::protocol::Role::Client, None).await;
    let message = tungstenite::Message::from(payload);
    let start = Instant::now();
    for _ in 0..count {
        socket.send(message.clone()).await.expect("a server");
        let echo = socket.next().await.expect("an open connection").expect("an echo");
        assert!(echo.len() == message.len());
    }
    start.elapsed()
}

async fn tokio_websockets(payload: Vec<u8>, count: u64) -> Duration {
    let (client, server) = duplex(PIPE);
    let mut server = tokio_websockets::ServerBuilder::new().serve(server);
    tokio::spawn(async move {
        while let Some(Ok(message)) = server.next().await {
            server.send(message).await.expect("a client that waits");
        }
    });
    let mut socket = tokio_websockets::ClientBuilder::new().take_over(client);
    let message = tokio_websockets::Message::binary(payload);
    let start = Instant::now();
    for _ in 0..count {
        socket.send(message.clone()).await.expect("a server");
        let echo = socket.next().await.expect("an open connection").expect("an echo");
        assert!(echo.as_payload().len() == message.as_payload().len());
    }
    start.elapsed()
}

async fn fastwebsockets(payload: Vec<u8>, count: u64) -> Duration {
    let (client, server) = duplex(PIPE);
    let open = |io, role| FragmentCollector::new(fastwebsockets::WebSocket::after_handshake(io, role));
    let mut server = open(server, Role::Server);
    tokio::spawn(async move {
        while let Ok(frame) = server.read_frame().await {
            if frame.opcode == OpCode::Close {
                return;
            }
            server.write_frame(frame).await.expect("a client that waits");
        }
    });
    let mut socket = open(client, Role::Client);
    let start = Instant::now();
    for _ in 0..count {
        socket.write_frame(Frame::binary(Payload::Borrowed(&payload))).await.expect("a server");
        let echo = socket.read_frame().await.expect("an echo");
        assert!(echo.payload.len() == payload.len());
    }
    start.elapsed()
}
