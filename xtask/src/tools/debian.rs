//! Debian packages.

use std::process::Command;

use super::INSTALL_LIMIT;
use crate::outcome::{Result, Stop};
use crate::process;

/// Installs packages, if this system has apt and we are allowed to; otherwise the check that wants them is skipped.
pub(super) fn install(packages: &[&str]) -> Result {
    let wanted = packages.join(", ");
    if !process::succeeds(Command::new("apt-get").arg("--version")) {
        return Err(Stop::skip(format!("{wanted} missing, and there is no apt-get to install it")));
    }
    if !is_root() {
        return Err(Stop::skip(format!("{wanted} missing, and only root may install it")));
    }
    println!("installing {wanted}");
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet=2");
        command
    };
    process::run(apt().arg("update"), INSTALL_LIMIT)?;
    process::run(apt().args(["install", "--yes", "--no-install-recommends"]).args(packages), INSTALL_LIMIT)
}

fn is_root() -> bool {
    process::succeeds(Command::new("sh").args(["-c", "[ \"$(id -u)\" = 0 ]"]))
}
