//! Certificates are renewed while the server runs.

use std::fs;

use stentor::TlsError;
use stentor::tls::{Identity, Roots, ServerTls};

use crate::certificates::{Authority, Issued, folder};
use crate::support::{echo, serve, server, soon};
use crate::{client, refused, uri};

struct Files {
    chain: std::path::PathBuf,
    key: std::path::PathBuf,
}

impl Files {
    fn new() -> Self {
        let folder = folder();
        Self { chain: folder.join("chain.pem"), key: folder.join("key.pem") }
    }

    fn write(&self, issued: &Issued) {
        fs::write(&self.chain, &issued.chain).unwrap();
        fs::write(&self.key, issued.key.serialize_pem()).unwrap();
    }
}

#[tokio::test]
async fn new_handshakes_use_the_new_certificate_and_old_connections_live_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = Files::new();
    files.write(&old.issue(&["localhost"]));
    let tls = ServerTls::from_pem_files(&files.chain, &files.key).unwrap();
    let addr = serve(server().await.tls(tls.clone()), echo);

    let (old_client, new_client) = (client(&old), client(&new));
    let mut before = soon(old_client.connect(uri(addr))).await.unwrap();
    refused(&new_client, addr).await;
    files.write(&new.issue(&["localhost"]));
    refused(&new_client, addr).await;

    tls.reload().unwrap();
    let mut after = soon(new_client.connect(uri(addr))).await.unwrap();
    // It has a session of before, which does not get it around the new certificate.
    refused(&old_client, addr).await;
    for socket in [&mut before, &mut after] {
        socket.send("alive").await.unwrap();
        assert_eq!(soon(socket.recv()).await.unwrap(), Some("alive".into()));
    }
}

#[tokio::test]
async fn broken_files_keep_the_old_certificate_and_say_what_is_wrong() {
    let authority = Authority::new();
    let files = Files::new();
    let good = authority.issue(&["localhost"]);
    files.write(&good);
    let tls = ServerTls::from_pem_files(&files.chain, &files.key).unwrap();
    let addr = serve(server().await.tls(tls.clone()), echo);
    let works = async || drop(soon(client(&authority).connect(uri(addr))).await.unwrap());

    fs::write(&files.chain, "no PEM at all").unwrap();
    let error = tls.reload().unwrap_err();
    assert_eq!(error.to_string(), format!("{}: no certificate in it", files.chain.display()));
    assert!(matches!(&error, TlsError::Pem { path: Some(path), .. } if *path == files.chain));
    works().await;

    fs::write(&files.chain, &authority.issue(&["localhost"]).chain).unwrap();
    let error = tls.reload().unwrap_err();
    assert!(matches!(error, TlsError::KeyMismatch), "{error:?}");
    works().await;

    files.write(&good);
    fs::remove_file(&files.key).unwrap();
    let error = tls.reload().unwrap_err();
    assert!(matches!(&error, TlsError::File { path, .. } if *path == files.key), "{error:?}");
    works().await;

    files.write(&good);
    tls.reload().unwrap();
    works().await;
}

#[tokio::test]
async fn another_identity_can_come_from_memory() {
    let (old, new) = (Authority::new(), Authority::new());
    let tls = ServerTls::builder(old.issue(&["localhost"]).identity()).build().unwrap();
    let addr = serve(server().await.tls(tls.clone()), echo);
    let broken = Identity::pem(new.issue(&["localhost"]).chain, "no key");
    let error = tls.set_identity(broken).unwrap_err();
    assert_eq!(error.to_string(), "PEM: no private key in it");
    tls.reload().expect("what was refused is not kept");
    drop(soon(client(&old).connect(uri(addr))).await.unwrap());
    tls.set_identity(new.issue(&["localhost"]).identity()).unwrap();
    drop(soon(client(&new).connect(uri(addr))).await.unwrap());
    tls.reload().unwrap();
    drop(soon(client(&new).connect(uri(addr))).await.unwrap());
}

#[tokio::test]
async fn the_roots_of_clients_are_read_again_as_well() {
    let authority = Authority::new();
    let (one, other) = (Authority::new(), Authority::new());
    let roots = folder().join("clients.pem");
    fs::write(&roots, one.pem()).unwrap();
    let tls = ServerTls::builder(authority.issue(&["localhost"]).identity())
        .require_client_certificate(Roots::pem_file(&roots))
        .build()
        .unwrap();
    let addr = serve(server().await.tls(tls.clone()), echo);
    let client_of = |issuer: &Authority| {
        let tls = stentor::tls::ClientTls::builder().roots(authority.roots());
        stentor::Client::new().tls(tls.identity(issuer.issue(&["a client"]).identity()).build().unwrap())
    };
    let (of_one, of_other) = (client_of(&one), client_of(&other));
    drop(soon(of_one.connect(uri(addr))).await.unwrap());
    soon(of_other.connect(uri(addr))).await.unwrap_err();
    fs::write(&roots, other.pem()).unwrap();
    tls.reload().unwrap();
    // Not even with the session of before.
    soon(of_one.connect(uri(addr))).await.unwrap_err();
    drop(soon(of_other.connect(uri(addr))).await.unwrap());
}
