//! What the figures belong to: the machine, the day, the compiler.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::outcome::Result;
use crate::process;

/// The processor, its cores, the kernel and the compiler, in one line.
pub(crate) fn description() -> Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.split('-').next().unwrap_or_default().trim();
    let rustc = process::output(Command::new("rustc").arg("--version"), Duration::from_secs(60))?;
    let rustc = rustc.split_whitespace().nth(1).unwrap_or_default().to_owned();
    Ok(format!("{model}, {cores} cores, Linux {kernel}, rustc {rustc}"))
}

/// The day, in UTC.
pub(crate) fn date() -> Result<String> {
    let date = process::output(Command::new("date").args(["--utc", "+%Y-%m-%d"]), Duration::from_secs(60))?;
    Ok(date.trim().to_owned())
}
