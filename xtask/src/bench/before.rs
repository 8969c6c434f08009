//! Stentor as it was at a commit, to be measured beside what has become of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::servers::{self, Built, Server};
use crate::outcome::{Context, Result, Stop};
use crate::process;
use crate::workspace::{root, tools};

/// The longest that git and tar may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The echo server that is built from the commit.
pub(crate) static BEFORE: Server = servers::ours("stentor, before");

/// Builds it as it was at `commit`, which is anything that git takes for one.
pub(crate) fn build(commit: &str) -> Result<Built> {
    let mut parse = Command::new("git");
    parse.current_dir(root()).args(["rev-parse", "--verify", "--quiet"]).arg(format!("{commit}^{{commit}}"));
    let hash = process::output(&mut parse, LIMIT).map_err(|_| Stop::fail(format!("no commit {commit}")))?;
    let sources = sources(hash.trim())?;
    let program = servers::build_in(&sources.join("bench"), Some(&tools("before/target")), "bench-stentor")?;
    Ok(Built::of(&BEFORE, program))
}

/// The files of a commit, in a folder that is there whole or not at all.
fn sources(hash: &str) -> Result<PathBuf> {
    let folder = tools("before").join(hash);
    if !folder.is_dir() {
        let unfinished = folder.with_extension("unfinished");
        unpack(hash, &unfinished)?;
        fs::rename(&unfinished, &folder).context("the sources of that commit")?;
    }
    Ok(folder)
}

fn unpack(hash: &str, folder: &Path) -> Result {
    fs::create_dir_all(folder).context("a folder for the sources of that commit")?;
    let archive = folder.with_extension("tar");
    let mut pack = Command::new("git");
    pack.current_dir(root()).args(["archive", "--format", "tar", "--output"]).arg(&archive).arg(hash);
    process::run(&mut pack, LIMIT)?;
    process::run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(folder), LIMIT)?;
    fs::remove_file(&archive).context("the archive of that commit")
}
