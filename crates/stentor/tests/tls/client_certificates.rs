//! Clients that show certificates: required, requested, and what hooks see of them.

use rcgen::date_time_ymd;
use stentor::tls::{ClientTls, ClientTlsBuilder, ServerTls, ServerTlsBuilder, TlsInfo};
use stentor::{Client, TlsError, Upgrade};

use crate::certificates::{Authority, Issued};
use crate::support::{server, soon};
use crate::{tls_error, uri};

/// A server that sends each client the certificate it has shown.
struct Mirror {
    addr: std::net::SocketAddr,
    authority: Authority,
    told: tokio::sync::mpsc::UnboundedReceiver<String>,
}

impl Mirror {
    async fn new(ask: impl FnOnce(ServerTlsBuilder) -> ServerTlsBuilder) -> Self {
        let authority = Authority::new();
        let tls = ask(ServerTls::builder(authority.issue(&["localhost"]).identity())).build().unwrap();
        let (tell, told) = tokio::sync::mpsc::unbounded_channel();
        let server = server().await.tls(tls).on_error(move |_, error| {
            let _ = tell.send(error.to_string());
        });
        let addr = server.local_addr().unwrap();
        tokio::spawn(server.serve_upgrades(async |upgrade: Upgrade| {
            let info = upgrade.request().extensions().get::<TlsInfo>().cloned().unwrap();
            let mut socket = upgrade.accept().await?;
            socket.send(info.peer_certificates().next().unwrap_or_default()).await
        }));
        Self { addr, authority, told }
    }

    fn client(&self, with: impl FnOnce(ClientTlsBuilder) -> ClientTlsBuilder) -> Client {
        let tls = ClientTls::builder().roots(self.authority.roots());
        Client::new().tls(with(tls).build().unwrap())
    }

    /// What the server has seen of a client.
    async fn sees(&self, client: &Client) -> Vec<u8> {
        let mut socket = soon(client.connect(uri(self.addr))).await.unwrap();
        soon(socket.recv()).await.unwrap().unwrap().as_bytes().to_vec()
    }

    /// What both sides are told when the server refuses a client.
    async fn refuses(&mut self, client: &Client) -> (TlsError, String) {
        let error = tls_error(soon(client.connect(uri(self.addr))).await.unwrap_err());
        (error, soon(self.told.recv()).await.unwrap())
    }
}

fn shows(issued: &Issued) -> impl FnOnce(ClientTlsBuilder) -> ClientTlsBuilder {
    let identity = issued.identity();
    move |tls| tls.identity(identity)
}

#[tokio::test]
async fn required_ones_are_seen_by_the_hook() {
    let clients = Authority::new();
    let mirror = Mirror::new(|tls| tls.require_client_certificate(clients.roots())).await;
    let alice = clients.issue(&["alice"]);
    let client = mirror.client(shows(&alice));
    assert!(mirror.sees(&client).await == alice.der);
    // Resumed sessions show it, too.
    assert!(mirror.sees(&client).await == alice.der);
}

#[tokio::test]
async fn required_ones_that_are_missing_or_wrong_are_refused() {
    let clients = Authority::new();
    let mut mirror = Mirror::new(|tls| tls.require_client_certificate(clients.roots())).await;
    let (error, told) = mirror.refuses(&mirror.client(|tls| tls)).await;
    assert!(matches!(error, TlsError::Alert(_)), "{error:?}");
    assert_eq!(told, "TLS failed: the client showed no certificate");

    let stranger = Authority::new().issue(&["alice"]);
    let late = clients.issue_with(&["alice"], |params| params.not_after = date_time_ymd(2020, 1, 1));
    for (issued, words) in [(stranger, "has no issuer that is trusted"), (late, "has expired")] {
        let client = mirror.client(shows(&issued));
        let (error, told) = mirror.refuses(&client).await;
        assert!(matches!(error, TlsError::Alert(_)), "{error:?}");
        assert!(told.starts_with(&format!("TLS failed: the peer's certificate {words}")), "{told}");
    }
}

#[tokio::test]
async fn requested_ones_may_be_missing_but_not_wrong() {
    let clients = Authority::new();
    let mut mirror = Mirror::new(|tls| tls.request_client_certificate(clients.roots())).await;
    assert_eq!(mirror.sees(&mirror.client(|tls| tls)).await, b"");
    let alice = clients.issue(&["alice"]);
    assert!(mirror.sees(&mirror.client(shows(&alice))).await == alice.der);
    let stranger = Authority::new().issue(&["alice"]);
    let client = mirror.client(shows(&stranger));
    mirror.refuses(&client).await;
}

#[tokio::test]
async fn a_server_that_asks_for_none_sees_none() {
    let mirror = Mirror::new(|tls| tls).await;
    let alice = Authority::new().issue(&["alice"]);
    assert_eq!(mirror.sees(&mirror.client(shows(&alice))).await, b"");
}
