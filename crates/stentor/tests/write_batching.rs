//! Everything that a server's handler sends between two suspensions leaves in one write, and nobody
//! has to ask for it.

use std::net::Ipv4Addr;

use stentor::proto::Role;
use stentor::{Acceptor, HandlerOutput, WebSocket};
use stentor_testkit::frame::{binary, text};
use stentor_testkit::transport::{Counts, pipe, rig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PIPELINED: usize = 64;

async fn echo(mut socket: WebSocket) -> stentor::Result<()> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}

async fn echo_split(socket: WebSocket) -> stentor::Result<()> {
    let (sender, mut receiver) = socket.split();
    while let Some(message) = receiver.recv().await? {
        sender.send(message).await?;
    }
    Ok(())
}

#[tokio::test]
async fn pipelined_messages_are_echoed_in_at_most_two_writes() {
    let (server, client) = pipe(1 << 16);
    assert!(writes_for_a_pipeline(server, client, echo).await <= 2);
}

#[tokio::test]
async fn pipelined_messages_are_echoed_in_at_most_two_writes_over_tcp() {
    let (server, client) = tcp().await;
    assert!(writes_for_a_pipeline(server, client, echo).await <= 2);
}

#[tokio::test]
async fn pipelined_messages_are_echoed_in_at_most_two_writes_through_split_halves() {
    let (server, client) = tcp().await;
    assert!(writes_for_a_pipeline(server, client, echo_split).await <= 2);
}

/// The other way round, so that the count is known to count.
#[tokio::test]
async fn a_handler_that_flushes_each_message_writes_each() {
    let (server, client) = pipe(1 << 16);
    let writes =
        writes_for_a_pipeline(server, client, async |mut socket: WebSocket| -> stentor::Result<()> {
            while let Some(message) = socket.recv().await? {
                socket.send(message).await?;
                socket.flush().await?;
            }
            Ok(())
        });
    assert_eq!(writes.await, PIPELINED);
}

#[tokio::test]
async fn what_a_handler_sends_before_it_first_waits_leaves_with_the_handshake() {
    let (server, client) = pipe(1 << 16);
    let expected = text("one of three").encode(Role::Server).repeat(3);
    let (counts, ()) = serve(
        server,
        async |mut socket: WebSocket| -> stentor::Result<()> {
            for _ in 0..3 {
                socket.send("one of three").await?;
            }
            while socket.recv().await?.is_some() {}
            Ok(())
        },
        async |take_counts| {
            let mut client = upgraded(client).await;
            receive(&mut client, &expected).await;
            assert_eq!(take_counts().writes, 1);
        },
    )
    .await;
    assert_eq!(counts.writes, 0, "the client is gone");
}

#[tokio::test]
async fn a_large_message_leaves_in_the_write_of_the_small_ones_around_it() {
    let (server, client) = pipe(1 << 20);
    let large = vec![0xa5; 100_000];
    let expected =
        [text("before"), binary(&large), text("after")].map(|frame| frame.encode(Role::Server)).concat();
    serve(
        server,
        async |mut socket: WebSocket| -> stentor::Result<()> {
            while socket.recv().await?.is_some() {
                socket.send("before").await?;
                socket.send(large.clone()).await?;
                socket.send("after").await?;
            }
            Ok(())
        },
        async |take_counts| {
            let mut client = upgraded(client).await;
            take_counts();
            client.write_all(&text("go").encode(Role::Client)).await.unwrap();
            receive(&mut client, &expected).await;
            let counts = take_counts();
            assert_eq!((counts.writes, counts.vectored_writes), (1, 1));
        },
    )
    .await;
}

/// How many writes a server makes to echo a burst that reaches it in one segment.
async fn writes_for_a_pipeline<H, F>(server: impl stentor::Io, client: impl Stream, handler: H) -> usize
where
    H: FnOnce(WebSocket) -> F,
    F: Future<Output: HandlerOutput>,
{
    let messages: Vec<_> = (0..PIPELINED).map(|n| text(format!("message {n:>8}"))).collect();
    let (_, writes) = serve(server, handler, async |take_counts| {
        let mut client = upgraded(client).await;
        take_counts();
        let burst: Vec<u8> = messages.iter().flat_map(|message| message.encode(Role::Client)).collect();
        client.write_all(&burst).await.unwrap();
        let echo: Vec<u8> = messages.iter().flat_map(|message| message.encode(Role::Server)).collect();
        receive(&mut client, &echo).await;
        let counts = take_counts();
        assert_eq!(counts.bytes_written, echo.len());
        counts.writes
    })
    .await;
    writes
}

/// Serves one connection while `client` talks to it, who can look at the server's writes. Gives
/// those made after the client has gone, and what the client gave.
async fn serve<H, F, T>(
    server: impl stentor::Io,
    handler: H,
    client: impl AsyncFnOnce(&dyn Fn() -> Counts) -> T,
) -> (Counts, T)
where
    H: FnOnce(WebSocket) -> F,
    F: Future<Output: HandlerOutput>,
{
    let (server, control) = rig(server);
    let take_counts = || control.take_counts();
    let acceptor = Acceptor::new();
    let (served, result) = tokio::join!(acceptor.serve_connection(server, handler), client(&take_counts));
    served.unwrap();
    (control.counts(), result)
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// A client's side, after the opening handshake.
async fn upgraded<T: Stream>(mut stream: T) -> T {
    stream
        .write_all(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        )
        .await
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    stream
}

async fn receive(client: &mut impl Stream, expected: &[u8]) {
    let mut received = vec![0; expected.len()];
    client.read_exact(&mut received).await.unwrap();
    assert!(received == expected);
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (server, client) = tokio::join!(listener.accept(), client);
    let (server, client) = (server.unwrap().0, client.unwrap());
    client.set_nodelay(true).unwrap();
    (server, client)
}
