//! Our side of the conformance checks: the package in `conformance/peer`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::outcome::Result;
use crate::process::{self, Service};
use crate::workspace;

/// The test peer's program, built.
#[derive(Debug)]
pub(crate) struct Peer {
    program: PathBuf,
}

impl Peer {
    pub(crate) fn build() -> Result<Self> {
        let program = workspace::build("stentor-conformance-peer", &["--bins"])?;
        Ok(Self { program })
    }

    /// Our server, with every behaviour that `conformance/README.md` lists.
    pub(crate) fn server(&self) -> Result<Service> {
        Service::start(Command::new(&self.program).arg("server"))
    }

    /// The same behaviours inside axum.
    pub(crate) fn axum_server(&self) -> Result<Service> {
        Service::start(Command::new(&self.program).arg("axum-server"))
    }

    /// Our server over TLS.
    pub(crate) fn tls_server(&self, certificates: &Certificates) -> Result<Service> {
        let [chain, key] = certificates.of_server();
        self.tls_server_with(&chain, &key)
    }

    /// Our server over TLS with these files.
    pub(crate) fn tls_server_with(&self, chain: &Path, key: &Path) -> Result<Service> {
        Service::start(Command::new(&self.program).arg("server").args([chain, key]))
    }

    /// Certificates made for this run.
    pub(crate) fn certificates(&self) -> Result<Certificates> {
        let folder = workspace::tools("certificates");
        process::run(Command::new(&self.program).arg("certificates").arg(&folder), Duration::from_secs(60))?;
        Ok(Certificates { folder })
    }

    /// Our server whose hooks refuse.
    pub(crate) fn hooks(&self) -> Result<Service> {
        Service::start(Command::new(&self.program).arg("hooks"))
    }

    /// Our client, to run the checks against a server at `address`.
    pub(crate) fn client(&self, address: &str) -> Command {
        let mut client = Command::new(&self.program);
        client.args(["client", address]);
        client
    }

    /// Our server behind a proxy that tells of its clients in this way; over TLS if it has certificates.
    pub(crate) fn behind(&self, way: &str, certificates: Option<&Certificates>) -> Result<Service> {
        let certificates = certificates.map(Certificates::of_server);
        Service::start(
            Command::new(&self.program).args(["behind-server", way]).args(certificates.iter().flatten()),
        )
    }

    /// Our client, to run the checks through a proxy at `address`; over TLS if it has certificates.
    pub(crate) fn behind_client(&self, address: &str, certificates: Option<&Certificates>) -> Command {
        let mut client = Command::new(&self.program);
        client.args(["behind-client", address]).args(certificates.map(Certificates::authority));
        client
    }

    /// Our client, to be silent for longer than the proxy at `address` likes.
    pub(crate) fn silence_client(&self, address: &str) -> Command {
        let mut client = Command::new(&self.program);
        client.args(["silence-client", address]);
        client
    }

    /// Our client, to hold a connection through the proxy at `address`, with which it wants something done.
    pub(crate) fn held_client(&self, address: &str) -> Command {
        let mut client = Command::new(&self.program);
        client.args(["held-client", address]);
        client
    }

    /// Our server for the checks about compression.
    pub(crate) fn deflate_server(&self) -> Result<Service> {
        Service::start(Command::new(&self.program).arg("deflate-server"))
    }

    /// Our client, to run the checks about compression against a server at `address`, which compresses with windows of
    /// at least so many bits.
    pub(crate) fn deflate_client(&self, address: &str, smallest_window: u8) -> Command {
        let mut client = Command::new(&self.program);
        client.args(["deflate-client", address, &smallest_window.to_string()]);
        client
    }

    /// Our client, to be put through all the cases of the fuzzing server at `address`.
    pub(crate) fn autobahn_client(&self, address: &str) -> Command {
        let mut client = Command::new(&self.program);
        client.args(["autobahn-client", address]);
        client
    }
}

/// A certificate for `localhost`, and who has issued it.
#[derive(Debug)]
pub(crate) struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// The authority's certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// What a server shows: the chain and the key.
    pub(crate) fn of_server(&self) -> [PathBuf; 2] {
        [self.folder.join("chain.pem"), self.folder.join("key.pem")]
    }
}
