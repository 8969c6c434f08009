//! The echo servers: which there are, building or installing them, starting them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::outcome::{Context, Result, Stop};
use crate::process::{self, Running};
use crate::tools::node;
use crate::workspace::{COMPILE_LIMIT, cargo, executable, root};

/// Whose code answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// TCP: what every other figure is divided by, or could be.
    Tcp,
    /// WebSocket by hand: what a perfect library would cost.
    Ideal,
    Ours,
    /// Another Rust library, as its documentation shows it.
    Peer,
    /// Another Rust library, batched by hand.
    Batched,
    /// A library in another language.
    Foreign,
}

/// What runs a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    /// A package of `bench/servers`.
    Rust(&'static str),
    /// A script of `bench/javascript`.
    Bun(&'static str),
    Node(&'static str),
}

/// An echo server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Server {
    /// Its name in tables.
    pub(crate) name: &'static str,
    pub(crate) group: Group,
    program: Program,
    arguments: &'static [&'static str],
    /// Whether it takes part where permessage-deflate is measured.
    pub(crate) deflate: Extension,
}

/// How a server has to do with permessage-deflate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extension {
    Without,
    With,
    /// It differs from another server in nothing else.
    Only,
}

/// The name of the TCP echo that all others are compared with.
pub(crate) const REFERENCE: &str = "TCP, epoll";

/// The names of those that tell what is possible, in place and with messages that may be kept, and of ours.
pub(crate) const IDEAL: &str = "ideal, tokio";
pub(crate) const IDEAL_OWNED: &str = "ideal, owned";
pub(crate) const OURS: &str = "stentor";

/// All servers; the reference first.
pub(crate) const SERVERS: &[Server] = &[
    rust(REFERENCE, Group::Tcp, "bench-limits", &["epoll"]),
    rust("TCP, tokio", Group::Tcp, "bench-limits", &["tokio"]),
    rust("ideal, epoll", Group::Ideal, "bench-limits", &["ideal-epoll"]),
    rust(IDEAL, Group::Ideal, "bench-limits", &["ideal-tokio"]),
    rust(IDEAL_OWNED, Group::Ideal, "bench-limits", &["ideal-owned"]),
    ours(OURS),
    Server {
        deflate: Extension::Only,
        ..rust("stentor, level 6, 32 KiB", Group::Ours, "bench-stentor", &["common"])
    },
    Server {
        name: "uWebSockets (Bun)",
        group: Group::Foreign,
        program: Program::Bun("uwebsockets.js"),
        arguments: &[],
        deflate: Extension::With,
    },
    Server {
        name: "ws (Node.js)",
        group: Group::Foreign,
        program: Program::Node("ws.js"),
        arguments: &[],
        deflate: Extension::With,
    },
    rust("fastwebsockets", Group::Peer, "bench-fastwebsockets", &[]),
    rust("fastwebsockets, batched", Group::Batched, "bench-fastwebsockets", &["batched"]),
    with_deflate(rust("sockudo-ws", Group::Peer, "bench-sockudo-ws", &[])),
    rust("sockudo-ws, batched", Group::Batched, "bench-sockudo-ws", &["batched"]),
    rust("tokio-tungstenite", Group::Peer, "bench-tokio-tungstenite", &[]),
    rust("tokio-tungstenite, 4 KiB buffer", Group::Peer, "bench-tokio-tungstenite", &["small"]),
    rust("tokio-tungstenite, batched", Group::Batched, "bench-tokio-tungstenite", &["batched"]),
    rust("tokio-websockets", Group::Peer, "bench-tokio-websockets", &[]),
    rust("tokio-websockets, batched", Group::Batched, "bench-tokio-websockets", &["batched"]),
    rust("web-socket", Group::Peer, "bench-web-socket", &[]),
    rust("web-socket, batched", Group::Batched, "bench-web-socket", &["batched"]),
    with_deflate(rust("wtx", Group::Peer, "bench-wtx", &[])),
    with_deflate(rust("yawc", Group::Peer, "bench-yawc", &[])),
    rust("yawc, checking UTF-8", Group::Peer, "bench-yawc", &["checked"]),
    rust("yawc, batched", Group::Batched, "bench-yawc", &["batched"]),
];

const fn rust(
    name: &'static str,
    group: Group,
    package: &'static str,
    arguments: &'static [&'static str],
) -> Server {
    Server { name, group, program: Program::Rust(package), arguments, deflate: Extension::Without }
}

/// Our own, built from these files or others.
pub(crate) const fn ours(name: &'static str) -> Server {
    with_deflate(rust(name, Group::Ours, "bench-stentor", &[]))
}

const fn with_deflate(server: Server) -> Server {
    Server { deflate: Extension::With, ..server }
}

/// The servers whose names begin with one of these, which `+` separates; the reference in any case.
pub(crate) fn named(names: &str) -> Result<Vec<&'static Server>> {
    let names: Vec<&str> = names.split('+').map(str::trim).collect();
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
    build_in(&root().join("bench"), None, package)
}

/// The same of the workspace in `folder`, into `target` if it is not to be the usual one.
pub(crate) fn build_in(folder: &Path, target: Option<&Path>, package: &str) -> Result<PathBuf> {
    let mut build = cargo();
    if let Some(target) = target {
        build.env("CARGO_TARGET_DIR", target);
    }
    build
        .current_dir(folder)
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

/// A server that can be started.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) server: &'static Server,
    /// The program and its arguments.
    program: PathBuf,
    arguments: Vec<String>,
}

impl Server {
    /// Whether it gets faster the longer it runs, because it is compiled meanwhile.
    pub(crate) fn warms_up(&self) -> bool {
        self.group == Group::Foreign
    }

    /// Whether it echoes TCP.
    pub(crate) fn is_tcp(&self) -> bool {
        self.group == Group::Tcp
    }

    /// Builds it, or installs what runs it.
    pub(crate) fn build(&'static self) -> Result<Built> {
        let scripts = root().join("bench/javascript");
        let script = |name: &str| scripts.join(name).display().to_string();
        let (program, mut arguments) = match self.program {
            Program::Rust(package) => (build(package)?, Vec::new()),
            Program::Node(name) => (node::with_packages(&scripts)?, vec![script(name)]),
            Program::Bun(name) => {
                node::with_packages(&scripts)?;
                (scripts.join("node_modules/.bin/bun"), vec![script(name)])
            }
        };
        arguments.extend(self.arguments.iter().map(|&argument| argument.to_owned()));
        Ok(Built { server: self, program, arguments })
    }

    /// The version of the library, from the lock file or the manifest that pins it.
    pub(crate) fn version(&self) -> Result<Option<String>> {
        let manifest = |name: &str| -> Result<Option<String>> {
            let path = root().join("bench/javascript/package.json");
            let text = fs::read_to_string(&path).context("bench/javascript/package.json")?;
            let manifest: serde_json::Value =
                serde_json::from_str(&text).context("bench/javascript/package.json")?;
            Ok(manifest["dependencies"][name].as_str().map(str::to_owned))
        };
        match self.program {
            Program::Bun(_) => manifest("bun"),
            Program::Node(_) => manifest("ws"),
            Program::Rust(package) => {
                let Some(name) = package.strip_prefix("bench-").filter(|&name| name != "limits") else {
                    return Ok(None);
                };
                let lock = fs::read_to_string(root().join("bench/Cargo.lock")).context("bench/Cargo.lock")?;
                let entry = format!("name = \"{name}\"\nversion = \"");
                let version = lock.split_once(&entry).and_then(|(_, rest)| rest.split('"').next());
                Ok(version.map(str::to_owned))
            }
        }
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
    /// A program of the bench workspace that is no server of the list.
    pub(crate) fn other(server: &'static Server, package: &str) -> Result<Self> {
        Ok(Self::of(server, build(package)?))
    }

    /// A program that takes no arguments of its own.
    pub(crate) fn of(server: &'static Server, program: PathBuf) -> Self {
        Self { server, program, arguments: Vec::new() }
    }

    /// Starts it on core 1 and waits for its line `listening on ADDRESS`.
    pub(crate) fn start(&self, options: &[String]) -> Result<Started> {
        const LIMIT: Duration = Duration::from_secs(30);
        let mut command = on_core(1, &self.program);
        command.args(&self.arguments).args(options).stdin(Stdio::null()).stdout(Stdio::piped());
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
