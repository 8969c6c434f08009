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

/// What is not about compression, again with our server inside axum.
pub(crate) fn axum() -> Result {
    let (node_folder, python_folder) = (conformance("interop/node"), conformance("interop/python"));
    let node = node::with_packages(&node_folder)?;
    let python = python::with_packages(&python_folder.join("requirements.txt"))?;
    let peer = Peer::build()?;
    let mut results = Vec::new();
    for (other, program, client) in [
        ("ws", &node, node_folder.join("client.mjs")),
        ("websockets", &python, python_folder.join("client.py")),
    ] {
        println!("-- {other} as client of our server inside axum");
        let ours = peer.axum_server()?;
        results.push(checks(Command::new(program).arg(client).arg(ours.address()), CHECKS));
    }
    results.into_iter().collect()
}

/// What is not about compression, again over TLS: each side verifies the other's certificate.
pub(crate) fn tls() -> Result {
    let (node_folder, python_folder) = (conformance("interop/node"), conformance("interop/python"));
    let node = node::with_packages(&node_folder)?;
    let python = python::with_packages(&python_folder.join("requirements.txt"))?;
    let peer = Peer::build()?;
    let certificates = peer.certificates()?;
    let mut results = Vec::new();
    for (other, program, folder, client, server) in [
        ("ws", &node, &node_folder, "client.mjs", "server.mjs"),
        ("websockets", &python, &python_folder, "client.py", "server.py"),
    ] {
        println!("-- {other} as client of our server");
        let ours = peer.tls_server(&certificates)?;
        let mut theirs = Command::new(program);
        theirs.arg(folder.join(client)).arg(ours.address());
        // Each looks for authorities in its own way.
        theirs.env("NODE_EXTRA_CA_CERTS", certificates.authority());
        theirs.env("SSL_CERT_FILE", certificates.authority());
        results.push(checks(&mut theirs, CHECKS));
        drop(ours);
        println!("-- {other} as server of our client");
        let theirs =
            Service::start(Command::new(program).arg(folder.join(server)).args(certificates.of_server()))?;
        results.push(checks(peer.client(theirs.address()).arg(certificates.authority()), CHECKS));
    }
    results.into_iter().collect()
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
