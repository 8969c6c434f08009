//! tokio-websockets with its default configuration.

use futures_util::{SinkExt, StreamExt};
use stentor_bench_harness::ready_now;
use stentor_paths::row::{Kind, Seen, Served, Task, Way};
use stentor_paths::transport::Transport;
use tokio_websockets::{ServerBuilder, WebSocketStream};

pub(super) fn ways() -> Vec<Way> {
    let peer = |name, task, open| Way { name, kind: Kind::Peer, task, open };
    vec![
        peer("tokio-websockets 0.13.3, send each", Task::Echo, |s| Served::echo(s, send_each)),
        peer("tokio-websockets 0.13.3, feed + flush", Task::Echo, |s| Served::echo(s, feed_and_flush)),
        peer("tokio-websockets 0.13.3", Task::Decode, |s| Served::decode(s, decode)),
    ]
}

async fn send_each(transport: Transport) {
    let mut socket = open(transport);
    while let Some(message) = socket.next().await {
        socket.send(message.expect("a message")).await.expect("sent");
    }
}

/// Reading flushes whatever was fed, so all that can be read is read before anything is fed.
async fn feed_and_flush(transport: Transport) {
    let mut socket = open(transport);
    let mut batch = Vec::new();
    loop {
        let mut next = socket.next().await;
        while let Some(message) = next {
            batch.push(message.expect("a message"));
            next = ready_now(|cx| socket.poll_next_unpin(cx)).await.flatten();
        }
        for message in batch.drain(..) {
            socket.feed(message).await.expect("fed");
        }
        socket.flush().await.expect("flushed");
    }
}

async fn decode(transport: Transport, seen: Seen) {
    let mut socket = open(transport);
    while let Some(message) = socket.next().await {
        seen.message(message.expect("a message").as_payload());
    }
}

fn open(transport: Transport) -> WebSocketStream<Transport> {
    ServerBuilder::new().serve(transport)
}
