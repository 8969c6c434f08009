//! The echo servers: which there are, building them, starting them.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::outcome::{Context, Result, Stop};
use crate::process::{self, Running};
use crate::workspace::{COMPILE_LIMIT, cargo, executable, root};

/// Whose code answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// TCP: what every other figure is divided by, or could be.
    Tcp,
    /// WebSocket by hand in place: what a perfect library would cost.
    Ideal,
    Ours,
    /// Another library, as its documentation shows it.
    Peer,
    /// Another library, batched by hand.
    Batched,
}

/// An echo server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    /// Its name in tables.
    pub(crate) name: &'static str,
    pub(crate) group: Group,
    /// The package of `bench/servers`.
    package: &'static str,
    arguments: &'static [&'static str],
    /// Whether the quick mode has it.
    pub(crate) quick: bool,
}

/// The name of the TCP echo that all others are compared with.
pub(crate) const REFERENCE: &str = "TCP, epoll";

/// All servers; the reference first.
pub(crate) const SERVERS: &[Server] = &[
    quick(REFERENCE, Group::Tcp, "bench-limits", &["epoll"]),
    server("TCP, tokio", Group::Tcp, "bench-limits", &["tokio"]),
    server("ideal, epoll", Group::Ideal, "bench-limits", &["ideal-epoll"]),
    quick("ideal, tokio", Group::Ideal, "bench-limits", &["ideal-tokio"]),
    quick("stentor", Group::Ours, "bench-stentor", &[]),
    server("fastwebsockets", Group::Peer, "bench-fastwebsockets", &[]),
    server("sockudo-ws", Group::Peer, "bench-sockudo-ws", &[]),
    server("sockudo-ws, batched", Group::Batched, "bench-sockudo-ws", &["batched"]),
];

const fn server(
    name: &'static str,
    group: Group,
    package: &'static str,
    arguments: &'static [&'static str],
) -> Server {
    Server { name, group, package, arguments, quick: false }
}

const fn quick(
    name: &'static str,
    group: Group,
    package: &'static str,
    arguments: &'static [&'static str],
) -> Server {
    Server { name, group, package, arguments, quick: true }
}

/// The servers whose names begin with one of these, which commas separate; the reference in any case.
pub(crate) fn named(names: &str) -> Result<Vec<&'static Server>> {
    let names: Vec<&str> = names.split(',').map(str::trim).collect();
    for name in &names {
        if !SERVERS.iter().any(|server| server.name.starts_with(name)) {
            return Err(Stop::fail(format!("no server {name}; `cargo xtask bench --list` has them")));
        }
    }
    let chosen =
        |server: &&Server| server.name == REFERENCE || names.iter().any(|name| server.name.starts_with(name));
    Ok(SERVERS.iter().filter(chosen).collect())
}

/// Builds a binary of the bench workspace and gives back its path. Each package is built by itself, so
/// that no server gets features that another one asks for.
pub(crate) fn build(package: &str) -> Result<PathBuf> {
    let mut build = cargo();
    build
        .current_dir(root().join("bench"))
        .args(["build", "--release", "--locked", "--quiet", "--package", package])
        .args(["--message-format", "json-render-diagnostics"]);
    let messages = process::output(&mut build, COMPILE_LIMIT)?;
    executable(&messages).ok_or_else(|| Stop::fail(format!("cargo built no executable of {package}")))
}

/// A program on one core, ahead of whatever else the machine does if the system allows that, and
/// ended when this process is.
pub(crate) fn on_core(core: usize, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if process::succeeds(Command::new("chrt").args(["--rr", "1", "true"])) {
        command.args(["chrt", "--rr", "1"]);
    }
    command.args(["taskset", "--cpu-list", &core.to_string()]).arg(program);
    command
}

/// A server that has been built.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) server: &'static Server,
    pub(crate) program: PathBuf,
}

impl Server {
    pub(crate) fn build(&'static self) -> Result<Built> {
        Ok(Built { server: self, program: build(self.package)? })
    }

    /// Whether it echoes TCP.
    pub(crate) fn is_tcp(&self) -> bool {
        self.group == Group::Tcp
    }
}

/// A server that runs, until this is dropped.
#[derive(Debug)]
pub(crate) struct Started {
    process: Running,
    pub(crate) address: String,
}

impl Started {
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Built {
    /// Starts it on core 1 and waits for its line `listening on ADDRESS`.
    pub(crate) fn start(&self, options: &[&str]) -> Result<Started> {
        const LIMIT: Duration = Duration::from_secs(30);
        let mut command = on_core(1, &self.program);
        command.args(self.server.arguments).args(options).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Running::spawn(&mut command)?;
        let mut stdout = BufReader::new(process.stdout());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            // An empty line tells as much as an error.
            let _ = stdout.read_line(&mut line);
            let _ = sender.send(line);
        });
        let line = lines.recv_timeout(LIMIT).context(format!("{}: not ready", self.server.name))?;
        match line.trim_end().strip_prefix("listening on ") {
            Some(address) => Ok(Started { process, address: address.to_owned() }),
            None => Err(Stop::fail(format!("{}: no address but {line:?}", self.server.name))),
        }
    }
}
