//! yawc with its default options and the check of UTF-8, which is off by default.

use futures_util::{SinkExt, StreamExt};
use stentor_bench_harness::ready_now;
use stentor_paths::row::{Kind, Seen, Served, Task, Way};
use stentor_paths::transport::Transport;
use yawc::{Options, Role, WebSocket};

pub(super) fn ways() -> Vec<Way> {
    let peer = |name, task, open| Way { name, kind: Kind::Peer, task, open };
    vec![
        peer("yawc 0.5.0, send each", Task::Echo, |s| Served::echo(s, send_each)),
        peer("yawc 0.5.0, feed + flush", Task::Echo, |s| Served::echo(s, feed_and_flush)),
        peer("yawc 0.5.0", Task::Decode, |s| Served::decode(s, decode)),
    ]
}

async fn send_each(transport: Transport) {
    let mut socket = open(transport);
    while let Some(frame) = socket.next().await {
        socket.send(frame).await.expect("sent");
    }
}

async fn feed_and_flush(transport: Transport) {
    let mut socket = open(transport);
    while let Some(first) = socket.next().await {
        let mut next = Some(first);
        while let Some(frame) = next {
            socket.feed(frame).await.expect("fed");
            next = ready_now(|cx| socket.poll_next_unpin(cx)).await.flatten();
        }
        socket.flush().await.expect("flushed");
    }
}

async fn decode(transport: Transport, seen: Seen) {
    let mut socket = open(transport);
    while let Some(frame) = socket.next().await {
        seen.message(frame.payload());
    }
}

fn open(transport: Transport) -> WebSocket<Transport> {
    WebSocket::from_stream(transport, Role::Server, Options::default().with_utf8())
        .expect("an open connection")
}
