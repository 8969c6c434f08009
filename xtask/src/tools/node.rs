//! Node.js, with the packages of a folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{INSTALL_LIMIT, debian, install_once};
use crate::outcome::{Context, Result, Stop};
use crate::process;

/// `playwright-core` wants this version; Debian 12 has it.
const OLDEST: u32 = 18;

/// Node.js, with the packages that the folder's `package.json` names installed beside it.
///
/// There is no lock file: the versions are exact, and the packages have no dependencies.
pub(crate) fn with_packages(folder: &Path) -> Result<PathBuf> {
    let node = PathBuf::from("node");
    if !(is_recent(&node) && process::succeeds(Command::new("npm").arg("--version"))) {
        debian::install(&["nodejs", "npm"])?;
        if !is_recent(&node) {
            return Err(Stop::skip(format!("no Node.js of version {OLDEST} or newer")));
        }
    }
    let manifest = folder.join("package.json");
    let wanted = fs::read_to_string(&manifest).context(manifest.display())?;
    install_once(&folder.join("node_modules"), &wanted, || {
        let options = ["--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"];
        process::run(Command::new("npm").arg("install").args(options).current_dir(folder), INSTALL_LIMIT)
    })?;
    Ok(node)
}

fn is_recent(node: &Path) -> bool {
    let script = format!("process.exit(process.versions.node.split('.')[0] >= {OLDEST} ? 0 : 1)");
    process::succeeds(Command::new(node).args(["--eval", &script]))
}
