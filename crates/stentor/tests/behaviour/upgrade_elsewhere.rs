//! Upgrades and connections in other hands than the handler's.

use stentor::{Acceptor, Error, Upgrade, WebSocket};

use stentor_testkit::frame::text;
use stentor_testkit::peer::Peer;
use stentor_testkit::transport::pipe;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::support::{at_once, echo, server, soon};

#[tokio::test]
async fn an_upgrade_may_be_accepted_in_another_task_after_the_handler_has_ended() {
    let server = server().await;
    let addr = server.local_addr().unwrap();
    tokio::spawn(server.serve_upgrades(async |upgrade: Upgrade| {
        tokio::spawn(async move { echo(upgrade.accept().await.unwrap()).await });
    }));
    let (mut peer, _) = soon(Peer::connect_to(TcpStream::connect(addr).await.unwrap(), "/", "")).await;
    peer.send(&text("hello")).await;
    soon(peer.expect(text("hello"))).await;
}

#[tokio::test]
async fn an_upgrade_may_be_accepted_in_another_task_while_the_handler_waits() {
    let server = server().await;
    let addr = server.local_addr().unwrap();
    tokio::spawn(server.serve_upgrades(async |upgrade: Upgrade| {
        let echoing = tokio::spawn(async move { echo(upgrade.accept().await.unwrap()).await });
        echoing.await.unwrap()
    }));
    let (mut peer, _) = soon(Peer::connect_to(TcpStream::connect(addr).await.unwrap(), "/", "")).await;
    peer.send(&text("hello")).await;
    soon(peer.expect(text("hello"))).await;
}

/// The connection was moved out of its handler, and the task that drives it is dropped.
#[tokio::test(start_paused = true)]
async fn a_connection_whose_task_is_dropped_is_over() {
    let (ours, theirs) = pipe(4096);
    let (moved, socket) = oneshot::channel();
    let serving = tokio::spawn(async move {
        let handler = async move |socket: WebSocket| moved.send(socket).unwrap();
        Acceptor::new().serve_connection(ours, handler).await
    });
    let mut peer = Peer::connect(theirs).await;
    let (sender, mut receiver) = socket.await.unwrap().split();
    let listening = tokio::spawn(async move { receiver.recv().await });
    let flushing = tokio::spawn(async move {
        sender.send(vec![1; 100_000]).await.unwrap();
        sender.flush().await
    });
    tokio::task::yield_now().await;
    serving.abort();
    assert!(matches!(at_once(listening).await.unwrap(), Err(Error::Closed(_))));
    assert!(matches!(at_once(flushing).await.unwrap(), Err(Error::Closed(_))));
    at_once(peer.rest()).await;
}
