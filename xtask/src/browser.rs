//! Chromium with our test peer, compressed messages among it, and with the chat example.

use std::process::Command;
use std::time::Duration;

use crate::outcome::Result;
use crate::peer::Peer;
use crate::process::{self, Service};
use crate::tools::{chromium, node};
use crate::workspace::{self, conformance};

const LIMIT: Duration = Duration::from_secs(10 * 60);

pub(crate) fn run() -> Result {
    let folder = conformance("browser");
    let node = node::with_packages(&folder)?;
    let chromium = chromium::installed()?;
    let peer = Peer::build()?;
    let (server, deflate) = (peer.server()?, peer.deflate_server()?);
    let chat = workspace::build("stentor", &["--example", "chat"])?;
    let chat = Service::start(Command::new(chat).args(["--listen", "127.0.0.1:0"]))?;
    process::run(
        Command::new(node).arg(folder.join("main.mjs")).arg(chromium).args([
            server.address(),
            deflate.address(),
            chat.address(),
        ]),
        LIMIT,
    )
}
