//! What a header declares takes no memory: only what has arrived does.

use std::pin::pin;

use futures_util::poll;
use stentor::{Config, Error, ProtocolError};
use stentor_proto::Role;
use stentor_testkit::frame::{binary, continuation, text};

use crate::measured;
use crate::support::{at_once, handle, in_every_way, self_driven};

#[test]
fn a_declared_length_beyond_the_limit_fails_at_once() {
    for declared in [(1 << 63) - 1, 1 << 62, u64::from(u32::MAX) + 1, (1 << 20) + 1] {
        let (heap, ()) = measured(at_once(in_every_way(
            Config::default(),
            |mut socket| async move {
                let error = socket.recv().await.unwrap_err();
                assert!(matches!(error, Error::Protocol(ProtocolError::FrameTooLarge)), "{error:?}");
            },
            move |mut peer| async move {
                peer.send(&binary("a few bytes").declaring(declared)).await;
                peer.expect_close(1009).await;
            },
        )));
        assert!(heap.most < 512 << 10, "{declared}: {heap:?}");
    }
}

#[test]
fn a_length_with_its_top_bit_set_is_none() {
    let (heap, ()) = measured(at_once(in_every_way(
        Config::default(),
        |mut socket| async move {
            let error = socket.recv().await.unwrap_err();
            assert!(matches!(error, Error::Protocol(ProtocolError::LengthTopBit)), "{error:?}");
        },
        |mut peer| async move {
            peer.send(&text("").declaring(1 << 63)).await;
            peer.expect_close(1002).await;
        },
    )));
    assert!(heap.most < 512 << 10, "{heap:?}");
}

/// A thousand connections are promised a message of a gigabyte each, and get 100 bytes of it.
#[test]
fn a_promise_within_the_limit_takes_no_memory_either() {
    const CONNECTIONS: usize = 1000;
    let (heap, _kept) = measured(async {
        let config = Config { max_frame_size: 1 << 30, max_message_size: 1 << 30, ..Config::default() };
        let mut kept = Vec::new();
        for i in 0..CONNECTIONS {
            let (mut socket, mut peer) = self_driven(Role::Server, &config);
            let begun = match i % 2 {
                0 => binary([1; 100]).declaring(1 << 30),
                _ => binary([1; 100]).declaring((1 << 30) - 7).more(),
            };
            peer.send(&begun).await;
            assert!(poll!(pin!(socket.recv())).is_pending(), "no message is complete");
            kept.push((socket, peer));
        }
        kept
    });
    let each = heap.live / CONNECTIONS;
    println!("{each} bytes for each connection and its transport");
    assert!(each < 8192, "{each} bytes each");
}

/// Fragments that stay below the limit of a frame, but not of a message.
#[test]
fn the_message_limit_is_kept_across_fragments() {
    let (heap, ()) = measured(at_once(in_every_way(
        Config::default(),
        |mut socket| async move {
            let error = socket.recv().await.unwrap_err();
            assert!(matches!(error, Error::Protocol(ProtocolError::MessageTooLarge)), "{error:?}");
        },
        |mut peer| async move {
            peer.send(&binary(vec![1; 60_000]).more()).await;
            for _ in 0..17 {
                peer.send(&continuation(vec![1; 60_000]).more()).await;
            }
            peer.expect_close(1009).await;
        },
    )));
    // The limit of 1 MiB, once over for the growing buffer, and the transport.
    assert!(heap.most < 3 << 20, "{heap:?}");
}

/// The message of exactly the limit passes.
#[test]
fn a_message_of_exactly_the_limit_passes() {
    let (_, ()) = measured(async {
        let (io, theirs) = stentor_testkit::transport::pipe(4096);
        let done = handle(&Config::default(), io, crate::support::echo);
        let mut socket = stentor::Client::new().connect_over("ws://server/", theirs).await.unwrap();
        let message = stentor::Message::from(vec![3; 1 << 20]);
        socket.send(message.clone()).await.unwrap();
        assert!(socket.recv().await.unwrap() == Some(message));
        drop(socket);
        done.await.unwrap().unwrap();
    });
}
