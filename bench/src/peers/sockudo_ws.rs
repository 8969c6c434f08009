//! sockudo-ws with its default configuration.

use futures_util::{SinkExt, StreamExt};
use sockudo_ws::{Config, Message, WebSocketStream};
use stentor_paths::row::{Kind, Seen, Served, Task, Way};
use stentor_paths::transport::Transport;

pub(super) fn ways() -> Vec<Way> {
    let peer = |name, task, open| Way { name, kind: Kind::Peer, task, open };
    vec![
        peer("sockudo-ws 3.1.0, send each", Task::Echo, |s| Served::echo(s, send_each)),
        peer("sockudo-ws 3.1.0, feed each", Task::Echo, |s| Served::echo(s, feed_each)),
        peer("sockudo-ws 3.1.0", Task::Decode, |s| Served::decode(s, decode)),
    ]
}

async fn send_each(transport: Transport) {
    let mut socket = open(transport);
    while let Some(message) = socket.next().await {
        socket.send(message.expect("a message")).await.expect("sent");
    }
}

/// What was fed is flushed when the next read has to wait.
async fn feed_each(transport: Transport) {
    let mut socket = open(transport);
    while let Some(message) = socket.next().await {
        socket.feed(message.expect("a message")).await.expect("fed");
    }
}

async fn decode(transport: Transport, seen: Seen) {
    let mut socket = open(transport);
    while let Some(message) = socket.next().await {
        match message.expect("a message") {
            Message::Text(payload) | Message::Binary(payload) => seen.message(&payload),
            other => panic!("{other:?}"),
        }
    }
}

fn open(transport: Transport) -> WebSocketStream<Transport> {
    WebSocketStream::server(transport, Config::default())
}
