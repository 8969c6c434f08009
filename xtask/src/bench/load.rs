//! Running the load generator.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::cases::Case;
use super::servers::{self, Started};
use crate::outcome::{Context, Result, Stop};
use crate::process;

/// Longer than any one measurement, whose own limits are shorter.
const LIMIT: Duration = Duration::from_secs(120);

/// The load generator.
#[derive(Debug)]
pub(crate) struct Load(PathBuf);

/// One measurement of echoes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Echo {
    /// CPU time of the server, nanoseconds per message.
    pub(crate) server: f64,
    /// CPU time of the load generator, nanoseconds per message.
    pub(crate) load: f64,
    /// The share of the time in which the load generator was busy.
    pub(crate) load_share: f64,
}

impl Load {
    pub(crate) fn build() -> Result<Self> {
        servers::build("stentor-load").map(Self)
    }

    /// CPU time per message.
    pub(crate) fn echo(&self, server: &Started, raw: bool, case: &Case, time: Duration) -> Result<Echo> {
        let mut arguments = shape(case);
        arguments.extend(["--seconds".to_owned(), time.as_secs_f64().to_string()]);
        if raw {
            arguments.push("--raw".to_owned());
        }
        let report = self.run("echo", server, &arguments)?;
        let messages = number(&report, "messages")?;
        let load = number(&report, "load_cpu_ns")?;
        Ok(Echo {
            server: number(&report, "server_cpu_ns")? / messages,
            load: load / messages,
            load_share: load / number(&report, "wall_ns")?,
        })
    }

    /// Runs a command of the generator on core 0; gives back the JSON it prints.
    fn run(&self, command: &str, server: &Started, arguments: &[String]) -> Result<Value> {
        let mut load = servers::on_core(0, &self.0);
        load.arg(command)
            .args(["--server", &server.address, "--pid", &server.pid().to_string()])
            .args(arguments);
        let output = process::output(&mut load, LIMIT)?;
        serde_json::from_str(&output).context("the load generator's report")
    }
}

fn shape(case: &Case) -> Vec<String> {
    let mut arguments = Vec::new();
    for (name, value) in [
        ("--connections", case.connections.to_string()),
        ("--in-flight", case.in_flight.to_string()),
        ("--payload", case.payload.to_string()),
        ("--kind", case.kind.name().to_owned()),
    ] {
        arguments.extend([name.to_owned(), value]);
    }
    arguments
}

fn number(report: &Value, name: &str) -> Result<f64> {
    let value = report.get(name).and_then(Value::as_f64);
    value.ok_or_else(|| Stop::fail(format!("the load generator tells no {name}: {report}")))
}
