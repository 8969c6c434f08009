//! A server in threads of its own.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use stentor::{Drain, Listener, Message, Prepared, Server, WebSocket};

use crate::support::{connect, server, soon};

/// Serves in three threads, and notes in which threads handlers run.
fn serve(server: Server) -> (std::net::SocketAddr, Arc<Mutex<HashSet<ThreadId>>>) {
    let threads = Arc::new(Mutex::new(HashSet::new()));
    let seen = Arc::clone(&threads);
    let addr = server.local_addr().unwrap();
    let serving = server.workers(3).serve(move |mut socket: WebSocket| {
        let seen = Arc::clone(&seen);
        async move {
            let thread = thread::current().id();
            while let Some(message) = socket.recv().await? {
                assert_eq!(thread, thread::current().id(), "it has moved");
                seen.lock().unwrap().insert(thread);
                socket.send(message).await?;
            }
            Ok::<_, stentor::Error>(())
        }
    });
    tokio::spawn(async { serving.await.unwrap() });
    (addr, threads)
}

#[tokio::test]
async fn connections_are_spread_over_threads_that_they_stay_in() {
    let one_for_each = Listener::bind_reuse_port(([127, 0, 0, 1], 0).into()).unwrap();
    for (server, spread) in [(Server::from_listener(one_for_each), true), (server().await, false)] {
        let (connections, shutdown) = (server.connections(), server.shutdown());
        let (addr, threads) = serve(server);
        let mut clients = Vec::new();
        for _ in 0..32 {
            let mut client = connect(addr).await;
            client.send("hi").await.unwrap();
            assert_eq!(soon(client.recv()).await.unwrap(), Some("hi".into()));
            clients.push(client);
        }
        let threads = threads.lock().unwrap().clone();
        assert!(!threads.contains(&thread::current().id()));
        // The system spreads by a hash of the addresses: that all of 32 meet in one place happens
        // once in 10^15 times. A shared socket belongs to whoever is quickest.
        assert!(threads.len() > 1 || !spread, "all in one thread");

        // They belong to one server all the same.
        assert_eq!(connections.len(), 32);
        let news = Prepared::new(Message::from("news"));
        assert_eq!(connections.broadcast(&news).queued, 32);
        for client in &mut clients {
            assert_eq!(soon(client.recv()).await.unwrap(), Some("news".into()));
        }
        let draining = tokio::spawn(async move {
            let window = std::time::Duration::from_millis(50);
            shutdown.drain(Drain { window, ..Drain::default() }).await.unwrap()
        });
        for client in &mut clients {
            assert_eq!(soon(client.recv()).await.unwrap(), None);
            assert_eq!(u16::from(client.closed().unwrap().code), 1001);
        }
        drop(clients);
        let drained = soon(draining).await.unwrap();
        assert_eq!((drained.connections, drained.cleanly), (32, 32));
        assert!(tokio::net::TcpStream::connect(addr).await.is_err(), "somebody still listens");
    }
}

#[tokio::test]
async fn connections_outlive_the_future_that_served_them() {
    let server = server().await;
    let addr = server.local_addr().unwrap();
    let serving = tokio::spawn(server.workers(2).serve(crate::support::echo));
    let mut client = connect(addr).await;
    serving.abort();
    serving.await.unwrap_err();
    client.send("hi").await.unwrap();
    assert_eq!(soon(client.recv()).await.unwrap(), Some("hi".into()));
}
