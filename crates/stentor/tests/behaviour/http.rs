//! Plain HTTP requests on the port of the WebSocket server.

use stentor::http::{Request, Response};
use stentor_proto::bytes::Bytes;

use crate::support::{ask, connect, echo, serve, server, soon};

fn get(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

async fn page(request: Request<()>) -> Response<Bytes> {
    match request.uri().path() {
        "/" => Response::builder().header("content-type", "text/html").body("<p>hello".into()).unwrap(),
        "/large" => Response::new(vec![b'x'; 3 << 20].into()),
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
