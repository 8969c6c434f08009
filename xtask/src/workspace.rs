//! Where things are in the checkout, and how its binaries are built.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::outcome::{Result, Stop};
use crate::process;

/// The longest that compiling may take, on a slow machine that compiles everything.
pub(crate) const COMPILE_LIMIT: Duration = Duration::from_secs(30 * 60);

/// The folder of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is in a folder of the workspace")
}

/// A path in the folder that holds what is installed and written; git ignores it.
pub(crate) fn tools(path: &str) -> PathBuf {
    root().join(".tools").join(path)
}

/// A path in the folder of the checks against others' implementations.
pub(crate) fn conformance(path: &str) -> PathBuf {
    root().join("conformance").join(path)
}

/// `cargo` in the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Builds a package's binary or example (`selection` says which) as the conformance checks want it, and gives back
/// its path.
pub(crate) fn build(package: &str, selection: &[&str]) -> Result<PathBuf> {
    let messages = process::output(
        cargo()
            .args(["build", "--quiet", "--profile", "conformance", "--package", package])
            .args(["--message-format", "json-render-diagnostics"])
            .args(selection),
        COMPILE_LIMIT,
    )?;
    executable(&messages).ok_or_else(|| Stop::fail(format!("cargo built no executable of {package}")))
}

/// The path in cargo's message about the executable it made.
pub(crate) fn executable(messages: &str) -> Option<PathBuf> {
    messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()).find_map(
        |message| {
            let path = message.get("executable")?.as_str()?;
            Some(PathBuf::from(path))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_found_among_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","executable":null}
{"reason":"compiler-artifact","executable":"/target/peer"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages), Some(PathBuf::from("/target/peer")));
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#), None);
    }
}
