//! The echo servers, as a user would write them, each for a child process.

use std::convert::Infallible;
use std::io::{self, Read};
use std::time::Duration;

use fastwebsockets::{FragmentCollector, OpCode, WebSocketError, upgrade};
use futures_util::{SinkExt, StreamExt};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use stentor::{Config, Keepalive, WebSocket};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_websockets::ServerBuilder;

/// An echo server by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Stentor with its default configuration, whose keepalive is on; only its interval is longer
    /// than the measurement, so that no Ping falls between two messages.
    Stentor,
    /// tokio-tungstenite with its default configuration.
    Tungstenite,
    /// tokio-tungstenite with the 4 KiB read buffer that its documentation names for many connections.
    TungsteniteSmall,
    /// tokio-websockets with its default configuration.
    TokioWebsockets,
    /// fastwebsockets behind hyper, as its echo example does.
    Fastwebsockets,
}

impl Server {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 5] = [
        Self::Stentor,
        Self::Tungstenite,
        Self::TungsteniteSmall,
        Self::TokioWebsockets,
        Self::Fastwebsockets,
    ];

    /// The name in the table and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stentor => "stentor",
            Self::Tungstenite => "tokio-tungstenite 0.30.0",
            Self::TungsteniteSmall => "tokio-tungstenite 0.30.0, 4 KiB read buffer",
            Self::TokioWebsockets => "tokio-websockets 0.13.3",
            Self::Fastwebsockets => "fastwebsockets 0.10.0",
        }
    }

    /// Serves until standard input ends, so that no server outlives who started it. Prints one
    /// line, the port, when ready.
    ///
    /// # Errors
    ///
    /// When the runtime or the listener cannot be had.
    pub fn run(self) -> io::Result<()> {
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
            tokio::spawn(self.serve());
            let input_ends = || io::stdin().read_to_end(&mut Vec::new());
            tokio::task::spawn_blocking(input_ends).await.map_err(io::Error::other)??;
            Ok(())
        })
    }

    async fn serve(self) -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        if self == Self::Stentor {
            return stentor(listener).await.map_err(io::Error::other);
        }
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            match self {
                Self::Stentor => unreachable!("it accepts by itself"),
                Self::Tungstenite => tokio::spawn(tungstenite(stream, WebSocketConfig::default())),
                Self::TungsteniteSmall => {
                    tokio::spawn(tungstenite(stream, WebSocketConfig::default().read_buffer_size(4096)))
                }
                Self::TokioWebsockets => tokio::spawn(tokio_websockets(stream)),
                Self::Fastwebsockets => tokio::spawn(fastwebsockets(stream)),
            };
        }
    }
}

async fn stentor(listener: TcpListener) -> stentor::Result<()> {
    let keepalive = Some(Keepalive { interval: Duration::from_mins(10), ..Keepalive::default() });
    let config = Config { keepalive, ..Config::default() };
    stentor::Server::from_listener(listener).config(config).serve(stentor_echo).await
}

async fn stentor_echo(mut socket: WebSocket) -> stentor::Result<()> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}

async fn tungstenite(stream: TcpStream, config: WebSocketConfig) {
    let mut socket = accept_async_with_config(stream, Some(config)).await.expect("a handshake");
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            break;
        }
    }
}

async fn tokio_websockets(stream: TcpStream) {
    let (_, mut socket) = ServerBuilder::new().accept(stream).await.expect("a handshake");
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            break;
        }
    }
}

async fn fastwebsockets(stream: TcpStream) {
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service_fn(upgraded))
        .with_upgrades();
    // A client that goes away without a Close is how every measurement ends.
    let _ = connection.await;
}

async fn upgraded(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (response, socket) = upgrade::upgrade(&mut request).expect("a handshake");
    tokio::spawn(async move {
        let mut socket = FragmentCollector::new(socket.await?);
        loop {
            let frame = socket.read_frame().await?;
            match frame.opcode {
                OpCode::Close => return Ok::<_, WebSocketError>(()),
                OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
                _ => {}
            }
        }
    });
    Ok(response)
}
