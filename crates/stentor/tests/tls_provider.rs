//! The cryptography that a process has installed is used. A process can do that once, so this is one
//! test in a process of its own.

#[path = "tls/certificates.rs"]
mod certificates;
#[path = "support/mod.rs"]
mod support;

use stentor::tls::{ClientTls, ServerTls, TlsInfo};
use stentor::{Client, Upgrade};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};

use crate::certificates::Authority;
use crate::support::{server, soon};

#[tokio::test]
async fn an_installed_provider_is_used_and_none_is_installed_by_us() {
    let authority = Authority::new();
    let built = || {
        let server = ServerTls::builder(authority.issue(&["localhost"]).identity()).build();
        (server, ClientTls::builder().roots(authority.roots()).build())
    };
    let (before, _) = built();
    before.unwrap();
    assert!(CryptoProvider::get_default().is_none(), "that is left to the program");

    // One that can do TLS 1.2 only, which shows.
    let mut provider = ring::default_provider();
    provider.cipher_suites.retain(|suite| suite.tls13().is_none());
    provider.install_default().unwrap();
    let (tls, client) = built();
    let server = server().await.tls(tls.unwrap());
    let uri = format!("wss://localhost:{}/", server.local_addr().unwrap().port());
    tokio::spawn(server.serve_upgrades(async |upgrade: Upgrade| {
        let version = upgrade.request().extensions().get::<TlsInfo>().unwrap().version();
        upgrade.accept().await?.send(version).await
    }));
    let mut socket = soon(Client::new().tls(client.unwrap()).connect(uri)).await.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap(), Some("1.2".into()));
    assert_eq!(soon(socket.recv()).await.unwrap(), None);
}
