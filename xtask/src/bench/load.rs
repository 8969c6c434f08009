//! Running the load generator.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::cases::{Case, MIB, Takeover};
use super::servers::{self, Built, Started};
use crate::outcome::{Context, Result, Stop};
use crate::process;

/// Longer than any one measurement, whose own limits are shorter.
const LIMIT: Duration = Duration::from_secs(120);

/// The load generator.
#[derive(Debug)]
pub(crate) struct Load(PathBuf);

/// A report of the load generator.
#[derive(Clone, Debug)]
pub(crate) struct Report(Value);

impl Report {
    /// One of its numbers.
    pub(crate) fn number(&self, name: &str) -> Result<f64> {
        let value = self.0.get(name).and_then(Value::as_f64);
        value.ok_or_else(|| Stop::fail(format!("the load generator tells no {name}: {}", self.0)))
    }
}

impl Load {
    pub(crate) fn build() -> Result<Self> {
        servers::build("stentor-load").map(Self)
    }

    /// Runs a command of the generator and gives back what it reports.
    pub(crate) fn run(
        &self,
        command: &str,
        built: &Built,
        started: &Started,
        arguments: &[String],
    ) -> Result<Report> {
        let mut load = self.command(command, built, started, arguments);
        let output = process::output(&mut load, LIMIT).map_err(|stop| match stop {
            Stop::Fail(why) => Stop::Fail(format!("{}: {why}", built.server.name)),
            skip @ Stop::Skip(_) => skip,
        })?;
        serde_json::from_str(&output).map(Report).context("the load generator's report")
    }

    /// The command line that [`run`](Self::run) runs: on core 0.
    pub(crate) fn command(
        &self,
        command: &str,
        built: &Built,
        started: &Started,
        arguments: &[String],
    ) -> Command {
        let mut load = servers::on_core(0, &self.0);
        load.arg(command)
            .args(["--server", &started.address, "--pid", &started.pid().to_string()])
            .args(arguments);
        if built.server.is_tcp() {
            load.arg("--raw");
        }
        load
    }
}

/// What tells the generator about a case.
pub(crate) fn shape(case: &Case) -> Vec<String> {
    let mut arguments = Vec::new();
    for (name, value) in [
        ("--connections", case.connections.to_string()),
        ("--in-flight", case.in_flight.to_string()),
        ("--payload", case.payload.to_string()),
        ("--kind", case.kind.name().to_owned()),
    ] {
        arguments.extend([name.to_owned(), value]);
    }
    if let Some(takeover) = case.deflate {
        arguments.extend(["--deflate".to_owned(), offer(takeover).to_owned()]);
    }
    arguments
}

/// The parameters that are offered.
pub(crate) fn offer(takeover: Takeover) -> &'static str {
    match takeover {
        Takeover::Kept => "client_max_window_bits",
        Takeover::Off => "client_max_window_bits; server_no_context_takeover; client_no_context_takeover",
    }
}

/// A time for an option of the generator.
pub(crate) fn seconds(time: Duration) -> [String; 2] {
    ["--seconds".to_owned(), time.as_secs_f64().to_string()]
}

/// What a server has to be told for a case.
pub(crate) fn server_options(case: &Case) -> Vec<String> {
    let mut options = Vec::new();
    // As large as some of the default limits, or larger.
    if case.payload >= MIB {
        options.extend(["--max-message".to_owned(), case.payload.to_string()]);
    }
    if case.deflate.is_some() {
        options.push("--deflate".to_owned());
    }
    options
}
