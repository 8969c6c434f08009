//! Debian packages.

use std::fs;
use std::process::Command;

use super::INSTALL_LIMIT;
use crate::outcome::{Context, Result, Stop};
use crate::process;
use crate::workspace::tools;

/// Makes sure that there is a program, which this package has.
pub(crate) fn program(name: &str, package: &str) -> Result {
    // Not every program says that it is there by succeeding.
    if process::succeeds(Command::new("sh").args(["-c", "command -v \"$1\"", "sh", name])) {
        return Ok(());
    }
    install(&[package])
}

/// Installs packages, if this system has apt and we are allowed to; otherwise the check that wants them is skipped.
pub(crate) fn install(packages: &[&str]) -> Result {
    let wanted = packages.join(", ");
    if !process::succeeds(Command::new("apt-get").arg("--version")) {
        return Err(Stop::skip(format!("{wanted} missing, and there is no apt-get to install it")));
    }
    if !is_root() {
        return Err(Stop::skip(format!("{wanted} missing, and only root may install it")));
    }
    println!("installing {wanted}");
    let log = tools("apt.log");
    fs::create_dir_all(tools("")).context(log.display())?;
    let apt = || {
        let mut command = Command::new("apt-get");
        // What brings a service of its own shall not start it.
        command.env("DEBIAN_FRONTEND", "noninteractive").env("SYSTEMD_OFFLINE", "1").arg("--quiet=2");
        command
    };
    process::logged(apt().arg("update"), &log, INSTALL_LIMIT)?;
    process::logged(
        apt().args(["install", "--yes", "--no-install-recommends"]).args(packages),
        &log,
        INSTALL_LIMIT,
    )
}

fn is_root() -> bool {
    process::succeeds(Command::new("sh").args(["-c", "[ \"$(id -u)\" = 0 ]"]))
}
