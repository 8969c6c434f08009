//! The authorities that Chromium trusts on Linux: those of the system, and those of a user in a database of NSS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::debian;
use crate::outcome::{Context, Result};
use crate::process;
use crate::workspace::tools;

/// A home folder of a user who trusts this authority, and nobody else besides the system's.
pub(crate) fn home_that_trusts(authority: &Path) -> Result<PathBuf> {
    debian::program("certutil", "libnss3-tools")?;
    let home = tools("home");
    if home.exists() {
        fs::remove_dir_all(&home).context(home.display())?;
    }
    let database = home.join(".pki/nssdb");
    fs::create_dir_all(&database).context(database.display())?;
    let certutil = |arguments: &[&str], file: Option<&Path>| {
        let mut command = Command::new("certutil");
        command.arg("-d").arg(format!("sql:{}", database.display())).args(arguments).args(file);
        process::run(&mut command, Duration::from_secs(60))
    };
    certutil(&["-N", "--empty-password"], None)?;
    certutil(&["-A", "-t", "C,,", "-n", "Stentor's checks", "-i"], Some(authority))?;
    Ok(home)
}
