//! Where certificates, keys and trusted roots come from: PEM (RFC 7468), in files or in memory.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::tls_error::TlsError;

/// A certificate chain and its private key, as one side shows them to the other.
///
/// The chain begins with the certificate itself; those that lead to a root follow. The key may be
/// in PKCS#8, PKCS#1 (RSA) or SEC1 (elliptic curves).
///
/// ```no_run
/// use stentor::tls::Identity;
///
/// let identity = Identity::pem_files("fullchain.pem", "privkey.pem");
/// ```
#[derive(Clone, Debug)]
pub struct Identity {
    chain: Pem,
    key: Pem,
}

impl Identity {
    /// From two files, which may be the same one. They are read when they are needed.
    #[must_use]
    pub fn pem_files(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { chain: Pem::File(chain.into()), key: Pem::File(key.into()) }
    }

    /// From memory.
    #[must_use]
    pub fn pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        Self { chain: Pem::text(chain), key: Pem::text(key) }
    }

    pub(super) fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        Ok((self.chain.certificates()?, self.key.private_key()?))
    }
}

/// The roots that the peer's certificate has to lead to.
///
/// ```
/// use stentor::tls::Roots;
///
/// let everywhere = Roots::web();
/// let at_home = Roots::pem_file("our-ca.pem");
/// let debian = Roots::pem_file("/etc/ssl/certs/ca-certificates.crt");
/// ```
#[derive(Clone, Debug)]
pub struct Roots(Source);

#[derive(Clone, Debug)]
enum Source {
    Web,
    Pem(Pem),
}

impl Roots {
    /// Those that Mozilla trusts for the web, as they were when the program was built.
    #[must_use]
    pub fn web() -> Self {
        Self(Source::Web)
    }

    /// The certificates of a file. It is read when it is needed.
    #[must_use]
    pub fn pem_file(path: impl Into<PathBuf>) -> Self {
        Self(Source::Pem(Pem::File(path.into())))
    }

    /// Certificates from memory.
    #[must_use]
    pub fn pem(certificates: impl AsRef<[u8]>) -> Self {
        Self(Source::Pem(Pem::text(certificates)))
    }

    pub(super) fn read(all: &[Self]) -> Result<Arc<RootCertStore>, TlsError> {
        let mut store = RootCertStore::empty();
        for roots in all {
            match &roots.0 {
                Source::Web => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
                Source::Pem(pem) => {
                    for certificate in pem.certificates()? {
                        store.add(certificate).map_err(|error| pem.broken(error))?;
                    }
                }
            }
        }
        Ok(Arc::new(store))
    }
}

/// PEM, and where it is.
#[derive(Clone)]
enum Pem {
    File(PathBuf),
    Text(Arc<[u8]>),
}

impl Pem {
    fn text(text: impl AsRef<[u8]>) -> Self {
        Self::Text(text.as_ref().into())
    }

    /// All certificates, of which there is at least one.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let text = self.read()?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .map_err(|error| self.broken(error))?;
        if certificates.is_empty() { Err(self.broken("no certificate in it")) } else { Ok(certificates) }
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(&self.read()?).map_err(|error| match error {
            pem::Error::NoItemsFound => self.broken("no private key in it"),
            error => self.broken(error),
        })
    }

    fn read(&self) -> Result<Arc<[u8]>, TlsError> {
        match self {
            Self::File(path) => match std::fs::read(path) {
                Ok(text) => Ok(text.into()),
                Err(error) => Err(TlsError::File { path: path.clone(), error }),
            },
            Self::Text(text) => Ok(Arc::clone(text)),
        }
    }

    fn broken(&self, error: impl Into<crate::handler::BoxError>) -> TlsError {
        let path = match self {
            Self::File(path) => Some(path.clone()),
            Self::Text(_) => None,
        };
        TlsError::Pem { path, error: error.into() }
    }
}

impl fmt::Debug for Pem {
    /// Not the text: it may be a private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Text(_) => f.write_str("PEM"),
        }
    }
}
