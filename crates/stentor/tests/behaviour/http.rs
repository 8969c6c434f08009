//! Plain HTTP requests on the port of the WebSocket server.

use stentor::http::{Request, Response};
use stentor::{Acceptor, Config, HandshakeLimits};
use stentor_proto::bytes::Bytes;
use stentor_testkit::transport::pipe;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::support::{ask, connect, echo, lasting, serve, server, soon};

fn get(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

async fn page(request: Request<Bytes>) -> Response<Bytes> {
    match request.uri().path() {
        "/" => Response::builder().header("content-type", "text/html").body("<p>hello".into()).unwrap(),
        "/large" => Response::new(vec![b'x'; 3 << 20].into()),
        "/upper" => Response::new(request.body().to_ascii_uppercase().into()),
        "/panic" => panic!("a hook that panics"),
        _ => Response::builder().status(404).body(Bytes::new()).unwrap(),
    }
}

#[tokio::test]
async fn the_hook_answers_and_the_connection_ends() {
    let addr = serve(server().await.http(page), echo);
    let (head, body) = ask(addr, &get("GET", "/")).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let lower = head.to_lowercase();
    for line in ["content-type: text/html\r\n", "content-length: 8\r\n", "connection: close\r\n"] {
        assert!(lower.contains(line), "{head}");
    }
    assert_eq!(body, b"<p>hello");
    let (head, body) = ask(addr, &get("GET", "/missing")).await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    assert_eq!(body, b"");
    // The same port still speaks WebSocket.
    let mut client = connect(addr).await;
    client.send("hi").await.unwrap();
    assert_eq!(soon(client.recv()).await.unwrap(), Some("hi".into()));
}

#[tokio::test]
async fn the_answer_to_head_has_the_length_but_no_body() {
    let addr = serve(server().await.http(page), echo);
    let (head, body) = ask(addr, &get("HEAD", "/")).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.to_lowercase().contains("content-length: 8\r\n"), "{head}");
    assert_eq!(body, b"");
}

#[tokio::test]
async fn a_large_answer_arrives_whole() {
    let addr = serve(server().await.http(page), echo);
    let (_, body) = ask(addr, &get("GET", "/large")).await;
    assert!(body.len() == 3 << 20 && body.iter().all(|&byte| byte == b'x'));
}

#[tokio::test]
async fn without_a_hook_the_answer_is_426_with_the_version() {
    let addr = serve(server().await, echo);
    let (head, _) = ask(addr, &get("GET", "/")).await;
    assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
    let lower = head.to_lowercase();
    for line in ["sec-websocket-version: 13\r\n", "upgrade: websocket\r\n", "connection: upgrade, close\r\n"]
    {
        assert!(lower.contains(line), "no {line:?} in {head}");
    }
}

#[tokio::test]
async fn only_one_request_is_answered() {
    let addr = serve(server().await.http(page), echo);
    let (head, body) = ask(addr, &[get("GET", "/"), get("GET", "/missing")].concat()).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, b"<p>hello");
}

#[tokio::test]
async fn a_hook_that_panics_is_a_500_and_disturbs_nobody() {
    let addr = serve(server().await.http(page), echo);
    let mut bystander = connect(addr).await;
    let (head, _) = ask(addr, &get("GET", "/panic")).await;
    assert!(head.starts_with("HTTP/1.1 500 "), "{head}");
    bystander.send("hi").await.unwrap();
    assert_eq!(soon(bystander.recv()).await.unwrap(), Some("hi".into()));
    let (head, _) = ask(addr, &get("GET", "/")).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}

fn post(len: usize, body: &str) -> String {
    format!("POST /upper HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len}\r\n\r\n{body}")
}

#[tokio::test]
async fn a_body_within_its_limit_reaches_the_hook() {
    let handshake = HandshakeLimits { max_http_body: 20_000, ..HandshakeLimits::default() };
    let addr = serve(server().await.config(Config { handshake, ..Config::default() }).http(page), echo);
    // More than one read takes.
    for body in ["user=ann", &"x".repeat(20_000)] {
        let (head, answer) = ask(addr, &post(body.len(), body)).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(answer == body.to_ascii_uppercase().as_bytes());
    }
    let (head, _) = ask(addr, &post(20_001, "")).await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
}

#[tokio::test]
async fn without_a_limit_there_is_no_body() {
    let addr = serve(server().await.http(page), echo);
    let (head, _) = ask(addr, &post(1, "x")).await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_waited_for_no_longer_than_a_head() {
    let handshake = HandshakeLimits { max_http_body: 5, ..HandshakeLimits::default() };
    let acceptor = Acceptor::new().config(Config { handshake, ..Config::default() }).http(page);
    let (ours, mut theirs) = pipe(4096);
    let serving = tokio::spawn(async move { acceptor.serve_connection(ours, echo).await });
    let began = Instant::now();
    theirs.write_all(post(5, "hell").as_bytes()).await.unwrap();
    let mut answer = String::new();
    lasting(theirs.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(began.elapsed().as_secs(), 10);
    drop(theirs);
    lasting(serving).await.unwrap().unwrap_err();
}
