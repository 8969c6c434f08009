//! web-socket over a buffered reader, as in its examples. It has no `feed`, so the batched form corks
//! the transport below it.

use stentor_bench_harness::Corked;
use stentor_paths::row::{Kind, Seen, Served, Task, Way};
use stentor_paths::transport::Transport;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use web_socket::{DataType, Event, MessageType, WebSocket};

pub(super) fn ways() -> Vec<Way> {
    let peer = |name, task, open| Way { name, kind: Kind::Peer, task, open };
    vec![
        peer("web-socket 0.7.0, send each", Task::Echo, |s| Served::echo(s, send_each)),
        peer("web-socket 0.7.0, corked transport", Task::Echo, |s| {
            Served::echo(s, |transport| send_each(Corked::new(transport)))
        }),
        peer("web-socket 0.7.0", Task::Decode, |s| Served::decode(s, decode)),
    ]
}

async fn send_each<T: AsyncRead + AsyncWrite + Unpin>(transport: T) {
    let mut socket = WebSocket::server(BufReader::new(transport));
    loop {
        let (kind, data) = message(&mut socket).await;
        match kind {
            MessageType::Text => socket.send(std::str::from_utf8(&data).expect("text")).await,
            MessageType::Binary => socket.send(&*data).await,
        }
        .expect("sent");
    }
}

async fn decode(transport: Transport, seen: Seen) {
    let mut socket = WebSocket::server(BufReader::new(transport));
    loop {
        let (kind, data) = message(&mut socket).await;
        if kind.is_text() {
            std::str::from_utf8(&data).expect("text");
        }
        seen.message(&data);
    }
}

async fn message<T: AsyncRead + Unpin>(socket: &mut WebSocket<T>) -> (MessageType, Box<[u8]>) {
    match socket.recv_event().await.expect("an event") {
        Event::Data { ty: DataType::Complete(kind), data } => (kind, data),
        other => panic!("{other:?}"),
    }
}
