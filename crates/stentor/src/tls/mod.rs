//! TLS through [rustls](https://docs.rs/rustls): both sides, and what is known of a connection.
//!
//! What certificates are made of is not looked into here, and the cryptography is a provider's: the
//! process's default if one is installed, otherwise *ring*'s.

mod client;
mod pem;
mod server;

use std::io;
use std::sync::Arc;

use tokio_rustls::TlsStream;
use tokio_rustls::rustls::ProtocolVersion;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::CertificateDer;

pub use client::{ClientTls, ClientTlsBuilder, DangerousClientTlsBuilder};
pub use pem::{Identity, Roots};
pub use server::{ServerTls, ServerTlsBuilder};

use crate::error::Error;
use crate::tls_error::TlsError;
use crate::transport::Transport;

/// The protocol that the opening handshake of RFC 6455 is written in, as ALPN calls it (RFC 7301 §6).
const HTTP_1_1: &[u8] = b"http/1.1";

/// What a server knows of a client that came over TLS: among the [extensions](http::Extensions) of
/// its request, so that every hook sees it.
///
/// ```no_run
/// use stentor::{Server, Upgrade, http, tls::TlsInfo};
///
/// # async fn example(server: Server) -> stentor::Result<()> {
/// server
///     .serve_upgrades(async |upgrade: Upgrade| {
///         let tls = upgrade.request().extensions().get::<TlsInfo>();
///         let Some(certificate) = tls.and_then(|tls| tls.peer_certificates().next()) else {
///             return upgrade.reject(http::Response::builder().status(403).body("".into()).unwrap()).await;
///         };
///         println!("a certificate of {} bytes", certificate.len());
///         upgrade.accept().await.map(drop)
///     })
///     .await
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TlsInfo {
    peer_certificates: Vec<CertificateDer<'static>>,
    alpn: Option<Vec<u8>>,
    server_name: Option<String>,
    version: Option<ProtocolVersion>,
}

impl TlsInfo {
    /// The certificates that the client has shown, its own first, each in DER (RFC 5280 §4.1). It has
    /// proved that the first is its own, and that they lead to one of the server's roots. None when
    /// it has shown none.
    #[must_use]
    pub fn peer_certificates(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.peer_certificates.iter().map(|certificate| &**certificate)
    }

    /// The application protocol agreed on (ALPN, RFC 7301).
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.alpn.as_deref()
    }

    /// The name that the client has asked for (SNI, RFC 6066 §3).
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The version of TLS: 1.3 or 1.2.
    #[must_use]
    pub fn version(&self) -> &'static str {
        match self.version {
            Some(ProtocolVersion::TLSv1_2) => "1.2",
            _ => "1.3",
        }
    }

    /// What is known of the client behind `transport`, if it came over TLS to a server of ours.
    pub(crate) fn of(transport: &Transport) -> Option<Self> {
        let Transport::Tls(stream) = transport else { return None };
        let TlsStream::Server(stream) = &**stream else { return None };
        let session = stream.get_ref().1;
        let certificates = session.peer_certificates().unwrap_or_default();
        Some(Self {
            peer_certificates: certificates
                .iter()
                .map(|certificate| certificate.clone().into_owned())
                .collect(),
            alpn: session.alpn_protocol().map(<[u8]>::to_vec),
            server_name: session.server_name().map(str::to_owned),
            version: session.protocol_version(),
        })
    }
}

/// Whose cryptography is used. A process that wants another installs it, and nobody has to.
fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(ring::default_provider()))
}

/// Why a TLS handshake failed.
fn handshake_error(error: io::Error) -> Error {
    match TlsError::from_io(error) {
        Ok(error) => error.into(),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => TlsError::Disconnected.into(),
        Err(error) => error.into(),
    }
}
