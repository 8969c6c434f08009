//! What becomes of messages for a peer that does not read, under each policy: memory is bounded, and
//! whoever sends never waits, unless the policy says so.

use std::time::Duration;

use stentor::{Config, ConnectionHandle, Error, Message, Prepared, SlowReader, WebSocket};
use stentor_proto::bytes::Bytes;
use stentor_testkit::peer::Peer;
use stentor_testkit::transport::pipe;
use tokio::sync::oneshot;

use crate::measured;
use crate::support::{PIPE, at_once, handle, lasting, server_in_memory};

const PIECE: usize = 4 << 10;

/// How many are offered: a quarter of a gigabyte in all.
const OFFERED: usize = (256 << 20) / PIECE;

fn config(slow_reader: SlowReader) -> Config {
    Config { slow_reader, keepalive: None, write_timeout: Duration::MAX, ..Config::default() }
}

/// The outbox, whose buffer for small frames grows by doubling, the transport both ways, and the
/// buffers of a thread.
const BOUND: usize = 2 * (256 << 10) + 2 * PIPE + (64 << 10);

/// Each of the ways to send, by turns.
async fn offer(socket: &mut WebSocket, index: usize, piece: &Bytes) -> stentor::Result<()> {
    match index % 3 {
        0 => socket.send(piece.clone()).await,
        1 => socket.feed(piece.clone()).await,
        _ => socket.send_prepared(&Prepared::new(Message::from(piece.clone()))).await,
    }
}

#[test]
fn messages_are_dropped_in_bounded_memory_without_waiting() {
    for policy in [SlowReader::DropOldest, SlowReader::DropNewest] {
        let (heap, ()) = measured(at_once(async {
            let (ours, theirs) = pipe(PIPE);
            let done = handle(&config(policy), ours, async |mut socket: WebSocket| {
                let piece = Bytes::from(vec![1; PIECE]);
                for index in 0..OFFERED {
                    offer(&mut socket, index, &piece).await.unwrap();
                }
                socket.send("the end").await.unwrap();
                let dropped = usize::try_from(socket.dropped()).unwrap();
                assert!(dropped > OFFERED - 200, "{dropped}");
            });
            // It does its handshake and reads no more.
            let peer = Peer::connect(theirs).await;
            done.await.unwrap();
            drop(peer);
        }));
        println!("{policy:?}: at most {} bytes of {}, bound {BOUND}", heap.most, OFFERED * PIECE);
        assert!(heap.most < BOUND, "{policy:?}: {heap:?}");
    }
}

/// Each of them takes a place in the queue many times its size.
#[test]
fn tiny_messages_are_dropped_in_bounded_memory_too() {
    const TINY: usize = 100_000;
    let (heap, ()) = measured(at_once(async {
        let (ours, theirs) = pipe(PIPE);
        let done = handle(&config(SlowReader::DropOldest), ours, async |mut socket: WebSocket| {
            for _ in 0..TINY {
                socket.send(vec![1]).await.unwrap();
            }
            assert!(usize::try_from(socket.dropped()).unwrap() > TINY / 2);
        });
        let peer = Peer::connect(theirs).await;
        done.await.unwrap();
        drop(peer);
    }));
    // The queue doubles, and is held twice while it does.
    let bound = BOUND + (256 << 10);
    println!("at most {} bytes, bound {bound}", heap.most);
    assert!(heap.most < bound, "{heap:?}");
}

#[test]
fn a_reader_that_is_too_slow_is_closed_and_its_messages_freed() {
    let (heap, ()) = measured(at_once(async {
        let (ours, theirs) = pipe(PIPE);
        let done = handle(&config(SlowReader::Close), ours, async |mut socket: WebSocket| {
            let piece = Bytes::from(vec![1; PIECE]);
            let mut taken = 0;
            let error = loop {
                match offer(&mut socket, taken, &piece).await {
                    Ok(()) => taken += 1,
                    Err(error) => break error,
                }
            };
            let Error::Closed(closed) = error else { panic!("{error:?}") };
            assert_eq!((u16::from(closed.code), closed.reason.as_str()), (1013, "too slow a reader"));
            assert!((60..100).contains(&taken), "{taken}");
        });
        let mut peer = Peer::connect(theirs).await;
        done.await.unwrap();
        // What was on its way arrives, and then why there is no more.
        let mut frames = 0;
        loop {
            let frame = peer.frame().await.expect("a Close frame");
            if frame.opcode == 8 {
                assert_eq!(frame.close_code_and_reason().0, 1013);
                break;
            }
            frames += 1;
        }
        assert!(frames <= PIPE / PIECE + 64, "{frames}");
    }));
    assert!(heap.most < BOUND + PIPE, "{heap:?}");
}

/// A broadcast never waits, and each policy does with a slow reader what it says.
#[test]
fn a_broadcast_over_a_slow_reader() {
    for policy in [SlowReader::Wait, SlowReader::DropOldest, SlowReader::DropNewest, SlowReader::Close] {
        let (heap, ()) = measured(lasting(async {
            let (server, dial) = server_in_memory();
            let connections = server.connections();
            tokio::spawn(server.config(config(policy)).serve(
                async |mut socket: WebSocket| {
                    while let Ok(Some(_)) = socket.recv().await {}
                },
            ));
            let slow = dial.peer().await;
            let (told, mut stop) = oneshot::channel::<()>();
            let quick = dial.peer().await;
            let reading = tokio::spawn(async move {
                let mut quick = quick;
                let mut read = 0_usize;
                while stop.try_recv().is_err() {
                    let Ok(Some(_)) = tokio::time::timeout(Duration::from_secs(1), quick.frame()).await
                    else {
                        break;
                    };
                    read += 1;
                }
                read
            });
            let piece = Prepared::new(Message::from(vec![1; PIECE]));
            let mut skipped = 0;
            let rounds = 2000;
            for _ in 0..rounds {
                let sent = connections.broadcast(&piece);
                skipped += sent.skipped;
                // The quick one reads as soon as it may.
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
            }
            let dropped: u64 = connections.iter().map(|connection| connection.dropped()).sum();
            let open = connections.iter().filter(ConnectionHandle::is_open).count();
            match policy {
                SlowReader::Wait => assert!(skipped > rounds - 200 && dropped == 0 && open == 2),
                SlowReader::Close => assert!(skipped == 0 && dropped == 0 && open == 1),
                _ => assert!(skipped == 0 && dropped > 1800 && open == 2, "{skipped} {dropped}"),
            }
            drop((told, slow));
            assert_eq!(reading.await.unwrap(), rounds, "the quick one missed something");
        }));
        println!("{policy:?}: at most {} bytes", heap.most);
        assert!(heap.most < 2 * BOUND, "{policy:?}: {heap:?}");
    }
}
