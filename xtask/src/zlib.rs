//! Compressed messages between our connections and zlib, as Python has it, in both directions.

use std::env;
use std::process::Command;
use std::time::Duration;

use crate::outcome::{Context, Result, Stop};
use crate::process;
use crate::tools::python;
use crate::workspace::{build, conformance};

/// `STENTOR_ROUNDS=100000` is the nightly run; the random tests of `stentor-proto` obey it as well.
const ROUNDS: u64 = 2000;

pub(crate) fn run() -> Result {
    let rounds = match env::var("STENTOR_ROUNDS") {
        Ok(rounds) => rounds.parse().context("STENTOR_ROUNDS")?,
        Err(_) => ROUNDS,
    };
    let program = build("stentor-testkit", &["--example", "against_zlib"])?;
    let mut command = Command::new(program);
    command.arg(python::plain()?).arg(conformance("zlib/zlib_peer.py")).arg(rounds.to_string());
    let lines = process::shown_output(&mut command, limit(rounds))?;
    let expected = format!("rounds: {rounds} ok");
    match lines.last() {
        Some(last) if *last == expected => Ok(()),
        last => Err(Stop::fail(format!("instead of `{expected}` it says {last:?}"))),
    }
}

/// A thousand rounds take about a second.
fn limit(rounds: u64) -> Duration {
    Duration::from_secs(120) + Duration::from_millis(20) * u32::try_from(rounds).unwrap_or(u32::MAX)
}
