//! `cargo xtask bench`: what an echo costs a server, for Stentor and its peers in the same run.
//!
//! [`cases`] and [`servers`] say what is measured, [`rounds`] measures it in turns, [`load`] runs the
//! load generator of `bench/load`, [`report`] prints.

mod cases;
mod load;
mod report;
mod rounds;
mod servers;
mod statistics;

use std::process::ExitCode;
use std::time::Duration;

use self::cases::{CASES, Case};
use self::rounds::Plan;
use self::servers::{SERVERS, Server};
use crate::outcome::{Result, Stop};

const USAGE: &str = "\
cargo xtask bench [OPTIONS] [CASE…]

Echo servers run on core 1, the load generator on core 0, one server after another in each round. The figure is the
server's CPU time per message, user and kernel, divided by that of a TCP echo on bare epoll in the same round.
Without a CASE, all of the table.

  --quick           5 short rounds of Stentor and the limits only: for whoever is tuning
  --only SERVERS    these servers, separated by commas, and the TCP echo
  --rounds N        how many rounds (15)
  --seconds S       how long one sample takes (0.4)
  --list            the names of cases and servers
";

/// `cargo xtask bench …`.
pub(crate) fn command(arguments: &[&str]) -> ExitCode {
    match parse(arguments).and_then(Request::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Skip(why)) => {
            println!("skipped: {why}");
            ExitCode::SUCCESS
        }
        Err(Stop::Fail(why)) => {
            println!("failed: {why}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for.
#[derive(Debug)]
enum Request {
    Text(String),
    Measure { cases: Vec<&'static Case>, servers: Vec<&'static Server>, plan: Plan },
}

fn parse(arguments: &[&str]) -> Result<Request> {
    let mut plan = Plan { rounds: 15, sample: Duration::from_millis(400) };
    let mut cases: Vec<&'static Case> = Vec::new();
    let mut servers: Vec<&'static Server> = SERVERS.iter().collect();
    let mut rest = arguments.iter();
    while let Some(&argument) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| Stop::fail(format!("{argument} needs a value")));
        match argument {
            "-h" | "--help" => return Ok(Request::Text(USAGE.to_owned())),
            "--list" => return Ok(Request::Text(list())),
            "--quick" => {
                plan = Plan { rounds: 5, sample: Duration::from_millis(200) };
                servers.retain(|server| server.quick);
            }
            "--only" => servers = servers::named(value()?)?,
            "--rounds" => plan.rounds = number(value()?)?,
            "--seconds" => plan.sample = Duration::from_secs_f64(number(value()?)?),
            name => cases.push(cases::named(name)?),
        }
    }
    if cases.is_empty() {
        cases = CASES.iter().collect();
    }
    Ok(Request::Measure { cases, servers, plan })
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| Stop::fail(format!("not a number: {text}")))
}

fn list() -> String {
    let cases = CASES.iter().map(|case| format!("  {:<20} {}\n", case.id(), case.title()));
    let servers = SERVERS.iter().map(|server| format!("  {}\n", server.name));
    format!("cases:\n{}servers:\n{}", cases.collect::<String>(), servers.collect::<String>())
}

impl Request {
    fn run(self) -> Result {
        match self {
            Self::Text(text) => {
                print!("{text}");
                Ok(())
            }
            Self::Measure { cases, servers, plan } => {
                let bench = rounds::Bench::prepare(&servers)?;
                for case in cases {
                    let rows = bench.case(case, &plan)?;
                    print!("{}", report::case(case, &rows));
                }
                Ok(())
            }
        }
    }
}
