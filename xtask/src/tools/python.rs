//! Python 3, and environments with their packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{INSTALL_LIMIT, debian, install_once};
use crate::outcome::{Context, Result, Stop};
use crate::process;
use crate::workspace::tools;

/// `websockets` 17 wants this version; Debian 12 has it.
const OLDEST: (u32, u32) = (3, 11);

/// A Python 3 with the packages of a requirements file.
pub(crate) fn with_packages(requirements: &Path) -> Result<PathBuf> {
    let wanted = fs::read_to_string(requirements).context(requirements.display())?;
    let folder = tools("python");
    let python = folder.join("bin/python");
    install_once(&folder, &wanted, || {
        environment(&folder)?;
        process::run(pip(&python).arg("--requirement").arg(requirements), INSTALL_LIMIT)
    })?;
    Ok(python)
}

/// A Python 3 that needs nothing but what comes with it.
pub(crate) fn plain() -> Result<PathBuf> {
    let folder = tools("python-plain");
    install_once(&folder, "", || environment(&folder))?;
    Ok(folder.join("bin/python"))
}

/// Makes an empty environment of Python 3.
pub(super) fn environment(folder: &Path) -> Result {
    let can_make = || {
        let script = format!("import ensurepip, sys, venv; assert sys.version_info >= {OLDEST:?}");
        process::succeeds(Command::new("python3").args(["-c", &script]))
    };
    if !can_make() {
        debian::install(&["python3", "python3-venv"])?;
        if !can_make() {
            return Err(Stop::skip(format!("no Python {}.{} or newer", OLDEST.0, OLDEST.1)));
        }
    }
    process::run(Command::new("python3").args(["-m", "venv"]).arg(folder), INSTALL_LIMIT)
}

/// `pip install` in an environment.
pub(super) fn pip(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    command
}
