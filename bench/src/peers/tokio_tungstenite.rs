//! tokio-tungstenite with its default configuration.

use futures_util::{SinkExt, StreamExt};
use stentor_bench_harness::ready_now;
use stentor_paths::row::{Kind, Seen, Served, Task, Way};
use stentor_paths::transport::Transport;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

pub(super) fn ways() -> Vec<Way> {
    let peer = |name, task, open| Way { name, kind: Kind::Peer, task, open };
    vec![
        peer("tokio-tungstenite 0.30.0, send each", Task::Echo, |s| Served::echo(s, send_each)),
        peer("tokio-tungstenite 0.30.0, feed + flush", Task::Echo, |s| Served::echo(s, feed_and_flush)),
        peer("tokio-tungstenite 0.30.0", Task::Decode, |s| Served::decode(s, decode)),
    ]
}

async fn send_each(transport: Transport) {
    let mut socket = open(transport).await;
    while let Some(message) = socket.next().await {
        socket.send(message.expect("a message")).await.expect("sent");
    }
}

/// Reading does not flush what was fed, so messages are fed while there are any to read, and
/// flushed when there are none.
async fn feed_and_flush(transport: Transport) {
    let mut socket = open(transport).await;
    loop {
        let mut next = socket.next().await;
        while let Some(message) = next {
            socket.feed(message.expect("a message")).await.expect("fed");
            next = ready_now(|cx| socket.poll_next_unpin(cx)).await.flatten();
        }
        socket.flush().await.expect("flushed");
    }
}

async fn decode(transport: Transport, seen: Seen) {
    let mut socket = open(transport).await;
    while let Some(message) = socket.next().await {
        seen.message(&message.expect("a message").into_data());
    }
}

async fn open(transport: Transport) -> WebSocketStream<Transport> {
    WebSocketStream::from_raw_socket(transport, Role::Server, None).await
}
