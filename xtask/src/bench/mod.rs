//! `cargo xtask bench`: what an echo costs a server, for Stentor and its peers in the same run.
//!
//! [`cases`] and [`servers`] say what is measured, [`before`] has our own at another commit, [`rounds`] measures it in turns with the load
//! generator of `bench/load`, which [`load`] runs. [`sections`] are the parts of the report, each with
//! its tables and charts; [`results`] keeps them in `docs/bench`.

mod before;
mod calls;
mod cases;
mod chart;
mod load;
mod machine;
mod results;
mod rounds;
mod sections;
mod servers;
mod slow_readers;
mod statistics;
mod sweeps;
mod table;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use self::cases::{Case, ECHO};
use self::rounds::{Bench, Plan};
use self::sections::{SECTIONS, Section};
pub(crate) use self::servers::build;
use self::servers::{IDEAL, OURS, REFERENCE, SERVERS, Server};
use crate::outcome::{Result, Stop};

const USAGE: &str = "\
cargo xtask bench [OPTIONS] [CASE…]

Echo servers run on core 1, the load generator on core 0, one server after another in each round. The figure is the
server's CPU time per message, user and kernel, divided by that of a TCP echo on bare epoll in the same round.
A CASE is one case, such as 16B-c1-m64, or one of the sections that --list has; without one, all sections.
While a sample runs, little else does on this machine: as root, both programs have real-time priority.

  --quick           5 short rounds of Stentor and the limits, of the echo cases only: for whoever is tuning;
                    about 5 s for a case, 90 s for all, after building
  --only SERVERS    the servers whose names begin so, joined by +, and the TCP echo
  --before COMMIT   Stentor as it is, beside Stentor as it was then, and ratios of the two; with --only, of more
  --rounds N        how many rounds (11)
  --seconds S       how long one sample takes (0.3)
  --write           keeps what was measured in docs/bench: tables, charts and figures
  --list            the names of sections, cases and servers
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
    Measure {
        sections: Vec<Section>,
        cases: Vec<Case>,
        servers: Vec<&'static Server>,
        plan: Plan,
        write: bool,
        before: Option<String>,
    },
}

fn parse(arguments: &[&str]) -> Result<Request> {
    let mut plan = Plan { rounds: 11, sample: Duration::from_millis(300) };
    let (mut sections, mut cases, mut quick, mut write) = (Vec::new(), Vec::new(), false, false);
    let (mut only, mut before) = (None, None);
    let mut rest = arguments.iter();
    while let Some(&argument) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| Stop::fail(format!("{argument} needs a value")));
        match argument {
            "-h" | "--help" => return Ok(Request::Text(USAGE.to_owned())),
            "--list" => return Ok(Request::Text(list())),
            "--quick" => {
                plan = Plan { rounds: 5, sample: Duration::from_millis(200) };
                quick = true;
            }
            "--only" => only = Some(servers::named(value()?)?),
            "--before" => before = Some((*value()?).to_owned()),
            "--rounds" => plan.rounds = number(value()?)?,
            "--seconds" => plan.sample = Duration::from_secs_f64(number(value()?)?),
            "--write" => write = true,
            name => match SECTIONS.iter().find(|section| section.id == name) {
                Some(section) => sections.push(*section),
                None => cases.push(cases::named(name)?),
            },
        }
    }
    let wanted = |server: &&Server| match (&before, quick) {
        (Some(_), _) => server.name == OURS,
        (None, true) => [REFERENCE, IDEAL, OURS].contains(&server.name),
        (None, false) => true,
    };
    let servers = only.unwrap_or_else(|| SERVERS.iter().filter(wanted).collect());
    if before.is_some() {
        if write || !sections.is_empty() {
            return Err(Stop::fail("with --before, cases are measured and not kept"));
        }
        let wanted = if cases.is_empty() { ECHO } else { &cases };
        // The goals are multiples of the TCP echo.
        cases = wanted.iter().map(|case| Case { goal: None, ..*case }).collect();
    }
    if sections.is_empty() && cases.is_empty() {
        let wanted = |section: &&Section| !quick || section.id == "echo";
        sections = SECTIONS.iter().filter(wanted).copied().collect();
    }
    if write && (quick || !cases.is_empty() || servers.len() < SERVERS.len()) {
        return Err(Stop::fail("only whole sections with all servers are kept"));
    }
    Ok(Request::Measure { sections, cases, servers, plan, write, before })
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| Stop::fail(format!("not a number: {text}")))
}

fn list() -> String {
    let sections = SECTIONS.iter().map(|section| format!("  {:<24} {}\n", section.id, section.title));
    let cases = ECHO.iter().chain(cases::DEFLATE).chain(cases::TAKEOVER);
    let cases = cases.map(|case| format!("  {:<24} {}\n", case.id(), case.title()));
    let servers = SERVERS.iter().map(|server| format!("  {}\n", server.name));
    format!(
        "sections:\n{}cases:\n{}servers:\n{}",
        sections.collect::<String>(),
        cases.collect::<String>(),
        servers.collect::<String>()
    )
}

impl Request {
    fn run(self) -> Result {
        let (sections, cases, servers, plan, write, before) = match self {
            Self::Text(text) => {
                print!("{text}");
                return Ok(());
            }
            Self::Measure { sections, cases, servers, plan, write, before } => {
                (sections, cases, servers, plan, write, before)
            }
        };
        let bench = Bench::prepare(&servers, before.as_deref())?;
        for case in cases {
            sections::one_case(&bench, &case, &plan)?;
        }
        for section in sections {
            println!("\n== {}", section.title);
            let start = Instant::now();
            let outcome = (section.measure)(&bench, &plan)?;
            outcome.print();
            println!("({:.0} s)", start.elapsed().as_secs_f64());
            if write {
                results::keep(&section, &outcome, &plan)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(arguments: &[&str]) -> (Vec<&'static str>, usize) {
        match parse(arguments) {
            Ok(Request::Measure { cases, servers, .. }) => {
                (servers.iter().map(|server| server.name).collect(), cases.len())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn whoever_compares_with_a_commit_measures_our_own_server_in_echo_cases() {
        assert_eq!(measured(&["--before", "HEAD"]), (vec![OURS], ECHO.len()));
        assert_eq!(measured(&["--quick", "--before", "HEAD", "16B-c1-m64"]), (vec![OURS], 1));
        assert_eq!(
            measured(&["--before", "HEAD", "--only", "yawc, batched"]).0,
            [REFERENCE, "yawc, batched"]
        );
        assert_eq!(measured(&["--quick", "16B-c1-m64"]).0, [REFERENCE, IDEAL, OURS]);
        for refused in [&["--before"][..], &["--before", "HEAD", "echo"], &["--before", "HEAD", "--write"]] {
            assert!(parse(refused).is_err(), "{refused:?}");
        }
    }
}
