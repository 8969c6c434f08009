//! What is told to `tracing`: when, at which level, within which span, and what never is.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stentor::http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use stentor::http::{HeaderValue, Request, Response, StatusCode};
use stentor::{
    Acceptance, Acceptor, BoxError, Client, CloseCode, Closed, Config, Connections, Drain, Observed,
    Observer, Rejection, Server, SlowReader, UpgradeRequest, Upgrader, WebSocket,
};
use stentor_proto::Role;
use stentor_proto::bytes::Bytes;
use stentor_testkit::frame::{close, ping, text};
use stentor_testkit::peer::{Peer, SAMPLE_ACCEPT, SAMPLE_KEY, request};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tracing::{Level, info};

use crate::support::log::Log;
use crate::support::{Dial, ask, at_once, echo, lasting, serve, server, server_in_memory, settle, soon};

/// Everything that may be a secret: in the query, in headers, in messages, in close reasons, in a URI,
/// and in what the application composes of them.
#[tokio::test]
async fn no_secret_is_ever_recorded() {
    let (log, _guard) = Log::of_this_thread();
    let keys = Arc::new(Mutex::new(Vec::new()));
    let server = server().await.authorize({
        let keys = Arc::clone(&keys);
        move |request: UpgradeRequest| {
            let key = request.request().headers()["sec-websocket-key"].to_str().unwrap().to_owned();
            keys.lock().unwrap().push(key);
            let query = request.request().uri().query().unwrap_or_default().to_owned();
            async move {
                let refused = query.contains("refuse");
                if refused {
                    Err(Rejection::new(StatusCode::FORBIDDEN, format!("not with {query}")))
                } else {
                    Ok(query)
                }
            }
        }
    });
    let server = server
        .edit_response(|_: &UpgradeRequest, response: &mut Acceptance| {
            response.headers.append(SET_COOKIE, HeaderValue::from_static("id=secret-set-cookie"));
        })
        .http(async |request: stentor::http::Request<_>| {
            assert!(!request.uri().path().contains("panic"), "secret-of-a-panic");
            Response::new("secret-page".into())
        })
        .config(Config { max_message_size: 4096, ..Config::default() });
    let connections = server.connections();
    let addr = serve(server, async |mut socket: WebSocket| -> Result<(), BoxError> {
        while let Some(message) = socket.recv().await? {
            if message.as_text().is_some_and(|text| text.contains("fail")) {
                return Err(format!("cannot read {message:?}").into());
            }
            socket.send(message).await?;
        }
        Ok(())
    });

    // Our client, as it should be used, and as it should not.
    let client = Client::new()
        .header(AUTHORIZATION, HeaderValue::from_static("Bearer secret-authorization"))
        .header(COOKIE, HeaderValue::from_static("session=secret-cookie"))
        .subprotocol("secret-subprotocol")
        .subprotocol_optional();
    let mut socket = client.connect(format!("ws://{addr}/room?token=secret-query")).await.unwrap();
    socket.send("secret-message").await.unwrap();
    soon(socket.recv()).await.unwrap();
    socket.ping().await.unwrap();
    soon(socket.close(CloseCode::NORMAL, "secret-reason")).await.unwrap();
    drop(socket);
    let mut socket = client.connect(format!("ws://{addr}/room?token=secret-query")).await.unwrap();
    socket.send("secret-message, on which to fail").await.unwrap();
    soon(socket.recv()).await.unwrap();
    drop(socket);
    client.connect(format!("ws://{addr}/?refuse=secret-query")).await.unwrap_err();
    client.connect(format!("ws://user:secret-password@{addr}/?token=secret-query")).await.unwrap_err();
    client.clone().subprotocol("secret-subprotocol").connect(format!("ws://{addr}/")).await.unwrap_err();

    misbehave(addr).await;
    all_gone(&connections).await;

    let everything = log.everything();
    assert!(!everything.contains("secret"), "{everything}");
    assert!(!everything.contains("token") && !everything.contains('?'), "a query in {everything}");
    let keys = keys.lock().unwrap();
    assert!(keys.len() > 5 && keys.iter().any(|key| key == SAMPLE_KEY), "{keys:?}");
    for key in keys.iter().map(String::as_str).chain([SAMPLE_ACCEPT]) {
        assert!(!everything.contains(key), "{key} in {everything}");
    }
    // And it is not for want of records: both ends are there, and what went wrong.
    for told in [
        "role=server",
        "role=client",
        "path=/room",
        " opened",
        " closed code=1000 by=peer reason_len=13",
        " closed code=1007 by=us",
        " limit hit limit=message too large",
        " refused status=403 answered=true reason=rejected",
        " refused status=403 answered=true reason=origin not allowed",
        " not connected reason=the server answered 403",
        " not connected reason=a setting cannot be used",
        " the handler failed",
        " panicked part=http hook",
    ] {
        assert!(everything.contains(told), "no {told:?} in {everything}");
    }
}

/// Waits until nothing is left of any connection.
async fn all_gone(connections: &Connections) {
    soon(async {
        while !connections.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Peers by hand, who break every rule.
async fn misbehave(addr: SocketAddr) {
    let headers = "Cookie: session=secret-cookie\r\nAuthorization: Basic secret-authorization\r\n";
    for frames in [
        [text("secret-message"), ping("secret-ping"), close(4000, "secret-reason")],
        [text("secret-message"), text(b"secret-utf8\xff"), close(1000, "")],
        [text("secret-message"), text("secret-flood".repeat(1000)), close(1000, "")],
    ] {
        let tcp = TcpStream::connect(addr).await.unwrap();
        let (mut peer, _) = Peer::connect_to(tcp, "/room?token=secret-query", headers).await;
        for frame in frames {
            peer.send(&frame).await;
        }
        soon(peer.rest()).await;
    }
    for request in [
        request("/?refuse=secret-query", headers),
        format!("GET /page?token=secret-query HTTP/1.1\r\nHost: x\r\n{headers}\r\n"),
        format!("GET /panic?token=secret-query HTTP/1.1\r\nHost: x\r\n{headers}\r\n"),
        request("/?token=secret-query", "Origin: http://secret-origin.example\r\n"),
        request("/?token=secret-query", "Sec-WebSocket-Extensions: secret-extension=\r\n"),
        request("/?token=secret-query", "secret-header\r\n"),
        "GET secret-target HTTP/1.1\r\n\r\n".to_owned(),
        "secret-request-line\r\n\r\n".to_owned(),
    ] {
        soon(ask(addr, &request)).await;
    }
}

/// Notes in the log that it is told something.
struct Noting;

impl Observer for Noting {
    fn opened(&self, _: &Observed<'_>) {
        info!("observer: opened");
    }

    fn ping(&self, _: &Observed<'_>, _: &[u8]) {
        info!("observer: ping");
    }

    fn closed(&self, _: &Observed<'_>, _: &Closed) {
        info!("observer: closed");
    }
}

/// Whatever thread polls them: every connection's records are within its own span and no other.
#[test]
fn hooks_handlers_and_observers_run_within_the_span_of_their_connection() {
    const CLIENTS: usize = 16;
    let log = Log::default();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(4).enable_all().on_thread_start({
        let log = log.clone();
        move || log.keep_this_thread()
    });
    let runtime = runtime.build().unwrap();
    // In a task, because this thread keeps no log.
    let clients = runtime.spawn(async {
        let server = server().await.observe(Noting).authorize(async |request: UpgradeRequest| {
            tokio::task::yield_now().await;
            let path = request.request().uri().path().to_owned();
            info!(of = path, "hook");
            Ok::<_, Rejection>(path)
        });
        let connections = server.connections();
        let addr = serve(server, async |mut socket: WebSocket| {
            let path = socket.context::<String>().unwrap().clone();
            while let Some(message) = socket.recv().await? {
                tokio::task::yield_now().await;
                info!(of = path, id = %socket.id(), "handler");
                socket.send(message).await?;
            }
            Ok::<_, stentor::Error>(())
        });
        let clients = (0..CLIENTS).map(|number| {
            tokio::spawn(async move {
                let uri = format!("ws://{addr}/client/{number}/of/them");
                let mut socket = stentor::connect(uri).await.unwrap();
                for _ in 0..20 {
                    socket.send("hi").await.unwrap();
                    assert_eq!(soon(socket.recv()).await.unwrap(), Some("hi".into()));
                }
                socket.ping().await.unwrap();
                socket.close(CloseCode::NORMAL, "").await.unwrap();
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await.unwrap();
        }
        all_gone(&connections).await;
    });
    runtime.block_on(clients).unwrap();
    runtime.shutdown_timeout(Duration::from_secs(10));

    let events = log.events();
    let of = |what: &str| {
        let what = format!(" {what}");
        events.iter().filter(move |event| event.fields.starts_with(&what)).collect::<Vec<_>>()
    };
    for event in of("hook").into_iter().chain(of("handler")) {
        let (_, path) = event.fields.split_once(" of=").unwrap();
        let path = path.split(' ').next().unwrap();
        let span = log.span(event.span.expect("a span"));
        assert!(span.starts_with("stentor.connection role=server"), "{span}");
        assert!(span.contains(&format!(" path={path} ")), "{event:?} in {span}");
        if let Some((_, id)) = event.fields.split_once(" id=") {
            assert!(span.ends_with(&format!(" id={id}")), "{event:?} in {span}");
        }
    }
    assert_eq!((of("hook").len(), of("handler").len()), (CLIENTS, 20 * CLIENTS));
    for (what, count) in [("observer: opened", 1), ("observer: ping", 1), ("observer: closed", 1)] {
        let mut spans: Vec<_> = of(what).iter().map(|event| event.span.expect("a span")).collect();
        spans.sort_unstable();
        spans.dedup();
        assert_eq!(spans.len(), count * CLIENTS, "{what}");
    }
}

fn traced() -> (Server, Dial, Log, tracing::subscriber::DefaultGuard) {
    let (log, guard) = Log::of_this_thread();
    let (server, dial) = server_in_memory();
    (server, dial, log, guard)
}

#[tokio::test(start_paused = true)]
async fn a_life_in_order_is_told_and_nothing_for_each_message() {
    let (server, dial, log, _guard) = traced();
    let connections = server.connections();
    tokio::spawn(server.subprotocols(["chat"]).serve(echo));
    let client = Client::new().subprotocol("chat");
    let mut client = client.connect_over("ws://in.memory:81/room?a=b", dial.up()).await.unwrap();
    settle().await;
    let (client_id, server_id) = (client.id(), connections.iter().next().unwrap().id());
    assert_eq!(
        log.lines(),
        ["INFO listening", "DEBUG accepted", "DEBUG opened handshake=0ns", "DEBUG opened handshake=0ns"]
    );
    assert_eq!(
        log.span(0),
        format!(
            "stentor.connection role=client host=in.memory:81 path=/room id={client_id} subprotocol=chat"
        )
    );
    assert_eq!(
        log.span(1),
        format!(
            "stentor.connection role=server peer=192.0.2.1:4711 path=/room id={server_id} subprotocol=chat"
        )
    );
    for _ in 0..100 {
        client.send("hi").await.unwrap();
        assert_eq!(client.recv().await.unwrap(), Some("hi".into()));
    }
    client.ping().await.unwrap();
    assert_eq!(log.lines(), [""; 0]);
    client.close(CloseCode::NORMAL, "bye").await.unwrap();
    settle().await;
    let mut lines = log.lines();
    lines.sort_unstable();
    let closed = |by| format!("INFO closed code=1000 by={by} reason_len=3");
    assert_eq!(lines, [closed("peer"), closed("us")]);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_refused_is_told_with_the_reason() {
    let (server, dial, log, _guard) = traced();
    let server = server
        .accept_filter(|peer: SocketAddr| peer.port() != 666)
        .limits(stentor::Limits { max_connections_per_ip: 1, ..stentor::Limits::default() })
        .authorize(async |request: UpgradeRequest| match request.request().uri().path() {
            "/panic" => panic!("as it was asked to"),
            "/slow" => std::future::pending().await,
            _ => Err::<(), _>(Rejection::new(StatusCode::FORBIDDEN, "log in first")),
        });
    tokio::spawn(server.serve(echo));
    let told = async |from: &str, sent: &str| {
        let mut io = dial.from(from);
        io.write_all(sent.as_bytes()).await.unwrap();
        lasting(Peer::new(Role::Client, io).rest()).await;
        settle().await;
        let mut lines = log.lines();
        lines.retain(|line| line != "DEBUG accepted" && line != "INFO listening");
        lines
    };
    let peer = "192.0.2.1:1";
    assert_eq!(
        told("192.0.2.66:666", "").await,
        ["INFO refused answered=false reason=the accept filter does not let it in"]
    );
    assert_eq!(
        told(peer, &request("/", "")).await,
        ["INFO refused status=403 answered=true reason=log in first"]
    );
    assert_eq!(
        told(peer, &request("/panic", "")).await,
        ["ERROR panicked part=authorize hook", "INFO refused status=500 answered=true reason=internal error"]
    );
    assert_eq!(
        told(peer, &request("/slow", "")).await,
        ["INFO the opening handshake timed out status=408 answered=true reason=the decision took too long"]
    );
    let half = told(peer, "GET / HTTP/1.1\r\n").await;
    assert!(half[0].starts_with("INFO the opening handshake timed out status=408 answered=true"), "{half:?}");
    let _first = dial.from("192.0.2.2:1");
    settle().await;
    assert_eq!(
        told("192.0.2.2:2", "").await,
        ["INFO limit hit status=429 answered=true limit=too many connections from this address"]
    );
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_end_has_its_words() {
    let (server, dial, log, _guard) = traced();
    let config = Config { max_message_size: 10, ..Config::default() };
    tokio::spawn(server.config(config).serve(async |mut socket: WebSocket| -> Result<(), BoxError> {
        while let Some(message) = socket.recv().await? {
            match message.as_bytes() {
                b"panic" => panic!("as it was asked to"),
                b"fail" => return Err("as it was asked to".into()),
                _ => socket.send(message).await?,
            }
        }
        Ok(())
    }));
    let told = async |peer: Peer<_>| {
        let mut peer = peer;
        lasting(peer.rest()).await;
        drop(peer);
        settle().await;
        let mut lines = log.lines();
        lines.retain(|line| !line.starts_with("DEBUG") && line != "INFO listening");
        lines
    };
    let closed = |code, rest: &str| format!("INFO closed code={code} by=us reason_len={rest}");

    let silent = dial.peer().await;
    let failure = "0 failure=timed out: keepalive";
    assert_eq!(told(silent).await, ["INFO keepalive lost".to_owned(), closed(1006, failure)]);

    let mut loud = dial.peer().await;
    loud.send(&text("more than ten")).await;
    let lines = told(loud).await;
    assert!(lines[0].starts_with("INFO limit hit limit=message too large"), "{lines:?}");
    assert!(lines[1].starts_with("INFO closed code=1009 by=us reason_len="), "{lines:?}");

    let mut wrong = dial.peer().await;
    wrong.send_bytes(b"\xff\xff").await;
    let lines = told(wrong).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("code=1002") && lines[0].contains("failure=reserved bit set"), "{lines:?}");

    for (asked, line) in [("panic", "ERROR panicked part=handler"), ("fail", "WARN the handler failed")] {
        let mut peer = dial.peer().await;
        peer.send(&text(asked)).await;
        let lines = told(peer).await;
        assert_eq!(lines.iter().filter(|told| *told == line).count(), 1, "{lines:?}");
        assert!(lines.iter().any(|told| told.starts_with(&closed(1011, "0"))), "{lines:?}");
        assert_eq!(lines.len(), 2, "{lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn slow_readers_are_told_once_and_not_for_each_message() {
    for policy in [SlowReader::DropOldest, SlowReader::DropNewest, SlowReader::Close] {
        let (server, dial, log, _guard) = traced();
        let config = Config { slow_reader: policy, max_outbox_size: 10_000, ..Config::default() };
        tokio::spawn(server.config(config).serve(async |mut socket: WebSocket| {
            for _ in 0..1000 {
                socket.send(vec![0; 1000]).await?;
            }
            socket.close(CloseCode::NORMAL, "").await
        }));
        let peer = dial.peer().await;
        lasting(async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if log.everything().contains(" closed ") {
                    break;
                }
            }
        })
        .await;
        drop(peer);
        let lines = log.lines();
        let slow: Vec<_> = lines.iter().filter(|line| line.contains("slow reader")).collect();
        if policy == SlowReader::Close {
            assert_eq!(slow, ["INFO slow reader: closed"], "{lines:?}");
        } else {
            assert_eq!(slow[0], "INFO slow reader: messages are dropped", "{lines:?}");
            assert!(slow.len() <= 2, "{lines:?}");
            let end = lines.iter().find(|line| line.contains(" closed ")).unwrap();
            assert!(end.contains(" dropped="), "{end}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_tells_of_its_own_end() {
    let (log, _guard) = Log::of_this_thread();
    let server = server().await;
    let (addr, shutdown) = (server.local_addr().unwrap(), server.shutdown());
    let serving = tokio::spawn(server.serve(echo));
    let mut peer = Peer::connect(TcpStream::connect(addr).await.unwrap()).await;
    tokio::spawn(async move { shutdown.drain(Drain::default()).await });
    lasting(peer.expect_close(1001)).await;
    drop(peer);
    lasting(serving).await.unwrap().unwrap();
    let lines = log.lines();
    assert_eq!(lines[0], format!("INFO listening address={addr}"));
    let mut ends = lines.iter().filter(|line| line.contains("connections="));
    assert_eq!(ends.next().unwrap(), "INFO shutting down connections=1");
    assert_eq!(ends.next().unwrap(), "INFO drained connections=1 cleanly=0 otherwise=1 dropped=0");
}

#[tokio::test(start_paused = true)]
async fn inside_another_server_hooks_and_handlers_have_a_span_too() {
    let (log, _guard) = Log::of_this_thread();
    let acceptor = Acceptor::new().authorize(async |_| {
        info!("hook");
        Ok::<_, Rejection>(())
    });
    let upgrader = Upgrader::new(acceptor);
    let request = Request::get("/room?token=secret")
        .header("host", "example.com")
        .header("upgrade", "websocket")
        .header("connection", "Upgrade")
        .header("sec-websocket-key", SAMPLE_KEY)
        .header("sec-websocket-version", "13")
        .body(())
        .unwrap();
    let (io, client) = tokio::io::duplex(1024);
    let upgrade = upgrader.upgrade::<Bytes, _>(request, async { Ok(io) }).await.unwrap();
    let response = upgrade.on_upgrade(async |socket: WebSocket| {
        info!("handler");
        echo(socket).await
    });
    assert_eq!(response.status(), 101);
    settle().await;
    let mut client = Peer::new(Role::Client, client);
    client.send(&close(1000, "")).await;
    at_once(client.rest()).await;
    settle().await;
    let events = log.events();
    let told: Vec<_> = events.iter().map(|event| (event.fields.as_str(), event.span)).collect();
    assert_eq!(told[0..2], [(" accepted", Some(0)), (" hook", Some(0))]);
    assert_eq!(told[3..], [(" handler", Some(0)), (" closed code=1000 by=peer reason_len=0", Some(0))]);
    assert!(log.span(0).starts_with("stentor.connection role=server path=/room id="), "{}", log.span(0));
}

/// A client's calls are not within its span, but can be.
#[tokio::test(start_paused = true)]
async fn the_span_of_a_connection_can_be_used_elsewhere() {
    let (server, dial, log, _guard) = traced();
    tokio::spawn(server.serve(echo));
    let mut client = dial.client().await;
    let (span, _) = (client.span(), log.events());
    span.in_scope(|| info!("mine"));
    at_once(client.close(CloseCode::NORMAL, "")).await.unwrap();
    let events = log.events();
    let mine = events.iter().find(|event| event.fields == " mine").unwrap();
    assert_eq!(mine.level, Level::INFO);
    assert!(log.span(mine.span.unwrap()).contains("role=client host=in.memory path=/ "));
}
