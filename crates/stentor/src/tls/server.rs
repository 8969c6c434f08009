//! The server's side of TLS: its certificate, whose clients it wants to see, and the handshake.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::StatusCode;
use stentor_proto::Phase;
use stentor_proto::handshake::error_response;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::{NoClientAuth, WebPkiClientVerifier};

use super::pem::{Identity, Roots};
use super::{HTTP_1_1, provider};
use crate::error::{Error, Result};
use crate::handshake;
use crate::tls_error::TlsError;
use crate::transport::Transport;

/// The first byte of a TLS connection: its record is of the type *handshake* (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// How long one who speaks no TLS has to take the answer that says so.
const PATIENCE: Duration = Duration::from_secs(2);

/// How a server speaks TLS 1.3 and 1.2.
///
/// Clones share one state: keep one to [`reload`](Self::reload) the certificate while the server
/// runs.
///
/// ```no_run
/// use stentor::{Server, WebSocket, tls::ServerTls};
///
/// # async fn example() -> stentor::Result<()> {
/// let tls = ServerTls::from_pem_files("fullchain.pem", "privkey.pem")?;
/// let server = Server::bind("0.0.0.0:443").await?.tls(tls.clone());
/// tokio::spawn(server.serve(async |mut socket: WebSocket| socket.send("hello").await));
/// // When the certificate has been renewed:
/// tls.reload()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ServerTls {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Mutex<ServerTlsBuilder>,
    current: RwLock<Arc<ServerConfig>>,
}

impl ServerTls {
    /// A certificate chain and its private key in PEM, and defaults for everything else.
    ///
    /// # Errors
    ///
    /// As [`ServerTlsBuilder::build`].
    pub fn from_pem_files(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, TlsError> {
        Self::builder(Identity::pem_files(chain, key)).build()
    }

    /// Begins with the certificate that the server shows.
    pub fn builder(identity: Identity) -> ServerTlsBuilder {
        ServerTlsBuilder { identity, clients: Clients::Anonymous, alpn: vec![HTTP_1_1.to_vec()] }
    }

    /// Reads all files again: the certificate, its key, the roots of clients' certificates. TLS
    /// handshakes that begin from now on use them; connections that are open live on. Sessions of
    /// before are not resumed.
    ///
    /// Reading blocks the thread, for as long as a few small files take.
    ///
    /// # Errors
    ///
    /// As [`ServerTlsBuilder::build`]. What was in use stays in use then.
    pub fn reload(&self) -> Result<(), TlsError> {
        let settings = self.shared.settings.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.put(settings.config()?);
        Ok(())
    }

    /// Shows another certificate from now on, in the same way as [`reload`](Self::reload).
    ///
    /// # Errors
    ///
    /// As [`ServerTlsBuilder::build`]. What was in use stays in use then.
    pub fn set_identity(&self, identity: Identity) -> Result<(), TlsError> {
        let mut settings = self.shared.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = ServerTlsBuilder { identity, ..settings.clone() };
        self.shared.put(changed.config()?);
        *settings = changed;
        Ok(())
    }

    /// Does the TLS handshake, which may take as long as `patience`.
    pub(crate) async fn accept(&self, transport: Transport, patience: Duration) -> Result<Transport> {
        let (error, transport) = match tokio::time::timeout(patience, self.handshake(transport)).await {
            Ok(Ok(transport)) => return Ok(transport),
            Ok(Err(failed)) => failed,
            Err(_) => return Err(Error::Timeout(Phase::Tls)),
        };
        match &error {
            Error::Tls(tls) if matches!((&**tls, &transport), (TlsError::NotTls, Transport::Tcp(_))) => {
                refuse_plain(transport).await;
            }
            // The alert that says why has been sent, and has to arrive.
            _ => handshake::see_off(transport).await,
        }
        Err(error)
    }

    async fn handshake(&self, transport: Transport) -> Result<Transport, (Error, Transport)> {
        // Only TLS itself can look at how other byte streams begin.
        if let Transport::Tcp(tcp) = &transport {
            let mut first = [0];
            match tcp.peek(&mut first).await {
                Ok(0) => return Err((TlsError::Disconnected.into(), transport)),
                Ok(_) if first == [HANDSHAKE_RECORD] => {}
                Ok(_) => return Err((TlsError::NotTls.into(), transport)),
                Err(error) => return Err((error.into(), transport)),
            }
        }
        let config = Arc::clone(&self.shared.current.read().unwrap_or_else(PoisonError::into_inner));
        match TlsAcceptor::from(config).accept(transport).into_fallible().await {
            Ok(stream) => Ok(Transport::Tls(Box::new(stream.into()))),
            Err((error, transport)) => Err((super::handshake_error(error), transport)),
        }
    }
}

impl Shared {
    fn put(&self, config: ServerConfig) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }
}

/// Answers one who speaks without TLS: most likely in HTTP, so that the user can read what is wrong.
async fn refuse_plain(mut transport: Transport) {
    let response = error_response(StatusCode::BAD_REQUEST, "this port speaks TLS: use wss:// or https://");
    // Whether or not it could be told, the error is the same.
    if handshake::say(&mut transport, &response, &http::Method::GET, PATIENCE).await.is_ok() {
        let _ = handshake::see_out(transport, PATIENCE).await;
    }
}

/// What a [`ServerTls`] is made from.
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it is built"]
pub struct ServerTlsBuilder {
    identity: Identity,
    clients: Clients,
    alpn: Vec<Vec<u8>>,
}

/// Whose certificates are asked for.
#[derive(Clone, Debug)]
enum Clients {
    Anonymous,
    Known { roots: Vec<Roots>, required: bool },
}

impl ServerTlsBuilder {
    /// Refuses clients that show no certificate that leads to these roots. Who it is, a hook sees in
    /// the request: [`TlsInfo`](super::TlsInfo).
    pub fn require_client_certificate(mut self, roots: Roots) -> Self {
        self.clients = Clients::Known { roots: vec![roots], required: true };
        self
    }

    /// Asks clients for a certificate that leads to these roots, and takes those that show none as
    /// well. One that shows another is refused.
    pub fn request_client_certificate(mut self, roots: Roots) -> Self {
        self.clients = Clients::Known { roots: vec![roots], required: false };
        self
    }

    /// Sets the application protocols spoken (ALPN, RFC 7301), the most wanted first; by default
    /// `http/1.1`, over which RFC 6455 runs. A client that offers others only is refused; one that
    /// offers none is not.
    pub fn alpn<P: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// Reads the files and makes the server's TLS from them.
    ///
    /// The cryptography is that of the process's default [`CryptoProvider`], if one is installed,
    /// otherwise *ring*'s.
    ///
    /// [`CryptoProvider`]: https://docs.rs/rustls/latest/rustls/crypto/struct.CryptoProvider.html
    ///
    /// # Errors
    ///
    /// [`TlsError::File`] and [`TlsError::Pem`] when there is no certificate or key to be read,
    /// [`TlsError::KeyMismatch`] when they do not belong together, [`TlsError::Settings`] when they
    /// cannot be used.
    pub fn build(self) -> Result<ServerTls, TlsError> {
        let current = RwLock::new(Arc::new(self.config()?));
        Ok(ServerTls { shared: Arc::new(Shared { settings: Mutex::new(self), current }) })
    }

    fn config(&self) -> Result<ServerConfig, TlsError> {
        let provider = provider();
        let clients = match &self.clients {
            Clients::Anonymous => Arc::new(NoClientAuth),
            Clients::Known { roots, required } => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Roots::read(roots)?, Arc::clone(&provider));
                let verifier = if *required { verifier } else { verifier.allow_unauthenticated() };
                verifier.build().map_err(|error| TlsError::Settings(error.into()))?
            }
        };
        let (chain, key) = self.identity.read()?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::of_settings)?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .map_err(TlsError::of_settings)?;
        config.alpn_protocols.clone_from(&self.alpn);
        Ok(config)
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shared.settings.try_lock() {
            Ok(settings) => settings.fmt(f),
            Err(_) => f.write_str("ServerTls"),
        }
    }
}
