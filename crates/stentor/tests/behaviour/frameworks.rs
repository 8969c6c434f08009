//! Inside routers and servers of others: what their users write, beside what is theirs.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::{Extension, FromRef, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use axum::{Router, serve};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use stentor::axum::Upgrade;
use stentor::http::header::COOKIE;
use stentor::http::{HeaderValue, Request, StatusCode};
use stentor::{Acceptor, Client, Connections, Limits, Rejection, Upgrader, WebSocket};
use stentor_proto::Role;
use stentor_proto::bytes::Bytes;
use stentor_testkit::frame::text;
use stentor_testkit::peer::{Peer, request};
use stentor_testkit::transport::pipe;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::support::{PIPE, ask, ask_refused, at_once, echo, soon};

/// Serves the router on a free port in the background.
async fn serve_router(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let app = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { serve(listener, app).await });
    addr
}

async fn upgrade(upgrade: Upgrade) -> Response {
    upgrade.on_upgrade(echo)
}

/// A state of several parts.
#[derive(Clone)]
struct App {
    upgrader: Upgrader,
    greeting: &'static str,
}

impl FromRef<App> for Upgrader {
    fn from_ref(app: &App) -> Self {
        app.upgrader.clone()
    }
}

#[derive(Clone)]
struct User(String);

/// What middleware has found out.
#[derive(Clone)]
struct Tenant(&'static str);

#[tokio::test]
async fn a_handler_has_the_state_the_context_and_what_middleware_knows() {
    let acceptor = Acceptor::new().authorize(async |request| {
        let Some(Tenant(tenant)) = request.request().extensions().get() else { panic!("no middleware") };
        let name = request.cookie("name").map(|name| User(format!("{name} of {tenant}")));
        name.ok_or(Rejection::new(StatusCode::FORBIDDEN, "log in first"))
    });
    let greet = async |State(app): State<App>, upgrade: Upgrade| -> Response {
        assert!(upgrade.peer_addr().unwrap().ip().is_loopback());
        upgrade.on_upgrade(async move |mut socket: WebSocket| {
            let User(name) = socket.context().cloned().expect("nobody else is let in");
            socket.send(format!("{} {name}", app.greeting)).await
        })
    };
    let app = App { upgrader: Upgrader::new(acceptor), greeting: "hello" };
    let router = Router::new().route("/ws", any(greet)).with_state(app).layer(Extension(Tenant("acme")));
    let addr = serve_router(router).await;
    let client = Client::new().header(COOKIE, HeaderValue::from_static("name=ann"));
    let mut socket = client.connect(format!("ws://{addr}/ws")).await.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap(), Some("hello ann of acme".into()));
    assert_eq!(ask_refused(addr, &request("/ws", "")).await, (403, "log in first".to_owned()));
}

#[tokio::test]
async fn other_routes_are_not_affected() {
    let upgrader = Upgrader::new(Acceptor::new());
    let count = async |State(connections): State<Connections>| connections.len().to_string();
    let page = Router::new().route("/", get(count)).with_state(upgrader.connections());
    let router = Router::new().route("/ws", any(upgrade)).with_state(upgrader.clone()).merge(page);
    let addr = serve_router(router.route_service("/service", upgrader.service(echo))).await;
    let mut clients = Vec::new();
    for path in ["/ws", "/service"] {
        let mut client = stentor::connect(format!("ws://{addr}{path}")).await.unwrap();
        client.send("hi").await.unwrap();
        assert_eq!(soon(client.recv()).await.unwrap(), Some("hi".into()));
        clients.push(client);
    }
    let get = |path| format!("GET {path} HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n");
    let (head, body) = ask(addr, &get("/")).await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body == b"2", "{head}");
    for path in ["/ws", "/service"] {
        let refused = ask_refused(addr, &get(path)).await;
        assert_eq!(refused, (426, "only WebSocket is served here".to_owned()));
    }
}

/// A handler that answers in another way gives the place back, and the client may ask again.
#[tokio::test]
async fn a_handler_may_refuse() {
    // A reference is kept while something else is waited for.
    async fn is_open(upgrade: &Upgrade) -> bool {
        tokio::task::yield_now().await;
        upgrade.request().uri().path() == "/open"
    }

    let limits = Limits { max_connections: 1, ..Limits::default() };
    let upgrader = Upgrader::new(Acceptor::new()).limits(limits);
    let choose = async |upgrade: Upgrade| -> Response {
        if is_open(&upgrade).await {
            return upgrade.on_upgrade(echo);
        }
        (StatusCode::NOT_FOUND, "no such room").into_response()
    };
    let addr = serve_router(Router::new().fallback(choose).with_state(upgrader)).await;
    for _ in 0..2 {
        let error = stentor::connect(format!("ws://{addr}/closed")).await.unwrap_err();
        assert_eq!(error.status(), Some(StatusCode::NOT_FOUND));
    }
    let mut client = stentor::connect(format!("ws://{addr}/open")).await.unwrap();
    client.send("hi").await.unwrap();
    assert_eq!(soon(client.recv()).await.unwrap(), Some("hi".into()));
    assert_eq!(ask_refused(addr, &request("/open", "")).await, (503, "the server is busy".to_owned()));
}

/// What follows a request that is refused is neither a frame nor another request.
#[tokio::test]
async fn nothing_behind_a_refused_request_is_interpreted() {
    let (asked, mut questions) = mpsc::unbounded_channel();
    let note = async move |request: Request<axum::body::Body>| {
        asked.send(request.uri().path().to_owned()).unwrap();
    };
    let upgrader = Upgrader::new(Acceptor::new());
    let router = Router::new().route("/ws", any(upgrade)).with_state(upgrader).fallback(note);
    let addr = serve_router(router).await;
    let refused = request("/ws", "Origin: http://evil.example\r\n");
    let smuggled = [refused, request("/smuggled", "")].concat();
    assert_eq!(ask_refused(addr, &smuggled).await.0, 403);
    ask(addr, "GET /honest HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n").await;
    assert_eq!(soon(questions.recv()).await.unwrap(), "/honest");
}

/// Without `with_upgrades`, hyper writes the 101 and keeps the byte stream: that is told, and nobody waits.
#[tokio::test(start_paused = true)]
async fn a_connection_that_hyper_keeps_to_itself_is_told() {
    let (told, mut errors) = mpsc::unbounded_channel();
    let acceptor = Acceptor::new().on_error(move |_, error| told.send(error.to_string()).unwrap());
    let upgrader = Upgrader::new(acceptor);
    let (ours, theirs) = pipe(PIPE);
    let connection = http1::Builder::new().serve_connection(TokioIo::new(ours), upgrader.service(echo));
    tokio::spawn(async move { drop(connection.await) });
    let mut peer = Peer::new(Role::Client, theirs);
    peer.send_bytes(request("/", "").as_bytes()).await;
    let error = at_once(errors.recv()).await.unwrap();
    assert!(error.starts_with("transport failed: "), "{error}");
    assert!(upgrader.connections().is_empty());
}

/// Somebody else, such as an extractor of axum's own, has taken the byte stream.
#[tokio::test]
async fn a_request_whose_byte_stream_is_taken_is_answered_500() {
    let upgrader = Upgrader::new(Acceptor::new());
    let service = hyper::service::service_fn(move |mut request: Request<hyper::body::Incoming>| {
        hyper::upgrade::on(&mut request);
        let upgrader = upgrader.clone();
        async move {
            let upgrade = stentor::hyper::upgrade::<Full<Bytes>, _>(&upgrader, request).await;
            Ok::<_, Infallible>(upgrade.map_or_else(|refusal| refusal, |upgrade| upgrade.on_upgrade(echo)))
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        http1::Builder::new().serve_connection(TokioIo::new(tcp), service).with_upgrades().await
    });
    let refused = ask_refused(addr, &request("/", "")).await;
    assert_eq!(refused, (500, "the HTTP server does not let this connection be upgraded".to_owned()));
}

/// Clients of one address are counted together, however axum tells it.
#[tokio::test]
async fn a_client_that_leaves_without_a_word_makes_room() {
    let limits = Limits { max_connections_per_ip: 1, ..Limits::default() };
    let (told, mut errors) = mpsc::unbounded_channel();
    let acceptor = Acceptor::new().on_error(move |peer: Option<SocketAddr>, error| {
        told.send((peer.unwrap().ip(), error.to_string())).unwrap();
    });
    let upgrader = Upgrader::new(acceptor).limits(limits);
    let addr = serve_router(Router::new().fallback(upgrade).with_state(upgrader)).await;
    let (mut first, _) = Peer::connect_to(TcpStream::connect(addr).await.unwrap(), "/", "").await;
    first.send(&text("hi")).await;
    soon(first.expect(text("hi"))).await;
    assert_eq!(ask_refused(addr, &request("/", "")).await.0, 429);
    assert!(errors.recv().await.unwrap().1.contains("429"));
    drop(first);
    // The handler fails with it, in whatever way the system tells.
    let (who, _) = soon(errors.recv()).await.unwrap();
    assert!(who.is_loopback());
    let mut second = loop {
        // Its place is given back a moment later.
        if let Ok(client) = stentor::connect(format!("ws://{addr}/")).await {
            break client;
        }
    };
    second.send("hi").await.unwrap();
    assert_eq!(soon(second.recv()).await.unwrap(), Some("hi".into()));
}
