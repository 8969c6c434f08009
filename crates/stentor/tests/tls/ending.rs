//! How TLS connections end: in order, cut off, and with bytes held back.

use std::io::ErrorKind;

use stentor::tls::ServerTls;
use stentor::{Acceptor, CloseCode, Error, WebSocket};
use stentor_proto::Role;
use stentor_testkit::frame::{binary, close, text};
use stentor_testkit::peer::{Peer, answer};
use stentor_testkit::transport::{pipe, rig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::certificates::Authority;
use crate::support::{bytes_of, echo, serve, soon};
use crate::{client, raw_tls, raw_tls_over, tls_server, uri};

/// A server that tells how `recv` ends.
async fn telling_server() -> (std::net::SocketAddr, Authority, mpsc::UnboundedReceiver<Result<(), Error>>) {
    let (server, authority) = tls_server().await;
    let (tell, told) = mpsc::unbounded_channel();
    let addr = serve(server, move |mut socket: WebSocket| {
        let tell = tell.clone();
        async move {
            let end = loop {
                match socket.recv().await {
                    Ok(Some(message)) => socket.send(message).await.unwrap(),
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            tell.send(end).unwrap();
        }
    });
    (addr, authority, told)
}

fn assert_cut_off(end: Result<(), Error>) {
    let Err(Error::Closed(closed)) = end else { panic!("{end:?}") };
    assert_eq!(closed.code, CloseCode::ABNORMAL);
}

#[tokio::test]
async fn an_end_without_a_close_frame_is_an_error_with_and_without_close_notify() {
    let (addr, authority, mut told) = telling_server().await;
    for polite in [true, false] {
        let mut peer = Peer::connect(raw_tls(&authority, addr).await).await;
        peer.send(&text("hello")).await;
        peer.expect(text("hello")).await;
        let mut tls = peer.into_inner();
        if polite {
            tls.shutdown().await.unwrap();
        } else {
            // TCP ends, and TLS does not (RFC 8446 §6.1).
            tls.get_mut().0.shutdown().await.unwrap();
        }
        assert_cut_off(soon(told.recv()).await.unwrap());
    }
}

#[tokio::test]
async fn half_a_frame_is_no_message_however_the_end_comes() {
    let (addr, authority, mut told) = telling_server().await;
    for polite in [true, false] {
        let mut peer = Peer::connect(raw_tls(&authority, addr).await).await;
        let frame = text("cut off here").encode(Role::Client);
        peer.send_bytes(&frame[..frame.len() - 1]).await;
        let mut tls = peer.into_inner();
        if polite {
            tls.shutdown().await.unwrap();
        } else {
            tls.flush().await.unwrap();
            tls.get_mut().0.shutdown().await.unwrap();
        }
        assert_cut_off(soon(told.recv()).await.unwrap());
    }
}

#[tokio::test]
async fn after_a_close_frame_no_close_notify_is_missed() {
    let (addr, authority, mut told) = telling_server().await;
    let mut peer = Peer::connect(raw_tls(&authority, addr).await).await;
    peer.send(&close(1000, "bye")).await;
    peer.expect(close(1000, "bye")).await;
    // The server says its close_notify: without one, our TLS would report an unexpected end.
    soon(peer.expect_end()).await;
    let mut tls = peer.into_inner();
    tls.get_mut().0.shutdown().await.unwrap();
    soon(told.recv()).await.unwrap().unwrap();
}

/// A server by hand over TLS.
async fn raw_server(authority: &Authority) -> (TcpListener, TlsAcceptor) {
    let issued = authority.issue(&["localhost"]);
    let chain = CertificateDer::from_pem_slice(issued.chain.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key.serialize_pem().as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(std::sync::Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    (TcpListener::bind("127.0.0.1:0").await.unwrap(), TlsAcceptor::from(std::sync::Arc::new(config)))
}

#[tokio::test]
async fn a_client_sees_the_same_ends() {
    let authority = Authority::new();
    let (listener, acceptor) = raw_server(&authority).await;
    let addr = listener.local_addr().unwrap();
    for closes in [true, false] {
        let serving = async {
            let (tcp, _) = listener.accept().await.unwrap();
            let (mut peer, _) = Peer::accept(acceptor.accept(tcp).await.unwrap()).await;
            peer.send(&text("hello")).await;
            if closes {
                peer.send(&close(1001, "going")).await;
                peer.expect(close(1001, "going")).await;
            }
            let mut tls = peer.into_inner();
            tls.flush().await.unwrap();
            tls.get_mut().0.shutdown().await.unwrap();
            // Whatever else the client says, TLS included, is taken in.
            let _ = tls.read_to_end(&mut Vec::new()).await;
        };
        let connecting = async {
            let mut socket = client(&authority).connect(uri(addr)).await.unwrap();
            assert_eq!(socket.recv().await.unwrap(), Some("hello".into()));
            let end = socket.recv().await;
            if closes {
                assert_eq!(end.unwrap(), None);
                assert_eq!(socket.closed().unwrap().code, CloseCode::GOING_AWAY);
            } else {
                assert_cut_off(end.map(drop));
            }
        };
        soon(Box::pin(async { tokio::join!(serving, connecting) })).await;
    }
}

#[tokio::test]
async fn frames_behind_the_servers_answer_are_not_lost() {
    let authority = Authority::new();
    let (listener, acceptor) = raw_server(&authority).await;
    let addr = listener.local_addr().unwrap();
    let serving = async {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut peer = Peer::new(Role::Server, acceptor.accept(tcp).await.unwrap());
        let head = peer.head().await;
        let mut bytes = answer(&head).into_bytes();
        bytes.extend(text("at once").encode(Role::Server));
        peer.send_bytes(&bytes).await;
        peer.expect(close(1000, "")).await;
        peer.send(&close(1000, "")).await;
        peer.finish_writing().await;
        // Our close_notify comes, too.
        assert_eq!(peer.rest().await, b"");
    };
    let connecting = async {
        let mut socket = client(&authority).connect(uri(addr)).await.unwrap();
        assert_eq!(socket.recv().await.unwrap(), Some("at once".into()));
        socket.close(CloseCode::NORMAL, "").await.unwrap();
    };
    soon(Box::pin(async { tokio::join!(serving, connecting) })).await;
}

/// Over a transport that takes 16 bytes at a time, and makes each wait: TLS holds back whatever it has
/// encrypted, the Close frame too, and its own ending.
#[tokio::test(start_paused = true)]
async fn bytes_that_tls_holds_back_leave_before_the_end() {
    let authority = Authority::new();
    let tls = ServerTls::builder(authority.issue(&["localhost"]).identity()).build().unwrap();
    for (closes, len) in [(true, 100_000), (false, 100_000), (true, 1), (false, 1)] {
        println!("closes: {closes}, {len} bytes");
        let (ours, theirs) = pipe(4096);
        let (ours, control) = rig(ours);
        control.stutter();
        control.write_at_most(16);
        let acceptor = Acceptor::new().tls(tls.clone());
        let serving = tokio::spawn(async move {
            let handler = async move |mut socket: WebSocket| {
                socket.send(bytes_of(len)).await?;
                // Otherwise it is dropped, and closed by that.
                if closes { socket.close(4000.into(), "that was all").await } else { Ok(()) }
            };
            acceptor.serve_connection(ours, handler).await
        });
        let mut peer = Peer::connect(raw_tls_over(&authority, theirs).await).await;
        soon(peer.expect(binary(bytes_of(len)))).await;
        let end = if closes { close(4000, "that was all") } else { close(1000, "") };
        soon(peer.expect(end.clone())).await;
        peer.send(&end).await;
        // An end without a close_notify would be an unexpected one.
        soon(peer.expect_end()).await;
        serving.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_reset_is_told_as_one() {
    let (server, authority) = tls_server().await;
    let addr = serve(server, echo);
    let socket = client(&authority).connect(uri(addr)).await.unwrap();
    drop(socket);
    // A peer by hand that is gone at once, with something unread.
    let (addr, authority, mut told) = telling_server().await;
    let mut peer = Peer::connect(raw_tls(&authority, addr).await).await;
    peer.send(&text("an echo that nobody reads")).await;
    let tls = peer.into_inner();
    let tcp = socket2::SockRef::from(tls.get_ref().0);
    tcp.set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(tls);
    match soon(told.recv()).await.unwrap() {
        // Noticed by reading, or by writing the echo.
        Err(Error::Io(error)) => {
            assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error:?}");
        }
        end => assert_cut_off(end),
    }
}

#[tokio::test]
async fn bytes_that_somebody_has_changed_on_the_way_are_not_decrypted() {
    let (addr, authority, mut told) = telling_server().await;
    let mut peer = Peer::connect(raw_tls(&authority, addr).await).await;
    peer.send(&text("genuine")).await;
    peer.expect(text("genuine")).await;
    let mut tls = peer.into_inner();
    // A record of application data (RFC 8446 §5.2) that nobody with the key has made.
    let mut forged = vec![23, 3, 3, 0, 64];
    forged.resize(5 + 64, 0xaa);
    tls.get_mut().0.write_all(&forged).await.unwrap();
    let Err(Error::Tls(error)) = soon(told.recv()).await.unwrap() else { panic!("it was taken") };
    assert_eq!(error.to_string(), "cannot decrypt peer's message");
}
