//! Whose address a connection has behind proxies, and who may say so.

use std::net::SocketAddr;

use stentor::{Acceptor, ForwardedHeader, TrustedProxies, WebSocket};
use stentor_proto::Role;
use stentor_testkit::peer::{Peer, request};
use tokio::net::TcpStream;

use crate::hosts::{Host, on_every_host};
use crate::support::{ask_refused, soon};

on_every_host![a_trusted_proxy_tells_whom_it_speaks_for, what_a_trusted_proxy_garbles_is_refused,];

/// A server that tells its clients the addresses they have.
async fn telling(host: Host, proxies: TrustedProxies) -> SocketAddr {
    let tell = async |mut socket: WebSocket| {
        assert!(socket.peer_addr().unwrap().ip().is_loopback());
        let client = socket.client_ip().unwrap();
        socket.send(client.to_string()).await
    };
    host.serve(Acceptor::new().trusted_proxies(proxies), tell).await
}

/// Which address a client has that begins its connection with `preamble` and asks with `headers`.
async fn told(addr: SocketAddr, preamble: &[u8], headers: &str) -> String {
    let mut peer = Peer::new(Role::Client, TcpStream::connect(addr).await.unwrap());
    peer.send_bytes(&[preamble, request("/", headers).as_bytes()].concat()).await;
    let head = soon(peer.head()).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let frame = soon(peer.frame()).await.expect("the address");
    String::from_utf8(frame.payload).unwrap()
}

const VIA: &str = "X-Forwarded-For: 6.6.6.6, 192.0.2.1\r\n";

async fn a_trusted_proxy_tells_whom_it_speaks_for(host: Host) {
    let proxies = TrustedProxies::new(["127.0.0.0/8"]).unwrap();
    let addr = telling(host, proxies.clone().header(ForwardedHeader::XForwardedFor)).await;
    assert_eq!(told(addr, b"", VIA).await, "192.0.2.1");
    assert_eq!(told(addr, b"", "").await, "127.0.0.1");
    assert_eq!(told(addr, b"", "Forwarded: for=192.0.2.1\r\n").await, "127.0.0.1");
    let addr = telling(host, proxies.header(ForwardedHeader::Forwarded)).await;
    assert_eq!(told(addr, b"", "Forwarded: for=\"[2001:db8::1]:80\"\r\n").await, "2001:db8::1");
    assert_eq!(told(addr, b"", VIA).await, "127.0.0.1");
}

#[tokio::test]
async fn nobody_else_does() {
    let elsewhere = TrustedProxies::new(["10.0.0.0/8"]).unwrap();
    let addr = telling(Host::Own, elsewhere.header(ForwardedHeader::XForwardedFor).proxy_protocol()).await;
    assert_eq!(told(addr, b"", VIA).await, "127.0.0.1");
    let proxied = format!("PROXY TCP4 192.0.2.1 10.0.0.1 4711 443\r\n{}", request("/", ""));
    assert_eq!(ask_refused(addr, &proxied).await.0, 400);
}

async fn what_a_trusted_proxy_garbles_is_refused(host: Host) {
    let proxies = TrustedProxies::new(["127.0.0.1"]).unwrap().header(ForwardedHeader::Forwarded);
    let addr = telling(host, proxies).await;
    let refused = ask_refused(addr, &request("/", "Forwarded: for=\"6.6.6.6, for=192.0.2.1\r\n")).await;
    assert_eq!(refused, (400, "what the proxy forwards cannot be read".to_owned()));
}

#[tokio::test]
async fn a_proxy_header_comes_before_everything_else() {
    let proxies = TrustedProxies::new(["127.0.0.1", "10.0.0.0/8"]).unwrap().proxy_protocol();
    let v1 = b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 443\r\n";
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    v2.extend([192, 0, 2, 2, 10, 0, 0, 1, 0x12, 0x67, 0x01, 0xbb]);
    let addr = telling(Host::Own, proxies.clone()).await;
    assert_eq!(told(addr, v1, "").await, "192.0.2.1");
    assert_eq!(told(addr, &v2, "").await, "192.0.2.2");
    assert_eq!(told(addr, local, "").await, "127.0.0.1");
    assert_eq!(told(addr, b"PROXY UNKNOWN\r\n", VIA).await, "127.0.0.1");
    // A second proxy behind the one with the header speaks only if it is trusted too.
    let addr = telling(Host::Own, proxies.header(ForwardedHeader::XForwardedFor)).await;
    let from_proxy = b"PROXY TCP4 10.0.0.2 10.0.0.1 4711 443\r\n";
    assert_eq!(told(addr, v1, "X-Forwarded-For: 6.6.6.6\r\n").await, "192.0.2.1");
    assert_eq!(told(addr, from_proxy, VIA).await, "192.0.2.1");
}

#[tokio::test]
async fn a_proxy_that_sends_no_header_is_dropped_unanswered() {
    let proxies = TrustedProxies::new(["127.0.0.1"]).unwrap().proxy_protocol();
    let addr = telling(Host::Own, proxies).await;
    let mut peer = Peer::new(Role::Client, TcpStream::connect(addr).await.unwrap());
    peer.send_bytes(request("/", "").as_bytes()).await;
    assert_eq!(soon(peer.rest()).await, b"");
}
