//! Cross-site WebSocket hijacking and DNS rebinding: a foreign page gets no 101, whatever it tries.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use stentor::{Acceptor, OriginPolicy};
use stentor_testkit::peer::{Peer, request};
use tokio::net::TcpStream;

use crate::hosts::{Host, on_every_host};
use crate::support::{ask, echo, soon};

on_every_host![who_may_connect_and_who_may_not,];

/// The request of a page of `origin` that was sent to `host`.
fn page(origin: &str, host: &str) -> String {
    let origin = if origin.is_empty() { String::new() } else { format!("Origin: {origin}\r\n") };
    request("/", &origin).replace("Host: example.com", &format!("Host: {host}"))
}

async fn who_may_connect_and_who_may_not(host: Host) {
    let same = OriginPolicy::same_origin;
    let listed = OriginPolicy::only(["https://app.example", "https://*.tenant.example:8443"]).unwrap();
    let named = same().hosts(["example.com", "*.chat.example", "127.0.0.1"]).unwrap();
    for (policy, accepted, refused) in [
        (
            same(),
            &[
                ("http://example.com", "example.com"),
                ("https://example.com", "example.com"),
                ("HTTPS://EXAMPLE.COM", "example.com"),
                ("https://example.com", "EXAMPLE.com:443"),
                ("http://127.0.0.1:8080", "127.0.0.1:8080"),
                // A program, or a page that was rebound: only the list of hosts can tell.
                ("", "example.com"),
                ("http://evil.example", "evil.example"),
            ][..],
            &[
                ("http://evil.example", "example.com"),
                ("http://sub.example.com", "example.com"),
                ("http://example.com", "sub.example.com"),
                ("http://example.com.evil.example", "example.com"),
                ("http://example.com:8080", "example.com"),
                ("https://example.com", "example.com:80"),
                ("ftp://example.com", "example.com"),
                ("http://127.0.0.1", "localhost"),
                ("null", "example.com"),
                ("NULL", "null"),
                ("rubbish", "example.com"),
            ][..],
        ),
        (
            listed,
            &[
                ("https://app.example", "example.com"),
                ("https://APP.example", "example.com"),
                ("https://a.tenant.example:8443", "example.com"),
                ("", "example.com"),
            ],
            &[
                ("https://example.com", "example.com"),
                ("http://app.example", "example.com"),
                ("https://app.example:8443", "example.com"),
                ("https://tenant.example:8443", "example.com"),
                ("https://a.tenant.example", "example.com"),
                ("https://tenant.example.evil.example:8443", "example.com"),
                ("null", "example.com"),
            ],
        ),
        (
            named,
            &[
                ("http://example.com", "example.com"),
                ("http://a.chat.example", "a.chat.example"),
                ("http://127.0.0.1:8080", "127.0.0.1:8080"),
                ("", "EXAMPLE.com"),
            ],
            &[
                ("http://evil.example", "evil.example"),
                ("", "evil.example"),
                ("http://chat.example", "chat.example"),
                ("http://localhost", "localhost"),
                ("http://evil.example", "example.com"),
            ],
        ),
    ] {
        let upgraded = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&upgraded);
        let addr = host
            .serve(Acceptor::new().origins(policy.clone()), move |socket| {
                count.fetch_add(1, Ordering::Relaxed);
                echo(socket)
            })
            .await;
        for (origin, host) in refused {
            let (head, _) = ask(addr, &page(origin, host)).await;
            assert!(head.starts_with("HTTP/1.1 403 "), "{origin} to {host} by {policy:?}: {head}");
        }
        assert_eq!(upgraded.load(Ordering::Relaxed), 0);
        for (origin, host) in accepted {
            let mut peer = Peer::new(stentor_proto::Role::Client, TcpStream::connect(addr).await.unwrap());
            peer.send_bytes(page(origin, host).as_bytes()).await;
            let head = soon(peer.head()).await;
            assert!(head.starts_with("HTTP/1.1 101 "), "{origin} to {host} by {policy:?}: {head}");
        }
    }
}
