//! fastwebsockets through its `FragmentCollector`, the form that gives whole messages. It has no
//! `feed`, so the batched form corks the transport below it.

use fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket};
use stentor_bench_harness::Corked;
use tokio::io::{AsyncRead, AsyncWrite};

use stentor_paths::row::{Kind, Seen, Served, Task, Way};
use stentor_paths::transport::Transport;

pub(super) fn ways() -> Vec<Way> {
    let peer = |name, task, open| Way { name, kind: Kind::Peer, task, open };
    vec![
        peer("fastwebsockets 0.10.0, write_frame each", Task::Echo, |s| Served::echo(s, write_each)),
        peer("fastwebsockets 0.10.0, corked transport", Task::Echo, |s| {
            Served::echo(s, |transport| write_each(Corked::new(transport)))
        }),
        peer("fastwebsockets 0.10.0", Task::Decode, |s| Served::decode(s, decode)),
    ]
}

async fn write_each<T: AsyncRead + AsyncWrite + Unpin>(transport: T) {
    let mut socket = open(transport);
    loop {
        let frame = socket.read_frame().await.expect("a frame");
        match frame.opcode {
            OpCode::Close => break,
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await.expect("written"),
            _ => {}
        }
    }
}

async fn decode(transport: Transport, seen: Seen) {
    let mut socket = open(transport);
    loop {
        let frame = socket.read_frame().await.expect("a frame");
        match frame.opcode {
            OpCode::Close => break,
            OpCode::Text | OpCode::Binary => seen.message(&frame.payload),
            _ => {}
        }
    }
}

fn open<T: AsyncRead + AsyncWrite + Unpin>(transport: T) -> FragmentCollector<T> {
    FragmentCollector::new(WebSocket::after_handshake(transport, Role::Server))
}
