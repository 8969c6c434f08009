//! Whether the others of a server notice connections that never read.

use serde_json::json;

use super::cases::{Kind, case};
use super::load::{self, Report};
use super::rounds::{Bench, Plan};
use super::sections::{Outcome, RATE};
use super::servers::OURS;
use super::statistics::Summary;
use super::table::Table;
use crate::outcome::{Result, Stop};

/// How many do not read.
const SLOW: u32 = 10;

/// What becomes of messages for them, as the server is told it.
const POLICIES: [&str; 4] = ["wait", "drop-oldest", "drop-newest", "close"];

/// The most that the 99th percentile may change, in percent.
const GOAL: f64 = 10.0;

/// Round-trip times of a round, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Times {
    p50: f64,
    p99: f64,
}

impl Times {
    fn of(report: &Report) -> Result<Self> {
        Ok(Self { p50: report.number("p50_ns")?, p99: report.number("p99_ns")? })
    }
}

pub(crate) fn measure(bench: &Bench, plan: &Plan) -> Result<Outcome> {
    let ours = bench.servers(|server| server.name == OURS);
    let Some(built) = ours.first() else { return Err(Stop::skip(format!("only {OURS} has such a form"))) };
    let mut alone = load::shape(&case(125, Kind::Text, 50, 1, None));
    alone.extend(load::seconds(plan.sample));
    alone.extend(["--rate".to_owned(), RATE.to_string()]);
    let mut beside = alone.clone();
    for (arguments, count) in [(&mut alone, 0), (&mut beside, SLOW)] {
        arguments.extend(["--slow-readers".to_owned(), count.to_string()]);
    }

    let start = |policy: &&str| built.start(&[(*policy).to_owned()]);
    let servers = POLICIES.iter().map(start).collect::<Result<Vec<_>>>()?;
    let mut measured = [const { Vec::new() }; POLICIES.len()];
    for round in 0..plan.rounds {
        for (server, measured) in servers.iter().zip(&mut measured) {
            let run = |arguments| Times::of(&bench.load.run("latency", built, server, arguments)?);
            // Neither always comes first.
            measured.push(if round % 2 == 0 {
                let alone = run(&alone)?;
                (alone, run(&beside)?)
            } else {
                let beside = run(&beside)?;
                (run(&alone)?, beside)
            });
        }
    }

    let mut table = Table::new(&[
        "policy",
        "p50 µs alone",
        "beside",
        "p99 µs alone",
        "beside",
        "change",
        "lower quartiles",
        "beside",
        "change",
        "",
    ]);
    let mut data = Vec::new();
    for (policy, rounds) in POLICIES.iter().zip(&measured) {
        let summary = |figure: fn(&(Times, Times)) -> f64| Summary::of(rounds.iter().map(figure).collect());
        let p50 = [summary(|(alone, _)| alone.p50), summary(|(_, beside)| beside.p50)];
        let p99 = [summary(|(alone, _)| alone.p99), summary(|(_, beside)| beside.p99)];
        let medians = p99.map(|summary| summary.median);
        // What else the machine does delays some rounds, and hastens none.
        let quartiles = p99.map(|summary| summary.lower);
        let percent = |[alone, beside]: [f64; 2]| 100.0 * (beside / alone - 1.0);
        let mut row = vec![(*policy).to_owned()];
        row.extend(p50.map(|summary| format!("{:.0}", summary.median / 1e3)));
        for times in [medians, quartiles] {
            row.extend(times.map(|time| format!("{:.0}", time / 1e3)));
            row.push(format!("{:+.1} %", percent(times)));
        }
        row.push(if percent(medians) < GOAL { String::new() } else { "over the goal".to_owned() });
        table.push(row);
        data.push(json!({
            "policy": policy, "p99_percent": percent(medians), "p99_percent_of_lower_quartiles": percent(quartiles),
            "p50_alone": p50[0].to_json(), "p50_beside": p50[1].to_json(),
            "p99_alone": p99[0].to_json(), "p99_beside": p99[1].to_json(),
        }));
    }
    let caption = format!("{SLOW} that never read; the goal is less than {GOAL} % more for p99:");
    Ok(Outcome { tables: vec![(caption, table)], charts: Vec::new(), data: data.into() })
}
