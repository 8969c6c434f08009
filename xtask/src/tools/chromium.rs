//! Debian's Chromium.

use std::path::{Path, PathBuf};

use super::debian;
use crate::outcome::{Result, Stop};

/// The path of the browser.
pub(crate) fn installed() -> Result<PathBuf> {
    let path = Path::new("/usr/bin/chromium");
    if !path.exists() {
        debian::install(&["chromium"])?;
    }
    if path.exists() {
        Ok(path.to_owned())
    } else {
        Err(Stop::fail(format!("the package chromium has no {}", path.display())))
    }
}
