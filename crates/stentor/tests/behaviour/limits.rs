//! How many connections a server takes, from all and from each, and whom it drops for others.

use std::net::SocketAddr;
use std::time::Duration;

use stentor::{Acceptor, ForwardedHeader, Limits, TrustedProxies};
use stentor_proto::Role;
use stentor_testkit::frame::text;
use stentor_testkit::peer::{Peer, request};
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::hosts::{Host, Hosted, on_every_host, on_every_host_paused};
use crate::support::{
    Dial, ask_refused, at_once, connect, echo, lasting, serve, server, server_in_memory, soon,
};

on_every_host![a_refusal_by_address_arrives_with_its_body_over_tcp,];

on_every_host_paused![
    one_address_too_many_is_answered_429_and_others_are_served,
    behind_a_proxy_each_client_counts_for_itself,
];

/// Reads a refusal that comes without having been asked for.
async fn refusal(mut peer: Peer<DuplexStream>) -> String {
    let head = peer.head().await;
    peer.finish_writing().await;
    head.lines().next().unwrap().to_owned()
}

fn unasked(dial: &Dial, addr: &str) -> Peer<DuplexStream> {
    Peer::new(Role::Client, dial.from(addr))
}

/// Asks, where a refusal does not come unasked for.
async fn asked(host: Host, dial: &Dial, addr: &str) -> Peer<DuplexStream> {
    let mut peer = unasked(dial, addr);
    if host != Host::Own {
        peer.send_bytes(request("/", "").as_bytes()).await;
    }
    peer
}

#[tokio::test]
async fn whom_the_filter_does_not_let_in_is_dropped_before_anything_is_read() {
    let (asked, mut questions) = mpsc::unbounded_channel();
    let filter = move |peer: SocketAddr| {
        asked.send(peer).unwrap();
        false
    };
    let addr = serve(server().await.accept_filter(filter), echo);
    // Nothing was sent, and nothing is waited for.
    let tcp = TcpStream::connect(addr).await.unwrap();
    let ours = tcp.local_addr().unwrap();
    assert_eq!(soon(Peer::new(Role::Client, tcp).rest()).await, b"");
    assert_eq!(questions.recv().await, Some(ours));
    let mut peer = Peer::new(Role::Client, TcpStream::connect(addr).await.unwrap());
    peer.send_bytes(request("/", "").as_bytes()).await;
    assert_eq!(soon(peer.rest()).await, b"");
}

#[tokio::test(start_paused = true)]
async fn a_filter_that_panics_lets_nobody_in_and_the_server_lives_on() {
    let (server, dial) = server_in_memory();
    let server = server.accept_filter(|peer| {
        assert!(peer.port() != 13, "a filter that panics");
        true
    });
    tokio::spawn(server.serve(echo));
    assert_eq!(at_once(unasked(&dial, "192.0.2.1:13").rest()).await, b"");
    let mut peer = at_once(dial.peer()).await;
    peer.send(&text("hi")).await;
    at_once(peer.expect(text("hi"))).await;
}

async fn one_address_too_many_is_answered_429_and_others_are_served(host: Host) {
    let limits = Limits { max_connections_per_ip: 2, ..Limits::default() };
    let Hosted { dial, .. } = host.in_memory_within(limits, Acceptor::new(), echo);
    let mut first = Peer::connect(dial.from("192.0.2.1:1")).await;
    let second = Peer::connect(dial.from("192.0.2.1:2")).await;
    let refused = asked(host, &dial, "192.0.2.1:3").await;
    assert_eq!(at_once(refusal(refused)).await, "HTTP/1.1 429 Too Many Requests");
    // Another port of the same address is no other address; another network of IPv6 is.
    Peer::connect(dial.from("192.0.2.2:1")).await;
    let one_customers = ["[2001:db8::1]:1", "[2001:db8::2]:1"].map(|addr| Peer::connect(dial.from(addr)));
    let [one, two] = one_customers;
    let _held = (one.await, two.await);
    let refused = asked(host, &dial, "[2001:db8::ffff:3]:1").await;
    assert_eq!(at_once(refusal(refused)).await, "HTTP/1.1 429 Too Many Requests");
    Peer::connect(dial.from("[2001:db8:0:1::1]:1")).await;
    // Whoever leaves makes room.
    drop(second);
    crate::support::settle().await;
    let mut third = Peer::connect(dial.from("192.0.2.1:4")).await;
    for peer in [&mut first, &mut third] {
        peer.send(&text("hi")).await;
        at_once(peer.expect(text("hi"))).await;
    }
}

async fn a_refusal_by_address_arrives_with_its_body_over_tcp(host: Host) {
    let limits = Limits { max_connections_per_ip: 1, ..Limits::default() };
    let addr = host.serve_within(limits, Acceptor::new(), echo).await;
    let mut only = connect(addr).await;
    let refused = ask_refused(addr, &request("/", "")).await;
    assert_eq!(refused, (429, "too many connections from this address".to_owned()));
    only.send("still here").await.unwrap();
    assert_eq!(soon(only.recv()).await.unwrap(), Some("still here".into()));
}

/// Behind a proxy it is the client that is counted, and it is told properly.
async fn behind_a_proxy_each_client_counts_for_itself(host: Host) {
    let proxies = TrustedProxies::new(["10.0.0.1"]).unwrap().header(ForwardedHeader::XForwardedFor);
    let limits = Limits { max_connections_per_ip: 1, ..Limits::default() };
    let acceptor = Acceptor::new().trusted_proxies(proxies);
    let Hosted { dial, .. } = host.in_memory_within(limits, acceptor, echo);
    let mut held = Vec::new();
    for client in ["192.0.2.1", "192.0.2.2"] {
        let headers = format!("X-Forwarded-For: {client}\r\n");
        held.push(Peer::connect_to(dial.from("10.0.0.1:1"), "/", &headers).await);
    }
    // The proxy's own, such as its health checks, are not counted.
    for _ in 0..2 {
        held.push(Peer::connect_to(dial.from("10.0.0.1:1"), "/", "").await);
    }
    let mut second = unasked(&dial, "10.0.0.1:1");
    second.send_bytes(request("/", "X-Forwarded-For: 192.0.2.1\r\n").as_bytes()).await;
    assert_eq!(at_once(refusal(second)).await, "HTTP/1.1 429 Too Many Requests");
    held.remove(0);
    crate::support::settle().await;
    Peer::connect_to(dial.from("10.0.0.1:1"), "/", "X-Forwarded-For: 192.0.2.1\r\n").await;
}

#[tokio::test(start_paused = true)]
async fn one_connection_too_many_waits_for_another_to_end() {
    let (server, dial) = server_in_memory();
    tokio::spawn(server.limits(Limits { max_connections: 1, ..Limits::default() }).serve(echo));
    let first = dial.peer().await;
    let mut second = Peer::new(Role::Client, dial.up());
    second.send_bytes(request("/", "").as_bytes()).await;
    crate::support::settle().await;
    let mut answered = std::pin::pin!(second.head());
    assert!(futures_util::poll!(&mut answered).is_pending());
    drop(first);
    assert!(at_once(answered).await.starts_with("HTTP/1.1 101 "));
}

#[tokio::test(start_paused = true)]
async fn for_a_new_handshake_the_oldest_that_was_not_finished_gives_way() {
    let (server, dial) = server_in_memory();
    let (decide, decision) = oneshot::channel::<()>();
    let decision = std::sync::Mutex::new(Some(decision));
    let server = server.limits(Limits { max_handshakes: 2, ..Limits::default() });
    tokio::spawn(
        server
            .authorize(move |request| {
                let slow = request.uri().path() == "/slow";
                let decision = slow.then(|| decision.lock().unwrap().take().unwrap());
                async move {
                    if let Some(decision) = decision {
                        decision.await.unwrap();
                    }
                    Ok::<_, stentor::Rejection>(())
                }
            })
            .serve(echo),
    );
    // One has finished its request and waits for the hook; others dawdle.
    let mut slow = Peer::new(Role::Client, dial.up());
    slow.send_bytes(request("/slow", "").as_bytes()).await;
    crate::support::settle().await;
    let mut dawdlers = Vec::new();
    for _ in 0..3 {
        let mut peer = Peer::new(Role::Client, dial.up());
        peer.send_bytes(b"GET / HTTP/1.1\r\n").await;
        crate::support::settle().await;
        dawdlers.push(peer);
    }
    let newest = dawdlers.pop();
    for dawdler in dawdlers {
        assert_eq!(at_once(refusal(dawdler)).await, "HTTP/1.1 503 Service Unavailable");
    }
    // Somebody who has come to talk is served at once, for the newest of the dawdlers.
    let mut served = at_once(dial.peer()).await;
    assert_eq!(at_once(refusal(newest.unwrap())).await, "HTTP/1.1 503 Service Unavailable");
    served.send(&text("hi")).await;
    at_once(served.expect(text("hi"))).await;
    decide.send(()).unwrap();
    assert!(at_once(slow.head()).await.starts_with("HTTP/1.1 101 "));
}

#[tokio::test(start_paused = true)]
async fn those_who_never_finish_are_all_gone_at_the_deadline() {
    let (server, dial) = server_in_memory();
    let limits = Limits { max_connections: 100, ..Limits::default() };
    tokio::spawn(server.limits(limits).serve(echo));
    let began = Instant::now();
    let mut silent: Vec<_> = (0..100).map(|_| Peer::new(Role::Client, dial.up())).collect();
    // There is room for nobody else until they are gone.
    let mut waiting = lasting(dial.peer()).await;
    let waited = began.elapsed();
    assert!((10.0..13.0).contains(&waited.as_secs_f64()), "{waited:?}");
    waiting.send(&text("hi")).await;
    lasting(waiting.expect(text("hi"))).await;
    for peer in &mut silent {
        assert!(lasting(peer.head()).await.starts_with("HTTP/1.1 408 "));
    }
    assert!(began.elapsed() < Duration::from_secs(15));
}
