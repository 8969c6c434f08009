//! The foreign programs that the checks need: found, or installed.

pub(crate) mod cargo_deny;
pub(crate) mod chromium;
pub(crate) mod curl;
mod debian;
pub(crate) mod node;
pub(crate) mod perf;
pub(crate) mod python;
pub(crate) mod valgrind;
pub(crate) mod wstest;

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::outcome::{Context, Result};

/// The longest that downloading and installing may take.
const INSTALL_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Runs `install` unless it has succeeded before in `folder` for the same `wanted` list of packages.
fn install_once(folder: &Path, wanted: &str, install: impl FnOnce() -> Result) -> Result {
    let stamp = folder.join(".installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder).context(folder.display())?;
    }
    fs::create_dir_all(folder).context(folder.display())?;
    install()?;
    fs::write(&stamp, wanted).context(stamp.display())
}
