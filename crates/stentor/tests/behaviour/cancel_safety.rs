//! Each public future is dropped after each number of polls, over a transport that takes and gives
//! a few bytes at a time and waits before each: the byte stream stays exact, whatever was dropped.

use std::pin::pin;
use std::task::Poll;

use stentor::http::Response;
use stentor::{Acceptor, Client, Compress, Config, Message, Prepared, Result, WebSocket};
use stentor_proto::Role;
use stentor_testkit::frame::{Frame, continuation, ping, pong, text};
use stentor_testkit::peer::{Peer, answer, request};
use stentor_testkit::transport::{Rig, Rigged, pipe, rig};
use tokio::io::DuplexStream;
use tokio::task::yield_now;

use crate::support::{at_once, echo, handle, other, self_driven_over};

/// What `future` gives if it is done within so many polls. After that it is dropped.
async fn polled<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    let output = std::future::poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    // Who drops a future goes on to something else; others have their turn.
    yield_now().await;
    output
}

/// Ours and theirs; ours stutters.
fn stuttering_pipe() -> (Rigged<DuplexStream>, DuplexStream, Rig) {
    let (ours, theirs) = pipe(1000);
    let (ours, control) = rig(ours);
    control.stutter();
    control.read_at_most(7);
    control.write_at_most(23);
    (ours, theirs, control)
}

/// How the connection under test is driven.
#[derive(Clone, Copy, Debug)]
enum Way {
    SelfDriven(Role),
    FromElsewhere,
    InHandler,
}

const WAYS: [Way; 4] =
    [Way::SelfDriven(Role::Client), Way::SelfDriven(Role::Server), Way::FromElsewhere, Way::InHandler];

/// Plays `trial` with a limit of 0, 1, 2 … polls against `theirs`, in every way, until it says that
/// the limit was not reached.
async fn at_each_poll<A, B>(trial: fn(WebSocket, usize) -> A, theirs: fn(Peer<DuplexStream>) -> B)
where
    A: Future<Output = bool> + Send + 'static,
    B: Future<Output = ()> + Send + 'static,
{
    let config = Config { max_outbox_size: 64, ..Config::default() };
    let mut most = 0;
    for way in WAYS {
        let mut polls = 0;
        loop {
            let (ours, peer, _control) = stuttering_pipe();
            let completed = match way {
                Way::SelfDriven(role) => {
                    let peer = tokio::spawn(theirs(Peer::new(other(role), peer)));
                    let completed = at_once(trial(self_driven_over(role, &config, ours), polls)).await;
                    at_once(peer).await.unwrap();
                    completed
                }
                Way::FromElsewhere => {
                    let socket = handle(&config, ours, async |socket: WebSocket| socket);
                    let peer = tokio::spawn(theirs(Peer::connect(peer).await));
                    let completed = at_once(trial(socket.await.unwrap(), polls)).await;
                    at_once(peer).await.unwrap();
                    completed
                }
                Way::InHandler => {
                    let done = handle(&config, ours, move |socket| trial(socket, polls));
                    let peer = tokio::spawn(theirs(Peer::connect(peer).await));
                    let completed = at_once(done).await.expect("the handler panicked");
                    at_once(peer).await.unwrap();
                    completed
                }
            };
            if completed {
                break;
            }
            polls += 1;
            assert!(polls < 10_000, "{way:?}: it is never done");
        }
        println!("{way:?}: dropped after each of {polls} polls");
        most = most.max(polls);
    }
    assert!(most > 20, "it could be dropped only {most} times");
}

fn large() -> String {
    "large ".repeat(100)
}

/// A peer that echoes, answers, and hangs up after the closing handshake.
async fn echoing(mut peer: Peer<DuplexStream>) {
    let mut closes = 0;
    while let Some(frame) = peer.frame().await {
        match frame.opcode {
            8 => {
                closes += 1;
                assert_eq!(closes, 1, "a second Close frame");
                peer.send(&frame).await;
                peer.finish_writing().await;
            }
            9 => peer.send(&pong(frame.payload)).await,
            _ => {
                assert_eq!(closes, 0, "data behind the Close frame");
                peer.send(&frame).await;
            }
        }
    }
    assert_eq!(closes, 1);
}

/// Says "last" and checks that exactly "first", `expected` where it is certain, and "last" come
/// back.
async fn finish(mut socket: WebSocket, certain: bool) -> Result<()> {
    socket.send("last").await?;
    let first = socket.recv().await?;
    assert_eq!(first, Some("first".into()));
    let mut next = socket.recv().await?.expect("an echo");
    let arrived = next == Message::from(large());
    assert!(arrived || !certain, "lost");
    if arrived {
        next = socket.recv().await?.expect("an echo");
    }
    assert_eq!(next, "last".into());
    socket.close(1000.into(), "").await
}

#[tokio::test(start_paused = true)]
async fn send() {
    async fn trial(mut socket: WebSocket, polls: usize) -> bool {
        socket.feed("first").await.unwrap();
        let sent = polled(socket.send(large()), polls).await;
        let completed = sent.is_some();
        sent.transpose().unwrap();
        finish(socket, completed).await.unwrap();
        // When there is room it does not wait, driven by a task.
        completed && polls > 0
    }
    at_each_poll(trial, echoing).await;
}

#[tokio::test(start_paused = true)]
async fn feed_that_waits_for_room() {
    async fn trial(mut socket: WebSocket, polls: usize) -> bool {
        let filling = "filling ".repeat(50);
        socket.feed("first").await.unwrap();
        socket.feed(large()).await.unwrap();
        let fed = polled(socket.feed(filling.clone()), polls).await;
        let completed = fed.is_some();
        fed.transpose().unwrap();
        socket.send("last").await.unwrap();
        let mut echoes = Vec::new();
        while echoes.last() != Some(&Message::from("last")) {
            echoes.push(socket.recv().await.unwrap().expect("an echo"));
        }
        let with: [Message; 4] = ["first".into(), large().into(), filling.into(), "last".into()];
        let without = [&with[..2], &with[3..]].concat();
        assert!(echoes == with || (!completed && echoes == without), "{echoes:?}");
        socket.close(1000.into(), "").await.unwrap();
        completed
    }
    at_each_poll(trial, echoing).await;
}

#[tokio::test(start_paused = true)]
async fn flush() {
    async fn trial(mut socket: WebSocket, polls: usize) -> bool {
        socket.feed("first").await.unwrap();
        socket.feed(large()).await.unwrap();
        let flushed = polled(socket.flush(), polls).await;
        let completed = flushed.is_some();
        flushed.transpose().unwrap();
        finish(socket, true).await.unwrap();
        completed
    }
    at_each_poll(trial, echoing).await;
}

#[tokio::test(start_paused = true)]
async fn ping_of_a_socket() {
    async fn trial(mut socket: WebSocket, polls: usize) -> bool {
        socket.feed("first").await.unwrap();
        socket.feed(large()).await.unwrap();
        let ponged = polled(socket.ping(), polls).await;
        let completed = ponged.is_some();
        ponged.transpose().unwrap();
        socket.ping().await.unwrap();
        finish(socket, true).await.unwrap();
        completed
    }
    at_each_poll(trial, echoing).await;
}

#[tokio::test(start_paused = true)]
async fn close() {
    async fn trial(mut socket: WebSocket, polls: usize) -> bool {
        socket.feed(large()).await.unwrap();
        let closed = polled(socket.close(4000.into(), "ours"), polls).await;
        let completed = closed.is_some();
        closed.transpose().unwrap();
        if polls > 0 {
            // It has begun, so another code comes too late.
            socket.close(4001.into(), "never said").await.unwrap();
            assert_eq!(&*socket.close_frame().unwrap().reason, "ours");
        } else {
            socket.close(4000.into(), "ours").await.unwrap();
        }
        completed
    }
    at_each_poll(trial, echoing).await;
}

#[tokio::test(start_paused = true)]
async fn drop_after_close_was_polled() {
    async fn trial(mut socket: WebSocket, polls: usize) -> bool {
        socket.feed(large()).await.unwrap();
        let closed = polled(socket.close(1000.into(), ""), polls).await;
        drop(socket);
        closed.is_some()
    }
    at_each_poll(trial, echoing).await;
}

/// Messages of several kinds, with pings between and inside them.
fn lecture() -> (Vec<Frame>, Vec<Message>) {
    let mut frames = Vec::new();
    let mut messages: Vec<Message> = Vec::new();
    for i in 0..6 {
        frames.push(ping(format!("before {i}")));
        frames.push(text(format!("message {i}")));
        messages.push(format!("message {i}").into());
        frames.push(text(format!("fragment {i}, ")).more());
        frames.push(ping(format!("inside {i}")));
        frames.push(continuation("fragment 2"));
        messages.push(format!("fragment {i}, fragment 2").into());
        frames.push(text("é".repeat(i * 60)));
        messages.push("é".repeat(i * 60).into());
    }
    (frames, messages)
}

/// A peer that says its lecture, counts the pongs, and closes.
async fn lecturing(mut peer: Peer<DuplexStream>) {
    for frame in lecture().0 {
        let is_ping = frame.opcode == 9;
        peer.send(&frame).await;
        if is_ping {
            peer.expect(pong(frame.payload)).await;
        }
    }
    peer.send(&stentor_testkit::frame::close(1000, "end")).await;
    peer.expect(stentor_testkit::frame::close(1000, "end")).await;
    peer.finish_writing().await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn recv() {
    async fn trial(mut socket: WebSocket, polls: usize) -> bool {
        let (mut received, mut completed) = (Vec::new(), true);
        loop {
            // With no poll at all nothing can ever be received; that is tried in between.
            assert!(polled(socket.recv(), 0).await.is_none());
            match polled(socket.recv(), polls + 1).await {
                None => completed = false,
                Some(Ok(Some(message))) => received.push(message),
                Some(Ok(None)) => break,
                Some(Err(error)) => panic!("{error}"),
            }
        }
        assert_eq!(received, lecture().1);
        completed
    }
    at_each_poll(trial, lecturing).await;
}

#[tokio::test(start_paused = true)]
async fn recv_of_a_receiver() {
    async fn trial(socket: WebSocket, polls: usize) -> bool {
        let (sender, mut receiver) = socket.split();
        let (mut received, mut completed) = (Vec::new(), true);
        loop {
            match polled(receiver.recv(), polls + 1).await {
                None => completed = false,
                Some(Ok(Some(message))) => received.push(message),
                Some(Ok(None)) => break,
                Some(Err(error)) => panic!("{error}"),
            }
        }
        assert_eq!(received, lecture().1);
        drop(sender);
        completed
    }
    at_each_poll(trial, lecturing).await;
}

#[tokio::test(start_paused = true)]
async fn the_calls_of_a_sender() {
    async fn trial(socket: WebSocket, polls: usize) -> bool {
        let (sender, mut receiver) = socket.split();
        let mut certain: Vec<Message> = Vec::new();
        let mut possible = Vec::new();
        let mut completed = true;
        for i in 0..4 {
            let message = Message::from(format!("{i} {}", large()));
            let prepared = Prepared::new(message.clone());
            let done = match i % 4 {
                0 => polled(sender.send(message.clone()), polls).await,
                1 => polled(sender.feed(message.clone()), polls).await,
                2 => polled(sender.send_with(message.clone(), Compress::Never), polls).await,
                _ => polled(sender.send_prepared(&prepared), polls).await,
            }
            .map(Result::unwrap);
            completed &= done.is_some();
            possible.push(message.clone());
            if done.is_some() {
                certain.push(message);
            }
            completed &= polled(sender.flush(), polls).await.map(Result::unwrap).is_some();
            completed &= polled(sender.ping(), polls).await.map(Result::unwrap).is_some();
        }
        sender.send("last").await.unwrap();
        certain.push("last".into());
        possible.push("last".into());
        let mut echoes = Vec::new();
        while echoes.last() != Some(&Message::from("last")) {
            echoes.push(receiver.recv().await.unwrap().expect("an echo"));
        }
        assert!(is_part(&certain, &echoes), "lost or out of order");
        assert!(is_part(&echoes, &possible), "twice or out of order");
        completed &= polled(sender.close(1000.into(), ""), polls).await.map(Result::unwrap).is_some();
        sender.close(1000.into(), "").await.unwrap();
        completed
    }
    at_each_poll(trial, echoing).await;
}

/// Whether `part` comes out of `whole` by leaving some out.
fn is_part(part: &[Message], whole: &[Message]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|item| whole.any(|other| other == item))
}

#[tokio::test(start_paused = true)]
async fn connect_over() {
    for polls in 0.. {
        let (ours, theirs, _control) = stuttering_pipe();
        let serving = tokio::spawn(async move {
            let mut peer = Peer::new(Role::Server, theirs);
            let request = peer.head_if_whole().await?;
            peer.send_bytes(answer(&request).as_bytes()).await;
            // A connection that opened and is dropped is closed.
            peer.frame().await
        });
        let connected = at_once(polled(Client::new().connect_over("ws://server/", ours), polls)).await;
        let completed = connected.is_some();
        drop(connected.transpose().unwrap());
        let closed = at_once(serving).await.unwrap();
        assert_eq!(closed, completed.then(|| stentor_testkit::frame::close(1000, "")));
        if completed {
            assert!(polls > 10, "dropped {polls} times");
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn accepting() {
    for polls in 0.. {
        let (ours, theirs, _control) = stuttering_pipe();
        let asking = tokio::spawn(async move {
            let mut peer = Peer::new(Role::Client, theirs);
            peer.send_bytes(request("/", "").as_bytes()).await;
            peer.rest().await
        });
        let acceptor = Acceptor::new();
        let accepted = at_once(polled(acceptor.accept(ours), polls)).await;
        let completed = accepted.is_some();
        drop(accepted.transpose().unwrap());
        // Dropped by the acceptor it ends; dropped by us it is refused, as far as the transport
        // takes that at once.
        let answer = at_once(asking).await.unwrap();
        let said = &answer[..answer.len().min(12)];
        assert!(b"HTTP/1.1 500".starts_with(said), "{}", answer.escape_ascii());
        if completed {
            assert!(polls > 10, "dropped {polls} times");
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn accept_of_an_upgrade() {
    for polls in 0.. {
        let (ours, theirs, control) = stuttering_pipe();
        let mut peer = Peer::new(Role::Client, theirs);
        let acceptor = Acceptor::new();
        let (upgrade, ()) = tokio::join!(acceptor.accept(ours), async {
            peer.send_bytes(request("/", "").as_bytes()).await;
        });
        let upgrade = upgrade.unwrap().expect("a handshake");
        if polls == 0 {
            // The refusal of one that is dropped waits for nothing.
            control.steady();
        }
        let accepted = at_once(polled(upgrade.accept(), polls)).await;
        let completed = accepted.is_some();
        drop(accepted.transpose().unwrap());
        let head = at_once(peer.head()).await;
        if polls == 0 {
            assert!(head.starts_with("HTTP/1.1 500 "), "{head}");
            continue;
        }
        // Once begun, the answer goes out whole, and the connection that nobody has is closed.
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        at_once(peer.expect(stentor_testkit::frame::close(1000, ""))).await;
        if completed {
            assert!(polls > 3, "dropped {polls} times");
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reject_of_an_upgrade() {
    let response = || Response::builder().status(404).body("nothing here".into()).unwrap();
    for polls in 0.. {
        let (ours, theirs, _control) = stuttering_pipe();
        let mut peer = Peer::new(Role::Client, theirs);
        let acceptor = Acceptor::new();
        let (upgrade, ()) = tokio::join!(acceptor.accept(ours), async {
            peer.send_bytes(request("/", "").as_bytes()).await;
            peer.finish_writing().await;
        });
        let rejected =
            at_once(polled(upgrade.unwrap().expect("a handshake").reject(response()), polls)).await;
        let answer = at_once(peer.rest()).await;
        let whole = "HTTP/1.1 404 ";
        if polls > 0 {
            let said = &answer[..answer.len().min(whole.len())];
            assert!(whole.as_bytes().starts_with(said), "{}", answer.escape_ascii());
        }
        if let Some(result) = rejected {
            result.unwrap();
            assert!(answer.ends_with(b"\r\n\r\nnothing here"), "{}", answer.escape_ascii());
            assert!(polls > 3, "dropped {polls} times");
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn serving_a_connection() {
    for polls in 0.. {
        let (ours, theirs, _control) = stuttering_pipe();
        let asking = tokio::spawn(async move {
            let mut peer = Peer::new(Role::Client, theirs);
            peer.send_bytes(request("/", "").as_bytes()).await;
            peer.send(&text("hello")).await;
            peer.send(&stentor_testkit::frame::close(1000, "")).await;
            peer.rest().await
        });
        let acceptor = Acceptor::new();
        let served = Box::pin(at_once(polled(acceptor.serve_connection(ours, echo), polls))).await;
        let answer = at_once(asking).await.unwrap();
        let said = &answer[..answer.len().min(12)];
        assert!(b"HTTP/1.1 101".starts_with(said), "{}", answer.escape_ascii());
        if let Some(result) = served {
            result.unwrap();
            assert!(answer.ends_with(b"\r\n\r\n\x81\x05hello\x88\x02\x03\xe8"), "{}", answer.escape_ascii());
            assert!(polls > 10, "dropped {polls} times");
            break;
        }
    }
}
