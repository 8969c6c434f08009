//! valgrind, which counts instructions whatever else the machine does.

use std::process::Command;

use super::debian;
use crate::outcome::Result;
use crate::process;

/// Makes sure that `valgrind` is there.
pub(crate) fn installed() -> Result {
    if !process::succeeds(Command::new("valgrind").arg("--version")) {
        debian::install(&["valgrind"])?;
    }
    Ok(())
}
