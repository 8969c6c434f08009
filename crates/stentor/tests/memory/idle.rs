//! An idle connection holds no buffer, whatever its traffic was.

use std::time::Duration;

use stentor::{Client, Config, Message, WebSocket};
use stentor_testkit::transport::pipe;

use crate::measured;
use crate::support::{echo, handle};

const CONNECTIONS: usize = 50;

/// Bytes that the in-memory transport of a connection may hold, each way.
const TRANSPORT: usize = 1024;

/// The bytes that one more connection holds, both of its ends and the transport, when it has been
/// idle after this traffic. What the thread keeps for all of them is not its own.
fn idle_after(traffic: &[Message]) -> usize {
    (held_by(2 * CONNECTIONS, traffic) - held_by(CONNECTIONS, traffic)) / CONNECTIONS
}

fn held_by(connections: usize, traffic: &[Message]) -> usize {
    let (heap, _kept) = measured(async {
        let mut clients: Vec<WebSocket> = Vec::with_capacity(connections);
        for _ in 0..connections {
            let (ours, theirs) = pipe(TRANSPORT);
            drop(handle(&Config::default(), ours, echo));
            clients.push(Client::new().connect_over("ws://server/", theirs).await.unwrap());
        }
        for client in &mut clients {
            for message in traffic {
                client.send(message.clone()).await.unwrap();
                assert!(client.recv().await.unwrap().as_ref() == Some(message));
            }
        }
        // Not yet long enough for a Ping; every task comes to rest.
        tokio::time::sleep(Duration::from_secs(1)).await;
        clients
    });
    heap.live
}

#[test]
fn nothing_of_the_traffic_is_held() {
    let large: Message = vec![1; 100_000].into();
    let before = idle_after(&[]);
    for (what, traffic) in [
        ("one small message", vec!["hello".into()]),
        ("a message of 10,000 bytes", vec!["x".repeat(10_000).into()]),
        ("a large message", vec![large.clone()]),
        ("all of them", vec!["hello".into(), "x".repeat(10_000).into(), large, "bye".into()]),
    ] {
        let after = idle_after(&traffic);
        println!("idle after {what}: {after} bytes for both ends and their transport, before {before}");
        // What may stay: a timer, a few words of bookkeeping at each end, and the buffers of the
        // transport, which are allocated when something comes through.
        assert!(after <= before + 256 + 2 * TRANSPORT, "{after} after {what}, {before} before");
    }
}
