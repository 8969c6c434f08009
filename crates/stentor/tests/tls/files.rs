//! Certificates and keys from PEM: all forms that are in use, and what is wrong with others.

use std::fs;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use stentor::TlsError;
use stentor::tls::{ClientTls, Identity, Roots, ServerTls};

use crate::certificates::{Authority, folder};
use crate::support::{echo, serve, server, soon};
use crate::{client, uri};

async fn serves(authority: &Authority, identity: Identity) {
    let tls = ServerTls::builder(identity).build().unwrap();
    let addr = serve(server().await.tls(tls), echo);
    let mut socket = soon(client(authority).connect(uri(addr))).await.unwrap();
    socket.send("hello").await.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap(), Some("hello".into()));
}

#[tokio::test]
async fn keys_in_pkcs8_of_every_kind() {
    let authority = Authority::new();
    for kind in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let key = KeyPair::generate_for(kind).unwrap();
        let issued = authority.issue_for(&["localhost"], key, |_| {});
        serves(&authority, issued.identity()).await;
    }
}

/// What OpenSSL calls `EC PRIVATE KEY` (RFC 5915).
fn sec1(key: &KeyPair) -> String {
    let pkcs8 = key.serialize_der();
    // The ECPrivateKey is the last element of PKCS#8 (RFC 5208 §5), an OCTET STRING of 109 bytes for P-256.
    let inner = &pkcs8[pkcs8.len() - 109..];
    assert_eq!(inner[..5], [0x30, 107, 2, 1, 1]);
    format!(
        "-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----\n",
        BASE64_STANDARD.encode(inner)
    )
}

#[tokio::test]
async fn a_key_in_sec1() {
    let authority = Authority::new();
    let issued = authority.issue(&["localhost"]);
    serves(&authority, Identity::pem(&issued.chain, sec1(&issued.key))).await;
}

#[tokio::test]
async fn a_file_with_both_and_what_people_write_around_them() {
    let authority = Authority::new();
    let issued = authority.issue(&["localhost"]);
    let file = folder().join("both.pem");
    let both = format!("subject=localhost\n{}\nthe key:\r\n{}", issued.chain, issued.key.serialize_pem());
    fs::write(&file, both.replace('\n', "\r\n")).unwrap();
    serves(&authority, Identity::pem_files(&file, &file)).await;
}

#[tokio::test]
async fn a_chain_with_an_authority_between() {
    let authority = Authority::new();
    let mut params = rcgen::CertificateParams::new([]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.distinguished_name.push(rcgen::DnType::CommonName, "between");
    let between = authority.issue_intermediate(params);
    let issued = between.issue(&["localhost"]);
    let chain = format!("{}{}", issued.chain, between.pem());
    serves(&authority, Identity::pem(chain, issued.key.serialize_pem())).await;
    // Without it, nobody knows who has issued the certificate.
    let tls = ServerTls::builder(issued.identity()).build().unwrap();
    let addr = serve(server().await.tls(tls), echo);
    crate::refused(&client(&authority), addr).await;
}

#[test]
fn what_is_wrong_is_told_with_the_file() {
    let authority = Authority::new();
    let issued = authority.issue(&["localhost"]);
    let folder = folder();
    let (chain, key, other) = (folder.join("chain.pem"), folder.join("key.pem"), folder.join("other.pem"));
    fs::write(&chain, &issued.chain).unwrap();
    fs::write(&key, issued.key.serialize_pem()).unwrap();
    let missing = folder.join("missing.pem");

    let error = ServerTls::from_pem_files(&missing, &key).unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot read {}: ", missing.display())), "{error}");
    assert!(matches!(&error, TlsError::File { path, error } if *path == missing
        && error.kind() == std::io::ErrorKind::NotFound));

    let error = ServerTls::from_pem_files(&key, &key).unwrap_err();
    assert_eq!(error.to_string(), format!("{}: no certificate in it", key.display()));
    let error = ServerTls::from_pem_files(&chain, &chain).unwrap_err();
    assert_eq!(error.to_string(), format!("{}: no private key in it", chain.display()));

    fs::write(&other, issued.key.serialize_pem().replace("-----END", "-----ENT")).unwrap();
    let error = ServerTls::from_pem_files(&chain, &other).unwrap_err();
    assert!(matches!(&error, TlsError::Pem { path: Some(path), .. } if *path == other), "{error:?}");
    let private = issued.key.serialize_pem();
    let secret = private.lines().nth(1).unwrap();
    assert!(!format!("{error} {error:?}").contains(secret), "a key in an error");

    fs::write(&other, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let error = ServerTls::from_pem_files(&other, &key).unwrap_err();
    assert!(matches!(&error, TlsError::Settings(_)), "{error:?}");
    let error = ClientTls::builder().roots(Roots::pem_file(&other)).build().unwrap_err();
    assert!(matches!(&error, TlsError::Pem { path: Some(path), .. } if *path == other), "{error:?}");

    fs::write(&other, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    let error = ServerTls::from_pem_files(&chain, &other).unwrap_err();
    assert!(matches!(&error, TlsError::Settings(_)), "{error:?}");

    let stranger = KeyPair::generate().unwrap().serialize_pem();
    let mismatch = ServerTls::builder(Identity::pem(&issued.chain, &stranger)).build().unwrap_err();
    assert!(matches!(mismatch, TlsError::KeyMismatch), "{mismatch:?}");
    let mismatch =
        ClientTls::builder().identity(Identity::pem(&issued.chain, &stranger)).build().unwrap_err();
    assert!(matches!(mismatch, TlsError::KeyMismatch), "{mismatch:?}");
}

#[test]
fn a_debug_print_does_not_tell_a_key() {
    let issued = Authority::new().issue(&["localhost"]);
    let key = issued.key.serialize_pem();
    let secret = key.lines().nth(1).unwrap();
    let client = ClientTls::builder().identity(issued.identity());
    let server = ServerTls::builder(issued.identity());
    let printed = format!(
        "{:?} {client:?} {:?} {server:?} {:?}",
        issued.identity(),
        client.clone().build().unwrap(),
        server.clone().build().unwrap()
    );
    assert!(!printed.contains(secret), "{printed}");
    assert!(!printed.contains(&format!("{:?}", secret.as_bytes())[1..20]), "{printed}");
}
