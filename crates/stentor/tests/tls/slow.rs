//! Slow and silent TLS handshakes end at their deadline, and hold up nobody meanwhile.

use std::time::Duration;

use stentor::tls::ServerTls;
use stentor::{Acceptor, Client, Config, Error, Limits, Phase};
use stentor_proto::HandshakeLimits;
use stentor_testkit::transport::pipe;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::certificates::Authority;
use crate::support::{echo, lasting, soon};
use crate::{client, connect, serve_and_watch, tls_server, uri};

fn tls_timeout(tls_timeout: Duration) -> Config {
    let handshake = HandshakeLimits { tls_timeout, ..HandshakeLimits::default() };
    Config { handshake, ..Config::default() }
}

/// A `ClientHello`, as our client sends it.
async fn hello() -> Vec<u8> {
    let (ours, mut theirs) = pipe(16 << 10);
    let authority = Authority::new();
    let name = tokio_rustls::rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let connector = tokio_rustls::TlsConnector::from(crate::raw_config(&authority));
    let mut hello = Vec::with_capacity(16 << 10);
    tokio::select! {
        _ = connector.connect(name, ours) => unreachable!("nobody answers"),
        read = theirs.read_buf(&mut hello) => assert!(read.unwrap() > 100),
    }
    hello
}

#[tokio::test(start_paused = true)]
async fn a_handshake_ends_at_its_deadline_however_it_drips() {
    let authority = Authority::new();
    let tls = ServerTls::builder(authority.issue(&["localhost"]).identity()).build().unwrap();
    let hello = hello().await;
    for drips in [false, true] {
        let acceptor = Acceptor::new().tls(tls.clone());
        let (ours, mut theirs) = pipe(16 << 10);
        let began = Instant::now();
        let serving = acceptor.serve_connection(ours, echo);
        let dripping = async {
            for byte in hello.iter().take(if drips { hello.len() } else { 0 }) {
                if theirs.write_all(&[*byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            let mut answer = Vec::new();
            theirs.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, b"", "there was no whole hello to answer");
        };
        let (result, ()) = lasting(async { tokio::join!(serving, dripping) }).await;
        assert!(matches!(result.unwrap_err(), Error::Timeout(Phase::Tls)));
        let took = began.elapsed().as_secs_f64();
        assert!((10.0..11.0).contains(&took), "{took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn the_opening_handshake_has_its_own_time_behind_it() {
    let authority = Authority::new();
    let tls = ServerTls::builder(authority.issue(&["localhost"]).identity()).build().unwrap();
    let acceptor = Acceptor::new().tls(tls);
    let (ours, theirs) = pipe(16 << 10);
    let serving = tokio::spawn(async move { acceptor.serve_connection(ours, echo).await });
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(9)).await;
    let mut client = crate::raw_tls_over(&authority, theirs).await;
    let mut answer = String::new();
    lasting(client.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let took = began.elapsed().as_secs_f64();
    assert!((19.0..19.1).contains(&took), "{took} s");
    drop(client);
    lasting(serving).await.unwrap().unwrap_err();
}

/// Over real sockets: many who say nothing, or half a hello, and a client that is served meanwhile.
#[tokio::test]
async fn half_open_handshakes_hold_up_nobody_and_are_all_reaped() {
    const SLOW: usize = 200;
    let (server, authority) = tls_server().await;
    let (addr, mut told) = serve_and_watch(server.config(tls_timeout(Duration::from_secs(3))), echo);
    let hello = hello().await;
    let began = Instant::now();
    let mut slow = Vec::new();
    for i in 0..SLOW {
        let mut tcp = TcpStream::connect(addr).await.unwrap();
        tcp.write_all(&hello[..i % hello.len()]).await.unwrap();
        slow.push(tcp);
    }
    let mut socket = connect(&authority, addr).await;
    socket.send("served").await.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap(), Some("served".into()));
    let reaped = std::pin::pin!(soon(async {
        for _ in 0..SLOW {
            let error = told.recv().await.unwrap();
            assert_eq!(error.to_string(), "timed out: TLS handshake");
        }
    }));
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "the client was served only when the others were reaped"
    );
    reaped.await;
    for mut tcp in slow {
        // Reset, or ended: over in any case.
        let _ = soon(tcp.read_to_end(&mut Vec::new())).await;
    }
    socket.send("still served").await.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap(), Some("still served".into()));
}

/// Over real sockets, with room for one handshake, which one who says nothing has.
#[tokio::test]
async fn an_unfinished_handshake_gives_way_without_a_word() {
    let (server, authority) = tls_server().await;
    let limits = Limits { max_handshakes: 1, ..Limits::default() };
    let (addr, mut told) = serve_and_watch(server.limits(limits), echo);
    let mut silent = TcpStream::connect(addr).await.unwrap();
    let mut socket = connect(&authority, addr).await;
    socket.send("served").await.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap(), Some("served".into()));
    assert!(soon(told.recv()).await.unwrap().to_string().contains("busy"));
    // What is not encrypted is no answer to a client that is about to speak TLS.
    let mut answer = Vec::new();
    soon(silent.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer, b"");
}

/// The kernel accepts into its queue, and nobody speaks.
#[tokio::test]
async fn a_client_gives_a_silent_server_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let limits = HandshakeLimits { timeout: Duration::from_millis(50), ..HandshakeLimits::default() };
    let config = Config { handshake: limits, ..Config::default() };
    for client in [client(&Authority::new()), Client::new()] {
        let error = soon(client.config(config.clone()).connect(uri(addr))).await.unwrap_err();
        assert!(matches!(error, Error::Timeout(Phase::Tls)), "{error:?}");
    }
}
