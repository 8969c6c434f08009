//! A server goes down: nobody new, farewells spread over a time, answers finished, an end for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use stentor::http::{Request, Response, StatusCode};
use stentor::{Acceptor, Drain, Drained, Misuse, Rejection, Shutdown, WebSocket};
use stentor_proto::Role;
use stentor_proto::bytes::Bytes;
use stentor_testkit::frame::{close, text};
use stentor_testkit::peer::{Peer, request};
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::hosts::{Host, Hosted, on_every_host_paused};
use crate::support::{ask, at_once, connect, echo, lasting, serve, server, server_in_memory, settle, soon};

on_every_host_paused![
    everybody_is_seen_out_and_nobody_is_let_in,
    a_restart_tells_when_to_come_back,
    farewells_are_spread_evenly_over_the_window,
    what_has_arrived_is_answered_first,
    a_receiver_in_another_task_takes_its_leave_too,
    a_handler_that_never_rests_is_closed_after_its_grace,
    whoever_is_left_at_the_deadline_is_dropped_with_its_handler,
    a_peer_that_does_not_answer_the_close_is_counted_apart,
    to_abort_waits_for_nobody,
    nothing_that_was_received_stays_without_its_answer,
];

/// Farewells without delay.
fn at_once_all() -> Drain {
    Drain { window: Duration::ZERO, ..Drain::default() }
}

fn drain(shutdown: &Shutdown, drain: Drain) -> JoinHandle<Drained> {
    let shutdown = shutdown.clone();
    tokio::spawn(async move { shutdown.drain(drain).await.unwrap() })
}

/// Answers the server's Close frame.
async fn say_goodbye(peer: &mut Peer<DuplexStream>, code: u16, reason: &str) {
    assert_eq!(lasting(peer.expect_close(code)).await, reason);
    peer.send(&close(code, reason)).await;
    lasting(peer.expect_end()).await;
}

async fn everybody_is_seen_out_and_nobody_is_let_in(host: Host) {
    let hosted = host.in_memory(Acceptor::new(), echo);
    let (dial, shutdown) = (&hosted.dial, &hosted.shutdown);
    let mut peers = [dial.peer().await, dial.peer().await, dial.peer().await];
    settle().await;
    assert!(shutdown.is_ready());
    let draining = drain(shutdown, at_once_all());
    for peer in &mut peers {
        say_goodbye(peer, 1001, "").await;
    }
    let drained = at_once(draining).await.unwrap();
    assert_eq!(drained, Drained { connections: 3, cleanly: 3, otherwise: 0, dropped: 0 });
    assert!(!shutdown.is_ready());
    // Whoever asks again is told the same.
    assert_eq!(at_once(shutdown.drain(Drain::default())).await.unwrap(), drained);
    at_once(hosted.refuses_everybody(host)).await;
}

async fn a_restart_tells_when_to_come_back(host: Host) {
    let Hosted { dial, shutdown, .. } = host.in_memory(Acceptor::new(), echo);
    let mut peer = dial.peer().await;
    shutdown.begin(Drain { window: Duration::ZERO, ..Drain::restart(Duration::from_secs(15)) }).unwrap();
    say_goodbye(&mut peer, 1012, "retry-after=15").await;
    assert_eq!(at_once(shutdown.done()).await.cleanly, 1);
}

#[tokio::test]
async fn what_may_not_be_said_is_refused_and_nothing_happens() {
    let shutdown = server().await.shutdown();
    let code = Drain { code: 1006.into(), ..Drain::default() };
    assert!(matches!(shutdown.begin(code), Err(Misuse::UnsendableCloseCode(_))));
    let reason = Drain { reason: "x".repeat(124).into(), ..Drain::default() };
    assert!(matches!(shutdown.drain(reason).await, Err(stentor::Misuse::ReasonTooLong)));
    assert!(futures_util::poll!(Box::pin(shutdown.begun())).is_pending());
}

async fn farewells_are_spread_evenly_over_the_window(host: Host) {
    const PEERS: u32 = 200;
    let Hosted { dial, shutdown, .. } = host.in_memory(Acceptor::new(), echo);
    let (said, mut farewells) = mpsc::unbounded_channel();
    for index in 0..PEERS {
        let mut peer = dial.peer().await;
        let said = said.clone();
        tokio::spawn(async move {
            peer.expect_close(1001).await;
            said.send((Instant::now(), index)).unwrap();
            peer.send(&close(1001, "")).await;
        });
    }
    settle().await;
    let began = Instant::now();
    // Shorter than the silence that calls for a Ping.
    let window = Duration::from_secs(10);
    let draining = drain(&shutdown, Drain { window, ..Drain::default() });
    let mut order = Vec::new();
    for place in 0..PEERS {
        let (at, index) = lasting(farewells.recv()).await.unwrap();
        order.push(index);
        // Each in a random moment of its own part of the window, which is 50 ms long.
        let (part, elapsed) = (window / PEERS, at - began);
        let allowed = part * place..=part * (place + 1) + Duration::from_millis(2);
        assert!(allowed.contains(&elapsed), "{place}: {elapsed:?}");
    }
    assert!(!order.is_sorted(), "those who came first always go first");
    assert_eq!(lasting(draining).await.unwrap().cleanly, PEERS as usize);
}

/// A handler that is busy with a message answers it before its connection is closed.
async fn what_has_arrived_is_answered_first(host: Host) {
    let handler = async |mut socket: WebSocket| {
        while let Ok(Some(message)) = socket.recv().await {
            tokio::time::sleep(Duration::from_secs(1)).await;
            socket.send(message).await.unwrap();
        }
    };
    let Hosted { dial, shutdown, .. } = host.in_memory(Acceptor::new(), handler);
    let mut peer = dial.peer().await;
    for message in ["one", "two", "three"] {
        peer.send(&text(message)).await;
    }
    settle().await;
    let draining = drain(&shutdown, at_once_all());
    for message in ["one", "two", "three"] {
        lasting(peer.expect(text(message))).await;
    }
    say_goodbye(&mut peer, 1001, "").await;
    assert_eq!(at_once(draining).await.unwrap().cleanly, 1);
}

async fn a_receiver_in_another_task_takes_its_leave_too(host: Host) {
    let handler = async |socket: WebSocket| {
        let (sender, mut receiver) = socket.split();
        let receiving = tokio::spawn(async move { receiver.recv().await });
        let received = receiving.await.unwrap().unwrap();
        assert_eq!(received, None);
        drop(sender);
    };
    let Hosted { dial, shutdown, .. } = host.in_memory(Acceptor::new(), handler);
    let mut peer = dial.peer().await;
    settle().await;
    let draining = drain(&shutdown, at_once_all());
    say_goodbye(&mut peer, 1001, "").await;
    assert_eq!(at_once(draining).await.unwrap().cleanly, 1);
}

/// Who only ever sends is closed after the grace.
async fn a_handler_that_never_rests_is_closed_after_its_grace(host: Host) {
    let handler = async |mut socket: WebSocket| {
        while socket.send("tick").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    };
    let Hosted { dial, shutdown, .. } = host.in_memory(Acceptor::new(), handler);
    let mut peer = dial.peer().await;
    settle().await;
    let began = Instant::now();
    let draining = drain(&shutdown, at_once_all());
    for _ in 0..4 {
        lasting(peer.expect(text("tick"))).await;
    }
    say_goodbye(&mut peer, 1001, "").await;
    let took = began.elapsed().as_secs_f64();
    assert!((10.0..10.1).contains(&took), "{took} s");
    let drained = lasting(draining).await.unwrap();
    assert_eq!((drained.cleanly, drained.dropped), (1, 0));
}

async fn whoever_is_left_at_the_deadline_is_dropped_with_its_handler(host: Host) {
    let held = Arc::new(());
    let in_handler = Arc::clone(&held);
    let handler = move |mut socket: WebSocket| {
        let held = Arc::clone(&in_handler);
        async move {
            while let Ok(Some(_)) = socket.recv().await {}
            // It has not understood.
            std::future::pending::<()>().await;
            drop(held);
        }
    };
    let hosted = host.in_memory(Acceptor::new(), handler);
    let (dial, shutdown) = (&hosted.dial, &hosted.shutdown);
    let mut polite = dial.peer().await;
    let mut deaf = dial.peer().await;
    let rude = dial.peer().await;
    settle().await;
    let began = Instant::now();
    let draining = drain(shutdown, at_once_all());
    say_goodbye(&mut polite, 1001, "").await;
    drop(rude);
    let drained = lasting(draining).await.unwrap();
    let took = began.elapsed().as_secs_f64();
    assert!((30.0..30.1).contains(&took), "{took} s");
    // All handlers hang, whatever their connections have come to.
    assert_eq!(drained, Drained { connections: 3, cleanly: 0, otherwise: 0, dropped: 3 });
    hosted.ended(host).await;
    assert_eq!(Arc::strong_count(&held), 1, "a handler lives on");
    at_once(deaf.expect_close(1001)).await;
    at_once(deaf.expect_end()).await;
}

async fn a_peer_that_does_not_answer_the_close_is_counted_apart(host: Host) {
    let Hosted { dial, shutdown, .. } = host.in_memory(Acceptor::new(), echo);
    let _deaf = dial.peer().await;
    settle().await;
    let began = Instant::now();
    let drained = lasting(drain(&shutdown, at_once_all())).await.unwrap();
    assert_eq!(drained, Drained { connections: 1, cleanly: 0, otherwise: 1, dropped: 0 });
    let took = began.elapsed().as_secs_f64();
    assert!((5.0..5.1).contains(&took), "the time for closing: {took} s");
}

async fn to_abort_waits_for_nobody(host: Host) {
    for draining_already in [false, true] {
        let hosted = host.in_memory(Acceptor::new(), echo);
        let (dial, shutdown) = (&hosted.dial, &hosted.shutdown);
        let mut peer = dial.peer().await;
        settle().await;
        if draining_already {
            shutdown.begin(Drain { window: Duration::from_secs(3600), ..Drain::default() }).unwrap();
            settle().await;
        }
        shutdown.abort();
        assert_eq!(at_once(shutdown.done()).await.dropped, 1);
        at_once(hosted.ended(host)).await;
        assert_eq!(at_once(peer.rest()).await, b"");
    }
}

#[tokio::test(start_paused = true)]
async fn handshakes_under_way_are_refused() {
    let (server, dial) = server_in_memory();
    let shutdown = server.shutdown();
    let (decide, decision) = oneshot::channel::<()>();
    let decision = std::sync::Mutex::new(Some(decision));
    let server = server.authorize(move |_| {
        let decision = decision.lock().unwrap().take().unwrap();
        async move { decision.await.map_err(|_| Rejection::from(StatusCode::FORBIDDEN)) }
    });
    let serving = tokio::spawn(server.serve(echo));
    let mut deciding = Peer::new(Role::Client, dial.up());
    deciding.send_bytes(request("/", "").as_bytes()).await;
    let mut asking = Peer::new(Role::Client, dial.up());
    asking.send_bytes(b"GET / HT").await;
    settle().await;
    shutdown.begin(at_once_all()).unwrap();
    // Who was too late to be accepted is told, too.
    let mut waiting = Peer::new(Role::Client, dial.up());
    waiting.send_bytes(request("/", "").as_bytes()).await;
    for peer in [&mut asking, &mut waiting] {
        let head = at_once(peer.head()).await;
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
        peer.finish_writing().await;
    }
    decide.send(()).unwrap();
    let head = at_once(deciding.head()).await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    deciding.finish_writing().await;
    assert_eq!(lasting(shutdown.done()).await, Drained::default());
    at_once(serving).await.unwrap().unwrap();
}

/// The switch may be turned from inside a handler, and before anybody serves.
#[tokio::test(start_paused = true)]
async fn it_may_begin_anywhere() {
    let (server, dial) = server_in_memory();
    let shutdown = server.shutdown();
    let inside = shutdown.clone();
    let serving = tokio::spawn(server.serve(move |mut socket: WebSocket| {
        let shutdown = inside.clone();
        async move {
            while let Ok(Some(_)) = socket.recv().await {
                shutdown.begin(at_once_all()).unwrap();
            }
        }
    }));
    let mut peer = dial.peer().await;
    peer.send(&text("stop")).await;
    say_goodbye(&mut peer, 1001, "").await;
    at_once(serving).await.unwrap().unwrap();

    let (server, _dial) = server_in_memory();
    server.shutdown().begin(Drain::default()).unwrap();
    at_once(server.serve(echo)).await.unwrap();
}

#[tokio::test]
async fn it_may_begin_outside_the_runtime() {
    let server = server().await;
    let shutdown = server.shutdown();
    let outside = std::thread::spawn(move || shutdown.begin(Drain::default()).unwrap());
    soon(server.serve(echo)).await.unwrap();
    outside.join().unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_end_learns_that_nobody_serves_any_more() {
    let (server, dial) = server_in_memory();
    let (shutdown, connections) = (server.shutdown(), server.connections());
    let serving = tokio::spawn(server.serve(echo));
    let mut peer = dial.peer().await;
    serving.abort();
    serving.await.unwrap_err();
    assert!(!shutdown.is_ready());
    at_once(shutdown.done()).await;
    // The connection lives on, and may be ended by hand.
    peer.send(&text("hi")).await;
    at_once(peer.expect(text("hi"))).await;
    assert_eq!(connections.close_where(1001.into(), "", |_| true).unwrap(), 1);
    say_goodbye(&mut peer, 1001, "").await;
}

#[tokio::test]
async fn readiness_is_for_load_balancers() {
    let server = server().await;
    let shutdown = server.shutdown();
    assert!(!shutdown.is_ready());
    let asked = shutdown.clone();
    let server = server.http(move |_: Request<Bytes>| {
        let status = if asked.is_ready() { 200 } else { 503 };
        async move { Response::builder().status(status).body("".into()).unwrap() }
    });
    let addr = serve(server, echo);
    let ready = "GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (head, _) = ask(addr, ready).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let mut client = connect(addr).await;
    client.send("hi").await.unwrap();
    assert_eq!(soon(client.recv()).await.unwrap(), Some("hi".into()));
    shutdown.begin(Drain { window: Duration::from_millis(10), ..Drain::default() }).unwrap();
    assert!(!shutdown.is_ready());
    assert_eq!(soon(client.recv()).await.unwrap(), None);
    drop(client);
    soon(shutdown.done()).await;
    assert!(TcpStream::connect(addr).await.is_err(), "somebody still listens");
}

/// Each client asks again and again. Whatever its handler has received is answered, and each learns
/// by a Close frame that it is over.
async fn nothing_that_was_received_stays_without_its_answer(host: Host) {
    const CLIENTS: usize = 300;
    let received = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&received);
    let handler = move |mut socket: WebSocket| {
        let received = Arc::clone(&count);
        async move {
            while let Some(message) = socket.recv().await? {
                received.fetch_add(1, Ordering::Relaxed);
                // It thinks about each for a while.
                tokio::time::sleep(Duration::from_millis(7)).await;
                socket.send(message).await?;
            }
            Ok::<_, stentor::Error>(())
        }
    };
    let Hosted { dial, shutdown, .. } = host.in_memory(Acceptor::new(), handler);
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = dial.client().await;
        clients.push(tokio::spawn(async move {
            let mut answers = 0;
            loop {
                // A question that crosses the farewell on its way is not answered; that is known.
                if client.send("question").await.is_err() {
                    break;
                }
                match client.recv().await.expect("a clean end") {
                    Some(_) => answers += 1,
                    None => break,
                }
                tokio::time::sleep(Duration::from_millis(11)).await;
            }
            assert_eq!(u16::from(client.closed().unwrap().code), 1001);
            answers
        }));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let drained = drain(&shutdown, Drain { window: Duration::from_secs(5), ..Drain::default() });
    let mut answered = 0;
    for client in clients {
        answered += lasting(client).await.unwrap();
    }
    let drained = lasting(drained).await.unwrap();
    assert_eq!(drained, Drained { connections: CLIENTS, cleanly: CLIENTS, otherwise: 0, dropped: 0 });
    assert_eq!(answered, received.load(Ordering::Relaxed));
    assert!(answered > CLIENTS, "{answered}");
}
