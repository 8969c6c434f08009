//! TLS where none is spoken, and none where TLS is spoken: both sides are told what is wrong.

use stentor::{Client, Error, HandshakeFailure, TlsError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{echo, server, soon};
use crate::{client, connect, refused, serve_and_watch, tls_server};

#[tokio::test]
async fn plain_http_to_a_tls_port_is_answered_in_plain_http() {
    let (server, authority) = tls_server().await;
    let (addr, mut told) = serve_and_watch(server, echo);
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon(tcp.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("this port speaks TLS: use wss:// or https://"), "{answer}");
    drop(tcp);
    assert_eq!(soon(told.recv()).await.unwrap().to_string(), "TLS failed: the peer does not speak TLS");
    connect(&authority, addr).await;
}

#[tokio::test]
async fn ws_to_a_tls_port_is_refused_with_the_reason() {
    let (server, _) = tls_server().await;
    let (addr, _told) = serve_and_watch(server, echo);
    let error = soon(stentor::connect(format!("ws://{addr}/"))).await.unwrap_err();
    let Error::Handshake(failure) = error else { panic!("{error:?}") };
    let HandshakeFailure::Refused(response) = *failure else { panic!("{failure:?}") };
    assert_eq!(response.status(), 400);
    let body = String::from_utf8(response.into_body().to_vec()).unwrap();
    assert!(body.contains("this port speaks TLS"), "{body}");
}

#[tokio::test]
async fn wss_to_a_plain_port_is_not_tls() {
    let (_, authority) = tls_server().await;
    let (addr, mut told) = serve_and_watch(server().await, echo);
    let error = refused(&client(&authority), addr).await;
    assert!(matches!(error, TlsError::NotTls), "{error:?}");
    let told = soon(told.recv()).await.unwrap().to_string();
    assert_eq!(told, "opening handshake failed: TLS on a port that speaks none (RFC 9112 section 3)");
}

#[tokio::test]
async fn rubbish_to_a_tls_port_ends_its_own_connection_only() {
    let (server, authority) = tls_server().await;
    let (addr, mut told) = serve_and_watch(server, echo);
    let mut bystander = connect(&authority, addr).await;
    let records: [&[u8]; 5] = [
        b"\0\0\0\0\0\0\0\0",
        &[0x80, 0x2e, 1, 3, 1],
        // Records that say they are handshakes and are not.
        &[22, 3, 1, 0, 4, 99, 0, 0, 0],
        &[22, 3, 1, 0, 0],
        &[22, 99, 99, 0xff, 0xff, 0, 0, 0],
    ];
    for record in records {
        let mut tcp = TcpStream::connect(addr).await.unwrap();
        tcp.write_all(record).await.unwrap();
        tcp.shutdown().await.unwrap();
        soon(tcp.read_to_end(&mut Vec::new())).await.unwrap();
        let told = soon(told.recv()).await.unwrap();
        assert!(matches!(told.to_string().split_once(": "), Some(("TLS failed", _))), "{told}");
    }
    bystander.send("still here").await.unwrap();
    assert_eq!(soon(bystander.recv()).await.unwrap(), Some("still here".into()));
}

#[tokio::test]
async fn a_peer_that_hangs_up_is_called_that() {
    let (server, authority) = tls_server().await;
    let (addr, mut told) = serve_and_watch(server, echo);
    drop(TcpStream::connect(addr).await.unwrap());
    let hung_up = "TLS failed: the peer hung up during the TLS handshake";
    assert_eq!(soon(told.recv()).await.unwrap().to_string(), hung_up);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let client = client(&authority);
    let (error, ()) = tokio::join!(refused(&client, addr), async {
        let (mut tcp, _) = listener.accept().await.unwrap();
        // It is read, so that it is no reset.
        let mut hello = [0; 5];
        tcp.read_exact(&mut hello).await.unwrap();
        let mut hello = vec![0; usize::from(u16::from_be_bytes([hello[3], hello[4]]))];
        tcp.read_exact(&mut hello).await.unwrap();
    });
    assert!(matches!(error, TlsError::Disconnected), "{error:?}");
}

#[tokio::test]
async fn what_is_no_http_does_not_pass_for_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let answers = async {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n").await.unwrap();
        let _ = tcp.read_to_end(&mut Vec::new()).await;
    };
    let client = Client::new();
    let (error, ()) = tokio::join!(refused(&client, addr), answers);
    assert!(matches!(error, TlsError::NotTls), "{error:?}");
}
