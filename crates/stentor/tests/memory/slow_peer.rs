//! Peers that take nothing or too slowly: memory stays bounded, others do not notice, and nobody
//! waits for the other for ever.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use futures_util::poll;
use socket2::SockRef;
use stentor::{Client, Config, Error, Message, Phase, Result, WebSocket};
use stentor_proto::Role;
use stentor_proto::bytes::Bytes;
use stentor_testkit::frame::{binary, close, ping, pong, text};
use stentor_testkit::peer::Peer;
use stentor_testkit::transport::{pipe, rig};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::measured;
use crate::support::{
    PIPE, at_once, connect, echo, handle, in_every_way, lasting, other, self_driven_over, serve, server, soon,
};

/// A gigabyte is offered to a peer that never reads, until the write deadline ends it.
#[test]
fn what_is_offered_to_a_peer_that_never_reads_is_bounded() {
    const PIECE: usize = 64 << 10;
    let (heap, ()) = measured(lasting(in_every_way(
        Config { keepalive: None, ..Config::default() },
        |mut socket| async move {
            let piece = Bytes::from(vec![1; PIECE]);
            let began = Instant::now();
            let mut taken = 0;
            let error = loop {
                match socket.send(piece.clone()).await {
                    Ok(()) => taken += 1,
                    Err(error) => break error,
                }
                assert!(taken < (1 << 30) / PIECE, "a whole gigabyte was taken");
            };
            assert!(matches!(error, Error::Timeout(Phase::Write)), "{error:?}");
            assert!(taken * PIECE <= (256 << 10) + PIECE + PIPE, "{taken} pieces");
            let took = began.elapsed().as_secs_f64();
            assert!((30.0..30.1).contains(&took), "{took} s");
        },
        |peer| async move {
            tokio::time::sleep(Duration::from_secs(100)).await;
            drop(peer);
        },
    )));
    // The outbox with one message more, the transport both ways, and the piece itself.
    let bound = (256 << 10) + 2 * PIECE + 2 * PIPE + (64 << 10);
    println!("at most {} bytes, bound {bound}", heap.most);
    assert!(heap.most < bound, "{heap:?}");
}

/// A handler that does not receive for a while: what is read ahead is bounded, and nothing is lost.
#[test]
fn what_is_read_ahead_of_a_slow_handler_is_bounded() {
    const MESSAGE: usize = 1000;
    let (heap, ()) = measured(at_once(in_every_way(
        Config { keepalive: None, ..Config::default() },
        |mut socket| async move {
            // Reading goes on as long as there is room; then the peer has to wait.
            assert!(socket.ping().await.is_ok());
            for i in 0..1000u32 {
                let message = socket.recv().await.unwrap().expect("a message");
                assert_eq!((message.len(), &message.as_bytes()[..4]), (MESSAGE, &i.to_be_bytes()[..]));
            }
            assert_eq!(socket.recv().await.unwrap(), None);
        },
        |mut peer| async move {
            let sent = peer.frame().await.unwrap();
            peer.send(&pong(sent.payload)).await;
            for i in 0..1000u32 {
                let mut payload = vec![0; MESSAGE];
                payload[..4].copy_from_slice(&i.to_be_bytes());
                peer.send(&binary(payload)).await;
            }
            peer.send(&close(1000, "")).await;
            peer.expect_close(1000).await;
        },
    )));
    assert!(heap.most < 2 * PIPE + (64 << 10) + (256 << 10), "{heap:?}");
}

/// A peer floods a connection that nobody receives from.
#[test]
fn a_flood_that_nobody_receives_is_left_in_the_transport() {
    for message in [0, 1, 100, 10_000] {
        let (heap, taken) = measured(async {
            let (ours, theirs) = pipe(4096);
            let (ours, control) = rig(ours);
            let socket =
                handle(&Config { keepalive: None, ..Config::default() }, ours, async |socket: WebSocket| {
                    socket
                });
            let mut peer = Peer::connect(theirs).await;
            let socket = socket.await.unwrap();
            let frames = binary(vec![1; message]).encode(Role::Client).repeat(1000);
            let flood = async {
                loop {
                    peer.send_bytes(&frames).await;
                }
            };
            let flooded: Result<(), _> = tokio::time::timeout(Duration::from_secs(60), flood).await;
            flooded.unwrap_err();
            drop(socket);
            control.counts().bytes_read
        });
        println!("messages of {message} bytes: {taken} bytes taken, at most {} held", heap.most);
        // The messages in the queue, and a block or two.
        assert!(taken < (64 << 10) + 2 * (64 << 10), "{taken} bytes taken");
        let frames = (message + 10) * 1000;
        assert!(heap.most < frames + (64 << 10) * 3 + (96 << 10), "{heap:?}");
    }
}

/// Ten readers that never read are fed by the same server that serves the others.
#[tokio::test]
async fn others_do_not_notice_a_peer_that_never_reads() {
    let addr = serve(server().await, async |mut socket: WebSocket| -> Result<()> {
        match socket.recv().await? {
            Some(first) if first == "flood me".into() => loop {
                socket.send(vec![1; 16 << 10]).await?;
            },
            Some(first) => {
                socket.send(first).await?;
                echo(socket).await
            }
            None => Ok(()),
        }
    });
    let mut deaf = Vec::new();
    for _ in 0..10 {
        let mut client = connect(addr).await;
        client.send("flood me").await.unwrap();
        deaf.push(client);
    }
    let mut client = connect(addr).await;
    let mut times = Vec::new();
    for i in 0..200 {
        let began = std::time::Instant::now();
        client.send(format!("{i}")).await.unwrap();
        assert_eq!(soon(client.recv()).await.unwrap(), Some(format!("{i}").into()));
        times.push(began.elapsed());
    }
    times.sort_unstable();
    println!("round trips: median {:?}, slowest {:?}", times[100], times[199]);
    assert!(times[100] < Duration::from_millis(100), "{:?}", times[100]);
    drop(deaf);
}

/// A million pings, when nothing can be written: the last is answered, and nothing is piled up.
#[test]
fn pings_to_one_that_cannot_write_are_answered_once() {
    let config = Config {
        max_control_frames_per_second: u32::MAX,
        write_timeout: Duration::from_secs(3600),
        keepalive: None,
        ..Config::default()
    };
    for (role, pings) in [(Role::Server, 1_000_000), (Role::Client, 100_000)] {
        let (heap, ()) = measured(at_once(async {
            let (ours, theirs) = pipe(PIPE);
            let (ours, control) = rig(ours);
            control.stall_writing();
            let mut socket = self_driven_over(role, &config, ours);
            let mut peer = Peer::new(other(role), theirs);
            let thousand = ping("again").encode(other(role)).repeat(1000);
            let pinging = async {
                for _ in 0..pings / 1000 {
                    peer.send_bytes(&thousand).await;
                }
                peer.send(&ping("the last")).await;
                peer.send(&text("behind them")).await;
            };
            let (received, ()) = tokio::join!(socket.recv(), pinging);
            assert_eq!(received.unwrap(), Some("behind them".into()));
            assert_eq!(control.counts().bytes_written, 0);
            control.release();
            socket.flush().await.unwrap();
            peer.expect(pong("the last")).await;
            socket.send("and nothing else").await.unwrap();
            peer.expect(text("and nothing else")).await;
        }));
        println!("{role:?}: at most {} bytes", heap.most);
        // The transport, and the blocks that the thread keeps; a million pongs would be 7 MB.
        assert!(heap.most < 2 * PIPE + (256 << 10), "{heap:?}");
    }
}

/// A million pings of ours to a peer that never reads: one is under way.
#[test]
fn pings_of_ours_to_one_that_never_reads_are_one() {
    let (heap, ()) = measured(at_once(async {
        let (ours, theirs) = pipe(PIPE);
        let (ours, control) = rig(ours);
        control.stall_writing();
        let mut socket = self_driven_over(Role::Server, &Config::default(), ours);
        for _ in 0..1_000_000 {
            assert!(poll!(pin!(socket.ping())).is_pending());
        }
        control.release();
        socket.send("behind it").await.unwrap();
        let mut peer = Peer::new(Role::Client, theirs);
        assert_eq!(peer.frame().await.unwrap().opcode, 9);
        peer.expect(text("behind it")).await;
    }));
    assert!(heap.most < 2 * PIPE + (64 << 10), "{heap:?}");
}

/// A listener whose connections have small kernel buffers.
fn narrow_listener() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    narrow(&SockRef::from(&socket));
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.listen(16).unwrap()
}

/// Our client over a connection with small kernel buffers.
async fn narrow_client(addr: SocketAddr) -> WebSocket {
    let socket = TcpSocket::new_v4().unwrap();
    narrow(&SockRef::from(&socket));
    let tcp: TcpStream = socket.connect(addr).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    Client::new().connect_over(format!("ws://{addr}/"), tcp).await.unwrap()
}

fn narrow(socket: &SockRef<'_>) {
    socket.set_send_buffer_size(8 << 10).unwrap();
    socket.set_recv_buffer_size(8 << 10).unwrap();
}

const PIECE: usize = 200 << 10;

/// A hundred megabytes.
const PIECES: usize = 100_000_000 / PIECE + 1;

/// Sends all pieces while it receives as many.
async fn exchange(socket: WebSocket) {
    let (sender, mut receiver) = socket.split();
    let sending = tokio::spawn(async move {
        let piece = Bytes::from(vec![5; PIECE]);
        for _ in 0..PIECES {
            sender.send(piece.clone()).await.unwrap();
        }
        sender
    });
    for _ in 0..PIECES {
        let message = receiver.recv().await.unwrap().expect("a piece");
        assert!(matches!(&message, Message::Binary(bytes) if bytes.len() == PIECE && bytes[PIECE - 1] == 5));
    }
    sending.await.unwrap().flush().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_megabytes_each_way_through_narrow_buffers() {
    let server = stentor::Server::from_listener(narrow_listener());
    let addr = serve(server, exchange);
    soon(exchange(narrow_client(addr).await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_megabytes_through_the_plain_echo_loop() {
    let server = stentor::Server::from_listener(narrow_listener());
    let addr = serve(server, echo);
    soon(exchange(narrow_client(addr).await)).await;
}

/// Bytes that never make a head, and never stop: the client is refused and let go.
#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let addr = serve(server().await, echo);
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    let flood = async {
        tcp.write_all(b"GET / HTTP/1.1\r\n").await?;
        loop {
            tcp.write_all(b"X-Padding: padding padding padding padding\r\n").await?;
        }
    };
    let ended: std::io::Result<()> = soon(flood).await;
    ended.unwrap_err();
}
