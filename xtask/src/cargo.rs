//! The steps that cargo does: formatting, lints, documentation, tests, dependencies.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::outcome::{Result, Stop};
use crate::process;
use crate::tools::cargo_deny;
use crate::workspace::{COMPILE_LIMIT, cargo, root};

const QUICK: Duration = Duration::from_secs(120);

/// The measurements are a workspace of their own.
fn bench() -> PathBuf {
    root().join("bench")
}

pub(crate) fn fmt() -> Result {
    process::run(cargo().args(["fmt", "--all", "--check"]), QUICK)?;
    process::run(cargo().current_dir(bench()).args(["fmt", "--all", "--check"]), QUICK)
}

pub(crate) fn clippy() -> Result {
    let lints = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    process::run(cargo().args(lints), COMPILE_LIMIT)?;
    process::run(cargo().current_dir(bench()).args(lints), COMPILE_LIMIT)
}

pub(crate) fn doc() -> Result {
    let mut doc = cargo();
    doc.args(["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    process::run(&mut doc, COMPILE_LIMIT)
}

pub(crate) fn test() -> Result {
    process::run(cargo().args(["test", "--workspace", "--no-fail-fast"]), COMPILE_LIMIT)?;
    // The rest of the measurements would be compiled with all peers, only to see that it still runs.
    process::run(cargo().current_dir(bench()).args(["test", "--package", "stentor-load"]), COMPILE_LIMIT)
}

pub(crate) fn deny() -> Result {
    process::run(
        Command::new(cargo_deny::installed()?)
            .current_dir(root())
            .args(["check", "licenses", "bans", "sources"]),
        QUICK,
    )
}

pub(crate) fn advisories() -> Result {
    let deny = cargo_deny::installed()?;
    if !process::succeeds(Command::new(&deny).current_dir(root()).args(["fetch", "db"])) {
        return Err(Stop::skip("the RustSec advisory database cannot be reached"));
    }
    process::run(
        Command::new(&deny).current_dir(root()).args(["check", "--disable-fetch", "advisories"]),
        QUICK,
    )
}
