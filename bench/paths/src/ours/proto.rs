//! The protocol core under the smallest possible drive loop: what it costs apart from everything
//! around it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, BytesMut};
use stentor_proto::{Config, Connection, Event, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::row::{Kind, Seen, Served, Task, Way};
use crate::transport::Transport;

/// What one read is given room for.
const READ: usize = 64 * 1024;

pub(super) fn ways() -> Vec<Way> {
    let ours = |name, task, open| Way { name, kind: Kind::Ours, task, open };
    vec![
        ours("stentor-proto alone", Task::Echo, |s| Served::echo(s, echo)),
        ours("stentor-proto alone, one by one", Task::Echo, |s| Served::echo(s, echo_one_by_one)),
        ours("stentor-proto alone", Task::Decode, |s| Served::decode(s, decode)),
    ]
}

async fn echo(mut transport: Transport) {
    let mut connection = Connection::server(Arc::new(Config::default()), Instant::now());
    let mut buffer = BytesMut::new();
    let mut messages = VecDeque::new();
    loop {
        let now = read(&mut transport, &mut buffer).await;
        while !buffer.is_empty() {
            messages.extend(connection.receive_messages(&mut buffer, now));
            if messages.is_empty() {
                // One that did not arrive whole is for the other way through receiving.
                let Some(event) = connection.receive(&mut buffer, now) else { break };
                messages.push_back(message(event));
            }
            for message in messages.drain(..) {
                connection.send(message).expect("an open connection with room");
            }
        }
        write(&mut transport, &mut connection).await;
    }
}

async fn echo_one_by_one(mut transport: Transport) {
    let mut connection = Connection::server(Arc::new(Config::default()), Instant::now());
    let mut buffer = BytesMut::new();
    loop {
        let now = read(&mut transport, &mut buffer).await;
        while let Some(event) = connection.receive(&mut buffer, now) {
            connection.send(message(event)).expect("an open connection with room");
        }
        write(&mut transport, &mut connection).await;
    }
}

async fn decode(mut transport: Transport, seen: Seen) {
    let mut connection = Connection::server(Arc::new(Config::default()), Instant::now());
    let mut buffer = BytesMut::new();
    let mut messages = VecDeque::new();
    loop {
        let now = read(&mut transport, &mut buffer).await;
        while !buffer.is_empty() {
            messages.extend(connection.receive_messages(&mut buffer, now));
            if messages.is_empty() {
                let Some(event) = connection.receive(&mut buffer, now) else { break };
                messages.push_back(message(event));
            }
            for message in messages.drain(..) {
                seen.message(&message.into_bytes());
            }
        }
    }
}

fn message(event: Event) -> Message {
    let Event::Message(message) = event else { panic!("{event:?}") };
    message
}

async fn write(transport: &mut Transport, connection: &mut Connection) {
    while let Some(mut bytes) = connection.poll_transmit() {
        transport.write_buf(&mut bytes).await.expect("the transport never fails");
    }
}

async fn read(transport: &mut Transport, buffer: &mut BytesMut) -> Instant {
    buffer.reserve(READ);
    transport.read_buf(buffer).await.expect("the transport never fails");
    assert!(buffer.has_remaining());
    Instant::now()
}
