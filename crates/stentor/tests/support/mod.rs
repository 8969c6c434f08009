//! What the tests of the async crate share: servers on a free port, peers by hand, and every way
//! in which a connection can be driven.

// Each test program uses a part of it.
#![allow(dead_code)]

#[cfg(feature = "tracing")]
pub(crate) mod log;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use stentor::{Acceptor, Client, Config, HandlerOutput, Io, Listener, Result, Server, WebSocket};
use stentor_proto::Role;
use stentor_proto::bytes::BytesMut;
use stentor_testkit::peer::Peer;
use stentor_testkit::script::connection;
use stentor_testkit::transport::pipe;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// How many bytes fit into an in-memory transport.
pub(crate) const PIPE: usize = 64 << 10;

/// A server on a free port.
pub(crate) async fn server() -> Server {
    Server::bind("127.0.0.1:0").await.unwrap()
}

/// A server without sockets, and how to reach it: for paused time.
pub(crate) fn server_in_memory() -> (Server, Dial) {
    let (dial, mut dialled) = dial();
    let listener = Listener::from_stream(futures_util::stream::poll_fn(move |cx| dialled.poll_recv(cx)));
    (Server::from_listener(listener), dial)
}

/// A way to a server without sockets, and where that sees who has come.
pub(crate) fn dial() -> (Dial, mpsc::UnboundedReceiver<Dialled>) {
    let (dial, dialled) = mpsc::unbounded_channel();
    (Dial(dial), dialled)
}

/// A byte stream, and whose it is.
pub(crate) type Dialled = std::io::Result<(DuplexStream, Option<SocketAddr>)>;

/// The way to a server without sockets.
#[derive(Clone, Debug)]
pub(crate) struct Dial(mpsc::UnboundedSender<Dialled>);

impl Dial {
    /// A byte stream to the server, from this address.
    pub(crate) fn from(&self, addr: &str) -> DuplexStream {
        let (ours, theirs) = pipe(PIPE);
        // A server that is gone drops the other end.
        let _ = self.0.send(Ok((theirs, Some(addr.parse().unwrap()))));
        ours
    }

    /// A byte stream to the server.
    pub(crate) fn up(&self) -> DuplexStream {
        self.from("192.0.2.1:4711")
    }

    /// A client by hand, connected.
    pub(crate) async fn peer(&self) -> Peer<DuplexStream> {
        Peer::connect(self.up()).await
    }

    /// Our client, connected.
    pub(crate) async fn client(&self) -> WebSocket {
        Client::new().connect_over("ws://in.memory/", self.up()).await.unwrap()
    }
}

/// Runs `server` in the background, until the test ends.
pub(crate) fn serve<H, F>(server: Server, handler: H) -> SocketAddr
where
    H: Fn(WebSocket) -> F + Send + Sync + 'static,
    F: Future<Output: HandlerOutput> + Send + 'static,
{
    let addr = server.local_addr().unwrap();
    tokio::spawn(server.serve(handler));
    addr
}

/// A server that echoes.
pub(crate) async fn echo_server(config: Config) -> SocketAddr {
    serve(server().await.config(config), echo)
}

/// The plain echo loop.
pub(crate) async fn echo(mut socket: WebSocket) -> Result<()> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}

/// Our client, connected to `addr`.
pub(crate) async fn connect(addr: SocketAddr) -> WebSocket {
    stentor::connect(format!("ws://{addr}/")).await.unwrap()
}

/// A client by hand, connected to `addr`.
pub(crate) async fn raw_client(addr: SocketAddr) -> Peer<TcpStream> {
    Peer::connect(TcpStream::connect(addr).await.unwrap()).await
}

/// What a server answers to these bytes, up to the end of the connection: head and body.
pub(crate) async fn ask(addr: SocketAddr, request: &str) -> (String, Vec<u8>) {
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    soon(tcp.read_to_end(&mut answer)).await.unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
    let body = answer.split_off(end);
    (String::from_utf8(answer).unwrap(), body)
}

/// The status, and the message in the JSON of a refusal, which has to say the same status and to be
/// meant for no cache.
pub(crate) async fn ask_refused(addr: SocketAddr, request: &str) -> (u16, String) {
    let (head, body) = ask(addr, request).await;
    let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
    let lower = head.to_lowercase();
    for line in ["content-type: application/json\r\n", "cache-control: no-store\r\n", "connection: close\r\n"]
    {
        assert!(lower.contains(line) || status == 426, "no {line:?} in {head}");
    }
    let body = String::from_utf8(body).unwrap();
    let message = body.strip_prefix(&format!(r#"{{"code":{status},"message":""#)).expect("the status");
    (status, message.split_once('"').unwrap().0.to_owned())
}

/// A listener for a server by hand, and the URI to reach it.
pub(crate) async fn raw_listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("ws://{}/", listener.local_addr().unwrap());
    (listener, uri)
}

/// A text of exactly `len` bytes with characters of every length.
pub(crate) fn text_of(len: usize) -> String {
    let mut text = "aé€😀".repeat(len / 10);
    text.push_str(&"x".repeat(len % 10));
    text
}

/// `len` bytes that differ from their neighbours.
pub(crate) fn bytes_of(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

/// What takes longer than this hangs.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, future).await.expect("this hangs")
}

/// Expects that the future is done without waiting for any deadline. For paused time, in which a
/// lost wake-up would show as a deadline that comes at once.
pub(crate) async fn at_once<F: Future>(future: F) -> F::Output {
    let began = Instant::now();
    let output = lasting(future).await;
    assert_eq!(began.elapsed(), Duration::ZERO, "it took a deadline to get on");
    output
}

/// Lets every other task get on until it waits. For paused time.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Expects that the future is done some day. For paused time.
pub(crate) async fn lasting<F: Future>(future: F) -> F::Output {
    let limit = Duration::from_secs(24 * 3600);
    tokio::time::timeout(limit, future).await.expect("this hangs")
}

/// The self-driven end that plays `role`, and its peer.
pub(crate) fn self_driven(role: Role, config: &Config) -> (WebSocket, Peer<DuplexStream>) {
    let (ours, theirs) = pipe(PIPE);
    (self_driven_over(role, config, ours), Peer::new(other(role), theirs))
}

/// The self-driven end that plays `role` over `io`.
pub(crate) fn self_driven_over(role: Role, config: &Config, io: impl Io) -> WebSocket {
    let connection = connection(role, config.clone(), Instant::now().into_std());
    WebSocket::from_connection(connection, io, BytesMut::new())
}

/// The role of the peer of a connection that plays `role`.
pub(crate) fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

/// A client by hand of a server whose handler is `handler`. The receiver says when that is done.
pub(crate) async fn handled<F>(
    config: &Config,
    handler: impl FnOnce(WebSocket) -> F + Send + 'static,
) -> (Peer<DuplexStream>, oneshot::Receiver<F::Output>)
where
    F: Future<Output: Send> + Send + 'static,
{
    let (ours, theirs) = pipe(PIPE);
    let done = handle(config, ours, handler);
    (Peer::connect(theirs).await, done)
}

/// Serves `io` in the background, with `handler`. The receiver says when that is done.
pub(crate) fn handle<F>(
    config: &Config,
    io: impl Io,
    handler: impl FnOnce(WebSocket) -> F + Send + 'static,
) -> oneshot::Receiver<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let acceptor = Acceptor::new().config(config.clone());
    let (done, when_done) = oneshot::channel();
    tokio::spawn(async move {
        let handler = async move |socket: WebSocket| {
            let _ = done.send(handler(socket).await);
        };
        acceptor.serve_connection(io, handler).await
    });
    when_done
}

/// An end that a server's task drives while it is used in another task, and its peer.
pub(crate) async fn driven_elsewhere(config: &Config) -> (WebSocket, Peer<DuplexStream>) {
    let (peer, socket) = handled(config, async |socket: WebSocket| socket).await;
    (socket.await.unwrap(), peer)
}

/// Plays `ours` against `theirs` in every way in which a connection can be driven: by its calls,
/// as a client and as a server; by the task of the handler that holds it; and by another task.
pub(crate) async fn in_every_way<A, B>(
    config: Config,
    ours: impl Fn(WebSocket) -> A + Send + Sync + 'static,
    theirs: impl Fn(Peer<DuplexStream>) -> B,
) where
    A: Future<Output = ()> + Send + 'static,
    B: Future<Output = ()>,
{
    for role in [Role::Client, Role::Server] {
        println!("self-driven {role:?}");
        let (socket, peer) = self_driven(role, &config);
        tokio::join!(ours(socket), theirs(peer));
    }
    println!("driven from elsewhere");
    let (socket, peer) = driven_elsewhere(&config).await;
    tokio::join!(ours(socket), theirs(peer));
    println!("driven by the handler's task");
    let ours = Arc::new(ours);
    let (peer, done) = handled(&config, move |socket| ours(socket)).await;
    theirs(peer).await;
    done.await.expect("the handler panicked");
}
