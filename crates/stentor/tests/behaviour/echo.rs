//! Messages of every size come back whole, and in order.

use stentor::{Acceptor, Client, Config, Message, Result, WebSocket};
use stentor_proto::Role;
use stentor_testkit::frame::{binary, text};
use stentor_testkit::peer::{Peer, request};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::hosts::{Host, Hosted, on_every_host};
use crate::support::{bytes_of, echo, raw_client, soon, text_of};

on_every_host![
    a_server_echoes_every_size,
    a_client_echoes_every_size,
    a_sender_may_fragment,
    pipelined_messages_come_back_in_order,
    many_clients_get_their_own_echoes,
    frames_right_behind_the_request_are_not_lost,
];

/// Around every length form, every threshold of ours, and 4 MiB.
const SIZES: [usize; 22] = [
    0,
    1,
    2,
    125,
    126,
    127,
    1000,
    4095,
    4096,
    8191,
    8192,
    8193,
    16_383,
    16_384,
    16_385,
    32_768,
    65_535,
    65_536,
    65_537,
    300_000,
    1 << 20,
    4 << 20,
];

fn config() -> Config {
    Config { max_frame_size: 4 << 20, max_message_size: 4 << 20, ..Config::default() }
}

/// Sends a message of every size and kind and expects it back.
async fn ask(mut socket: WebSocket) -> Result<()> {
    for size in SIZES {
        for message in [Message::from(text_of(size)), Message::from(bytes_of(size))] {
            assert_eq!(message.len(), size);
            socket.send(message.clone()).await?;
            let back = socket.recv().await?.expect("an echo");
            assert!(back == message, "{size} bytes came back as {}", back.len());
        }
    }
    socket.close(stentor::CloseCode::NORMAL, "").await
}

async fn a_server_echoes_every_size(host: Host) {
    let addr = host.serve(Acceptor::new().config(config()), echo).await;
    let client = Client::new().config(config()).connect(format!("ws://{addr}/")).await.unwrap();
    soon(ask(client)).await.unwrap();
}

async fn a_client_echoes_every_size(host: Host) {
    let (told, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let handler = move |socket| {
        let told = told.clone();
        async move { told.send(ask(socket).await).unwrap() }
    };
    let addr = host.serve(Acceptor::new().config(config()), handler).await;
    let client = Client::new().config(config()).connect(format!("ws://{addr}/")).await.unwrap();
    soon(echo(client)).await.unwrap();
    asked.recv().await.expect("the handler panicked").unwrap();
}

async fn a_sender_may_fragment(host: Host) {
    let config = Config { fragment_size: Some(1000), max_fragments: 5000, ..config() };
    let addr = host.serve(Acceptor::new().config(config.clone()), echo).await;
    let client = Client::new().config(config).connect(format!("ws://{addr}/")).await.unwrap();
    soon(ask(client)).await.unwrap();
}

async fn pipelined_messages_come_back_in_order(host: Host) {
    let addr = host.serve(Acceptor::new().config(config()), echo).await;
    let (read, mut write) = raw_client(addr).await.into_inner().into_split();
    let mut echoes = Peer::new(Role::Client, tokio::io::join(read, tokio::io::sink()));
    let messages: Vec<_> = (0..3000)
        .map(|i| match i % 3 {
            0 => text(format!("message {i}")),
            1 => binary(bytes_of(i % 700)),
            _ => text(text_of(i % 300)),
        })
        .collect();
    let sent: Vec<u8> = messages.iter().flat_map(|message| message.encode(Role::Client)).collect();
    let received = async {
        for message in messages {
            echoes.expect(message).await;
        }
    };
    let (written, ()) = soon(async { tokio::join!(write.write_all(&sent), received) }).await;
    written.unwrap();
}

async fn many_clients_get_their_own_echoes(host: Host) {
    let addr = host.serve(Acceptor::new(), echo).await;
    let clients = (0..50).map(|i| {
        tokio::spawn(async move {
            let mut socket = stentor::connect(format!("ws://{addr}/")).await.unwrap();
            for j in 0..20 {
                socket.send(format!("{i}: {j}")).await.unwrap();
                assert_eq!(socket.recv().await.unwrap(), Some(format!("{i}: {j}").into()));
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        soon(client).await.unwrap();
    }
}

/// A client may send before it has the answer: what was read along with the request comes first, also
/// the half of a frame.
async fn frames_right_behind_the_request_are_not_lost(host: Host) {
    let addr = host.serve(Acceptor::new(), echo).await;
    let messages = [text("first"), binary(bytes_of(300)), text(text_of(5000)), text("last")];
    let frames: Vec<u8> = messages.iter().flat_map(|message| message.encode(Role::Client)).collect();
    // None, some, and all of them along with the request; cut in a header, in a payload, between two.
    for along in [0, 1, 8, 11, 100, 3000, frames.len()] {
        let mut tcp = TcpStream::connect(addr).await.unwrap();
        tcp.write_all(&[request("/", "").as_bytes(), &frames[..along]].concat()).await.unwrap();
        let mut peer = Peer::new(Role::Client, tcp);
        assert!(soon(peer.head()).await.starts_with("HTTP/1.1 101 "));
        peer.send_bytes(&frames[along..]).await;
        for message in &messages {
            soon(peer.expect(message.clone())).await;
        }
    }
    // And over a byte stream that is no TCP.
    let Hosted { dial, .. } = host.in_memory(Acceptor::new(), echo);
    let mut peer = Peer::new(Role::Client, dial.up());
    peer.send_bytes(&[request("/", "").as_bytes(), &frames].concat()).await;
    assert!(soon(peer.head()).await.starts_with("HTTP/1.1 101 "));
    for message in messages {
        soon(peer.expect(message)).await;
    }
}
