//! cargo-deny: the machine's own, or one compiled for this checkout.

use std::path::PathBuf;
use std::process::Command;

use super::install_once;
use crate::outcome::Result;
use crate::process;
use crate::workspace::{COMPILE_LIMIT, cargo, tools};

const VERSION: &str = "0.20.2";

/// The path of `cargo-deny`.
pub(crate) fn installed() -> Result<PathBuf> {
    if process::succeeds(Command::new("cargo-deny").arg("--version")) {
        return Ok(PathBuf::from("cargo-deny"));
    }
    let folder = tools("cargo-deny");
    install_once(&folder, VERSION, || {
        println!("compiling cargo-deny {VERSION}, once for this checkout");
        // It checks one small lock file, so what counts is the time to compile it: without optimisation and debug
        // information under two minutes on two cores, and the check still takes a second.
        let mut install = cargo();
        install
            .args([
                "install",
                "cargo-deny",
                "--version",
                VERSION,
                "--locked",
                "--quiet",
                "--profile",
                "dev",
                "--root",
            ])
            .arg(&folder)
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_TARGET_DIR", folder.join("target"));
        process::run(&mut install, COMPILE_LIMIT)?;
        let _ = std::fs::remove_dir_all(folder.join("target"));
        Ok(())
    })?;
    Ok(folder.join("bin/cargo-deny"))
}
