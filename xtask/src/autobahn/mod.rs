//! `cargo xtask autobahn`: Autobahn|Testsuite against our server and our client.
//!
//! `wstest` exits with success whatever it has seen, even when the server was never there: what counts is its report,
//! with a result for every case that was asked for.

mod report;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use serde_json::json;

use self::report::Report;
use crate::outcome::{Context, Result, Stop};
use crate::peer::Peer;
use crate::process::{self, Running};
use crate::tools::wstest::Wstest;
use crate::workspace::tools;

/// The name of the peer under test in the reports.
const AGENT: &str = "stentor";

/// All cases take about ten minutes on a machine with nothing else to do, most of it the fuzzer's own.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// Which of our ends is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

/// What continuous integration runs: every case but most of 12 and 13, which test permessage-deflate for ten minutes.
/// Of these, every kind of content (12.1 to 12.5) and every choice of parameters (13.1 to 13.7) with some of the 18
/// ways to cut 1,000 messages.
pub(crate) fn usual_cases() -> Vec<String> {
    // 16 B, 256 B, 4 KiB, 16 KiB and 32 KiB in one frame each; 8 KiB in frames of 256 B.
    const CUTS: [u8; 6] = [1, 3, 5, 7, 8, 11];
    let groups = (1..=5).map(|content| (12, content)).chain((1..=7).map(|choice| (13, choice)));
    let deflate = groups.flat_map(|(group, kind)| CUTS.map(|cut| format!("{group}.{kind}.{cut}")));
    ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"]
        .into_iter()
        .map(str::to_owned)
        .chain(deflate)
        .collect()
}

/// `cargo xtask autobahn [server|client] [--all|CASES]`.
pub(crate) fn command(arguments: &[&str]) -> ExitCode {
    let (roles, patterns): (&[Role], _) = match arguments {
        ["server", cases @ ..] => (&[Role::Server], cases),
        ["client", cases @ ..] => (&[Role::Client], cases),
        cases => (&[Role::Server, Role::Client], cases),
    };
    let cases: Vec<String> = match patterns {
        [] => usual_cases(),
        ["--all"] => vec!["*".to_owned()],
        patterns => patterns.iter().flat_map(|pattern| pattern.split(',')).map(str::to_owned).collect(),
    };
    let mut code = ExitCode::SUCCESS;
    for &role in roles {
        match run(role, &cases) {
            Ok(()) => {}
            Err(Stop::Skip(why)) => println!("skipped: autobahn-{}: {why}", role.name()),
            Err(Stop::Fail(why)) => {
                println!("failed: autobahn-{}: {why}", role.name());
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

/// Puts one of our ends through the cases and prints one line that tells how they went.
pub(crate) fn run(role: Role, cases: &[String]) -> Result {
    let wstest = Wstest::installed()?;
    let peer = Peer::build()?;
    let run = Run::prepare(role, cases)?;
    let expected = wstest.cases(cases)?;
    match role {
        Role::Server => test_server(&run, &wstest, &peer)?,
        Role::Client => test_client(&run, &wstest, &peer)?,
    }
    let index = run.folder.join("index.json");
    let report = Report::parse(&fs::read_to_string(&index).context(index.display())?, AGENT, &expected)?;
    println!("autobahn {}: {}", role.name(), report.totals());
    report.verdict()
}

fn test_server(run: &Run, wstest: &Wstest, peer: &Peer) -> Result {
    let server = peer.server()?;
    let url = format!("{}/echo?deflate=", server.address().replacen("http", "ws", 1));
    let specification = run.write(json!({ "servers": [{ "agent": AGENT, "url": url }] }))?;
    process::logged(&mut wstest.command("fuzzingclient", &specification), &run.log, LIMIT)
}

fn test_client(run: &Run, wstest: &Wstest, peer: &Peer) -> Result {
    let (_server, address) = start_fuzzing_server(run, wstest)?;
    process::run(&mut peer.autobahn_client(&format!("ws://{address}")), LIMIT)
}

/// Starts the suite's server and waits until it accepts connections.
///
/// It cannot choose a free port itself: one that was free may be taken when it gets there, so there are more tries.
fn start_fuzzing_server(run: &Run, wstest: &Wstest) -> Result<(Running, SocketAddr)> {
    const TRIES: usize = 3;
    for _ in 0..TRIES {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        let address = free.local_addr().context("no free port")?;
        drop(free);
        let specification = run.write(json!({ "url": format!("ws://{address}") }))?;
        let mut command = wstest.command("fuzzingserver", &specification);
        let mut server = process::spawn_logged(command.args(["--webport", "0"]), &run.log)?;
        if accepts(&mut server, address)? {
            return Ok((server, address));
        }
    }
    Err(Stop::fail(format!("wstest does not listen; see {}", run.log.display())))
}

/// Waits for a server that says nothing when it is ready; false when it has ended instead.
fn accepts(server: &mut Running, address: SocketAddr) -> Result<bool> {
    const TRIES: usize = 600;
    for _ in 0..TRIES {
        if server.ended()?.is_some() {
            return Ok(false);
        }
        if TcpStream::connect(address).is_ok() {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(false)
}

/// The folder and the cases of one run of the suite.
struct Run {
    folder: PathBuf,
    log: PathBuf,
    cases: Vec<String>,
}

impl Run {
    /// Makes an empty folder, so that no older report can be taken for this run's.
    fn prepare(role: Role, cases: &[String]) -> Result<Self> {
        let folder = tools("autobahn-reports").join(role.name());
        if folder.exists() {
            fs::remove_dir_all(&folder).context(folder.display())?;
        }
        fs::create_dir_all(&folder).context(folder.display())?;
        let log = folder.join("wstest.log");
        Ok(Self { folder, log, cases: cases.to_vec() })
    }

    /// Writes a specification: what the role needs, and what every one has.
    fn write(&self, mut specification: serde_json::Value) -> Result<PathBuf> {
        specification["outdir"] = json!(self.folder);
        specification["cases"] = json!(self.cases);
        specification["exclude-cases"] = json!([]);
        specification["exclude-agent-cases"] = json!({});
        let file = self.folder.join("specification.json");
        fs::write(&file, specification.to_string()).context(file.display())?;
        Ok(file)
    }
}
