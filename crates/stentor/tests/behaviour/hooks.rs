//! The hooks of a server: each refusal arrives as its status and body, none disturbs the others, and
//! nothing gets past them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use stentor::http::header::{COOKIE, SET_COOKIE, WWW_AUTHENTICATE};
use stentor::http::{HeaderName, HeaderValue, StatusCode};
use stentor::{Acceptance, Acceptor, Client, Rejection, Upgrade, UpgradeRequest, WebSocket};
use stentor_testkit::frame::text;
use stentor_testkit::peer::{Peer, request};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::hosts::{Host, on_every_host, on_every_host_paused};
use crate::support::{ask, ask_refused, connect, echo, lasting, server, soon};

on_every_host![
    authorize_sees_the_whole_request_and_gives_the_connection_its_context,
    a_rejection_arrives_with_its_status_its_headers_and_its_body,
    each_hook_is_asked_only_when_those_before_it_agree,
    nothing_is_delivered_before_the_hook_has_agreed,
    a_hook_that_panics_is_answered_500_and_disturbs_nobody,
    the_response_may_be_edited_by_what_authorize_has_found_out,
    our_client_sees_the_headers_of_the_response_and_a_server_has_none,
    a_choice_that_was_not_offered_is_answered_500,
    without_a_common_subprotocol_the_server_refuses_if_it_was_told_to,
    the_target_is_kept_only_when_that_was_asked_for,
    every_connection_has_a_number_of_its_own,
];

on_every_host_paused![a_decision_that_takes_too_long_is_answered_408,];

#[derive(Clone, Debug, PartialEq)]
struct User(String);

/// Lets in who has a name for a cookie.
async fn by_cookie(request: UpgradeRequest) -> Result<User, Rejection> {
    let name = request.cookie("name").map(|name| User(name.to_owned()));
    name.ok_or_else(|| Rejection::new(StatusCode::FORBIDDEN, "log in first"))
}

/// Says who it talks to.
async fn greet(mut socket: WebSocket) -> stentor::Result<()> {
    let User(name) = socket.context().cloned().expect("a user");
    socket.send(name).await
}

async fn authorize_sees_the_whole_request_and_gives_the_connection_its_context(host: Host) {
    let acceptor = Acceptor::new().authorize(async |request: UpgradeRequest| {
        assert_eq!(request.request().method(), "GET");
        assert_eq!((request.uri().path(), request.uri().query()), ("/room/7", Some("a=1&b=2")));
        assert_eq!(request.headers()["x-tenant"], "acme");
        assert_eq!(request.origin(), Some("http://example.com"));
        assert_eq!(request.offer().subprotocols().collect::<Vec<_>>(), ["v2", "v1"]);
        assert_eq!(request.offer().extensions()[0].name(), "permessage-deflate");
        assert!(request.peer_addr().unwrap().ip().is_loopback());
        assert_eq!(request.client_ip(), Some(request.peer_addr().unwrap().ip()));
        let cookies: Vec<_> = request.cookies().collect();
        assert_eq!(cookies, [("a", "1"), ("name", "ann=bob"), ("name", "eve")]);
        by_cookie(request).await
    });
    let addr = host.serve(acceptor, greet).await;
    let headers = concat!(
        "X-Tenant: acme\r\nOrigin: http://example.com\r\nCookie: a=1; name=ann=bob\r\nCookie: name=eve\r\n",
        "Sec-WebSocket-Protocol: v2, v1\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
    );
    let tcp = TcpStream::connect(addr).await.unwrap();
    let (mut peer, _) = soon(Peer::connect_to(tcp, "/room/7?a=1&b=2", headers)).await;
    soon(peer.expect(text("ann=bob"))).await;
}

async fn a_rejection_arrives_with_its_status_its_headers_and_its_body(host: Host) {
    let acceptor = Acceptor::new().authorize(async |_| {
        let rejection = Rejection::new(StatusCode::TOO_MANY_REQUESTS, "not \"now\"")
            .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            .header(SET_COOKIE, HeaderValue::from_static("a=; Max-Age=0"))
            .header(SET_COOKIE, HeaderValue::from_static("b=; Max-Age=0"))
            .retry_after(Duration::from_secs(7));
        Err::<(), _>(rejection)
    });
    let addr = host.serve(acceptor, echo).await;
    let (head, body) = ask(addr, &request("/", "")).await;
    assert!(head.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{head}");
    let lower = head.to_lowercase();
    for line in [
        "content-type: application/json\r\n",
        "cache-control: no-store\r\n",
        "retry-after: 7\r\n",
        "www-authenticate: bearer\r\n",
        "set-cookie: a=; max-age=0\r\n",
        "set-cookie: b=; max-age=0\r\n",
        "connection: close\r\n",
    ] {
        assert!(lower.contains(line), "no {line:?} in {head}");
    }
    let body = String::from_utf8(body).unwrap();
    assert_eq!(body, r#"{"code":429,"message":"not \"now\"","status":"Too Many Requests"}"#);
}

async fn each_hook_is_asked_only_when_those_before_it_agree(host: Host) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let note = {
        let asked = Arc::clone(&asked);
        move |what| asked.lock().unwrap().push(what)
    };
    let (one, two, three, four) = (note.clone(), note.clone(), note.clone(), note);
    let acceptor = Acceptor::new()
        .authorize(move |request| {
            one("authorize");
            by_cookie(request)
        })
        .choose_subprotocol(move |request| {
            two("subprotocol");
            assert_eq!(request.context(), Some(&User("ann".to_owned())));
            request.offer().subprotocols().find(|name| *name == "v1").map(str::to_owned)
        })
        .require_subprotocol()
        .edit_response(move |request, response| {
            three("response");
            assert_eq!(request.context(), Some(&User("ann".to_owned())));
            assert_eq!(response.subprotocol.as_deref(), Some("v1"));
        });
    let handler = move |socket| {
        four("handler");
        greet(socket)
    };
    let addr = host.serve(acceptor, handler).await;
    let (cookie, offer) = ("Cookie: name=ann\r\n", "Sec-WebSocket-Protocol: v1\r\n");
    for (headers, refusal, expected) in [
        (["Origin: http://evil.example\r\n", cookie, offer].concat(), 403, &[][..]),
        (["Sec-WebSocket-Key: x\r\n", cookie, offer].concat(), 400, &[]),
        (offer.to_owned(), 403, &["authorize"]),
        ([cookie, "Sec-WebSocket-Protocol: v2\r\n"].concat(), 400, &["authorize", "subprotocol"]),
        (cookie.to_owned(), 400, &["authorize", "subprotocol"]),
    ] {
        assert_eq!(ask_refused(addr, &request("/", &headers)).await.0, refusal, "{headers}");
        assert_eq!(std::mem::take(&mut *asked.lock().unwrap()), expected, "{headers}");
    }
    let tcp = TcpStream::connect(addr).await.unwrap();
    let (mut peer, _) = soon(Peer::connect_to(tcp, "/", &[cookie, offer].concat())).await;
    soon(peer.expect(text("ann"))).await;
    assert_eq!(*asked.lock().unwrap(), ["authorize", "subprotocol", "response", "handler"]);
}

/// Frames right behind the request do not get past a hook that refuses.
async fn nothing_is_delivered_before_the_hook_has_agreed(host: Host) {
    let (delivered, mut deliveries) = mpsc::unbounded_channel();
    let (decide, decision) = oneshot::channel::<()>();
    let decision = Arc::new(Mutex::new(Some(decision)));
    let acceptor = Acceptor::new().authorize(move |request: UpgradeRequest| {
        let decision = Arc::clone(&decision);
        async move {
            if request.uri().path() == "/refused" {
                return Err(Rejection::from(StatusCode::FORBIDDEN));
            }
            let decision = decision.lock().unwrap().take().unwrap();
            decision.await.unwrap();
            Ok(())
        }
    });
    let handler = move |mut socket: WebSocket| {
        let delivered = delivered.clone();
        async move {
            while let Ok(Some(message)) = socket.recv().await {
                delivered.send(message.as_text().unwrap().to_owned()).unwrap();
            }
        }
    };
    let addr = host.serve(acceptor, handler).await;
    let smuggled = |path| {
        let frame = text("let me in").encode(stentor_proto::Role::Client);
        [request(path, "").as_bytes(), &frame].concat()
    };
    let mut refused = Peer::new(stentor_proto::Role::Client, TcpStream::connect(addr).await.unwrap());
    refused.send_bytes(&smuggled("/refused")).await;
    assert!(soon(refused.head()).await.starts_with("HTTP/1.1 403 "));
    soon(refused.rest()).await;

    let mut accepted = Peer::new(stentor_proto::Role::Client, TcpStream::connect(addr).await.unwrap());
    accepted.send_bytes(&smuggled("/accepted")).await;
    // The refused one is done with, and the other waits for its decision.
    tokio::task::yield_now().await;
    assert!(deliveries.try_recv().is_err());
    decide.send(()).unwrap();
    assert!(soon(accepted.head()).await.starts_with("HTTP/1.1 101 "));
    assert_eq!(soon(deliveries.recv()).await.as_deref(), Some("let me in"));
    assert!(deliveries.try_recv().is_err(), "the refused client's was delivered");
}

async fn a_decision_that_takes_too_long_is_answered_408(host: Host) {
    let dropped = Arc::new(());
    let held = Arc::clone(&dropped);
    let acceptor = Acceptor::new().authorize(move |_| {
        let held = Arc::clone(&held);
        async move {
            let decision = std::future::pending::<Result<(), Rejection>>().await;
            drop(held);
            decision
        }
    });
    let (told, mut errors) = mpsc::unbounded_channel();
    let acceptor = acceptor.on_error(move |_, error| told.send(error.to_string()).unwrap());
    let hosted = host.in_memory(acceptor, echo);
    let mut peer = Peer::new(stentor_proto::Role::Client, hosted.dial.up());
    let began = Instant::now();
    peer.send_bytes(request("/", "").as_bytes()).await;
    let head = lasting(peer.head()).await;
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    let took = began.elapsed().as_secs_f64();
    assert!((10.0..10.1).contains(&took), "{took} s");
    peer.finish_writing().await;
    let error = lasting(errors.recv()).await.unwrap();
    assert_eq!(
        error,
        "opening handshake failed: rejected with 408 Request Timeout: the decision took too long"
    );
    // The test has one, and the hook itself; its future had a third.
    assert_eq!(Arc::strong_count(&dropped), 2, "the hook's future lives on");
}

async fn a_hook_that_panics_is_answered_500_and_disturbs_nobody(host: Host) {
    type Spoil = fn(Acceptor) -> Acceptor;
    let hooks: [(&str, Spoil); 4] = [
        ("authorize", |acceptor| {
            acceptor.authorize(async |request: UpgradeRequest| {
                assert!(request.uri().path() == "/fine", "a hook that panics");
                Ok::<_, Rejection>(())
            })
        }),
        ("authorize", |acceptor| {
            acceptor.authorize(|request: UpgradeRequest| {
                assert!(request.uri().path() == "/fine", "a hook that panics at once");
                async { Ok::<_, Rejection>(()) }
            })
        }),
        ("subprotocol", |acceptor| {
            acceptor.choose_subprotocol(|request| {
                assert!(request.uri().path() == "/fine", "a hook that panics");
                None
            })
        }),
        ("response", |acceptor| {
            acceptor.edit_response(|request, _| {
                assert!(request.uri().path() == "/fine", "a hook that panics");
            })
        }),
    ];
    for (hook, spoil) in hooks {
        let (told, mut errors) = mpsc::unbounded_channel();
        let acceptor = spoil(Acceptor::new()).on_error(move |_, error| {
            let _ = told.send(error.to_string());
        });
        let addr = host.serve(acceptor, echo).await;
        let mut bystander = stentor::connect(format!("ws://{addr}/fine")).await.unwrap();
        assert_eq!(ask_refused(addr, &request("/panic", "")).await, (500, "internal error".to_owned()));
        assert_eq!(soon(errors.recv()).await.unwrap(), format!("the {hook} hook panicked"));
        bystander.send("hi").await.unwrap();
        assert_eq!(soon(bystander.recv()).await.unwrap(), Some("hi".into()));
        stentor::connect(format!("ws://{addr}/fine")).await.unwrap();
    }
}

async fn the_response_may_be_edited_by_what_authorize_has_found_out(host: Host) {
    let acceptor =
        Acceptor::new().authorize(by_cookie).edit_response(|request, response: &mut Acceptance| {
            let User(name) = request.context().expect("a user");
            for cookie in [format!("name={name}; HttpOnly"), "seen=1".to_owned()] {
                response.headers.append(SET_COOKIE, HeaderValue::try_from(cookie).unwrap());
            }
            response.headers.insert(HeaderName::from_static("x-served-by"), HeaderValue::from_static("me"));
            response.subprotocol = Some("v1".to_owned());
        });
    let addr = host.serve(acceptor, greet).await;
    let tcp = TcpStream::connect(addr).await.unwrap();
    let headers = "Cookie: name=ann\r\nSec-WebSocket-Protocol: v2, v1\r\n";
    let (_, head) = soon(Peer::connect_to(tcp, "/", headers)).await;
    let head = head.to_lowercase();
    for line in [
        "set-cookie: name=ann; httponly\r\n",
        "set-cookie: seen=1\r\n",
        "x-served-by: me\r\n",
        "sec-websocket-protocol: v1\r\n",
    ] {
        assert!(head.contains(line), "no {line:?} in {head}");
    }
}

async fn our_client_sees_the_headers_of_the_response_and_a_server_has_none(host: Host) {
    let acceptor = Acceptor::new().edit_response(|_, response: &mut Acceptance| {
        for cookie in ["name=ann; HttpOnly", "seen=1"] {
            response.headers.append(SET_COOKIE, HeaderValue::from_static(cookie));
        }
    });
    let handler = async |mut socket: WebSocket| {
        let seen = socket.response().is_some();
        socket.send(format!("a server has a response: {seen}")).await?;
        echo(socket).await
    };
    let addr = host.serve(acceptor, handler).await;
    let mut client = stentor::connect(format!("ws://{addr}/")).await.unwrap();
    let response = client.response().expect("the server has answered");
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let cookies: Vec<_> = response.headers().get_all(SET_COOKIE).iter().collect();
    assert_eq!(cookies, ["name=ann; HttpOnly", "seen=1"]);
    assert!(response.headers().contains_key("sec-websocket-accept"));
    // They stay as long as the connection.
    assert_eq!(soon(client.recv()).await.unwrap(), Some("a server has a response: false".into()));
    soon(client.close(1000.into(), "")).await.unwrap();
    assert_eq!(client.response().unwrap().headers().get_all(SET_COOKIE).iter().count(), 2);
    let words = format!("{client:?}");
    assert!(!words.contains("ann"), "{words}");
}

async fn a_choice_that_was_not_offered_is_answered_500(host: Host) {
    let acceptor = Acceptor::new().choose_subprotocol(|_| Some("v9".to_owned()));
    let addr = host.serve(acceptor, echo).await;
    let headers = "Sec-WebSocket-Protocol: v1\r\n";
    assert_eq!(ask_refused(addr, &request("/", headers)).await.0, 500);
}

async fn without_a_common_subprotocol_the_server_refuses_if_it_was_told_to(host: Host) {
    let lenient = host.serve(Acceptor::new().subprotocols(["v1"]), echo).await;
    let strict = host.serve(Acceptor::new().subprotocols(["v1"]).require_subprotocol(), echo).await;
    let other = "Sec-WebSocket-Protocol: v2\r\n";
    let tcp = TcpStream::connect(lenient).await.unwrap();
    let (_, head) = soon(Peer::connect_to(tcp, "/", other)).await;
    assert!(!head.to_lowercase().contains("sec-websocket-protocol"), "{head}");
    for headers in [other, ""] {
        let (status, message) = ask_refused(strict, &request("/", headers)).await;
        assert_eq!((status, &*message), (400, "none of the subprotocols offered is spoken here"));
    }
    let client = Client::new().subprotocol("v1").connect(format!("ws://{strict}/")).await.unwrap();
    assert_eq!(client.subprotocol(), Some("v1"));
}

#[tokio::test]
async fn an_upgrade_shows_the_context_and_may_replace_it() {
    let server = server().await.authorize(by_cookie);
    let uri = format!("ws://{}/", server.local_addr().unwrap());
    tokio::spawn(server.serve_upgrades(async |upgrade: Upgrade| {
        assert_eq!(upgrade.cookie("name"), Some("ann"));
        let User(name) = upgrade.context().cloned().unwrap();
        let upgrade = upgrade.insert_context(User(name + " and bob")).insert_context(7_u8);
        let socket = upgrade.accept().await?;
        assert_eq!(socket.context(), Some(&7_u8));
        assert_eq!(socket.context::<u16>(), None);
        greet(socket).await
    }));
    let cookie = HeaderValue::from_static("name=ann");
    let mut client = Client::new().header(COOKIE, cookie).connect(uri).await.unwrap();
    assert_eq!(soon(client.recv()).await.unwrap(), Some("ann and bob".into()));
}

#[tokio::test]
async fn a_rejection_may_answer_an_upgrade() {
    let server = server().await;
    let addr = server.local_addr().unwrap();
    tokio::spawn(server.serve_upgrades(async |upgrade: Upgrade| {
        upgrade.reject(Rejection::new(StatusCode::NOT_FOUND, "no such room").into()).await
    }));
    assert_eq!(ask_refused(addr, &request("/", "")).await, (404, "no such room".to_owned()));
}

async fn the_target_is_kept_only_when_that_was_asked_for(host: Host) {
    for keep in [true, false] {
        let acceptor = if keep { Acceptor::new().keep_uri() } else { Acceptor::new() };
        let tell = async |mut socket: WebSocket| {
            let uri = socket.uri().map_or("forgotten".to_owned(), ToString::to_string);
            socket.send(uri).await
        };
        let addr = host.serve(acceptor, tell).await;
        let mut client = stentor::connect(format!("ws://{addr}/room/7?token=1")).await.unwrap();
        let expected = if keep { "/room/7?token=1" } else { "forgotten" };
        assert_eq!(soon(client.recv()).await.unwrap(), Some(expected.into()));
        assert_eq!(client.uri(), None);
    }
}

async fn every_connection_has_a_number_of_its_own(host: Host) {
    let tell = async |mut socket: WebSocket| {
        let id: u64 = socket.id().into();
        socket.send(id.to_string()).await
    };
    let addr = host.serve(Acceptor::new(), tell).await;
    let mut seen = std::collections::HashSet::new();
    for _ in 0..10 {
        let mut client = connect(addr).await;
        assert!(seen.insert(u64::from(client.id()).to_string()));
        let Some(message) = soon(client.recv()).await.unwrap() else { panic!("no number") };
        assert!(seen.insert(message.as_text().unwrap().to_owned()));
    }
}
