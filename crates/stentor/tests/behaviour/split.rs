//! The two halves: many senders at once, each message whole and each sender's in order; and what
//! the end of a half means.

use std::time::Duration;

use stentor::{Client, Config, Error, Message, Receiver, Sender, WebSocket};
use stentor_testkit::frame::{close, ping, pong, text};
use tokio::sync::oneshot;

use crate::support::{at_once, bytes_of, echo_server, in_every_way, lasting, server, soon};

const SENDERS: usize = 64;
const EACH: usize = 300;

/// Sends numbered messages of different sizes.
async fn send_numbered(sender: Sender, name: usize) {
    for i in 0..EACH {
        let filling = "x".repeat((name * 37 + i * 11) % 500);
        let message = Message::from(format!("{name} {i} {filling}"));
        match i % 3 {
            0 => sender.feed(message).await.unwrap(),
            _ => sender.send(message).await.unwrap(),
        }
    }
    sender.flush().await.unwrap();
}

/// Checks that every sender's messages come whole and in order.
async fn receive_numbered(receiver: &mut Receiver) {
    let mut next = vec![0; SENDERS];
    for _ in 0..SENDERS * EACH {
        let message = receiver.recv().await.unwrap().expect("a message");
        let text = message.as_text().expect("text");
        let mut parts = text.splitn(3, ' ');
        let (name, i): (usize, usize) =
            (parts.next().unwrap().parse().unwrap(), parts.next().unwrap().parse().unwrap());
        assert_eq!(next[name], i, "from sender {name}");
        next[name] += 1;
        assert_eq!(parts.next().unwrap().len(), (name * 37 + i * 11) % 500);
    }
}

/// Everything that the senders say comes back while they still speak.
async fn speak_and_listen(socket: WebSocket) {
    let (sender, mut receiver) = socket.split();
    let senders: Vec<_> =
        (0..SENDERS).map(|name| tokio::spawn(send_numbered(sender.clone(), name))).collect();
    receive_numbered(&mut receiver).await;
    for sender in senders {
        sender.await.unwrap();
    }
    sender.close(1000.into(), "all said").await.unwrap();
    assert_eq!(receiver.recv().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_senders_of_a_client() {
    let addr = echo_server(Config::default()).await;
    let client = Client::new().connect(format!("ws://{addr}/")).await.unwrap();
    soon(speak_and_listen(client)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_senders_of_a_server() {
    let server = server().await;
    let addr = server.local_addr().unwrap();
    let (done, when_done) = oneshot::channel();
    let done = std::sync::Mutex::new(Some(done));
    tokio::spawn(server.serve(move |socket| {
        let done = done.lock().unwrap().take().expect("one client");
        async move {
            speak_and_listen(socket).await;
            done.send(()).unwrap();
        }
    }));
    // The echo is a split one, too.
    let (sender, mut receiver) = crate::support::connect(addr).await.split();
    let echo = async {
        while let Some(message) = receiver.recv().await.unwrap() {
            sender.send(message).await.unwrap();
        }
    };
    soon(echo).await;
    soon(when_done).await.expect("the handler panicked");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_lives_on_without_senders() {
    let test = in_every_way(
        Config::default(),
        |socket| async move {
            let (sender, mut receiver) = socket.split();
            let other = sender.clone();
            drop(sender);
            other.send("last").await.unwrap();
            drop(other);
            assert_eq!(receiver.recv().await.unwrap(), Some("one".into()));
            assert_eq!(receiver.recv().await.unwrap(), Some("two".into()));
            assert_eq!(receiver.closed(), None);
        },
        |mut peer| async move {
            peer.expect(text("last")).await;
            peer.send(&text("one")).await;
            // It is still driven.
            peer.send(&ping("there?")).await;
            peer.expect(pong("there?")).await;
            peer.send(&text("two")).await;
            // The last half is gone.
            peer.expect(close(1000, "")).await;
            peer.send(&close(1000, "")).await;
            peer.finish_writing().await;
            peer.expect_end().await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn senders_live_on_without_the_receiver() {
    let test = in_every_way(
        Config::default(),
        |socket| async move {
            let (sender, receiver) = socket.split();
            drop(receiver);
            sender.ping().await.unwrap();
            sender.send("still here").await.unwrap();
            let clone = sender.clone();
            drop(sender);
            clone.send("and here").await.unwrap();
            clone.flush().await.unwrap();
        },
        |mut peer| async move {
            // Nobody wants these; they must not stop what comes behind them.
            for _ in 0..100 {
                peer.send(&text(bytes_of(1000).escape_ascii().to_string())).await;
            }
            let sent = peer.frame().await.unwrap();
            peer.send(&pong(sent.payload)).await;
            peer.expect(text("still here")).await;
            peer.expect(text("and here")).await;
            peer.expect(close(1000, "")).await;
            peer.send(&close(1000, "")).await;
            peer.finish_writing().await;
            peer.expect_end().await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_closing_by_one_sender_ends_all() {
    let test = in_every_way(
        Config::default(),
        |socket| async move {
            let (sender, mut receiver) = socket.split();
            let other = sender.clone();
            let listening = tokio::spawn(async move {
                assert_eq!(receiver.recv().await.unwrap(), None);
                receiver.close_frame()
            });
            sender.close(4000.into(), "enough").await.unwrap();
            assert!(matches!(other.send("late").await.unwrap_err(), Error::Closed(_)));
            assert_eq!(u16::from(other.closed().unwrap().code), 4000);
            assert_eq!(u16::from(listening.await.unwrap().unwrap().code), 4001);
        },
        |mut peer| async move {
            peer.expect(close(4000, "enough")).await;
            peer.send(&close(4001, "")).await;
            peer.finish_writing().await;
            peer.expect_end().await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn the_halves_are_used_while_both_wait() {
    let test = in_every_way(
        Config { max_outbox_size: 1, ..Config::default() },
        |socket| async move {
            let (sender, mut receiver) = socket.split();
            let speaking = tokio::spawn(async move {
                for _ in 0..10 {
                    sender.send(bytes_of(100_000)).await.unwrap();
                }
                sender
            });
            assert_eq!(receiver.recv().await.unwrap(), Some("go on".into()));
            let sender = speaking.await.unwrap();
            assert_eq!(receiver.recv().await.unwrap(), None);
            drop(sender);
        },
        |mut peer| async move {
            // Nothing was read from the transport that the sender fills.
            tokio::time::sleep(Duration::from_secs(1)).await;
            peer.send(&text("go on")).await;
            for _ in 0..10 {
                assert_eq!(peer.frame().await.unwrap().payload.len(), 100_000);
            }
            peer.send(&close(1000, "")).await;
            peer.expect(close(1000, "")).await;
        },
    );
    lasting(test).await;
}
