//! curl.

use std::process::Command;

use super::debian;
use crate::outcome::Result;
use crate::process;

/// The name of the program, which is there.
pub(crate) fn installed() -> Result<String> {
    if !process::succeeds(Command::new("curl").arg("--version")) {
        debian::install(&["curl"])?;
    }
    Ok("curl".to_owned())
}
