//! The client's side of TLS: whom it trusts, what it shows, and the handshake.

use std::fmt;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, SignatureScheme};

use super::pem::{Identity, Roots};
use super::{HTTP_1_1, provider};
use crate::error::Result;
use crate::tls_error::TlsError;
use crate::transport::Transport;

/// How a client speaks TLS 1.3 and 1.2, for `wss://`.
///
/// The default trusts the [roots of the web](Roots::web) and compares the server's certificate with
/// the host of the URI.
///
/// ```no_run
/// use stentor::{Client, tls::{ClientTls, Roots}};
///
/// # async fn example() -> stentor::Result<()> {
/// let tls = ClientTls::builder().roots(Roots::pem_file("our-ca.pem")).build()?;
/// let mut socket = Client::new().tls(tls).connect("wss://chat.internal/").await?;
/// socket.send("hello").await
/// # }
/// ```
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl ClientTls {
    /// Begins with the defaults.
    pub fn builder() -> ClientTlsBuilder {
        ClientTlsBuilder::default()
    }

    /// Does the TLS handshake with the server on `host`, which may be an address. It has no deadline
    /// of its own.
    pub(crate) async fn connect(&self, transport: Transport, host: &str) -> Result<Transport> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => server_name(host)?,
        };
        let stream = TlsConnector::from(Arc::clone(&self.config)).connect(name, transport).await;
        let stream = stream.map_err(super::handshake_error)?;
        Ok(Transport::Tls(Box::new(stream.into())))
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::InvalidServerName(name.to_owned()))
}

/// What a [`ClientTls`] is made from.
#[derive(Clone, Debug, Default)]
#[must_use = "it does nothing until it is built"]
pub struct ClientTlsBuilder {
    /// None at all mean those of the web.
    roots: Vec<Roots>,
    identity: Option<Identity>,
    server_name: Option<String>,
    any_certificate: bool,
}

impl ClientTlsBuilder {
    /// Trusts servers whose certificates lead to these roots, in place of the
    /// [roots of the web](Roots::web). Called again, it adds to them.
    pub fn roots(mut self, roots: Roots) -> Self {
        self.roots.push(roots);
        self
    }

    /// Shows this certificate to servers that ask for one.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Asks for this name (SNI, RFC 6066 §3) and compares the server's certificate with it, in place
    /// of the URI's host.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// What takes the safety away that TLS is there for.
    pub fn dangerous(self) -> DangerousClientTlsBuilder {
        DangerousClientTlsBuilder(self)
    }

    /// Reads the files and makes the client's TLS from them.
    ///
    /// The cryptography is that of the process's default [`CryptoProvider`], if one is installed,
    /// otherwise *ring*'s.
    ///
    /// [`CryptoProvider`]: https://docs.rs/rustls/latest/rustls/crypto/struct.CryptoProvider.html
    ///
    /// # Errors
    ///
    /// [`TlsError::File`] and [`TlsError::Pem`] when there is no certificate or key to be read,
    /// [`TlsError::KeyMismatch`] when they do not belong together,
    /// [`TlsError::InvalidServerName`], and [`TlsError::Settings`] when they cannot be used.
    pub fn build(self) -> Result<ClientTls, TlsError> {
        let server_name = self.server_name.as_deref().map(server_name).transpose()?;
        let provider = provider();
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::of_settings)?;
        let config = if self.any_certificate {
            config.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        } else {
            let web = [Roots::web()];
            config.with_root_certificates(Roots::read(if self.roots.is_empty() {
                &web
            } else {
                &self.roots
            })?)
        };
        let mut config = match &self.identity {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = identity.read()?;
                config.with_client_auth_cert(chain, key).map_err(TlsError::of_settings)?
            }
        };
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok(ClientTls { config: Arc::new(config), server_name })
    }
}

/// Switches that make TLS unsafe, in a place of their own.
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it is built"]
pub struct DangerousClientTlsBuilder(ClientTlsBuilder);

impl DangerousClientTlsBuilder {
    /// Takes any certificate for the server's: expired, for another name, made by an attacker.
    /// What is sent is encrypted, for whoever sits on the way. For a test against a server that
    /// cannot be given a certificate of its own, and nothing else;
    /// [`roots`](ClientTlsBuilder::roots) takes a self-signed certificate, too.
    pub fn accept_any_certificate(mut self) -> ClientTlsBuilder {
        self.0.any_certificate = true;
        self.0
    }
}

/// Checks that the server has the key of the certificate it shows, and not whose that is.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for ClientTls {
    /// Not the private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}
