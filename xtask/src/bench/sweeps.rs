//! What grows with what: cost over connections and sizes, memory over connections.

use std::fs;

use serde_json::json;

use super::cases::{Case, KIB, Kind, MIB, case, size};
use super::chart::{Chart, Series};
use super::load::Report;
use super::rounds::{Bench, Plan};
use super::sections::Outcome;
use super::servers::{IDEAL, OURS, REFERENCE, Server};
use super::table::Table;
use crate::outcome::{Context, Result, Stop};

/// The servers in the charts: the limits, ours, and the others that are ahead somewhere.
const CHARTED: &[&str] = &[
    REFERENCE,
    IDEAL,
    OURS,
    "uWebSockets (Bun)",
    "fastwebsockets",
    "tokio-websockets",
    "tokio-tungstenite",
    "yawc",
];

/// Rounds of a sweep: a curve needs less precision than a figure.
const ROUNDS: usize = 5;

const CONNECTIONS: &[usize] = &[1, 10, 100, 1000, 10_000];

/// As many as may be asked for; how many there can be, the system decides.
const IDLE: &[usize] = &[1, 10, 100, 1000, 5000, 10_000, 20_000, 50_000];

const SIZES: &[usize] = &[16, 64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB, 16 * MIB];

/// Descriptors that a server needs besides those of its connections.
const SPARE: usize = 100;

fn charted(server: &Server) -> bool {
    CHARTED.contains(&server.name)
}

pub(crate) fn connections(bench: &Bench, plan: &Plan) -> Result<Outcome> {
    let most = open_files()?;
    let cases: Vec<(f64, String, Case)> = CONNECTIONS
        .iter()
        .filter(|&&connections| connections <= most)
        .map(|&connections| {
            #[allow(clippy::cast_precision_loss)] // far fewer than 2^52
            let x = connections as f64;
            (x, format!("c{connections}"), case(125, Kind::Text, connections, 1, None))
        })
        .collect();
    sweep(bench, plan, &cases, "connections", "connections")
}

pub(crate) fn sizes(bench: &Bench, plan: &Plan) -> Result<Outcome> {
    let cases: Vec<(f64, String, Case)> = SIZES
        .iter()
        .map(|&payload| {
            #[allow(clippy::cast_precision_loss)] // far less than 2^52
            let x = payload as f64;
            (x, size(payload, " "), case(payload, Kind::Binary, 1, 1, None))
        })
        .collect();
    sweep(bench, plan, &cases, "sizes", "bytes in a message")
}

fn sweep(bench: &Bench, plan: &Plan, cases: &[(f64, String, Case)], id: &str, x: &str) -> Result<Outcome> {
    let plan = Plan { rounds: plan.rounds.min(ROUNDS), ..*plan };
    let servers = bench.servers(charted);
    let mut table = Table::new(&["server"]);
    table.rows = servers.iter().map(|built| vec![built.server.name.to_owned()]).collect();
    let mut series: Vec<Series> = servers.iter().map(|built| Series::new(built.server.name)).collect();
    for (x, title, case) in cases {
        table.columns.push(format!("{title}, µs"));
        let costs = bench.echo(&servers, case, &plan)?;
        for ((cost, row), series) in costs.iter().zip(&mut table.rows).zip(&mut series) {
            let microseconds = cost.nanoseconds.median / 1e3;
            row.push(format!("{microseconds:.2}"));
            series.points.push((*x, microseconds));
        }
    }
    let data =
        series.iter().map(|series| json!({ "server": series.name, "points": series.points })).collect();
    let chart = Chart::lines(id, "server CPU per message", x, "µs per message", &series);
    Ok(Outcome { tables: vec![(String::new(), table)], charts: vec![chart], data })
}

pub(crate) fn memory(bench: &Bench, _: &Plan) -> Result<Outcome> {
    let most = open_files()?;
    let servers = bench.servers(|server| charted(server) && !server.is_tcp());
    let mut table = Table::new(&["server"]);
    table.rows = servers.iter().map(|built| vec![built.server.name.to_owned()]).collect();
    let mut series: Vec<Series> = servers.iter().map(|built| Series::new(built.server.name)).collect();
    let possible = IDLE.iter().copied().filter(|&connections| connections <= most);
    // As many as possible, if that is less than all.
    let largest = IDLE.iter().any(|&connections| connections > most).then_some(most / 100 * 100);
    for connections in possible.chain(largest) {
        table.columns.push(format!("{connections} connections, KiB"));
        let arguments = ["--connections".to_owned(), connections.to_string()];
        let reports = bench.interleaved(&servers, &[], 1, "idle", &arguments)?;
        for (((_, reports), row), series) in reports.iter().zip(&mut table.rows).zip(&mut series) {
            let report: &Report = reports.first().ok_or_else(|| Stop::fail("no report"))?;
            let kibibytes = report.number("after_small")? / 1024.0;
            row.push(format!("{kibibytes:.0}"));
            #[allow(clippy::cast_precision_loss)] // far fewer than 2^52
            series.points.push((connections as f64, kibibytes));
        }
    }
    let data =
        series.iter().map(|series| json!({ "server": series.name, "points": series.points })).collect();
    let chart = Chart::lines("memory", "memory of the server", "idle connections", "KiB", &series);
    let caption = largest.map_or(String::new(), |most| {
        format!("This machine allows a process no more than {most} connections.")
    });
    Ok(Outcome { tables: vec![(caption, table)], charts: vec![chart], data })
}

/// How many connections a process may have.
fn open_files() -> Result<usize> {
    let limits = fs::read_to_string("/proc/self/limits").context("/proc/self/limits")?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let hard = line.and_then(|line| line.split_whitespace().nth(4));
    match hard {
        Some("unlimited") => Ok(usize::MAX),
        Some(hard) => Ok(hard.parse::<usize>().context("the limit of open files")?.saturating_sub(SPARE)),
        None => Err(Stop::fail("no limit of open files")),
    }
}
