//! The sections of the report: what each measures, with which servers, and its tables.

use serde_json::{Value, json};

use super::cases::{Case, DEFLATE, ECHO, Kind, TAKEOVER, Takeover, case};
use super::chart::Chart;
use super::load::{self, Report};
use super::rounds::{Bench, Cost, Plan};
use super::servers::{Group, IDEAL, IDEAL_OWNED, OURS, REFERENCE, Server};
use super::statistics::Summary;
use super::table::Table;
use super::{calls, slow_readers, sweeps};
use crate::outcome::Result;

/// A part of the report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section {
    /// Its name on the command line and in file names.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// What its figures are.
    pub(crate) about: &'static str,
    pub(crate) measure: fn(&Bench, &Plan) -> Result<Outcome>,
}

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Each with what stands above it.
    pub(crate) tables: Vec<(String, Table)>,
    pub(crate) charts: Vec<Chart>,
    /// Every figure.
    pub(crate) data: Value,
}

impl Outcome {
    pub(crate) fn print(&self) {
        for (caption, table) in &self.tables {
            print!("\n{caption}\n{}", table.text());
        }
    }
}

/// All sections, in the order of the report.
pub(crate) const SECTIONS: &[Section] = &[
    Section {
        id: "echo",
        title: "Server CPU per message",
        about: "Server CPU time per echoed message, user and kernel, divided by that of a TCP echo on bare epoll in \
                the same round: the median over the rounds, and the quartiles where there is room. cN is the number \
                of connections, MN how many messages are in flight on each.",
        measure: echo,
    },
    Section {
        id: "deflate",
        title: "permessage-deflate",
        about: "Server CPU time per echoed message that is inflated and deflated again, with context takeover, and \
                the bytes of an answer on the wire. Text like lines of a chat. Each library at its own default level, which \
                is 6 but for Stentor, and with the largest window; Stentor also at that level and with that window.",
        measure: deflate,
    },
    Section {
        id: "takeover",
        title: "permessage-deflate, with and without context takeover",
        about: "Server CPU time per echoed message in microseconds, as above, on one connection and on 1,000, and \
                the resident bytes of each of 1,000 connections after such traffic. Text like lines of JSON. \
                Each library at its own default level, which is 6 but for Stentor; Stentor also at that level.",
        measure: takeover,
    },
    Section {
        id: "latency",
        title: "Round-trip times at a fixed rate",
        about: "125 B text on 50 connections, 20,000 messages a second in all. A message's time counts from the \
                moment it was due. Medians over the rounds of each round's percentiles.",
        measure: latency,
    },
    Section {
        id: "slow-readers",
        title: "Round-trip times beside connections that never read",
        about: "Round-trip times as above, of a server that broadcasts 8 KiB to its slow readers 200 times a second, under \
                each policy for them: without any, and beside some whose buffers are all full. Medians over the \
                rounds, and lower quartiles, which other programs of the machine disturb less.",
        measure: slow_readers::measure,
    },
    Section {
        id: "handshakes",
        title: "Opening handshakes",
        about: "Server CPU time of one connection, from accepting TCP over the opening handshake to noticing that \
                the client has gone, and how many of them one core does in a second.",
        measure: handshakes,
    },
    Section {
        id: "idle",
        title: "Memory per idle connection",
        about: "Resident bytes of the server per connection: after the opening handshake, after one message of \
                125 B on each, after one of 16 KiB on each.",
        measure: idle,
    },
    Section {
        id: "calls",
        title: "System calls and allocations per message",
        about: "How often the server enters the kernel for a message, and how often Stentor asks the allocator for \
                memory. Both are differences between a longer and a shorter run, so the handshakes are not in them.",
        measure: calls::measure,
    },
    Section {
        id: "connections",
        title: "CPU per message over the number of connections",
        about: "125 B text, one message in flight on each connection.",
        measure: sweeps::connections,
    },
    Section {
        id: "sizes",
        title: "CPU per message over its size",
        about: "Binary messages on one connection, one in flight. Limits of message sizes were raised above 1 MiB.",
        measure: sweeps::sizes,
    },
    Section {
        id: "memory",
        title: "Memory over the number of idle connections",
        about: "Resident bytes of the server beyond what it had before, after one message of 125 B on each.",
        measure: sweeps::memory,
    },
];

/// Measures and prints one case.
pub(crate) fn one_case(bench: &Bench, case: &Case, plan: &Plan) -> Result {
    let servers = if case.deflate.is_some() { bench.servers_with_deflate() } else { bench.servers(|_| true) };
    let costs = bench.echo(&servers, case, plan)?;
    let goal = case.goal.map_or(String::new(), |goal| format!(" (goal: {goal:.2})"));
    print!("\n{}{goal}\n{}", case.title(), detailed(case, &costs).text());
    Ok(())
}

/// A table of everything about one case.
fn detailed(case: &Case, costs: &[Cost]) -> Table {
    let mut table = Table::new(&["server", "ratio", "quartiles", "µs", "quartiles", "load µs", "busy", ""]);
    for cost in costs {
        let missed =
            cost.server.group == Group::Ours && case.goal.is_some_and(|goal| cost.ratio.median > goal);
        let range = |summary: &Summary| format!("{:.3}-{:.3}", summary.lower, summary.upper);
        table.push(vec![
            cost.server.name.to_owned(),
            format!("{:.3}", cost.ratio.median),
            range(&cost.ratio),
            format!("{:.3}", cost.nanoseconds.median / 1e3),
            range(&cost.nanoseconds.scaled(1e-3)),
            format!("{:.3}", cost.load.median / 1e3),
            format!("{:.0}%", cost.load_share.median * 100.0),
            if missed { "over the goal".to_owned() } else { String::new() },
        ]);
    }
    table
}

fn cost_json(cost: &Cost) -> Value {
    json!({
        "server": cost.server.name,
        "ratio": cost.ratio.to_json(),
        "nanoseconds": cost.nanoseconds.to_json(),
        "load_nanoseconds": cost.load.median,
        "load_busy": cost.load_share.median,
    })
}

fn echo(bench: &Bench, plan: &Plan) -> Result<Outcome> {
    let servers = bench.servers(|_| true);
    let mut measured = Vec::new();
    for case in ECHO {
        let costs = bench.echo(&servers, case, plan)?;
        print!("\n{}\n{}", case.title(), detailed(case, &costs).text());
        measured.push((case, costs));
    }
    let mut summary = Table::new(&[
        "case",
        "goal",
        "stentor",
        "quartiles",
        IDEAL,
        IDEAL_OWNED,
        "uWebSockets (Bun)",
        "best Rust peer",
        "best Rust peer, batched",
    ]);
    for (case, costs) in &measured {
        let named = |name: &str| costs.iter().find(|cost| cost.server.name == name);
        let ratio =
            |name: &str| named(name).map_or("–".to_owned(), |cost| format!("{:.2}", cost.ratio.median));
        let best = |group| {
            let of_group = costs.iter().filter(|cost| cost.server.group == group);
            of_group
                .min_by(|one, other| one.ratio.median.total_cmp(&other.ratio.median))
                .map_or("–".to_owned(), |cost| format!("{:.2} {}", cost.ratio.median, short(cost.server)))
        };
        let quartiles = named(OURS)
            .map_or("–".to_owned(), |cost| format!("{:.2}–{:.2}", cost.ratio.lower, cost.ratio.upper));
        summary.push(vec![
            case.title(),
            case.goal.map_or("–".to_owned(), |goal| format!("≤ {goal:.2}")),
            ratio(OURS),
            quartiles,
            ratio(IDEAL),
            ratio(IDEAL_OWNED),
            ratio("uWebSockets (Bun)"),
            best(Group::Peer),
            best(Group::Batched),
        ]);
    }
    let titles: Vec<String> = measured.iter().map(|(case, _)| case.title()).collect();
    let columns: Vec<&str> = std::iter::once("server").chain(titles.iter().map(String::as_str)).collect();
    let mut all = Table::new(&columns);
    for (place, built) in servers.iter().enumerate() {
        let ratios = measured.iter().map(|(_, costs)| match built.server.name {
            REFERENCE => format!("{:.2} µs", costs[place].nanoseconds.median / 1e3),
            _ => format!("{:.2}", costs[place].ratio.median),
        });
        all.push(std::iter::once(built.server.name.to_owned()).chain(ratios).collect());
    }
    let data = measured
        .iter()
        .map(|(case, costs)| {
            let servers: Vec<Value> = costs.iter().map(cost_json).collect();
            json!({ "case": case.id(), "goal": case.goal, "servers": servers })
        })
        .collect();
    Ok(Outcome {
        tables: vec![
            ("Beside the best of the others:".to_owned(), summary),
            ("All servers; the first row is the TCP echo itself:".to_owned(), all),
        ],
        charts: vec![Chart::of_cases(&measured)],
        data,
    })
}

/// A name without what its column says already.
fn short(server: &Server) -> &str {
    server.name.trim_end_matches(", batched")
}

fn deflate(bench: &Bench, plan: &Plan) -> Result<Outcome> {
    let servers = bench.servers_with_deflate();
    let mut table = Table::new(&["server"]);
    table.rows = servers.iter().map(|built| vec![built.server.name.to_owned()]).collect();
    let mut data = Vec::new();
    for case in DEFLATE {
        let mut arguments = load::shape(case);
        arguments.extend(load::seconds(plan.sample));
        let options = load::server_options(case);
        let reports = bench.interleaved(&servers, &options, plan.rounds, "echo", &arguments)?;
        table.columns.push(format!("{}, µs", case.title()));
        table.columns.push("quartiles".to_owned());
        table.columns.push("bytes".to_owned());
        for ((server, reports), row) in reports.iter().zip(&mut table.rows) {
            let per_message =
                |name| summary(reports, |report| Ok(report.number(name)? / report.number("messages")?));
            let (time, bytes) = (per_message("server_cpu_ns")?.scaled(1e-3), per_message("bytes")?);
            row.push(format!("{:.1}", time.median));
            row.push(format!("{:.1}–{:.1}", time.lower, time.upper));
            row.push(format!("{:.0}", bytes.median));
            data.push(json!({
                "case": case.id(), "server": server.name, "microseconds": time.to_json(), "bytes": bytes.median,
            }));
        }
    }
    Ok(Outcome { tables: vec![(String::new(), table)], charts: Vec::new(), data: data.into() })
}

/// Connections whose memory with permessage-deflate is looked at.
const COMPRESSING: u32 = 1000;

fn takeover(bench: &Bench, plan: &Plan) -> Result<Outcome> {
    let servers = bench.servers_with_deflate();
    let (mut tables, mut data) = (Vec::new(), Vec::new());
    for (kind, caption) in [(Takeover::Kept, "With takeover:"), (Takeover::Off, "Without:")] {
        let mut table = Table::new(&["server"]);
        table.rows = servers.iter().map(|built| vec![built.server.name.to_owned()]).collect();
        let cases = || TAKEOVER.iter().filter(|case| case.deflate == Some(kind));
        for case in cases() {
            let mut arguments = load::shape(case);
            arguments.extend(load::seconds(plan.sample));
            let options = load::server_options(case);
            let reports = bench.interleaved(&servers, &options, plan.rounds, "echo", &arguments)?;
            table.columns.push(case.title());
            for ((server, reports), row) in reports.iter().zip(&mut table.rows) {
                let time = summary(reports, |report| {
                    Ok(report.number("server_cpu_ns")? / report.number("messages")? / 1e3)
                })?;
                row.push(format!("{:.1}", time.median));
                data.push(
                    json!({ "case": case.id(), "server": server.name, "microseconds": time.to_json() }),
                );
            }
        }
        let options = cases().next().map(load::server_options).unwrap_or_default();
        let offer = load::offer(kind).to_owned();
        let arguments = ["--connections".to_owned(), COMPRESSING.to_string(), "--deflate".to_owned(), offer];
        let reports = bench.interleaved(&servers, &options, 1, "idle", &arguments)?;
        table.columns.extend(["bytes connected", "after 125 B", "after 16 KiB"].map(str::to_owned));
        for ((server, reports), row) in reports.iter().zip(&mut table.rows) {
            for name in ["connected", "after_small", "after_large"] {
                let bytes = summary(reports, |report| Ok(report.number(name)? / f64::from(COMPRESSING)))?;
                row.push(format!("{:.0}", bytes.median));
                let case =
                    format!("{name}-{}", if kind == Takeover::Kept { "deflate" } else { "deflate-alone" });
                data.push(json!({ "case": case, "server": server.name, "bytes": bytes.median }));
            }
        }
        tables.push((caption.to_owned(), table));
    }
    Ok(Outcome { tables, charts: Vec::new(), data: data.into() })
}

/// Messages a second, over all connections, for the round-trip times.
pub(crate) const RATE: u32 = 20_000;

fn latency(bench: &Bench, plan: &Plan) -> Result<Outcome> {
    let mut arguments = load::shape(&case(125, Kind::Text, 50, 1, None));
    arguments.extend(load::seconds(plan.sample));
    arguments.extend(["--rate".to_owned(), RATE.to_string()]);
    let reports = bench.interleaved(&bench.servers(|_| true), &[], plan.rounds, "latency", &arguments)?;
    let mut table = Table::new(&["server", "p50 µs", "p99 µs", "p99.9 µs"]);
    let mut data = Vec::new();
    for (server, reports) in &reports {
        let time = |name| summary(reports, |report| Ok(report.number(name)? / 1e3));
        let (p50, p99, p999) = (time("p50_ns")?, time("p99_ns")?, time("p999_ns")?);
        let figures = [p50, p99, p999].map(|summary| format!("{:.0}", summary.median));
        table.push(std::iter::once(server.name.to_owned()).chain(figures).collect());
        data.push(json!({
            "server": server.name, "p50": p50.to_json(), "p99": p99.to_json(), "p99.9": p999.to_json(),
        }));
    }
    Ok(Outcome { tables: vec![(String::new(), table)], charts: Vec::new(), data: data.into() })
}

/// Handshakes in one sample.
const HANDSHAKES: u32 = 2000;

fn handshakes(bench: &Bench, plan: &Plan) -> Result<Outcome> {
    let arguments = ["--count".to_owned(), HANDSHAKES.to_string()];
    let servers = bench.servers(|server| server.group != Group::Batched);
    let reports = bench.interleaved(&servers, &[], plan.rounds, "handshakes", &arguments)?;
    let mut table = Table::new(&["server", "µs", "quartiles", "a second on one core"]);
    let mut data = Vec::new();
    for (server, reports) in &reports {
        let time = summary(reports, |report| {
            Ok(report.number("server_cpu_ns")? / report.number("handshakes")? / 1e3)
        })?;
        table.push(vec![
            server.name.to_owned(),
            format!("{:.1}", time.median),
            format!("{:.1}–{:.1}", time.lower, time.upper),
            format!("{:.0}", 1e6 / time.median),
        ]);
        data.push(json!({ "server": server.name, "microseconds": time.to_json() }));
    }
    Ok(Outcome { tables: vec![(String::new(), table)], charts: Vec::new(), data: data.into() })
}

/// Connections of the table; enough for rounding to pages to vanish.
const IDLE: u32 = 5000;

fn idle(bench: &Bench, _: &Plan) -> Result<Outcome> {
    let arguments = ["--connections".to_owned(), IDLE.to_string()];
    let servers = bench.servers(|server| !server.is_tcp() && server.group != Group::Batched);
    // Memory does not depend on what else the machine does: once is enough.
    let reports = bench.interleaved(&servers, &[], 1, "idle", &arguments)?;
    let mut table = Table::new(&["server", "connected", "after 125 B", "after 16 KiB"]);
    let mut data = Vec::new();
    for (server, reports) in &reports {
        let bytes = |name| summary(reports, |report| Ok(report.number(name)? / f64::from(IDLE)));
        let figures =
            [bytes("connected")?, bytes("after_small")?, bytes("after_large")?].map(|bytes| bytes.median);
        let cells = figures.map(|bytes| format!("{bytes:.0}"));
        table.push(std::iter::once(server.name.to_owned()).chain(cells).collect());
        data.push(json!({ "server": server.name, "connections": IDLE, "bytes": figures }));
    }
    Ok(Outcome {
        tables: vec![(format!("{IDLE} connections:"), table)],
        charts: Vec::new(),
        data: data.into(),
    })
}

/// A summary of one figure of each report.
fn summary(reports: &[Report], figure: impl Fn(&Report) -> Result<f64>) -> Result<Summary> {
    Ok(Summary::of(reports.iter().map(figure).collect::<Result<_>>()?))
}
