//! Looking at a request, and accepting or rejecting it.

use std::sync::Arc;

use stentor::http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use stentor::http::{HeaderName, HeaderValue, Response, StatusCode};
use stentor::{Client, Config, Error, HandlerOutput, HandshakeFailure, OriginPolicy, Server, Upgrade};
use stentor_proto::bytes;
use stentor_testkit::frame::text;
use stentor_testkit::peer::Peer;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::support::{echo, serve, server, soon};

/// Runs `server` in the background and gives its URI.
fn serve_upgrades<H, F>(server: Server, handler: H) -> String
where
    H: Fn(Upgrade) -> F + Send + Sync + 'static,
    F: Future<Output: HandlerOutput> + Send + 'static,
{
    let uri = format!("ws://{}", server.local_addr().unwrap());
    tokio::spawn(server.serve_upgrades(handler));
    uri
}

/// The response of a server that refuses.
fn refusal(error: Error) -> Response<bytes::Bytes> {
    let status = error.status();
    let Error::Handshake(failure) = error else { panic!("{error:?}") };
    let HandshakeFailure::Refused(response) = *failure else { panic!("{failure:?}") };
    assert_eq!(status, Some(response.status()));
    response
}

#[tokio::test]
async fn the_handler_sees_the_request() {
    let uri = serve_upgrades(server().await, async |upgrade: Upgrade| {
        let request = upgrade.request();
        assert_eq!(request.uri().path(), "/room/7");
        assert_eq!(request.uri().query(), Some("name=ann"));
        assert_eq!(request.headers()[COOKIE], "session=1");
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer secret");
        assert_eq!(upgrade.offer().subprotocols().collect::<Vec<_>>(), ["a", "b"]);
        assert!(upgrade.peer_addr().unwrap().ip().is_loopback());
        echo(upgrade.subprotocol("b").accept().await?).await
    });
    let mut client = Client::new()
        .header(COOKIE, HeaderValue::from_static("session=1"))
        .header(AUTHORIZATION, HeaderValue::from_static("Bearer secret"))
        .subprotocol("a")
        .subprotocol("b")
        .connect(format!("{uri}/room/7?name=ann"))
        .await
        .unwrap();
    assert_eq!(client.subprotocol(), Some("b"));
    client.send("hi").await.unwrap();
    assert_eq!(soon(client.recv()).await.unwrap(), Some("hi".into()));
}

/// A request may be looked at while something else is waited for.
#[tokio::test]
async fn a_reference_to_it_may_be_kept_across_an_await() {
    async fn is_welcome(upgrade: &Upgrade) -> bool {
        tokio::task::yield_now().await;
        upgrade.request().uri().path() == "/welcome"
    }

    let uri = serve_upgrades(server().await, async |upgrade: Upgrade| {
        if !is_welcome(&upgrade).await {
            return upgrade.reject(Response::builder().status(404).body("".into()).unwrap()).await;
        }
        echo(upgrade.accept().await?).await
    });
    stentor::connect(format!("{uri}/welcome")).await.unwrap();
    let error = stentor::connect(format!("{uri}/elsewhere")).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::NOT_FOUND));
}

#[tokio::test]
async fn accepting_may_add_headers_even_of_the_same_name() {
    let uri = serve_upgrades(server().await, async |upgrade: Upgrade| {
        let cookies = ["a=1; HttpOnly", "b=2"].map(HeaderValue::from_static);
        let upgrade = cookies.into_iter().fold(upgrade, |upgrade, cookie| upgrade.header(SET_COOKIE, cookie));
        let upgrade = upgrade.header(HeaderName::from_static("x-served-by"), HeaderValue::from_static("me"));
        echo(upgrade.accept().await?).await
    });
    let tcp = TcpStream::connect(uri.strip_prefix("ws://").unwrap()).await.unwrap();
    let (mut peer, head) = soon(Peer::connect_to(tcp, "/", "")).await;
    let found: Vec<_> = head.lines().filter(|line| line.to_lowercase().starts_with("set-cookie: ")).collect();
    assert_eq!(found.len(), 2, "{head}");
    assert!(found[0].ends_with("a=1; HttpOnly") && found[1].ends_with("b=2"), "{head}");
    assert!(head.contains("x-served-by: me\r\n"), "{head}");
    peer.send(&text("open")).await;
    soon(peer.expect(text("open"))).await;
}

#[tokio::test]
async fn the_config_may_be_chosen_by_request() {
    let uri = serve_upgrades(server().await, async |upgrade: Upgrade| {
        let small = Config { max_message_size: 10, ..Config::default() };
        let upgrade =
            if upgrade.request().uri().path() == "/small" { upgrade.config(small) } else { upgrade };
        echo(upgrade.accept().await?).await
    });
    let mut client = stentor::connect(format!("{uri}/small")).await.unwrap();
    client.send("eleven byte").await.unwrap();
    assert_eq!(soon(client.recv()).await.unwrap(), None);
    assert_eq!(u16::from(client.closed().unwrap().code), 1009);
    let mut client = stentor::connect(format!("{uri}/large")).await.unwrap();
    client.send("eleven byte").await.unwrap();
    assert!(soon(client.recv()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_rejection_is_seen_with_status_headers_and_body() {
    let uri = serve_upgrades(server().await, async |upgrade: Upgrade| {
        let body = "no entry".repeat(100);
        let response =
            Response::builder().status(403).header("x-reason", "closed").body(body.into()).unwrap();
        upgrade.reject(response).await
    });
    let response = refusal(soon(stentor::connect(format!("{uri}/"))).await.unwrap_err());
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(response.headers()["x-reason"], "closed");
    assert_eq!(*response.body(), "no entry".repeat(100));
}

#[tokio::test]
async fn of_a_large_refusal_the_first_64_kib_are_kept() {
    let uri = serve_upgrades(server().await, async |upgrade: Upgrade| {
        upgrade.reject(Response::builder().status(503).body(vec![b'x'; 1 << 20].into()).unwrap()).await
    });
    let response = refusal(soon(stentor::connect(format!("{uri}/"))).await.unwrap_err());
    assert_eq!((response.status().as_u16(), response.body().len()), (503, 64 << 10));
}

#[tokio::test]
async fn an_upgrade_that_is_dropped_is_refused_with_500() {
    let uri = serve_upgrades(server().await, async |upgrade: Upgrade| drop(upgrade));
    let response = refusal(soon(stentor::connect(format!("{uri}/"))).await.unwrap_err());
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn a_handler_that_panics_before_it_accepts_refuses_with_500() {
    let uri = serve_upgrades(server().await, async |_: Upgrade| -> () { panic!("too early") });
    for _ in 0..2 {
        let response = refusal(soon(stentor::connect(format!("{uri}/"))).await.unwrap_err());
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}

#[tokio::test]
async fn an_answer_that_would_break_the_protocol_is_an_error_and_500() {
    type Spoil = fn(Upgrade) -> Upgrade;
    let spoils: [Spoil; 4] = [
        |upgrade| upgrade.subprotocol("not offered"),
        |upgrade| {
            upgrade.header(HeaderName::from_static("sec-websocket-accept"), HeaderValue::from_static("x"))
        },
        |upgrade| upgrade.header(HeaderName::from_static("connection"), HeaderValue::from_static("close")),
        |upgrade| {
            let name = HeaderName::from_static("sec-websocket-extensions");
            upgrade.header(name, HeaderValue::from_static("permessage-deflate"))
        },
    ];
    for spoil in spoils {
        let (told, mut errors) = mpsc::unbounded_channel();
        let uri = serve_upgrades(server().await, move |upgrade| {
            let told = told.clone();
            async move {
                let error = spoil(upgrade).accept().await.unwrap_err();
                told.send(error).unwrap();
            }
        });
        let response = refusal(soon(stentor::connect(format!("{uri}/"))).await.unwrap_err());
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let Error::Handshake(failure) = soon(errors.recv()).await.unwrap() else { panic!("another error") };
        assert!(matches!(*failure, HandshakeFailure::Accept(_)), "{failure:?}");
    }
}

#[tokio::test]
async fn the_server_chooses_the_subprotocol_it_wants_most() {
    let addr = serve(server().await.subprotocols(["v3", "v2", "v1"]), echo);
    let uri = format!("ws://{addr}/");
    let client = Client::new().subprotocol("v1").subprotocol("v2").connect(&*uri).await.unwrap();
    assert_eq!(client.subprotocol(), Some("v2"));
    let client = stentor::connect(&*uri).await.unwrap();
    assert_eq!(client.subprotocol(), None);
    let client = Client::new().subprotocol("other").subprotocol_optional().connect(&*uri).await.unwrap();
    assert_eq!(client.subprotocol(), None);
    // A client that needs one of those it offers does not go on without.
    let error = Client::new().subprotocol("other").connect(&*uri).await.unwrap_err();
    assert!(matches!(error, Error::Handshake(failure) if matches!(*failure, HandshakeFailure::Response(_))));
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused_unless_it_is_allowed() {
    let addr = serve(server().await, echo);
    let foreign = HeaderValue::from_static("http://evil.example");
    let error = Client::new().origin(foreign.clone()).connect(format!("ws://{addr}/")).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::FORBIDDEN));
    let own = HeaderValue::from_str(&format!("http://{addr}")).unwrap();
    Client::new().origin(own).connect(format!("ws://{addr}/")).await.unwrap();

    let policy: OriginPolicy = OriginPolicy::only(["http://evil.example"]).unwrap();
    let addr = serve(server().await.origins(policy), echo);
    Client::new().origin(foreign).connect(format!("ws://{addr}/")).await.unwrap();
}

#[tokio::test]
async fn accept_and_own_loop_without_serve() {
    let server = Arc::new(server().await.subprotocols(["chat"]));
    let addr = server.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        let upgrade = server.accept().await.unwrap().expect("a WebSocket handshake");
        let mut socket = upgrade.accept().await.unwrap();
        assert_eq!(socket.subprotocol(), Some("chat"));
        while let Some(message) = socket.recv().await.unwrap() {
            socket.send(message).await.unwrap();
        }
    });
    let mut client = Client::new().subprotocol("chat").connect(format!("ws://{addr}/")).await.unwrap();
    for _ in 0..10 {
        client.send("hi").await.unwrap();
        assert_eq!(soon(client.recv()).await.unwrap(), Some("hi".into()));
    }
    soon(client.close(1000.into(), "")).await.unwrap();
    soon(accepting).await.unwrap();
}
