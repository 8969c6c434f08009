//! What a message that the application keeps pins, as the crate's documentation states it.

use stentor::{Config, Message};
use stentor_proto::Role;
use stentor_testkit::frame::binary;

use crate::measured;
use crate::support::self_driven;

/// The bound that the crate's documentation states for a kept message of up to 64 KiB.
const PINNED: usize = 64 << 10;

const SLACK: usize = 64 << 10;

/// One small message of every read that was full of them is kept.
#[test]
fn one_small_message_pins_at_most_its_block() {
    const READS: usize = 100;
    for position in [0, 50, 99] {
        let (heap, kept) = measured(async {
            let config = Config { keepalive: None, ..Config::default() };
            let (mut socket, mut peer) = self_driven(Role::Server, &config);
            let full: Vec<u8> = (0..100u8).flat_map(|i| binary([i; 300]).encode(Role::Client)).collect();
            let mut kept = Vec::new();
            for _ in 0..READS {
                peer.send_bytes(&full).await;
                for i in 0..100 {
                    let message = socket.recv().await.unwrap().expect("a message");
                    assert_eq!(message.len(), 300);
                    if i == position {
                        kept.push(message);
                    }
                }
            }
            drop((socket, peer, full));
            kept
        });
        assert_eq!(kept.len(), READS);
        let live = heap.live;
        println!("{READS} kept messages pin {} bytes each", live / READS);
        assert!(live <= READS * PINNED + SLACK, "{live} bytes");
        drop(kept);
    }
}

/// The largest messages that share a block.
#[test]
fn a_message_of_16_kib_pins_at_most_its_block() {
    let (heap, kept) = measured(async {
        let (mut socket, mut peer) = self_driven(Role::Server, &Config::default());
        let mut kept = Vec::new();
        for _ in 0..50 {
            peer.send(&binary(vec![1; 16 << 10])).await;
            peer.send(&binary(vec![2; 100])).await;
            kept.push(socket.recv().await.unwrap().expect("a message"));
            socket.recv().await.unwrap().expect("a message");
        }
        kept
    });
    let live = heap.live;
    println!("50 kept messages of 16 KiB pin {} bytes each", live / 50);
    assert!(live <= 50 * (PINNED + 64) + SLACK, "{live} bytes");
    drop(kept);
}

/// Small reads share blocks: who keeps everything does not pay a block for each.
#[test]
fn messages_of_many_small_reads_share_blocks() {
    const MESSAGES: usize = 2000;
    const LEN: usize = 100;
    let (heap, kept) = measured(async {
        let (mut socket, mut peer) = self_driven(Role::Server, &Config::default());
        let mut kept: Vec<Message> = Vec::with_capacity(MESSAGES);
        for _ in 0..MESSAGES {
            peer.send(&binary([7; LEN])).await;
            kept.push(socket.recv().await.unwrap().expect("a message"));
        }
        kept
    });
    let live = heap.live - MESSAGES * size_of::<Message>();
    println!("{MESSAGES} messages of {LEN} bytes pin {} bytes each", live / MESSAGES);
    assert!(live <= MESSAGES * LEN * 3 / 2 + PINNED + SLACK, "{live} bytes");
    drop(kept);
}

/// A larger message has a buffer of its own, not much larger than itself.
#[test]
fn a_large_message_pins_what_it_is() {
    let (heap, kept) = measured(async {
        let (mut socket, mut peer) = self_driven(Role::Server, &Config::default());
        let mut kept = Vec::new();
        for _ in 0..20 {
            let message = binary(vec![1; 200_000]);
            let (received, ()) = tokio::join!(socket.recv(), peer.send(&message));
            kept.push(received.unwrap().expect("a message"));
        }
        kept
    });
    let live = heap.live;
    println!("20 kept messages of 200,000 bytes pin {} bytes each", live / 20);
    assert!(live <= 20 * 2 * 200_000 + SLACK, "{live} bytes");
    drop(kept);
}
