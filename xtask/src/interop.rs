//! Our server with others' clients, and our client with others' servers: the checks of `conformance/README.md`.

use std::process::Command;
use std::time::Duration;

use crate::outcome::{Result, Stop};
use crate::peer::Peer;
use crate::process::{self, Service};
use crate::tools::{node, python};
use crate::workspace::conformance;

const LIMIT: Duration = Duration::from_secs(5 * 60);

/// How many checks each client makes, and how many about compression: one that leaves some out must not pass.
const CHECKS: usize = 28;
const DEFLATE_CHECKS: usize = 8;

pub(crate) fn node() -> Result {
    let folder = conformance("interop/node");
    let node = node::with_packages(&folder)?;
    let script = |name| {
        let mut command = Command::new(&node);
        command.arg(folder.join(name));
        command
    };
    both_ways("ws", &mut script("server.mjs"), script("client.mjs"))?;
    both_ways_compressed("ws", &mut script("deflate_server.mjs"), script("deflate_client.mjs"), 8)
}

pub(crate) fn python() -> Result {
    let folder = conformance("interop/python");
    let python = python::with_packages(&folder.join("requirements.txt"))?;
    let script = |name| {
        let mut command = Command::new(&python);
        command.arg(folder.join(name));
        command
    };
    both_ways("websockets", &mut script("server.py"), script("client.py"))?;
    // The zlib of Python cannot compress with the smallest window.
    both_ways_compressed("websockets", &mut script("deflate_server.py"), script("deflate_client.py"), 9)
}

fn both_ways(other: &str, their_server: &mut Command, mut their_client: Command) -> Result {
    let peer = Peer::build()?;
    println!("-- {other} as client of our server");
    let server = peer.server()?;
    let as_client = checks(their_client.arg(server.address()), CHECKS);
    drop(server);
    println!("-- {other} as server of our client");
    let server = Service::start(their_server)?;
    let as_server = checks(&mut peer.client(server.address()), CHECKS);
    as_client.and(as_server)
}

/// Their server compresses with windows of at least so many bits.
fn both_ways_compressed(
    other: &str,
    their_server: &mut Command,
    mut their_client: Command,
    smallest_window: u8,
) -> Result {
    let peer = Peer::build()?;
    println!("-- {other} as client of our server, compressed");
    let server = peer.deflate_server()?;
    let as_client = checks(their_client.arg(server.address()), DEFLATE_CHECKS);
    drop(server);
    println!("-- {other} as server of our client, compressed");
    let server = Service::start(their_server)?;
    let as_server = checks(&mut peer.deflate_client(server.address(), smallest_window), DEFLATE_CHECKS);
    as_client.and(as_server)
}

/// Runs a client that checks, and sees that it has made all the checks.
fn checks(client: &mut Command, count: usize) -> Result {
    let lines = process::shown_output(client, LIMIT)?;
    let expected = format!("checks: {count} ok, 0 failed");
    match lines.last() {
        Some(last) if *last == expected => Ok(()),
        last => Err(Stop::fail(format!("instead of `{expected}` it says {last:?}"))),
    }
}
