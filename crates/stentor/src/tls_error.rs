//! Why TLS could not be set up, or failed: the words, whether or not TLS is built in.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::handler::BoxError;

/// Why TLS could not be set up, or why it failed with a peer (RFC 8446, RFC 5246).
///
/// ```
/// use stentor::{Error, TlsError};
///
/// let error = Error::from(TlsError::NotTls);
/// assert_eq!(error.to_string(), "TLS failed: the peer does not speak TLS");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// A file with certificates or a key could not be read.
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// What should be a certificate or a private key in PEM (RFC 7468) is none.
    Pem {
        /// The file it is in, if it is in one.
        path: Option<PathBuf>,
        /// What is wrong with it.
        error: BoxError,
    },
    /// The private key does not belong to the certificate.
    KeyMismatch,
    /// The settings cannot be used together, or not at all.
    Settings(BoxError),
    /// The name that the certificate was to be compared with is neither a DNS name nor an address.
    InvalidServerName(String),
    /// We refuse the peer's certificate. It has been told by an alert.
    Certificate {
        /// What is wrong with the certificate.
        fault: CertificateFault,
        /// The particulars.
        error: BoxError,
    },
    /// The client showed no certificate, and the server demands one.
    NoCertificate,
    /// The first bytes of the peer are not TLS: plain HTTP, for example.
    NotTls,
    /// The peer ended TLS with an alert (RFC 8446 §6): it refuses our certificate, for example.
    Alert(BoxError),
    /// The peer hung up during the TLS handshake.
    Disconnected,
    /// The peer broke another rule of TLS, or has no version or cipher in common with us.
    Protocol(BoxError),
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CertificateFault {
    /// It leads to none of the roots that are trusted.
    UnknownIssuer,
    /// It was issued for other names.
    WrongName,
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// It was revoked.
    Revoked,
    /// It may not be used for this: a server's for a client, for example.
    WrongPurpose,
    /// Anything else, such as a wrong signature.
    Invalid,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::Pem { path: Some(path), error } => write!(f, "{}: {error}", path.display()),
            Self::Pem { path: None, error } => write!(f, "PEM: {error}"),
            Self::KeyMismatch => f.write_str("the private key does not belong to the certificate"),
            Self::Settings(error) => write!(f, "settings that cannot be used: {error}"),
            Self::InvalidServerName(name) => write!(f, "{name:?} is neither a DNS name nor an address"),
            Self::Certificate { fault, error } => write!(f, "the peer's certificate {fault} ({error})"),
            Self::NoCertificate => f.write_str("the client showed no certificate"),
            Self::NotTls => f.write_str("the peer does not speak TLS"),
            Self::Alert(error) => write!(f, "the peer refused: {error}"),
            Self::Disconnected => f.write_str("the peer hung up during the TLS handshake"),
            Self::Protocol(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownIssuer => "has no issuer that is trusted",
            Self::WrongName => "is for another name",
            Self::Expired => "has expired",
            Self::NotYetValid => "is not valid yet",
            Self::Revoked => "was revoked",
            Self::WrongPurpose => "is not for this purpose",
            Self::Invalid => "is not valid",
        })
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { error, .. } => Some(error),
            Self::Pem { error, .. }
            | Self::Settings(error)
            | Self::Certificate { error, .. }
            | Self::Alert(error)
            | Self::Protocol(error) => Some(&**error),
            Self::KeyMismatch
            | Self::InvalidServerName(_)
            | Self::NoCertificate
            | Self::NotTls
            | Self::Disconnected => None,
        }
    }
}

/// What TLS itself says is told in the words above.
#[cfg(feature = "tls")]
mod from_rustls {
    use std::io;

    use tokio_rustls::rustls::{CertificateError, Error, InconsistentKeys, InvalidMessage};

    use super::{CertificateFault, TlsError};

    impl TlsError {
        /// What TLS has to say in an error of its byte stream, if it is the one to blame.
        pub(crate) fn from_io(error: io::Error) -> Result<Self, io::Error> {
            error.downcast().map(Self::of_peer)
        }

        /// What is wrong with a peer.
        fn of_peer(error: Error) -> Self {
            match error {
                Error::InvalidCertificate(error) => {
                    Self::Certificate { fault: CertificateFault::of(&error), error: error.to_string().into() }
                }
                Error::NoCertificatesPresented => Self::NoCertificate,
                // The first byte of a record says what it is (RFC 8446 §5.1), the next two the version.
                Error::InvalidMessage(
                    InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
                ) => Self::NotTls,
                Error::AlertReceived(_) => Self::Alert(error.into()),
                error => Self::Protocol(error.into()),
            }
        }

        /// What is wrong with our own certificate or settings.
        pub(crate) fn of_settings(error: Error) -> Self {
            match error {
                Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Self::KeyMismatch,
                error => Self::Settings(error.into()),
            }
        }
    }

    impl CertificateFault {
        fn of(error: &CertificateError) -> Self {
            use CertificateError as E;
            match error {
                E::UnknownIssuer => Self::UnknownIssuer,
                E::NotValidForName | E::NotValidForNameContext { .. } => Self::WrongName,
                E::Expired | E::ExpiredContext { .. } => Self::Expired,
                E::NotValidYet | E::NotValidYetContext { .. } => Self::NotYetValid,
                E::Revoked => Self::Revoked,
                E::InvalidPurpose | E::InvalidPurposeContext { .. } => Self::WrongPurpose,
                _ => Self::Invalid,
            }
        }
    }
}
