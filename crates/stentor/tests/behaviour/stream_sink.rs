//! A connection, and each of its halves, as a `Stream` and a `Sink`.

use futures_util::{SinkExt, StreamExt, TryStreamExt, future, stream};
use stentor::{Config, Error, Message, Misuse, ProtocolError, WebSocket};
use stentor_proto::Role;
use stentor_testkit::frame::{close, text};

use crate::support::{at_once, connect, in_every_way, self_driven, serve, server, soon};

#[tokio::test]
async fn a_stream_forwarded_to_its_sink_is_an_echo() {
    let addr = serve(server().await, |socket: WebSocket| {
        let (sink, stream) = socket.split();
        stream.forward(sink)
    });
    let mut client = connect(addr).await;
    for i in 0..100 {
        client.send(format!("{i}")).await.unwrap();
        assert_eq!(soon(client.next()).await.unwrap().unwrap(), format!("{i}").into());
    }
    soon(SinkExt::close(&mut client)).await.unwrap();
    assert_eq!(client.closed().unwrap().code, stentor::CloseCode::NORMAL);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_the_peer_closes() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            let messages: Vec<Message> = (&mut socket).try_collect().await.unwrap();
            assert_eq!(messages, ["one".into(), "two".into()]);
            assert!(socket.next().await.is_none());
        },
        |mut peer| async move {
            peer.send(&text("one")).await;
            peer.send(&text("two")).await;
            peer.send(&close(1000, "")).await;
            peer.expect(close(1000, "")).await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_yields_a_failure_once_and_ends() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            assert_eq!(socket.next().await.unwrap().unwrap(), "fine".into());
            let failure = socket.next().await.unwrap().unwrap_err();
            assert!(matches!(failure, Error::Protocol(ProtocolError::ReservedBits(2))), "{failure:?}");
            assert!(socket.next().await.is_none());
        },
        |mut peer| async move {
            peer.send(&text("fine")).await;
            peer.send(&text("wrong").rsv(2)).await;
            peer.expect_close(1002).await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_takes_a_whole_stream() {
    let test = in_every_way(
        Config::default(),
        |mut socket| async move {
            let mut messages = stream::iter((0..100).map(|i| Ok(Message::from(format!("{i}")))));
            socket.send_all(&mut messages).await.unwrap();
            SinkExt::close(&mut socket).await.unwrap();
        },
        |mut peer| async move {
            for i in 0..100 {
                peer.expect(text(format!("{i}"))).await;
            }
            peer.expect_close(1000).await;
            peer.send(&close(1000, "")).await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn the_halves_are_a_sink_and_a_stream() {
    let test = in_every_way(
        Config::default(),
        |socket| async move {
            let (mut sender, receiver) = WebSocket::split(socket);
            SinkExt::send(&mut sender, Message::from("first")).await.unwrap();
            receiver
                .map_err(|error| panic!("{error}"))
                .try_for_each(|message| {
                    let sender = sender.clone();
                    async move { sender.send(message).await }
                })
                .await
                .unwrap();
        },
        |mut peer| async move {
            peer.expect(text("first")).await;
            peer.send(&text("there")).await;
            peer.expect(text("there")).await;
            peer.send(&close(1000, "")).await;
            peer.expect(close(1000, "")).await;
        },
    );
    at_once(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_was_not_asked_for_room_refuses() {
    let config = Config { max_outbox_size: 1, ..Config::default() };
    let (mut socket, mut peer) = self_driven(Role::Server, &config);
    future::poll_fn(|cx| socket.poll_ready_unpin(cx)).await.unwrap();
    socket.start_send_unpin("fits".into()).unwrap();
    let refused = socket.start_send_unpin("does not".into()).unwrap_err();
    assert!(matches!(refused, Error::Misuse(Misuse::OutboxFull)), "{refused:?}");
    at_once(SinkExt::flush(&mut socket)).await.unwrap();
    socket.start_send_unpin("now".into()).unwrap();
    at_once(SinkExt::flush(&mut socket)).await.unwrap();
    peer.expect(text("fits")).await;
    peer.expect(text("now")).await;
}
