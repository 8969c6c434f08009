//! Whom a client trusts, and what both sides are told when it does not.

use rcgen::{ExtendedKeyUsagePurpose, date_time_ymd};
use stentor::tls::{ClientTls, ServerTls};
use stentor::{CertificateFault, Client, TlsError};

use crate::certificates::{Authority, Issued};
use crate::support::{echo, serve, server, soon};
use crate::{client, connect, refused, serve_and_watch, strangers, uri};

/// What our client says about a server with this certificate, and what the server is told.
async fn verdict(client: &Client, certificate: &Issued) -> (TlsError, String) {
    let tls = ServerTls::builder(certificate.identity()).build().unwrap();
    let (addr, mut told) = serve_and_watch(server().await.tls(tls), echo);
    let error = refused(client, addr).await;
    (error, soon(told.recv()).await.unwrap().to_string())
}

#[tokio::test]
async fn certificates_that_are_not_to_be_trusted_are_refused_by_name() {
    let authority = Authority::new();
    let ours = client(&authority);
    let stranger = Authority::new();
    let cases = [
        (authority.issue(&["other.example"]), CertificateFault::WrongName, "is for another name"),
        (
            authority.issue_with(&["localhost"], |params| params.not_after = date_time_ymd(2020, 1, 1)),
            CertificateFault::Expired,
            "has expired",
        ),
        (
            authority.issue_with(&["localhost"], |params| params.not_before = date_time_ymd(4000, 1, 1)),
            CertificateFault::NotYetValid,
            "is not valid yet",
        ),
        (stranger.issue(&["localhost"]), CertificateFault::UnknownIssuer, "has no issuer that is trusted"),
        (
            authority.issue_with(&["localhost"], |params| {
                params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ClientAuth);
            }),
            CertificateFault::WrongPurpose,
            "is not for this purpose",
        ),
    ];
    for (certificate, expected, words) in cases {
        let (error, told) = verdict(&ours, &certificate).await;
        assert!(matches!(error, TlsError::Certificate { fault, .. } if fault == expected), "{error:?}");
        assert!(error.to_string().starts_with(&format!("the peer's certificate {words} (")), "{error}");
        assert!(told.starts_with("TLS failed: the peer refused: received fatal alert: "), "{told}");
    }
}

#[tokio::test]
async fn the_name_and_what_it_should_have_been_are_told() {
    let authority = Authority::new();
    let (error, _) = verdict(&client(&authority), &authority.issue(&["other.example"])).await;
    let words = error.to_string();
    assert!(words.contains("localhost") && words.contains("other.example"), "{words}");
}

#[tokio::test]
async fn by_default_the_roots_of_the_web_are_trusted_and_no_others() {
    let authority = Authority::new();
    let (error, _) = verdict(&Client::new(), &authority.issue(&["localhost"])).await;
    let unknown = CertificateFault::UnknownIssuer;
    assert!(matches!(error, TlsError::Certificate { fault, .. } if fault == unknown), "{error:?}");
}

#[tokio::test]
async fn roots_add_up() {
    let authority = Authority::new();
    let tls = ServerTls::builder(authority.issue(&["localhost"]).identity()).build().unwrap();
    let addr = serve(server().await.tls(tls), echo);
    let both = ClientTls::builder().roots(strangers()).roots(authority.roots()).build().unwrap();
    soon(Client::new().tls(both).connect(uri(addr))).await.unwrap();
    let one = ClientTls::builder().roots(strangers()).build().unwrap();
    refused(&Client::new().tls(one), addr).await;
}

#[tokio::test]
async fn a_self_signed_certificate_is_trusted_once_it_is_a_root() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let identity = stentor::tls::Identity::pem(certificate.pem(), key.serialize_pem());
    let addr = serve(server().await.tls(ServerTls::builder(identity).build().unwrap()), echo);
    for client in [Client::new(), client(&Authority::new())] {
        let error = refused(&client, addr).await;
        let unknown = CertificateFault::UnknownIssuer;
        assert!(matches!(error, TlsError::Certificate { fault, .. } if fault == unknown), "{error:?}");
    }
    let tls = ClientTls::builder().roots(stentor::tls::Roots::pem(certificate.pem())).build().unwrap();
    soon(Client::new().tls(tls).connect(uri(addr))).await.unwrap();
}

#[tokio::test]
async fn another_name_can_be_asked_for() {
    let authority = Authority::new();
    let tls = ServerTls::builder(authority.issue(&["other.example"]).identity()).build().unwrap();
    let addr = serve(server().await.tls(tls), echo);
    let tls = ClientTls::builder().roots(authority.roots()).server_name("other.example").build().unwrap();
    // The URI has the address only.
    soon(Client::new().tls(tls).connect(format!("wss://{addr}/"))).await.unwrap();
    let error = ClientTls::builder().server_name("no name").build().unwrap_err();
    assert!(matches!(&error, TlsError::InvalidServerName(name) if name == "no name"), "{error:?}");
}

#[tokio::test]
async fn a_certificate_for_an_address_is_compared_with_it() {
    let authority = Authority::new();
    for (names, works) in [(["127.0.0.1"], true), (["127.0.0.2"], false)] {
        let tls = ServerTls::builder(authority.issue(&names).identity()).build().unwrap();
        let addr = serve(server().await.tls(tls), echo);
        let connected = soon(client(&authority).connect(format!("wss://{addr}/"))).await;
        assert_eq!(connected.is_ok(), works, "{names:?}: {connected:?}");
    }
}

#[tokio::test]
async fn the_danger_takes_any_certificate() {
    let certificate = Authority::new()
        .issue_with(&["other.example"], |params| params.not_after = date_time_ymd(2020, 1, 1));
    let tls = ServerTls::builder(certificate.identity()).build().unwrap();
    let addr = serve(server().await.tls(tls), echo);
    let tls = ClientTls::builder().dangerous().accept_any_certificate().build().unwrap();
    let mut socket = soon(Client::new().tls(tls).connect(uri(addr))).await.unwrap();
    socket.send("to whom?").await.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap(), Some("to whom?".into()));
}

#[tokio::test]
async fn the_scheme_may_be_written_in_any_case() {
    let (server, authority) = crate::tls_server().await;
    let addr = serve(server, echo);
    let uri = format!("WSS://LocalHost:{}/", addr.port());
    soon(client(&authority).connect(uri)).await.unwrap();
}

#[tokio::test]
async fn one_client_connects_again_and_again() {
    let (server, authority) = crate::tls_server().await;
    let addr = serve(server, echo);
    let client = client(&authority);
    for i in 0..3 {
        let mut socket = soon(client.connect(uri(addr))).await.unwrap();
        socket.send(format!("{i}")).await.unwrap();
        assert_eq!(soon(socket.recv()).await.unwrap(), Some(format!("{i}").into()));
        socket.close(1000.into(), "").await.unwrap();
    }
    drop(connect(&authority, addr).await);
}
