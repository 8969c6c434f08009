//! System calls and allocations per message.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::cases::{Case, ECHO, MIB};
use super::load;
use super::rounds::{Bench, Plan};
use super::sections::Outcome;
use super::servers::{Built, IDEAL, OURS, Started};
use super::table::Table;
use crate::outcome::{Context, Result, Stop};
use crate::process;
use crate::tools::perf;
use crate::workspace::tools;

/// Longer than any run takes.
const LIMIT: Duration = Duration::from_secs(120);

/// What perf calls entering the kernel by a system call.
const SYSTEM_CALL: &str = "raw_syscalls:sys_enter";

pub(crate) fn measure(bench: &Bench, _: &Plan) -> Result<Outcome> {
    let perf = match perf::installed(SYSTEM_CALL) {
        Ok(()) => true,
        Err(Stop::Skip(why)) => {
            println!("no system calls are counted: {why}");
            false
        }
        Err(fail) => return Err(fail),
    };
    let ours = bench.servers(|server| server.name == OURS);
    let counted =
        ours.first().map(|built| Built::other(built.server, "bench-stentor-counted")).transpose()?;
    let mut table =
        Table::new(&["case", "stentor: system calls", "ideal, tokio: system calls", "stentor: allocations"]);
    let mut data = Vec::new();
    for case in ECHO {
        let calls = |name: &str| -> Result<Option<f64>> {
            let servers = bench.servers(|server| server.name == name);
            match servers.first().filter(|_| perf) {
                Some(built) => per_message(bench, built, case, system_calls).map(Some),
                None => Ok(None),
            }
        };
        let (own, ideal) = (calls(OURS)?, calls(IDEAL)?);
        let allocations =
            counted.as_ref().map(|built| per_message(bench, built, case, allocations)).transpose()?;
        // What rounding leaves of a difference may be below zero.
        let cell =
            |figure: Option<f64>| figure.map_or("–".to_owned(), |figure| format!("{:.3}", figure.max(0.0)));
        table.push(vec![case.title(), cell(own), cell(ideal), cell(allocations)]);
        data.push(
            json!({ "case": case.id(), "calls": own, "ideal_calls": ideal, "allocations": allocations }),
        );
    }
    Ok(Outcome { tables: vec![(String::new(), table)], charts: Vec::new(), data: Value::from(data) })
}

/// A run's messages, and what was counted meanwhile.
type Counted = (f64, f64);

/// How often something happens for a message more.
fn per_message(
    bench: &Bench,
    built: &Built,
    case: &Case,
    count: fn(&Bench, &Built, &Started, &[String]) -> Result<Counted>,
) -> Result<f64> {
    let started = built.start(&load::server_options(case))?;
    // Many times what is in flight, and no more bytes than take a second.
    let messages = (20 * case.connections * case.in_flight).max((256 * MIB / case.payload).min(20_000));
    let run = |messages: usize| {
        let mut arguments = load::shape(case);
        arguments.extend(load::seconds(Duration::from_secs(20)));
        arguments.extend(["--messages".to_owned(), messages.to_string()]);
        count(bench, built, &started, &arguments)
    };
    // The first run fills caches and pools.
    run(messages)?;
    let (short, few) = run(messages)?;
    let (long, many) = run(3 * messages)?;
    Ok((many - few) / (long - short))
}

fn system_calls(bench: &Bench, built: &Built, started: &Started, arguments: &[String]) -> Result<Counted> {
    let file = tools("perf.csv");
    fs::create_dir_all(tools("")).context(file.display())?;
    let load = bench.load.command("echo", built, started, arguments);
    let mut perf = Command::new("perf");
    perf.args(["stat", "-x,", "-e", SYSTEM_CALL, "-p", &started.pid().to_string(), "-o"])
        .arg(&file)
        .arg("--")
        .arg(load.get_program())
        .args(load.get_args());
    let report: Value = serde_json::from_str(&process::output(&mut perf, LIMIT)?).context("the report")?;
    let messages = report["all_messages"].as_f64().context_none("no messages in the report")?;
    let counts = fs::read_to_string(&file).context(file.display())?;
    let line = counts.lines().find(|line| line.contains(SYSTEM_CALL)).context_none("no count of perf")?;
    let count = line.split(',').next().and_then(|count| count.parse().ok()).context_none(line)?;
    Ok((messages, count))
}

fn allocations(bench: &Bench, built: &Built, started: &Started, arguments: &[String]) -> Result<Counted> {
    let before = allocations_so_far(started)?;
    let report = bench.load.run("echo", built, started, arguments)?;
    Ok((report.number("all_messages")?, allocations_so_far(started)? - before))
}

/// Asks the counting server, which answers plain HTTP requests with its count.
fn allocations_so_far(started: &Started) -> Result<f64> {
    let mut stream = TcpStream::connect(&started.address).context(&started.address)?;
    stream.set_read_timeout(Some(LIMIT)).context("a time limit")?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .context("the request")?;
    let mut response = String::new();
    stream.read_to_string(&mut response).context("the response")?;
    let body = response.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    body.trim().parse().context(response.trim())
}

/// Fails where there is nothing.
trait ContextNone<T> {
    fn context_none(self, what: &str) -> Result<T>;
}

impl<T> ContextNone<T> for Option<T> {
    fn context_none(self, what: &str) -> Result<T> {
        self.ok_or_else(|| Stop::fail(what))
    }
}
