//! The library as people use it: the server's task and the handler in it, behind a real opening
//! handshake.

use stentor::{Acceptor, HandlerOutput, Result, WebSocket};

use crate::row::{Kind, Seen, Served, Task, Way};
use crate::transport::Transport;

pub(super) fn ways() -> Vec<Way> {
    let ours = |name, task, open| Way { name, kind: Kind::Ours, task, open };
    vec![
        ours("stentor, send each", Task::Echo, |s| {
            Served::after_handshake(s, Task::Echo, |transport, _| serve(transport, send_each))
        }),
        ours("stentor, send each through split", Task::Echo, |s| {
            Served::after_handshake(s, Task::Echo, |transport, _| serve(transport, send_each_split))
        }),
        ours("stentor, feed each", Task::Echo, |s| {
            Served::after_handshake(s, Task::Echo, |transport, _| serve(transport, feed_each))
        }),
        ours("stentor", Task::Decode, |s| {
            Served::after_handshake(s, Task::Decode, |transport, seen| {
                serve(transport, |socket| decode(socket, seen))
            })
        }),
    ]
}

async fn serve<F>(transport: Transport, handler: impl FnOnce(WebSocket) -> F)
where
    F: Future<Output: HandlerOutput>,
{
    Acceptor::new().serve_connection(transport, handler).await.expect("a handshake");
}

async fn send_each(mut socket: WebSocket) -> Result<()> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}

async fn send_each_split(socket: WebSocket) -> Result<()> {
    let (sender, mut receiver) = socket.split();
    while let Some(message) = receiver.recv().await? {
        sender.send(message).await?;
    }
    Ok(())
}

/// Nothing has to be flushed: what was fed leaves when the handler next waits.
async fn feed_each(mut socket: WebSocket) -> Result<()> {
    while let Some(message) = socket.recv().await? {
        socket.feed(message).await?;
    }
    Ok(())
}

async fn decode(mut socket: WebSocket, seen: Seen) -> Result<()> {
    while let Some(message) = socket.recv().await? {
        seen.message(message.as_bytes());
    }
    Ok(())
}
