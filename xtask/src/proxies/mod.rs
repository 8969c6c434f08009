//! nginx, Apache and HAProxy between our client and our server: the checks of `conformance/README.md`, with the
//! configurations of `conformance/proxies`.

mod proxy;
mod template;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::outcome::{Context, Result, Stop};
use crate::peer::{Certificates, Peer};
use crate::process::{self, Running, Service};
use proxy::{APACHE, HAPROXY, Kind, NGINX, Proxy};

const LIMIT: Duration = Duration::from_secs(60);

/// How many checks each client makes.
const BEHIND: usize = 14;
const SILENCE: usize = 3;
const HELD: usize = 5;
const DEFLATE: usize = 8;

pub(crate) fn nginx() -> Result {
    check(&NGINX, &[])
}

pub(crate) fn apache() -> Result {
    check(&APACHE, &["WSTUNNEL"])
}

pub(crate) fn haproxy() -> Result {
    check(&HAPROXY, &["PROXY_V1", "PROXY_V2"])
}

/// The servers that a proxy leads to.
struct Servers {
    plain: Service,
    proxy_protocol: Service,
    tls: Service,
}

impl Servers {
    fn start(peer: &Peer, certificates: &Certificates, kind: &Kind) -> Result<Self> {
        Ok(Self {
            plain: peer.behind(kind.way, None)?,
            proxy_protocol: peer.behind("proxy-protocol", None)?,
            tls: peer.behind(kind.tls_way, Some(certificates))?,
        })
    }
}

/// All checks with one proxy; `others` are listeners without TLS beside the one that every proxy has.
fn check(kind: &'static Kind, others: &[&str]) -> Result {
    let peer = Peer::build()?;
    kind.install()?;
    let certificates = peer.certificates()?;
    let servers = Servers::start(&peer, &certificates, kind)?;
    let addresses = [
        ("SERVER", servers.plain.address()),
        ("PROXY_SERVER", servers.proxy_protocol.address()),
        ("TLS_SERVER", servers.tls.address()),
    ];
    let mut proxy = Proxy::start(kind, &certificates, &addresses)?;
    let mut results = Vec::new();
    for listener in ["HTTP"].iter().chain(others) {
        println!("-- {}, {listener}", kind.name);
        let address = format!("http://{}", proxy.address(listener)?);
        results.push(checks(&mut peer.behind_client(&address, None), BEHIND));
    }
    for (listener, about) in [("TLS", "TLS ends at the proxy"), ("PASSED", "TLS ends at the server")] {
        println!("-- {}, {about}", kind.name);
        // By the name that is in the certificate: Apache asks the server for it again.
        let address = format!("https://{}", proxy.address(listener)?.replace("127.0.0.1", "localhost"));
        results.push(checks(&mut peer.behind_client(&address, Some(&certificates)), BEHIND));
    }
    println!("-- {}, silence", kind.name);
    let address = format!("http://{}", proxy.address("IDLE")?);
    results.push(checks(&mut peer.silence_client(&address), SILENCE));
    println!("-- {}, reloaded, ended and started again", kind.name);
    results.push(hold(&peer, &mut proxy));
    drop(proxy);

    println!("-- {}, compression", kind.name);
    let server = peer.deflate_server()?;
    let addresses = addresses.map(|(name, _)| (name, server.address()));
    let proxy = Proxy::start(kind, &certificates, &addresses)?;
    let address = format!("http://{}", proxy.address("HTTP")?);
    results.push(checks(&mut peer.deflate_client(&address, 8), DEFLATE));
    results.into_iter().collect()
}

/// Runs a client that checks, and sees that it has made all the checks.
fn checks(client: &mut Command, count: usize) -> Result {
    let lines = process::shown_output(client, LIMIT)?;
    all_made(lines.last(), count)
}

fn all_made(last: Option<&String>, count: usize) -> Result {
    let expected = format!("checks: {count} ok, 0 failed");
    match last {
        Some(last) if *last == expected => Ok(()),
        last => Err(Stop::fail(format!("instead of `{expected}` it says {last:?}"))),
    }
}

/// Does with the proxy what a client asks for.
fn hold(peer: &Peer, proxy: &mut Proxy) -> Result {
    let address = format!("http://{}", proxy.address("HTTP")?);
    let mut command = peer.held_client(&address);
    let mut client = Running::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let lines = process::shown_lines(client.stdout());
    let mut answers = client.stdin();
    loop {
        let line = lines.recv_timeout(LIMIT).context("the client that holds a connection")?;
        match line.strip_prefix("please ") {
            Some("reload") => proxy.reload()?,
            Some("end") => {
                proxy.end()?;
                continue;
            }
            Some("start") => proxy.start_again()?,
            _ if line.starts_with("checks:") => return all_made(Some(&line), HELD),
            _ => continue,
        }
        writeln!(answers, "done").context("the client that holds a connection")?;
    }
}
