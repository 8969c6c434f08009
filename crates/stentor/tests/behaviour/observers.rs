//! What observers are told: every connection's end exactly once, and what was on the wire.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use stentor::http::{Request, StatusCode};
use stentor::{
    Acceptor, CloseCode, Closed, ClosedBy, Config, Deflate, Drain, Keepalive, Observed, Observer,
    ProtocolError, Refused, Rejection, Traffic, WebSocket,
};
use stentor_proto::bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;

use crate::support::{Dial, at_once, echo, lasting, server_in_memory, settle};
use stentor::Server;
use stentor_testkit::frame::{close, ping, pong, text};
use stentor_testkit::peer::Peer;

/// Writes down what it is told.
#[derive(Default)]
struct Diary(Mutex<Vec<String>>);

impl Diary {
    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn read(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for Diary {
    fn refused(&self, refused: &Refused<'_>) {
        let status = refused.status.map(|status| status.as_u16());
        self.note(format!("refused {status:?}, answered {}", refused.answered));
    }

    fn opened(&self, _: &Observed<'_>) {
        self.note("opened".into());
    }

    fn ping(&self, connection: &Observed<'_>, payload: &[u8]) {
        // Nobody holds the connection meanwhile.
        assert_eq!(connection.traffic().received.pings, 1);
        self.note(format!("ping {payload:?}"));
    }

    fn pong(&self, _: &Observed<'_>, payload: &[u8], round_trip: Option<Duration>) {
        self.note(format!("pong {payload:?} {round_trip:?}"));
    }

    fn violation(&self, _: &Observed<'_>, violation: ProtocolError) {
        self.note(format!("violation {violation:?}"));
    }

    fn closed(&self, _: &Observed<'_>, closed: &Closed) {
        self.note(format!("closed {} {:?}", u16::from(closed.code), closed.by));
    }
}

fn observed(config: Config) -> (Server, Dial, Arc<Diary>) {
    let diary = Arc::new(Diary::default());
    let (server, dial) = server_in_memory();
    (server.config(config).observe(Arc::clone(&diary)), dial, diary)
}

#[tokio::test(start_paused = true)]
async fn pings_pongs_and_a_clean_end_are_told_in_their_order() {
    let (server, dial, diary) = observed(Config::default());
    tokio::spawn(server.serve(echo));
    let mut peer = dial.peer().await;
    peer.send(&ping("a")).await;
    at_once(peer.frame()).await.unwrap();
    peer.send(&pong("b")).await;
    peer.send(&close(1000, "bye")).await;
    at_once(peer.rest()).await;
    settle().await;
    assert_eq!(diary.read(), ["opened", "ping [97]", "pong [98] None", "closed 1000 Peer"]);
}

#[tokio::test(start_paused = true)]
async fn each_way_to_end_is_told_exactly_once() {
    let config = Config { keepalive: Some(Keepalive::default()), ..Config::default() };
    let (server, dial, diary) = observed(config);
    let (connections, shutdown) = (server.connections(), server.shutdown());
    tokio::spawn(server.serve(async |mut socket: WebSocket| {
        while let Ok(Some(message)) = socket.recv().await {
            assert!(message.as_bytes() != b"panic", "as it was asked to");
        }
    }));
    let end = async || {
        lasting(async {
            while !connections.is_empty() {
                settle().await;
            }
        })
        .await;
        diary.read()
    };

    let mut peer = dial.peer().await;
    peer.send_bytes(b"\xff\xff").await;
    at_once(peer.rest()).await;
    drop(peer);
    let told = end().await;
    assert_eq!((told.len(), &*told[0], &*told[2]), (3, "opened", "closed 1002 Us"), "{told:?}");

    // It vanishes, or says nothing any more.
    drop(dial.peer().await);
    assert_eq!(end().await, ["opened", "closed 1006 Peer"]);
    let silent = dial.peer().await;
    assert_eq!(end().await, ["opened", "closed 1006 Us"]);
    drop(silent);

    let mut peer = dial.peer().await;
    peer.send(&text("panic")).await;
    at_once(peer.expect_close(1011)).await;
    drop(peer);
    assert_eq!(end().await, ["opened", "closed 1011 Us"]);

    let peer = dial.peer().await;
    connections.iter().for_each(|connection| connection.abort());
    assert_eq!(end().await, ["opened", "closed 1006 Us"]);
    drop(peer);

    let mut peer = dial.peer().await;
    let draining = tokio::spawn(async move { shutdown.drain(Drain::default()).await });
    lasting(peer.expect_close(1001)).await;
    drop(peer);
    assert_eq!(end().await, ["opened", "closed 1001 Us"]);
    lasting(draining).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn refusals_are_told_with_their_status() {
    let (server, dial, diary) = observed(Config::default());
    let server = server.authorize(async |_| Err::<(), _>(Rejection::new(StatusCode::FORBIDDEN, "no")));
    tokio::spawn(server.serve(echo));
    for request in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", &*stentor_testkit::peer::request("/", "")] {
        let mut io = dial.up();
        io.write_all(request.as_bytes()).await.unwrap();
        lasting(Peer::new(stentor_proto::Role::Client, io).rest()).await;
    }
    drop(dial.up());
    settle().await;
    let told = ["refused Some(426), answered true", "refused Some(403), answered true"];
    assert_eq!(diary.read(), [told[0], told[1], "refused None, answered false"]);
}

#[tokio::test(start_paused = true)]
async fn whom_the_accept_filter_drops_is_told() {
    let (server, dial, diary) = observed(Config::default());
    let server = server.accept_filter(|peer| peer.ip().to_string() != "192.0.2.66");
    tokio::spawn(server.serve(echo));
    let mut banned = Peer::new(stentor_proto::Role::Client, dial.from("192.0.2.66:1"));
    assert_eq!(at_once(banned.rest()).await, b"");
    assert_eq!(diary.read(), ["refused None, answered false"]);
}

/// What was decided is told, and that the client does not know.
#[tokio::test(start_paused = true)]
async fn a_refusal_that_cannot_be_sent_is_told_as_unanswered() {
    let (server, dial, diary) = observed(Config::default());
    let (asked, decided) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let server = server.authorize({
        let (asked, decided) = (Arc::clone(&asked), Arc::clone(&decided));
        move |_| {
            let (asked, decided) = (Arc::clone(&asked), Arc::clone(&decided));
            async move {
                asked.notify_one();
                decided.notified().await;
                Err::<(), _>(Rejection::new(StatusCode::FORBIDDEN, "no"))
            }
        }
    });
    tokio::spawn(server.serve(echo));
    let mut io = dial.up();
    io.write_all(stentor_testkit::peer::request("/", "").as_bytes()).await.unwrap();
    asked.notified().await;
    drop(io);
    decided.notify_one();
    settle().await;
    assert_eq!(diary.read(), ["refused Some(403), answered false"]);
}

/// Each as it is: by the handler, by nobody, or by another's response.
#[tokio::test(start_paused = true)]
async fn refusals_by_the_handler_are_told_once() {
    let (server, dial, diary) = observed(Config::default());
    tokio::spawn(server.serve_upgrades(async |upgrade: stentor::Upgrade| {
        if upgrade.request().uri().path() == "/reject" {
            return upgrade.reject(Rejection::from(StatusCode::NOT_FOUND).into()).await;
        }
        Ok(())
    }));
    for path in ["/reject", "/forget"] {
        let mut io = dial.up();
        io.write_all(stentor_testkit::peer::request(path, "").as_bytes()).await.unwrap();
        lasting(Peer::new(stentor_proto::Role::Client, io).rest()).await;
    }
    settle().await;
    assert_eq!(diary.read(), ["refused Some(404), answered true", "refused Some(500), answered true"]);
}

#[tokio::test(start_paused = true)]
async fn refusals_inside_another_server_are_told() {
    let diary = Arc::new(Diary::default());
    let acceptor = Acceptor::new().observe(Arc::clone(&diary)).authorize(async |request| {
        let rejected = request.request().uri().path() == "/rejected";
        if rejected { Err(Rejection::from(StatusCode::FORBIDDEN)) } else { Ok(()) }
    });
    let upgrader = stentor::Upgrader::new(acceptor);
    let ask = async |path: &str| {
        let request = Request::get(path)
            .header("host", "example.com")
            .header("upgrade", "websocket")
            .header("connection", "Upgrade")
            .header("sec-websocket-key", stentor_testkit::peer::SAMPLE_KEY)
            .header("sec-websocket-version", "13")
            .body(())
            .unwrap();
        let (io, _client) = tokio::io::duplex(1024);
        upgrader.upgrade::<Bytes, _>(request, async { Ok(io) }).await
    };
    assert_eq!(ask("/rejected").await.unwrap_err().status(), 403);
    assert_eq!(diary.read(), ["refused Some(403), answered true"]);
    drop(ask("/").await.unwrap());
    assert_eq!(diary.read(), ["refused None, answered false"]);
    let accepted = ask("/").await.unwrap().subprotocol("nobody.has.offered.this").on_upgrade(echo);
    assert_eq!(accepted.status(), 500);
    assert_eq!(diary.read(), ["refused Some(500), answered true"]);
    assert_eq!(ask("/").await.unwrap().on_upgrade(echo).status(), 101);
    settle().await;
    assert_eq!(diary.read(), ["opened", "closed 1006 Peer"]);
}

/// An observer that panics.
struct Clumsy;

impl Observer for Clumsy {
    fn opened(&self, _: &Observed<'_>) {
        panic!("opened");
    }

    fn closed(&self, _: &Observed<'_>, _: &Closed) {
        panic!("closed");
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_disturbs_nobody() {
    let (server, dial, diary) = observed(Config::default());
    tokio::spawn(server.observe(Clumsy).serve(echo));
    let mut client = dial.client().await;
    client.send("hi").await.unwrap();
    assert_eq!(client.recv().await.unwrap(), Some("hi".into()));
    client.close(CloseCode::NORMAL, "").await.unwrap();
    settle().await;
    assert_eq!(diary.read(), ["opened", "closed 1000 Peer"]);
}

/// Adds up what it is told.
#[derive(Default)]
struct Sum(Mutex<[u64; 4]>, Mutex<Option<ClosedBy>>);

impl Observer for Sum {
    fn traffic(&self, _: &Observed<'_>, traffic: &Traffic) {
        let (received, sent) = (traffic.received, traffic.sent);
        let mut sum = self.0.lock().unwrap();
        for (sum, more) in sum.iter_mut().zip([received.bytes, received.frames, sent.bytes, sent.frames]) {
            *sum += more;
        }
    }

    fn closed(&self, connection: &Observed<'_>, closed: &Closed) {
        let all = connection.traffic();
        assert_eq!(
            *self.0.lock().unwrap(),
            [all.received.bytes, all.received.frames, all.sent.bytes, all.sent.frames]
        );
        *self.1.lock().unwrap() = Some(closed.by);
    }
}

/// Both ends count, and each has sent what the other has received, compressed or not.
#[tokio::test(start_paused = true)]
async fn both_ends_count_the_same() {
    for deflate in [None, Some(Deflate::default())] {
        let config = Config { deflate, ..Config::default() };
        let (server, dial) = server_in_memory();
        let (ours, theirs) = (Arc::new(Sum::default()), Arc::new(Sum::default()));
        tokio::spawn(server.config(config.clone()).observe(Arc::clone(&ours)).serve(echo));
        let client = stentor::Client::new().config(config).observe(Arc::clone(&theirs));
        let mut client = client.connect_over("ws://in.memory/", dial.up()).await.unwrap();
        for len in [0, 1, 125, 126, 70_000, 500_000] {
            client.send("x".repeat(len)).await.unwrap();
            assert_eq!(client.recv().await.unwrap().unwrap().len(), len);
        }
        client.ping().await.unwrap();
        let traffic = client.traffic().unwrap();
        assert_eq!((traffic.sent.messages, traffic.received.messages, traffic.sent.pings), (6, 6, 1));
        client.close(CloseCode::NORMAL, "bye").await.unwrap();
        drop(client);
        settle().await;
        assert_eq!(*ours.1.lock().unwrap(), Some(ClosedBy::Peer));
        let [received, frames, sent, sent_frames] = *ours.0.lock().unwrap();
        assert_eq!(*theirs.0.lock().unwrap(), [sent, sent_frames, received, frames]);
        // Six messages, a Ping or its Pong, and a Close frame. A client's frames have a key.
        assert_eq!((frames, sent_frames, received), (8, 8, sent + 8 * 4));
    }
}

/// A peer by hand counts its own bytes.
#[tokio::test(start_paused = true)]
async fn the_counters_are_what_a_peer_by_hand_has_written_and_read() {
    let (server, dial) = server_in_memory();
    let connections = server.connections();
    tokio::spawn(server.count_traffic().serve(echo));
    let mut peer = dial.peer().await;
    // Two fragments with a Ping between them: 6 + 3, 6 + 1 and 6 + 2 bytes.
    peer.send_bytes(b"\x01\x83\0\0\0\0abc\x89\x81\0\0\0\0!\x80\x82\0\0\0\0de").await;
    at_once(peer.frame()).await.unwrap();
    at_once(peer.expect(text("abcde"))).await;
    settle().await;
    let traffic = connections.iter().next().unwrap().traffic().unwrap();
    let (received, sent) = (traffic.received, traffic.sent);
    assert_eq!((received.bytes, received.frames, received.messages), (24, 3, 1));
    assert_eq!((received.payload, received.pings, received.pongs), (5, 1, 0));
    // The Pong, 2 + 1 bytes, and the echo, 2 + 5.
    assert_eq!((sent.bytes, sent.frames, sent.messages), (10, 2, 1));
    assert_eq!((sent.payload, sent.pings, sent.pongs), (5, 0, 1));
}
