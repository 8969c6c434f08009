//! Autobahn|Testsuite, which runs on Python 2.7 only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::python::{environment, pip};
use super::{INSTALL_LIMIT, install_once};
use crate::outcome::{Context, Result, Stop};
use crate::process;
use crate::workspace::{conformance, tools};

/// The last version that makes environments of Python 2.7.
const VIRTUALENV: &str = "virtualenv==20.21.1";

/// The installed suite.
#[derive(Debug)]
pub(crate) struct Wstest {
    bin: PathBuf,
}

impl Wstest {
    /// Finds the suite, or installs it with any Python 2.7 of this machine.
    pub(crate) fn installed() -> Result<Self> {
        let constraints = conformance("autobahn/constraints.txt");
        let wanted = fs::read_to_string(&constraints).context(constraints.display())?;
        let folder = tools("autobahn");
        let suite = folder.join("suite");
        let bin = suite.join("bin");
        install_once(&folder, &wanted, || {
            let python2 = find_python2()?;
            println!("installing Autobahn|Testsuite with {}", python2.display());
            let maker = folder.join("virtualenv");
            environment(&maker)?;
            process::run(pip(&maker.join("bin/python")).arg(VIRTUALENV), INSTALL_LIMIT)?;
            let mut virtualenv = Command::new(maker.join("bin/virtualenv"));
            process::run(virtualenv.args(["--quiet", "-p"]).arg(python2).arg(&suite), INSTALL_LIMIT)?;
            let mut install = pip(&bin.join("python"));
            // Its pip would tell at length that Python 2.7 has reached its end.
            install.env("PIP_NO_PYTHON_VERSION_WARNING", "1");
            install.arg("autobahntestsuite").arg("--constraint").arg(&constraints);
            process::run(&mut install, INSTALL_LIMIT)
        })?;
        Ok(Self { bin })
    }

    /// `wstest` in a mode, with the specification in a file.
    pub(crate) fn command(&self, mode: &str, specification: &Path) -> Command {
        let mut command = Command::new(self.bin.join("wstest"));
        command.args(["--mode", mode, "--spec"]).arg(specification);
        command
    }

    /// Which cases the suite takes these patterns for; each must name some.
    pub(crate) fn cases(&self, patterns: &[String]) -> Result<Vec<String>> {
        let mut script = Command::new(self.bin.join("python"));
        script.arg(conformance("autobahn/cases.py")).args(patterns);
        let cases = process::output(&mut script, Duration::from_secs(60))?;
        serde_json::from_str(&cases).context("the list of Autobahn's cases")
    }
}

/// A Python 2.7 on the path, or among pyenv's.
fn find_python2() -> Result<PathBuf> {
    let is_python2 = |python: &PathBuf| {
        let script = "import sys; assert sys.version_info[:2] == (2, 7)";
        process::succeeds(Command::new(python).args(["-c", script]))
    };
    let on_path = ["python2.7", "python2", "python"].map(PathBuf::from).into_iter();
    on_path
        .chain(pyenv_versions().unwrap_or_default())
        .find(is_python2)
        .ok_or_else(|| Stop::skip("no Python 2.7, without which Autobahn|Testsuite does not run"))
}

fn pyenv_versions() -> Result<Vec<PathBuf>> {
    let root = process::output(Command::new("pyenv").arg("root"), Duration::from_secs(10))?;
    let versions = Path::new(root.trim()).join("versions");
    let entries = fs::read_dir(&versions).context(versions.display())?;
    Ok(entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("2.7"))
        .map(|entry| entry.path().join("bin/python"))
        .collect())
}
