//! Chromium with our test peer, compressed messages and refusals among it, and with the examples that have a page.

use std::process::Command;
use std::time::Duration;

use crate::outcome::Result;
use crate::peer::Peer;
use crate::process::{self, Service};
use crate::tools::{chromium, node, nss};
use crate::workspace::{self, conformance};

const LIMIT: Duration = Duration::from_secs(10 * 60);

pub(crate) fn run() -> Result {
    let folder = conformance("browser");
    let node = node::with_packages(&folder)?;
    let chromium = chromium::installed()?;
    let peer = Peer::build()?;
    let (server, deflate, hooks) = (peer.server()?, peer.deflate_server()?, peer.hooks()?);
    let chat = chat()?;
    let auth = workspace::build("stentor", &["--example", "auth", "--features", "csrf"])?;
    let auth = |lifetime| {
        let users = ["--user", "ann:secret", "--user", "bob:hunter2"];
        let lifetime = ["--lifetime", lifetime];
        Service::start(Command::new(&auth).args(["--listen", "127.0.0.1:0"]).args(users).args(lifetime))
    };
    let (auth, brief) = (auth("60")?, auth("3")?);
    process::run(
        Command::new(node).arg(folder.join("main.mjs")).arg(chromium).args([
            server.address(),
            deflate.address(),
            hooks.address(),
            chat.address(),
            auth.address(),
            brief.address(),
        ]),
        LIMIT,
    )
}

/// The protocol again over TLS, with an authority that Chromium is told to trust.
pub(crate) fn tls() -> Result {
    let folder = conformance("browser");
    let node = node::with_packages(&folder)?;
    let chromium = chromium::installed()?;
    let peer = Peer::build()?;
    let certificates = peer.certificates()?;
    let home = nss::home_that_trusts(&certificates.authority())?;
    let server = peer.tls_server(&certificates)?;
    let chat = chat()?;
    process::run(
        Command::new(node)
            .env("HOME", home)
            .arg(folder.join("tls.mjs"))
            .arg(chromium)
            .args([server.address(), chat.address()]),
        LIMIT,
    )
}

fn chat() -> Result<Service> {
    let chat = workspace::build("stentor", &["--example", "chat"])?;
    Service::start(Command::new(chat).args(["--listen", "127.0.0.1:0"]))
}
