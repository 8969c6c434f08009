//! Certificates for the checks over TLS, made anew each time.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

use crate::Result;

/// Writes `ca.pem`, and a certificate of that authority for this machine: `chain.pem` and `key.pem`.
pub(crate) fn write(folder: &Path) -> Result {
    let mut authority = CertificateParams::new([])?;
    authority.distinguished_name = name("Stentor's checks");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Python asks for these (RFC 5280 §4.2.1.3, §4.2.1.1).
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let mut server = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    server.distinguished_name = name("a server of Stentor's checks");
    server.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &authority)?;
    fs::create_dir_all(folder)?;
    fs::write(folder.join("ca.pem"), authority.pem())?;
    fs::write(folder.join("chain.pem"), certificate.pem())?;
    fs::write(folder.join("key.pem"), key.serialize_pem())?;
    Ok(())
}

fn name(common: &str) -> rcgen::DistinguishedName {
    let mut name = rcgen::DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}
