//! What is told to `tracing` about TLS.

use stentor::tls::ClientTls;
use stentor::{Client, WebSocket};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::log::Log;
use crate::support::soon;
use crate::{refused, serve_and_watch, strangers, tls_server};

#[tokio::test]
async fn a_handshake_that_fails_is_told_at_both_ends() {
    let (log, _guard) = Log::of_this_thread();
    let (server, _) = tls_server().await;
    let (addr, mut errors) = serve_and_watch(server, async |_: WebSocket| {});
    let distrustful = Client::new().tls(ClientTls::builder().roots(strangers()).build().unwrap());
    refused(&distrustful, addr).await;
    soon(errors.recv()).await.unwrap();
    let lines = log.lines();
    let reason = "DEBUG not connected reason=the peer's certificate has no issuer that is trusted";
    assert!(lines.iter().any(|line| line == reason), "{lines:?}");
    assert!(lines.iter().any(|line| line == "INFO TLS failed reason=the peer refused"), "{lines:?}");

    let mut plain = TcpStream::connect(addr).await.unwrap();
    plain.write_all(b"GET /?token=secret HTTP/1.1\r\nCookie: secret\r\n\r\n").await.unwrap();
    soon(plain.read_to_end(&mut Vec::new())).await.unwrap();
    soon(errors.recv()).await.unwrap();
    let everything = log.everything();
    assert!(everything.contains("TLS failed reason=the peer does not speak TLS"), "{everything}");
    assert!(!everything.contains("secret"), "{everything}");
}
