//! Messages and closings over TLS, as over TCP.

use bytes::Bytes;
use stentor::http::{Request, Response, StatusCode};
use stentor::tls::{ServerTls, TlsInfo};
use stentor::{
    CloseCode, ClosedBy, Config, Message, Rejection, TrustedProxies, Upgrade, UpgradeRequest, WebSocket,
};
use stentor_proto::bytes;
use stentor_testkit::frame::{close, text};
use stentor_testkit::peer::Peer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::certificates::Authority;
use crate::support::{bytes_of, echo, raw_client, serve, server, soon, text_of};
use crate::{client, connect, raw_tls, raw_tls_over, tls_server, uri};

#[tokio::test]
async fn messages_of_all_lengths_are_echoed() {
    let (server, authority) = tls_server().await;
    let addr = serve(server, echo);
    let mut socket = connect(&authority, addr).await;
    // A TLS record holds 16 KiB (RFC 8446 §5.1).
    for len in [0, 1, 125, 126, 16_383, 16_384, 16_385, 65_535, 65_536, 1 << 20] {
        for message in [Message::from(text_of(len)), Message::from(bytes_of(len))] {
            socket.send(message.clone()).await.unwrap();
            assert!(soon(socket.recv()).await.unwrap() == Some(message), "{len} bytes");
        }
    }
    assert!(soon(socket.ping()).await.unwrap() > std::time::Duration::ZERO);
    assert_eq!(socket.peer_addr(), Some(addr));
    socket.close(CloseCode::NORMAL, "").await.unwrap();
}

#[tokio::test]
async fn halves_send_and_receive_at_the_same_time() {
    const MESSAGES: usize = 300;
    let (server, authority) = tls_server().await;
    let addr = serve(server, echo);
    let (sender, mut receiver) = connect(&authority, addr).await.split();
    let other = sender.clone();
    // More than all buffers together hold, so that both directions are in use.
    let sending = tokio::spawn(async move {
        for i in 0..MESSAGES {
            let sender = if i % 2 == 0 { &sender } else { &other };
            sender.send(bytes_of(10_000 + i)).await.unwrap();
        }
        sender
    });
    for i in 0..MESSAGES {
        let message = soon(receiver.recv()).await.unwrap().unwrap();
        assert!(message.as_bytes() == bytes_of(10_000 + i), "message {i}");
    }
    soon(sending).await.unwrap().close(CloseCode::NORMAL, "").await.unwrap();
    assert_eq!(soon(receiver.recv()).await.unwrap(), None);
}

#[tokio::test]
async fn a_blocked_write_does_not_stop_reading() {
    const BYTES: usize = 16 << 20;
    let (server, authority) = tls_server().await;
    let config = Config { max_frame_size: BYTES, max_message_size: BYTES, ..Config::default() };
    let addr = serve(server.config(config.clone()), async |mut socket: WebSocket| {
        // Both send first, and read only then.
        socket.send(bytes_of(BYTES)).await?;
        let message = socket.recv().await?.unwrap();
        assert!(message.as_bytes() == bytes_of(BYTES));
        socket.send("got it").await
    });
    let mut socket = soon(client(&authority).config(config).connect(uri(addr))).await.unwrap();
    soon(socket.send(bytes_of(BYTES))).await.unwrap();
    assert!(soon(socket.recv()).await.unwrap().unwrap().as_bytes() == bytes_of(BYTES));
    assert_eq!(soon(socket.recv()).await.unwrap(), Some("got it".into()));
}

#[tokio::test]
async fn close_codes_and_reasons_arrive_both_ways() {
    let (server, authority) = tls_server().await;
    let (told, mut ends) = mpsc::unbounded_channel();
    let addr = serve(server, move |mut socket: WebSocket| {
        let told = told.clone();
        async move {
            if socket.recv().await.unwrap().is_some() {
                socket.close(4321.into(), "said enough").await.unwrap();
            }
            told.send((socket.closed().unwrap(), socket.close_frame().unwrap())).unwrap();
        }
    });
    let mut ours = connect(&authority, addr).await;
    soon(ours.close(4000.into(), "the client's")).await.unwrap();
    let (closed, frame) = soon(ends.recv()).await.unwrap();
    assert_eq!((closed.code.into(), &*closed.reason, closed.by), (4000u16, "the client's", ClosedBy::Peer));
    assert_eq!(&*frame.reason, "the client's");

    let mut theirs = connect(&authority, addr).await;
    theirs.send("close").await.unwrap();
    assert_eq!(soon(theirs.recv()).await.unwrap(), None);
    let closed = theirs.closed().unwrap();
    assert_eq!((closed.code.into(), &*closed.reason, closed.by), (4321u16, "said enough", ClosedBy::Peer));
    drop(theirs);
    let (closed, frame) = soon(ends.recv()).await.unwrap();
    assert_eq!((closed.code.into(), closed.by, frame.code.into()), (4321u16, ClosedBy::Us, 4321u16));
}

#[tokio::test]
async fn a_violation_is_answered_over_tls() {
    let (server, authority) = tls_server().await;
    let addr = serve(server, echo);
    let mut peer = Peer::connect(raw_tls(&authority, addr).await).await;
    peer.send(&text("fine")).await;
    peer.expect(text("fine")).await;
    // An unmasked frame (RFC 6455 §5.1).
    peer.send_bytes(&[0x81, 1, b'x']).await;
    soon(peer.expect_close(1002)).await;
    peer.finish_writing().await;
    soon(peer.expect_end()).await;
}

#[tokio::test]
async fn hooks_see_what_tls_knows() {
    let (server, authority) = tls_server().await;
    let (told, mut seen) = mpsc::unbounded_channel();
    let http_told = told.clone();
    let server = server.http(move |request: Request<Bytes>| {
        http_told.send(request.extensions().get::<TlsInfo>().cloned()).unwrap();
        async { Response::new(Bytes::from_static(b"a page")) }
    });
    let addr = server.local_addr().unwrap();
    tokio::spawn(server.serve_upgrades(move |upgrade: Upgrade| {
        told.send(upgrade.request().extensions().get::<TlsInfo>().cloned()).unwrap();
        async move { upgrade.accept().await.map(drop) }
    }));
    let _socket = connect(&authority, addr).await;
    let info = soon(seen.recv()).await.unwrap().expect("it came over TLS");
    assert_eq!(
        (info.version(), info.alpn(), info.server_name()),
        ("1.3", Some(&b"http/1.1"[..]), Some("localhost"))
    );
    assert_eq!(info.peer_certificates().len(), 0);

    // No ALPN is no mistake, and HTTP is answered, too.
    let mut plain = raw_tls(&authority, addr).await;
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon(plain.read_to_string(&mut answer)).await.expect("an answer that ends with a close_notify");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("a page"), "{answer}");
    let info = soon(seen.recv()).await.unwrap().expect("it came over TLS");
    assert_eq!((info.alpn(), info.server_name()), (None, Some("localhost")));
}

#[tokio::test]
async fn without_tls_hooks_see_none() {
    let (told, mut seen) = mpsc::unbounded_channel();
    let server = server().await;
    let addr = server.local_addr().unwrap();
    tokio::spawn(server.serve_upgrades(move |upgrade: Upgrade| {
        told.send(upgrade.request().extensions().get::<TlsInfo>().is_none()).unwrap();
        async move { upgrade.accept().await.map(drop) }
    }));
    drop(raw_client(addr).await);
    assert!(soon(seen.recv()).await.unwrap());
}

#[tokio::test]
async fn frames_that_come_with_the_handshake_are_not_lost() {
    let (server, authority) = tls_server().await;
    let addr = serve(server, echo);
    let mut tls = raw_tls(&authority, addr).await;
    let mut bytes = stentor_testkit::peer::request("/", "").into_bytes();
    bytes.extend(text("early").encode(stentor_proto::Role::Client));
    tls.write_all(&bytes).await.unwrap();
    let mut peer = Peer::new(stentor_proto::Role::Client, tls);
    peer.head().await;
    soon(peer.expect(text("early"))).await;
    peer.send(&close(1000, "")).await;
    soon(peer.expect(close(1000, ""))).await;
    soon(peer.expect_end()).await;
}

#[tokio::test]
async fn protocols_of_alpn_are_those_of_the_server() {
    let authority = Authority::new();
    let identity = authority.issue(&["localhost"]).identity();
    let tls = ServerTls::builder(identity).alpn(["websocket-only"]).build().unwrap();
    let (addr, mut told) = crate::serve_and_watch(server().await.tls(tls), echo);
    // Ours offers http/1.1 and nothing else.
    let error = crate::refused(&client(&authority), addr).await;
    assert!(matches!(error, stentor::TlsError::Alert(_)), "{error:?}");
    let told = soon(told.recv()).await.unwrap().to_string();
    assert_eq!(told, "TLS failed: peer doesn't support any known protocol");
    // One that offers nothing may come.
    drop(Peer::connect(raw_tls(&authority, addr).await).await);
}

#[tokio::test]
async fn a_proxy_speaks_before_tls_and_once() {
    let proxies = TrustedProxies::new(["127.0.0.1", "10.0.0.0/8"]).unwrap().proxy_protocol();
    let (server, authority) = tls_server().await;
    let addr = serve(server.trusted_proxies(proxies), async |mut socket: WebSocket| {
        let client = socket.client_ip().unwrap();
        socket.send(client.to_string()).await
    });
    for client in ["192.0.2.1", "10.0.0.2"] {
        let mut tcp = TcpStream::connect(addr).await.unwrap();
        tcp.write_all(format!("PROXY TCP4 {client} 10.0.0.1 4711 443\r\n").as_bytes()).await.unwrap();
        let mut peer = Peer::connect(raw_tls_over(&authority, tcp).await).await;
        soon(peer.expect(text(client))).await;
    }
}

#[tokio::test]
async fn the_authorize_hook_sees_what_tls_knows() {
    let (server, authority) = tls_server().await;
    let server = server.authorize(async |request: UpgradeRequest| {
        let tls = request.request().extensions().get::<TlsInfo>();
        let name = tls.and_then(TlsInfo::server_name).map(str::to_owned);
        name.ok_or_else(|| Rejection::new(StatusCode::FORBIDDEN, "only over TLS"))
    });
    let addr = serve(server, async |mut socket: WebSocket| {
        let name: String = socket.context().cloned().unwrap();
        socket.send(name).await
    });
    let mut socket = connect(&authority, addr).await;
    assert_eq!(soon(socket.recv()).await.unwrap(), Some("localhost".into()));
}
