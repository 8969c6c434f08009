//! Messages of every size come back whole, and in order.

use stentor::{Client, Config, Message, Result, WebSocket};
use stentor_proto::Role;
use stentor_testkit::frame::{binary, text};
use stentor_testkit::peer::Peer;
use tokio::io::AsyncWriteExt;

use crate::support::{bytes_of, echo, echo_server, raw_client, serve, server, soon, text_of};

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

#[tokio::test]
async fn a_server_echoes_every_size() {
    let addr = echo_server(config()).await;
    let client = Client::new().config(config()).connect(format!("ws://{addr}/")).await.unwrap();
    soon(ask(client)).await.unwrap();
}

#[tokio::test]
async fn a_client_echoes_every_size() {
    let (told, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let addr = serve(server().await.config(config()), move |socket| {
        let told = told.clone();
        async move { told.send(ask(socket).await).unwrap() }
    });
    let client = Client::new().config(config()).connect(format!("ws://{addr}/")).await.unwrap();
    soon(echo(client)).await.unwrap();
    asked.recv().await.expect("the handler panicked").unwrap();
}

#[tokio::test]
async fn a_sender_may_fragment() {
    let config = Config { fragment_size: Some(1000), max_fragments: 5000, ..config() };
    let addr = echo_server(config.clone()).await;
    let client = Client::new().config(config).connect(format!("ws://{addr}/")).await.unwrap();
    soon(ask(client)).await.unwrap();
}

#[tokio::test]
async fn pipelined_messages_come_back_in_order() {
    let addr = echo_server(config()).await;
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

#[tokio::test]
async fn many_clients_get_their_own_echoes() {
    let addr = echo_server(Config::default()).await;
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
