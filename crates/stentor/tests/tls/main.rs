//! What TLS adds, over real sockets on the loopback interface; certificates are made while the tests run.

#[path = "../support/mod.rs"]
mod support;

mod certificates;
mod client_certificates;
mod ending;
mod files;
mod messages;
mod mixups;
mod reload;
mod slow;
#[cfg(feature = "tracing")]
mod traced;
mod trust;
mod versions;

use std::net::SocketAddr;
use std::sync::Arc;

use stentor::tls::{ClientTls, Roots, ServerTls};
use stentor::{BoxError, Client, Error, HandlerOutput, Server, TlsError, WebSocket};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use self::certificates::Authority;
use self::support::{serve, server, soon};

/// A server with a certificate for `localhost` and `127.0.0.1`, and who has issued that.
async fn tls_server() -> (Server, Authority) {
    let authority = Authority::new();
    let tls = ServerTls::builder(authority.issue(&["localhost", "127.0.0.1"]).identity()).build().unwrap();
    (server().await.tls(tls), authority)
}

/// Runs `server`, and gives what its hook for errors is told.
fn serve_and_watch<H, F>(server: Server, handler: H) -> (SocketAddr, UnboundedReceiver<BoxError>)
where
    H: Fn(WebSocket) -> F + Send + Sync + 'static,
    F: Future<Output: HandlerOutput> + Send + 'static,
{
    let (tell, told) = unbounded_channel();
    let server = server.on_error(move |_, error| {
        // The test may have seen enough.
        let _ = tell.send(error);
    });
    (serve(server, handler), told)
}

/// Our client, who trusts this authority.
fn client(authority: &Authority) -> Client {
    Client::new().tls(ClientTls::builder().roots(authority.roots()).build().unwrap())
}

/// Our client, connected to `addr` by its name.
async fn connect(authority: &Authority, addr: SocketAddr) -> WebSocket {
    soon(client(authority).connect(uri(addr))).await.unwrap()
}

fn uri(addr: SocketAddr) -> String {
    format!("wss://localhost:{}/", addr.port())
}

/// How a TLS connection to `addr` fails.
async fn refused(client: &Client, addr: SocketAddr) -> TlsError {
    tls_error(soon(client.connect(uri(addr))).await.expect_err("a connection that is not to be"))
}

fn tls_error(error: Error) -> TlsError {
    match error {
        Error::Tls(error) => *error,
        error => panic!("{error:?}"),
    }
}

/// A TLS client by hand, of another make than ours as far as WebSocket is concerned.
async fn raw_tls(authority: &Authority, addr: SocketAddr) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(addr).await.unwrap();
    raw_tls_over(authority, tcp).await
}

async fn raw_tls_over<T>(authority: &Authority, io: T) -> TlsStream<T>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let name = ServerName::try_from("localhost").unwrap();
    soon(TlsConnector::from(raw_config(authority)).connect(name, io)).await.unwrap()
}

fn raw_config(authority: &Authority) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

/// The roots of an authority that has issued nothing here.
fn strangers() -> Roots {
    Authority::new().roots()
}
