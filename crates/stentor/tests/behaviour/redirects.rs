//! A client follows no redirect, so that what it is trusted with goes to nobody but whom it was meant for:
//! `Authorization` and `Cookie` headers, and the query.

use std::io::ErrorKind;
use std::net::TcpListener;

use stentor::http::header::{AUTHORIZATION, COOKIE, LOCATION};
use stentor::http::{HeaderValue, StatusCode};
use stentor::{Client, Error, HandshakeFailure};
use stentor_proto::Role;
use stentor_testkit::peer::Peer;

use crate::support::{raw_listener, soon};

/// A listener that nobody is to connect to.
fn elsewhere() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

#[tokio::test]
async fn a_redirect_is_a_refusal_and_nobody_else_sees_the_credentials() {
    let client = Client::new()
        .header(AUTHORIZATION, HeaderValue::from_static("Bearer a-secret"))
        .header(COOKIE, HeaderValue::from_static("session=a-secret"));
    let (listener, uri) = raw_listener().await;
    let elsewhere = elsewhere();
    let other = elsewhere.local_addr().unwrap();
    for status in [300, 301, 302, 303, 307, 308] {
        for location in [
            format!("ws://{other}/"),
            format!("http://{other}/"),
            format!("wss://{other}/"),
            format!("//{other}/"),
            "/elsewhere".to_owned(),
        ] {
            let redirecting = async {
                let mut peer = Peer::new(Role::Server, listener.accept().await.unwrap().0);
                let head = peer.head().await;
                assert_eq!(head.matches("a-secret").count(), 2, "{head}");
                let answer = format!(
                    "HTTP/1.1 {status} Over There\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
                );
                peer.send_bytes(answer.as_bytes()).await;
                // The client has nothing more to say, and goes.
                assert_eq!(peer.rest().await, b"");
            };
            let (connected, ()) = soon(async { tokio::join!(client.connect(&*uri), redirecting) }).await;
            let error = connected.expect_err("a redirect is no connection");
            assert_eq!(error.status(), Some(StatusCode::from_u16(status).unwrap()));
            let words = format!("{error} {error:?}");
            assert!(!words.contains("a-secret"), "{words}");
            // Whoever wants to follow it can, and decides what to send along.
            let Error::Handshake(failure) = error else { panic!("{error:?}") };
            let HandshakeFailure::Refused(response) = *failure else { panic!("{failure:?}") };
            assert_eq!(response.headers()[LOCATION], location);
        }
    }
    // A client that had connected would be in the listener's queue by now: connecting ends only then.
    let nobody = elsewhere.accept().expect_err("nobody has been told to come here");
    assert_eq!(nobody.kind(), ErrorKind::WouldBlock);
    listener.into_std().unwrap().accept().expect_err("nor did anybody come back");
}
