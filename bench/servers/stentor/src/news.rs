//! News for those who ask for `/news`, whether they read them or not.

use std::io;
use std::time::Duration;

use rustix::net::sockopt::set_socket_send_buffer_size;
use stentor::{Config, ConnectionHandle, Message, Prepared, Rejection, Server, SlowReader};
use tokio::net::TcpListener;
use tokio::time::interval;

/// How often there are news, and how many bytes each time.
const INTERVAL: Duration = Duration::from_millis(5);
const LEN: usize = 8 << 10;

/// What the kernel takes for a connection: little, so that it is full soon.
const SEND_BUFFER: usize = 64 << 10;

/// Who gets the news.
#[derive(Clone, Copy)]
struct Subscriber(bool);

/// What a variant of this name does with slow readers.
pub(crate) fn policy(variant: &str) -> Option<SlowReader> {
    Some(match variant {
        "wait" => SlowReader::Wait,
        "drop-oldest" => SlowReader::DropOldest,
        "drop-newest" => SlowReader::DropNewest,
        "close" => SlowReader::Close,
        _ => return None,
    })
}

/// A server that tells the news. Connections inherit the buffer of their listener.
pub(crate) fn server(listener: TcpListener, config: Config) -> io::Result<Server> {
    set_socket_send_buffer_size(&listener, SEND_BUFFER)?;
    let server = Server::from_listener(listener)
        .config(config)
        .authorize(async |request| Ok::<_, Rejection>(Subscriber(request.uri().path() == "/news")));
    let connections = server.connections();
    tokio::spawn(async move {
        let news = Prepared::new(Message::from(vec![7; LEN]));
        let wants =
            |connection: &ConnectionHandle| connection.context().is_some_and(|Subscriber(wants)| wants);
        let mut ticks = interval(INTERVAL);
        loop {
            ticks.tick().await;
            connections.broadcast_where(&news, wants);
        }
    });
    Ok(server)
}
