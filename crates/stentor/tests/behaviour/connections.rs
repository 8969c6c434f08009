//! The connections of a server, seen from outside their handlers.

use std::time::Duration;

use stentor::{
    Acceptor, BoxError, CloseCode, Config, ConnectionHandle, Error, Message, Misuse, Prepared, Rejection,
    UpgradeRequest, WebSocket,
};
use stentor_testkit::frame::{binary, close, text};
use tokio::sync::mpsc;

use crate::hosts::{Host, Hosted, on_every_host_paused};
use crate::support::{at_once, echo, lasting, server_in_memory, settle};

on_every_host_paused![
    they_are_listed_while_they_last,
    who_is_told_of_a_failed_handler_finds_its_connection_gone,
    a_handle_sends_and_closes_without_waiting,
    some_may_be_picked,
    to_abort_ends_the_handler_too_whatever_it_does,
];

#[derive(Clone, PartialEq)]
struct User(String);

/// Whoever is named in the query.
async fn by_query(request: UpgradeRequest) -> Result<User, Rejection> {
    Ok(User(request.uri().query().unwrap_or_default().to_owned()))
}

fn is(connection: &ConnectionHandle, name: &str) -> bool {
    connection.context() == Some(User(name.to_owned()))
}

async fn they_are_listed_while_they_last(host: Host) {
    let (opened, mut ids) = mpsc::unbounded_channel();
    let handler = move |socket: WebSocket| {
        opened.send(socket.id()).unwrap();
        echo(socket)
    };
    let Hosted { dial, connections, .. } = host.in_memory(Acceptor::new(), handler);
    assert!(connections.is_empty());
    let (mut one, two) = (dial.client().await, dial.client().await);
    let (first, second) = (ids.recv().await.unwrap(), ids.recv().await.unwrap());
    assert_eq!(connections.len(), 2);
    let mut listed: Vec<_> = connections.iter().map(|connection| connection.id()).collect();
    listed.sort();
    assert_eq!(listed, [first, second]);
    let handle = connections.get(first).unwrap();
    assert!(handle.is_open() && handle.closed().is_none());
    assert_eq!(handle.peer_addr(), Some("192.0.2.1:4711".parse().unwrap()));
    assert_eq!(handle.client_ip(), Some("192.0.2.1".parse().unwrap()));

    at_once(one.close(CloseCode::from(4001), "bye")).await.unwrap();
    drop((one, two));
    settle().await;
    assert!(connections.is_empty());
    assert!(connections.get(first).is_none());
    // Whoever still has a handle learns that it is over.
    assert!(!handle.is_open());
    assert!(handle.sender().is_none());
    assert!(matches!(handle.try_send("too late"), Err(Error::Misuse(Misuse::NotOpen))));
    handle.close(CloseCode::NORMAL, "").unwrap();
    handle.abort();
}

async fn who_is_told_of_a_failed_handler_finds_its_connection_gone(host: Host) {
    let (told, mut failures) = mpsc::unbounded_channel();
    let acceptor = Acceptor::new();
    let connections = acceptor.connections();
    let acceptor =
        acceptor.on_error(move |_, error| told.send((error.to_string(), connections.len())).unwrap());
    let handler = async |mut socket: WebSocket| match socket.recv().await? {
        Some(_) => Err::<(), _>(BoxError::from("a reason of its own")),
        None => Ok(()),
    };
    let hosted = host.in_memory(acceptor, handler);
    let mut peer = hosted.dial.peer().await;
    peer.send(&text("fail")).await;
    assert_eq!(at_once(peer.expect_close(1011)).await, "");
    assert_eq!(hosted.connections.len(), 1);
    peer.send(&close(1011, "")).await;
    at_once(peer.expect_end()).await;
    assert_eq!(at_once(failures.recv()).await, Some(("a reason of its own".to_owned(), 0)));
}

async fn a_handle_sends_and_closes_without_waiting(host: Host) {
    let Hosted { dial, connections, .. } = host.in_memory(Acceptor::new(), echo);
    let mut peer = dial.peer().await;
    settle().await;
    let handle = connections.iter().next().unwrap();
    handle.try_send("from afar").unwrap();
    at_once(peer.expect(text("from afar"))).await;
    let sender = handle.sender().unwrap();
    at_once(sender.send(vec![7])).await.unwrap();
    at_once(peer.expect(binary([7]))).await;
    drop(sender);
    assert!(matches!(handle.close(1005.into(), ""), Err(Error::Misuse(Misuse::UnsendableCloseCode(_)))));
    handle.close(4002.into(), "enough").unwrap();
    assert_eq!(at_once(peer.expect_close(4002)).await, "enough");
    assert!(matches!(handle.try_send("too late"), Err(Error::Closed(_))));
    handle.close(4003.into(), "again").unwrap();
    assert_eq!(u16::from(handle.closed().unwrap().code), 4002);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_reaches_all_and_waits_for_nobody() {
    let (server, dial) = server_in_memory();
    let connections = server.connections();
    let config = Config { max_outbox_size: 1000, write_timeout: Duration::MAX, ..Config::default() };
    tokio::spawn(server.config(config).serve(echo));
    let mut quick = Vec::new();
    for _ in 0..3 {
        quick.push(dial.peer().await);
    }
    let slow = dial.peer().await;
    let large = Prepared::new(Message::from(vec![1; 2000]));
    let (mut skipped, rounds) = (0, 100);
    for round in 0..rounds {
        let sent = connections.broadcast(&large);
        assert_eq!(sent.queued + sent.skipped, 4, "round {round}");
        assert!(sent.queued >= 3, "a quick one was passed over");
        skipped += sent.skipped;
        for peer in &mut quick {
            assert_eq!(at_once(peer.frame()).await.unwrap().payload.len(), 2000);
        }
    }
    // The pipe takes 64 KiB, and the outbox some more.
    let taken = rounds - skipped;
    assert!((30..40).contains(&taken), "{taken}");
    drop(slow);
}

async fn some_may_be_picked(host: Host) {
    let acceptor = Acceptor::new().authorize(by_query);
    let Hosted { dial, connections, .. } = host.in_memory(acceptor, echo);
    let mut peers = Vec::new();
    for name in ["ann", "bob", "ann"] {
        let (peer, _) = stentor_testkit::peer::Peer::connect_to(dial.up(), &format!("/?{name}"), "").await;
        peers.push(peer);
    }
    settle().await;
    let news = Prepared::new(Message::from("for ann"));
    assert_eq!(connections.broadcast_where(&news, |connection| is(connection, "ann")).queued, 2);
    let everybody = Prepared::new(Message::from("for all"));
    assert_eq!(connections.broadcast(&everybody).queued, 3);
    at_once(peers[0].expect(text("for ann"))).await;
    at_once(peers[2].expect(text("for ann"))).await;
    for peer in &mut peers {
        at_once(peer.expect(text("for all"))).await;
    }
    // Whoever loses the right to be here goes.
    let revoke = |name: &str| {
        connections.close_where(CloseCode::POLICY_VIOLATION, "revoked", |connection| is(connection, name))
    };
    assert_eq!(revoke("ann").unwrap(), 2);
    assert_eq!(revoke("ann").unwrap(), 0, "they are closing already");
    assert_eq!(at_once(peers[0].expect_close(1008)).await, "revoked");
    assert_eq!(at_once(peers[2].expect_close(1008)).await, "revoked");
    assert_eq!(connections.broadcast(&everybody).queued, 1);
    at_once(peers[1].expect(text("for all"))).await;
    let long = "x".repeat(124);
    let refused = connections.close_where(CloseCode::NORMAL, &long, |_| panic!("nobody is asked"));
    assert!(matches!(refused, Err(Error::Misuse(Misuse::ReasonTooLong))));
}

async fn to_abort_ends_the_handler_too_whatever_it_does(host: Host) {
    let (ended, mut ends) = mpsc::unbounded_channel();
    let handler = move |socket: WebSocket| {
        let ended = ended.clone();
        async move {
            struct Told(mpsc::UnboundedSender<()>);
            impl Drop for Told {
                fn drop(&mut self) {
                    let _ = self.0.send(());
                }
            }
            let _told = (Told(ended), socket);
            std::future::pending::<()>().await;
        }
    };
    let Hosted { dial, connections, .. } = host.in_memory(Acceptor::new(), handler);
    let mut peer = dial.peer().await;
    settle().await;
    let kept = connections.iter().next().unwrap().sender().unwrap();
    connections.iter().for_each(|connection| connection.abort());
    at_once(ends.recv()).await.unwrap();
    assert_eq!(at_once(peer.rest()).await, b"");
    assert!(connections.is_empty(), "it is listed although it is over");
    at_once(kept.send("news")).await.unwrap_err();
}

/// The others are not disturbed by what the loop over them does.
#[tokio::test(start_paused = true)]
async fn a_broadcast_while_they_come_and_go() {
    let (server, dial) = server_in_memory();
    let connections = server.connections();
    tokio::spawn(server.serve(echo));
    let news = Prepared::new(Message::from("news"));
    for _ in 0..50 {
        let mut peer = lasting(dial.peer()).await;
        connections.broadcast(&news);
        lasting(peer.expect(text("news"))).await;
        drop(peer);
        connections.broadcast(&news);
        tokio::task::yield_now().await;
    }
    settle().await;
    assert!(connections.is_empty());
}
