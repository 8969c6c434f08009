//! Our side of the conformance checks: the package in `conformance/peer`.

use std::path::PathBuf;
use std::process::Command;

use crate::outcome::Result;
use crate::process::Service;
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

    /// Our client, to run the checks against a server at `address`.
    pub(crate) fn client(&self, address: &str) -> Command {
        let mut client = Command::new(&self.program);
        client.args(["client", address]);
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
