//! What is older than TLS 1.2 is not spoken, in either role (RFC 8996): peers by hand that know nothing newer.

use stentor::{Client, TlsError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{echo, soon};
use crate::{connect, refused, serve_and_watch, tls_server};

/// SSL 3.0, TLS 1.0 and TLS 1.1.
const OLD: [[u8; 2]; 3] = [[3, 0], [3, 1], [3, 2]];

/// A record (RFC 5246 §6.2.1) with a handshake message of this type (§7.4).
fn handshake(version: [u8; 2], kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u8::try_from(body.len()).unwrap();
    let [major, minor] = version;
    [&[22, major, minor, 0, len + 4, kind, 0, 0, len], body].concat()
}

/// What a client says that speaks `version` at most (RFC 5246 §7.4.1.2): suites, curves and signatures for
/// every version.
fn client_hello(version: [u8; 2]) -> Vec<u8> {
    let suites = [0, 6, 0xc0, 0x2b, 0xc0, 0x09, 0x00, 0x2f];
    let groups = [0, 10, 0, 6, 0, 4, 0x00, 0x1d, 0x00, 0x17];
    let points = [0, 11, 0, 2, 1, 0];
    let signatures = [0, 13, 0, 6, 0, 4, 0x04, 0x03, 0x04, 0x01];
    let extensions = [&[0, 26][..], &groups, &points, &signatures].concat();
    handshake(version, 1, &[&version[..], &[7; 32], &[0], &suites, &[1, 0], &extensions].concat())
}

/// What a server says that speaks `version` at most (RFC 5246 §7.4.1.3).
fn server_hello(version: [u8; 2]) -> Vec<u8> {
    handshake(version, 2, &[&version[..], &[7; 32], &[0], &[0xc0, 0x13], &[0]].concat())
}

/// A fatal alert that says `protocol_version` (RFC 5246 §7.2).
const PROTOCOL_VERSION: [u8; 2] = [2, 70];

#[tokio::test]
async fn a_client_that_speaks_nothing_newer_than_tls_1_1_is_refused() {
    let (server, authority) = tls_server().await;
    let (addr, mut told) = serve_and_watch(server, echo);
    for version in OLD {
        let mut tcp = TcpStream::connect(addr).await.unwrap();
        tcp.write_all(&client_hello(version)).await.unwrap();
        let mut answer = [0; 7];
        soon(tcp.read_exact(&mut answer)).await.unwrap();
        assert_eq!((answer[0], &answer[5..]), (21, &PROTOCOL_VERSION[..]), "{version:?}: {answer:?}");
        // Nothing follows.
        tcp.shutdown().await.unwrap();
        assert_eq!(soon(tcp.read(&mut answer)).await.unwrap(), 0);
        let told = soon(told.recv()).await.unwrap().to_string();
        assert!(told.starts_with("TLS failed: "), "{told}");
    }
    // It is for the version alone: the same with TLS 1.2 is answered by a ServerHello.
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    tcp.write_all(&client_hello([3, 3])).await.unwrap();
    let mut answer = [0; 6];
    soon(tcp.read_exact(&mut answer)).await.unwrap();
    assert_eq!((answer[0], answer[5]), (22, 2), "{answer:?}");
    connect(&authority, addr).await;
}

#[tokio::test]
async fn a_server_that_speaks_nothing_newer_than_tls_1_1_is_refused() {
    for version in OLD {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let answering = async {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let mut header = [0; 5];
            tcp.read_exact(&mut header).await.unwrap();
            let mut hello = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
            tcp.read_exact(&mut hello).await.unwrap();
            tcp.write_all(&server_hello(version)).await.unwrap();
            let mut rest = Vec::new();
            soon(tcp.read_to_end(&mut rest)).await.unwrap();
            rest
        };
        let client = Client::new();
        let (error, alert) = tokio::join!(refused(&client, addr), answering);
        assert!(!matches!(error, TlsError::NotTls | TlsError::Disconnected), "{error:?}");
        // An alert, and nothing else: no request, and so none of its secrets.
        assert_eq!((alert[0], &alert[5..]), (21, &PROTOCOL_VERSION[..]), "{version:?}: {alert:?}");
    }
}
