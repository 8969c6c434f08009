//! perf, which counts what the kernel does for a process.

use std::process::Command;

use super::debian;
use crate::outcome::{Result, Stop};
use crate::process;

/// Makes sure that `perf` is there and can count `event`.
pub(crate) fn installed(event: &str) -> Result {
    let counts = || process::succeeds(Command::new("perf").args(["stat", "-e", event, "true"]));
    if !counts() && !process::succeeds(Command::new("perf").arg("--version")) {
        debian::install(&["linux-perf"])?;
    }
    if counts() { Ok(()) } else { Err(Stop::skip(format!("perf cannot count {event} on this machine"))) }
}
