//! Upgrading the requests of another HTTP server: what that server sees, and who keeps a place how long.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use stentor::http::header::{COOKIE, SET_COOKIE};
use stentor::http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use stentor::proto::bytes::Bytes;
use stentor::{
    Acceptor, Config, Drain, Drained, HttpUpgrade, Limits, PeerAddr, Rejection, Upgrader, WebSocket,
};
use stentor_proto::Role;
use stentor_testkit::frame::{close, text};
use stentor_testkit::peer::Peer;
use stentor_testkit::transport::pipe;
use tokio::io::DuplexStream;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};

use crate::support::{PIPE, at_once, echo, lasting, settle};

/// A request in order.
fn request() -> Request<()> {
    let request = Request::get("/chat?room=1").header("host", "example.com");
    let request = request.header("upgrade", "websocket").header("connection", "Upgrade");
    let request = request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    request.header("sec-websocket-version", "13").header("sec-websocket-protocol", "v2, v1").body(()).unwrap()
}

/// Something that a request should not say.
type SpoilRequest = fn(&mut Request<()>);

/// Something that an answer must not say.
type SpoilAnswer = fn(HttpUpgrade<Bytes>) -> HttpUpgrade<Bytes>;

/// What came of a request: the upgrade, and the client behind it.
type Outcome = Result<(HttpUpgrade<Bytes>, Peer<DuplexStream>), Response<Bytes>>;

async fn ask(upgrader: &Upgrader, request: Request<()>) -> Outcome {
    let (ours, theirs) = pipe(PIPE);
    let upgrade = upgrader.upgrade(request, async { Ok(ours) }).await?;
    Ok((upgrade, Peer::new(Role::Client, theirs)))
}

/// The status and the body of a refusal, which ends the transport.
async fn refused(upgrader: &Upgrader, request: Request<()>) -> (u16, String) {
    let response = ask(upgrader, request).await.expect_err("a refusal");
    let connection = response.headers()["connection"].to_str().unwrap();
    assert!(connection.split(", ").any(|option| option == "close"), "{response:?}");
    (response.status().as_u16(), String::from_utf8(response.into_body().to_vec()).unwrap())
}

/// A connection on which everything is echoed, and its client.
async fn connected(upgrader: &Upgrader) -> Peer<DuplexStream> {
    let (upgrade, mut peer) = ask(upgrader, request()).await.unwrap();
    assert_eq!(upgrade.on_upgrade(echo).status(), 101);
    peer.send(&text("hi")).await;
    at_once(peer.expect(text("hi"))).await;
    peer
}

async fn leave(mut peer: Peer<DuplexStream>) {
    peer.send(&close(1000, "")).await;
    at_once(peer.expect(close(1000, ""))).await;
    at_once(peer.expect_end()).await;
    drop(peer);
    settle().await;
}

#[tokio::test]
async fn the_response_is_the_one_that_rfc_6455_demands() {
    let upgrader = Upgrader::new(Acceptor::new().subprotocols(["v1"]));
    let (upgrade, _peer) = ask(&upgrader, request()).await.unwrap();
    let response = upgrade.on_upgrade(echo);
    assert_eq!((response.status(), &response.body()[..]), (StatusCode::SWITCHING_PROTOCOLS, &b""[..]));
    let headers: Vec<_> =
        response.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    let expected = [
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("sec-websocket-protocol", "v1"),
    ];
    assert_eq!(headers, expected);
}

#[tokio::test]
async fn what_is_out_of_order_is_refused_and_told() {
    let (told, mut errors) = mpsc::unbounded_channel();
    let acceptor = Acceptor::new().on_error(move |peer, error| told.send((peer, error.to_string())).unwrap());
    let upgrader = Upgrader::new(acceptor);
    let peer = "192.0.2.1:4711".parse().unwrap();
    let spoils: [(SpoilRequest, u16, &str); 6] = [
        (|request| *request.version_mut() = Version::HTTP_10, 505, "HTTP/1.1 is needed"),
        (|request| *request.version_mut() = Version::HTTP_2, 505, "HTTP/1.1 is needed"),
        (|request| drop(request.headers_mut().remove("upgrade")), 426, "only WebSocket is served here"),
        (|request| drop(request.headers_mut().remove("sec-websocket-key")), 400, "no Sec-WebSocket-Key"),
        (
            |request| *request.method_mut() = "POST".parse().unwrap(),
            405,
            "the method of an upgrade is not GET",
        ),
        (
            |request| {
                request.headers_mut().insert("origin", HeaderValue::from_static("http://evil.example"));
            },
            403,
            "origin not allowed",
        ),
    ];
    for (spoil, status, message) in spoils {
        let mut request = request();
        request.extensions_mut().insert(PeerAddr(peer));
        spoil(&mut request);
        let (found, body) = refused(&upgrader, request).await;
        assert!(found == status && body.contains(&format!("\"{message}\"")), "{found} {body}");
        let (whose, error) = errors.recv().await.unwrap();
        assert!(whose == Some(peer) && error.contains(message), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_connection_too_many_is_answered_503() {
    let limits = Limits { max_connections: 2, ..Limits::default() };
    let upgrader = Upgrader::new(Acceptor::new()).limits(limits);
    let busy =
        (503, r#"{"code":503,"message":"the server is busy","status":"Service Unavailable"}"#.to_owned());
    let first = connected(&upgrader).await;
    // One that has no answer yet counts, too.
    let unanswered = ask(&upgrader, request()).await.unwrap();
    assert_eq!(refused(&upgrader, request()).await, busy);
    drop(unanswered);
    let second = connected(&upgrader).await;
    assert_eq!(refused(&upgrader, request()).await, busy);
    leave(first).await;
    let third = connected(&upgrader).await;
    assert_eq!(refused(&upgrader, request()).await, busy);
    assert_eq!(upgrader.connections().len(), 2);
    drop((second, third));
}

#[tokio::test(start_paused = true)]
async fn what_is_chosen_for_one_request_holds_for_its_connection() {
    #[derive(Clone, PartialEq, Debug)]
    struct User(String);

    let acceptor = Acceptor::new().keep_uri().authorize(async |request| {
        assert_eq!(request.request().extensions().get(), Some(&"from middleware"));
        request.cookie("name").map(|name| User(name.to_owned())).ok_or(Rejection::from(StatusCode::FORBIDDEN))
    });
    let upgrader = Upgrader::new(acceptor);
    let mut request = request();
    request.headers_mut().insert(COOKIE, HeaderValue::from_static("name=ann"));
    request.extensions_mut().insert("from middleware");
    request.extensions_mut().insert(PeerAddr("192.0.2.1:4711".parse().unwrap()));
    let (upgrade, mut peer) = ask(&upgrader, request).await.unwrap();
    assert_eq!(upgrade.context(), Some(&User("ann".to_owned())));
    assert_eq!((upgrade.request().uri().path(), upgrade.cookie("name")), ("/chat", Some("ann")));
    assert_eq!(upgrade.offer().subprotocols().collect::<Vec<_>>(), ["v2", "v1"]);
    assert_eq!(upgrade.peer_addr().map(|peer| peer.ip()), upgrade.client_ip());
    let small = Config { max_message_size: 10, ..Config::default() };
    let cookies = ["a=1", "b=2"].map(HeaderValue::from_static);
    let upgrade = cookies.into_iter().fold(upgrade, |upgrade, cookie| upgrade.header(SET_COOKIE, cookie));
    let upgrade = upgrade.subprotocol("v2").config(small).insert_context(7_u8);
    let response = upgrade.on_upgrade(async |mut socket: WebSocket| {
        assert_eq!((socket.context(), socket.context()), (Some(&User("ann".to_owned())), Some(&7_u8)));
        assert_eq!(socket.subprotocol(), Some("v2"));
        assert_eq!(socket.peer_addr(), Some("192.0.2.1:4711".parse().unwrap()));
        assert_eq!(socket.uri().unwrap(), "/chat?room=1");
        socket.send("as told").await?;
        socket.recv().await.map(drop)
    });
    assert_eq!(response.headers().get_all(SET_COOKIE).iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
    at_once(peer.expect(text("as told"))).await;
    peer.send(&text("eleven byte")).await;
    at_once(peer.expect_close(1009)).await;
}

#[tokio::test]
async fn an_answer_that_would_break_the_protocol_is_500_and_told() {
    let (told, mut errors) = mpsc::unbounded_channel();
    let upgrader =
        Upgrader::new(Acceptor::new().on_error(move |_, error| told.send(error.to_string()).unwrap()));
    let spoils: [(SpoilAnswer, &str); 2] = [
        (|upgrade| upgrade.subprotocol("v9"), "the client did not offer subprotocol \"v9\""),
        (
            |upgrade| upgrade.header(HeaderName::from_static("upgrade"), HeaderValue::from_static("h2c")),
            "the handshake itself writes the header upgrade",
        ),
    ];
    for (spoil, message) in spoils {
        let (upgrade, mut peer) = ask(&upgrader, request()).await.unwrap();
        let response =
            spoil(upgrade).on_upgrade(async |_: WebSocket| -> () { panic!("it was not accepted") });
        assert_eq!(
            (response.status().as_u16(), &response.headers()["connection"]),
            (500, &HeaderValue::from_static("close"))
        );
        assert_eq!(errors.recv().await.unwrap(), message);
        assert_eq!(peer.rest().await, b"");
    }
    assert_eq!(upgrader.connections().len(), 0);
}

/// The other server may break off before it has written the response, or never write it.
#[tokio::test(start_paused = true)]
async fn a_byte_stream_that_does_not_come_is_not_waited_for_longer_than_a_handshake() {
    let (told, mut errors) = mpsc::unbounded_channel();
    let acceptor = Acceptor::new().on_error(move |_, error| told.send(error.to_string()).unwrap());
    let upgrader = Upgrader::new(acceptor).limits(Limits { max_connections: 1, ..Limits::default() });
    let handler = async |_: WebSocket| -> () { panic!("there is no connection") };

    let broken = async { Err::<DuplexStream, _>(io::Error::from(io::ErrorKind::BrokenPipe)) };
    let upgrade = upgrader.upgrade::<Bytes, _>(request(), broken).await.unwrap();
    assert_eq!(upgrade.on_upgrade(handler).status(), 101);
    assert_eq!(at_once(errors.recv()).await.unwrap(), "transport failed: broken pipe");

    let never = std::future::pending::<io::Result<DuplexStream>>();
    let upgrade = upgrader.upgrade::<Bytes, _>(request(), never).await.unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(upgrade.on_upgrade(handler).status(), 101);
    assert_eq!(lasting(errors.recv()).await.unwrap(), "timed out: opening handshake");
    let took = began.elapsed().as_secs_f64();
    assert!((10.0..10.1).contains(&took), "{took} s");
    settle().await;
    connected(&upgrader).await;
}

/// A client that leaves takes the other server's call with it, and so the hook's future.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_abandoned_leaves_nothing_behind() {
    let held = Arc::new(());
    let in_hook = Arc::clone(&held);
    let acceptor = Acceptor::new().authorize(move |request| {
        let held = Arc::clone(&in_hook);
        async move {
            if request.cookie("wait").is_some() {
                std::future::pending::<()>().await;
            }
            drop(held);
            Ok::<_, Rejection>(())
        }
    });
    let limits = Limits { max_connections: 1, max_handshakes: 1, ..Limits::default() };
    let upgrader = Upgrader::new(acceptor).limits(limits);
    let mut waiting = request();
    waiting.headers_mut().insert(COOKIE, HeaderValue::from_static("wait=1"));
    let asking = tokio::time::timeout(Duration::from_secs(1), ask(&upgrader, waiting));
    assert!(asking.await.is_err());
    assert_eq!(Arc::strong_count(&held), 2, "the test's and the hook's own");
    connected(&upgrader).await;
}

#[tokio::test(start_paused = true)]
async fn it_goes_down_before_the_first_request_and_after_the_last() {
    let at_once_all = || Drain { window: Duration::ZERO, ..Drain::default() };
    let gone = (503, r#"{"code":503,"message":"the server is going down","status":"Service Unavailable"}"#);
    let gone = (gone.0, gone.1.to_owned());

    let upgrader = Upgrader::new(Acceptor::new());
    let shutdown = upgrader.shutdown();
    assert!(shutdown.is_ready());
    assert_eq!(at_once(shutdown.drain(at_once_all())).await.unwrap(), Drained::default());
    assert!(!shutdown.is_ready());
    assert_eq!(refused(&upgrader, request()).await, gone);

    let upgrader = Upgrader::new(Acceptor::new());
    let shutdown = upgrader.shutdown();
    leave(connected(&upgrader).await).await;
    assert!(shutdown.is_ready());
    assert_eq!(at_once(shutdown.drain(at_once_all())).await.unwrap(), Drained::default());
    assert_eq!(refused(&upgrader, request()).await, gone);

    let upgrader = Upgrader::new(Acceptor::new());
    upgrader.shutdown().abort();
    assert_eq!(at_once(upgrader.shutdown().done()).await, Drained::default());
}

#[tokio::test(start_paused = true)]
async fn handshakes_under_way_are_refused_when_it_goes_down() {
    let decide = Arc::new(Notify::new());
    let decision = Arc::clone(&decide);
    let acceptor = Acceptor::new().authorize(move |request| {
        let decision = Arc::clone(&decision);
        async move {
            if request.cookie("wait").is_some() {
                decision.notified().await;
            }
            Ok::<_, Rejection>(())
        }
    });
    let upgrader = Upgrader::new(acceptor);
    let mut waiting = request();
    waiting.headers_mut().insert(COOKIE, HeaderValue::from_static("wait=1"));
    let deciding = tokio::spawn({
        let upgrader = upgrader.clone();
        async move { refused(&upgrader, waiting).await }
    });
    let (undecided, _peer) = ask(&upgrader, request()).await.unwrap();
    settle().await;
    upgrader.shutdown().begin(Drain::default()).unwrap();
    decide.notify_one();
    assert_eq!(at_once(deciding).await.unwrap().0, 503);
    // Who was let in before is told when he is to be answered.
    let response = undecided.on_upgrade(async |_: WebSocket| -> () { panic!("it is too late") });
    assert_eq!(
        (response.status().as_u16(), &response.headers()["connection"]),
        (503, &HeaderValue::from_static("close"))
    );
    assert_eq!(at_once(upgrader.shutdown().done()).await, Drained::default());
}

/// A connection whose byte stream comes while the server goes down is told so.
#[tokio::test(start_paused = true)]
async fn a_connection_that_opens_too_late_takes_its_leave() {
    let upgrader = Upgrader::new(Acceptor::new());
    let (ours, theirs) = pipe(PIPE);
    let (written, response) = tokio::sync::oneshot::channel::<()>();
    let io = async move {
        response.await.unwrap();
        Ok(ours)
    };
    let upgrade = upgrader.upgrade::<Bytes, _>(request(), io).await.unwrap();
    assert_eq!(upgrade.on_upgrade(echo).status(), 101);
    upgrader.shutdown().begin(Drain::default()).unwrap();
    settle().await;
    written.send(()).unwrap();
    let mut peer = Peer::new(Role::Client, theirs);
    at_once(peer.expect_close(1001)).await;
    leave_after(peer).await;
    assert_eq!(lasting(upgrader.shutdown().done()).await.cleanly, 1);
}

async fn leave_after(mut peer: Peer<DuplexStream>) {
    peer.send(&close(1001, "")).await;
    at_once(peer.expect_end()).await;
}

/// The task that waits for the end is not left alone with it.
#[tokio::test(start_paused = true)]
async fn nothing_runs_on_when_the_upgrader_is_gone() {
    let upgrader = Upgrader::new(Acceptor::new());
    leave(connected(&upgrader).await).await;
    let alive = || Handle::current().metrics().num_alive_tasks();
    assert_eq!(alive(), 1);
    drop(upgrader);
    settle().await;
    assert_eq!(alive(), 0);
}
