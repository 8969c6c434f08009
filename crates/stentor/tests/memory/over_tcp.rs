//! Peers over TCP that do not read, with the kernel's buffers between: what the server holds for them is
//! bounded, whatever is offered to them and whatever they send.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use stentor::{Config, Error, Phase, Server, SlowReader, WebSocket};
use stentor_proto::Role;
use stentor_testkit::frame::{ping, pong, text};
use stentor_testkit::peer::Peer;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};

use crate::measured_in_real_time;
use crate::support::{connect, echo, serve, soon};

const PIECE: usize = 64 << 10;

/// A gibibyte.
const OFFERED: usize = (1 << 30) / PIECE;

/// A server whose connections have small buffers in the kernel, which would otherwise take megabytes.
fn narrow_server(config: Config) -> Server {
    let socket = TcpSocket::new_v4().unwrap();
    narrow(&SockRef::from(&socket));
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    Server::from_listener(socket.listen(16).unwrap()).config(config)
}

/// A client by hand with small buffers, connected.
async fn narrow_peer(addr: SocketAddr) -> Peer<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    narrow(&SockRef::from(&socket));
    Peer::connect(socket.connect(addr).await.unwrap()).await
}

fn narrow(socket: &SockRef<'_>) {
    socket.set_send_buffer_size(8 << 10).unwrap();
    socket.set_recv_buffer_size(8 << 10).unwrap();
}

/// The number of the next piece, so that it can be told which have arrived.
fn piece(index: usize) -> Vec<u8> {
    let mut piece = vec![1; PIECE];
    piece[..8].copy_from_slice(&(index as u64).to_be_bytes());
    piece
}

/// How far it got, and with which error.
type Outcome = (usize, u64, Option<Error>);

/// Offers a gibibyte, in pieces that share no memory.
async fn offer(mut socket: WebSocket) -> Outcome {
    for index in 0..OFFERED {
        if let Err(error) = socket.send(piece(index)).await {
            return (index, socket.dropped(), Some(error));
        }
    }
    (OFFERED, socket.dropped(), None)
}

#[test]
fn a_gibibyte_for_one_that_never_reads_is_bounded_under_each_policy() {
    // The outbox with one message more and one on its way into it; and for all the rest, which are three ends
    // of connections, the runtime's tasks and the blocks of the thread, 128 KiB.
    let bound = (256 << 10) + 2 * PIECE + (128 << 10);
    for policy in [SlowReader::Wait, SlowReader::DropOldest, SlowReader::DropNewest, SlowReader::Close] {
        let mut config =
            Config { slow_reader: policy, close_timeout: Duration::from_secs(1), ..Config::default() };
        if policy == SlowReader::Wait {
            // The others are done long before the usual deadline, however busy the machine is.
            config.write_timeout = Duration::from_secs(1);
        }
        let (heap, ()) = measured_in_real_time(async {
            let (told, mut outcomes) = mpsc::unbounded_channel();
            let addr = serve(narrow_server(config), move |mut socket: WebSocket| {
                let told = told.clone();
                async move {
                    match socket.recv().await? {
                        Some(said) if said == "offer".into() => {
                            told.send(offer(socket).await).unwrap();
                            Ok(())
                        }
                        Some(said) => {
                            socket.send(said).await?;
                            echo(socket).await
                        }
                        None => Ok(()),
                    }
                }
            });
            let mut bystander = connect(addr).await;
            let mut slow = narrow_peer(addr).await;
            slow.send(&text("offer")).await;
            for i in 0..10 {
                bystander.send(format!("{i}")).await.unwrap();
                assert_eq!(soon(bystander.recv()).await.unwrap(), Some(format!("{i}").into()));
            }
            let (offered, dropped, error) = soon(outcomes.recv()).await.unwrap();
            match (policy, error) {
                // Only the write deadline ends the waiting.
                (SlowReader::Wait, Some(Error::Timeout(Phase::Write))) => {
                    assert!(offered < 20 && dropped == 0, "{offered} {dropped}");
                }
                (SlowReader::Close, Some(Error::Closed(closed))) => {
                    assert_eq!((u16::from(closed.code), dropped), (1013, 0));
                    assert!(offered < 20, "{offered}");
                }
                (SlowReader::DropOldest | SlowReader::DropNewest, None) => {
                    assert!(dropped > OFFERED as u64 - 20, "{dropped}");
                }
                (_, error) => panic!("{policy:?}: {offered} {dropped} {error:?}"),
            }
            bystander.send("still here").await.unwrap();
            assert_eq!(soon(bystander.recv()).await.unwrap(), Some("still here".into()));
        });
        println!("{policy:?}: at most {} bytes for a gibibyte, bound {bound}", heap.most);
        assert!(heap.most < bound, "{policy:?}: {heap:?}");
    }
}

/// What was dropped was whole messages: when the peer reads again, it understands everything, and its
/// Ping was answered ahead of the data.
#[test]
fn control_frames_get_through_where_messages_are_dropped() {
    for policy in [SlowReader::DropOldest, SlowReader::DropNewest] {
        let (_, ()) = measured_in_real_time(async {
            let config = Config { slow_reader: policy, ..Config::default() };
            let (go_on, wait) = oneshot::channel();
            let wait = std::sync::Mutex::new(Some(wait));
            let (told, mut filled) = mpsc::unbounded_channel();
            let addr = serve(narrow_server(config), move |mut socket: WebSocket| {
                let (wait, told) = (wait.lock().unwrap().take(), told.clone());
                async move {
                    for index in 0..100 {
                        socket.send(piece(index)).await.unwrap();
                    }
                    told.send(socket.dropped()).unwrap();
                    wait.unwrap().await.unwrap();
                    for index in 100..200 {
                        socket.send(piece(index)).await.unwrap();
                    }
                    told.send(socket.dropped()).unwrap();
                    socket.close(1000.into(), "bye").await.unwrap();
                }
            });
            let mut slow = narrow_peer(addr).await;
            let before = soon(filled.recv()).await.unwrap();
            assert!(before > 80, "{before}");
            slow.send(&ping("are you there?")).await;
            go_on.send(()).unwrap();
            let dropped = soon(filled.recv()).await.unwrap();
            let (mut indices, mut pongs) = (Vec::new(), 0);
            let end = loop {
                let frame = soon(slow.frame()).await.expect("a Close frame");
                match frame.opcode {
                    0x8 => break frame,
                    0xa => {
                        assert_eq!(frame, pong("are you there?"));
                        // No more than the pieces that were on their way are ahead of it.
                        assert!(indices.len() < 3, "{indices:?}");
                        pongs += 1;
                    }
                    _ => {
                        assert_eq!(frame.payload.len(), PIECE);
                        indices.push(u64::from_be_bytes(frame.payload[..8].try_into().unwrap()));
                    }
                }
            };
            assert_eq!(end.close_code_and_reason(), (1000, "bye".to_owned()));
            assert_eq!((pongs, indices.len() as u64 + dropped), (1, 200));
            assert!(indices.is_sorted(), "{indices:?}");
            assert_eq!(indices.contains(&199), policy == SlowReader::DropOldest, "{indices:?}");
        });
    }
}

#[test]
fn a_million_pings_of_one_that_never_reads_leave_one_pong() {
    let config = Config {
        max_control_frames_per_second: u32::MAX,
        write_timeout: Duration::from_secs(3600),
        keepalive: None,
        ..Config::default()
    };
    let (heap, ()) = measured_in_real_time(async {
        let addr = serve(narrow_server(config), echo);
        let mut bystander = connect(addr).await;
        let mut flood = narrow_peer(addr).await;
        let thousand = ping([b'p'; 100]).encode(Role::Client).repeat(1000);
        for _ in 0..1000 {
            soon(flood.send_bytes(&thousand)).await;
        }
        flood.send(&ping("the last one")).await;
        bystander.send("still here").await.unwrap();
        assert_eq!(soon(bystander.recv()).await.unwrap(), Some("still here".into()));
        flood.send(&text("behind them")).await;
        let mut pongs = 0;
        let mut last = None;
        loop {
            let frame = soon(flood.frame()).await.unwrap();
            if frame == text("behind them") {
                break;
            }
            pongs += 1;
            last = Some(frame);
        }
        println!("{pongs} pongs for a million pings");
        assert_eq!(last, Some(pong("the last one")));
        // What the kernel's buffers held before they were full, and the one that waited.
        assert!(pongs < 10_000, "{pongs}");
    });
    println!("at most {} bytes", heap.most);
    // A thousand pings by hand, and the blocks of both ends; a million pongs would be 100 MB.
    assert!(heap.most < (512 << 10), "{heap:?}");
}
