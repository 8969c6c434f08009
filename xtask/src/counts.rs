//! `cargo xtask counts`: instructions per message of the hot paths, beside those on record.
//!
//! The record is `bench/counts.txt`. Instructions are counted by valgrind, so the same program gives the
//! same figure on a busy machine as on a quiet one; another compiler makes another program, so the record
//! holds for the compiler that it names.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::bench;
use crate::outcome::{Context, Result, Stop};
use crate::process;
use crate::tools::valgrind;
use crate::workspace::root;

/// How much more than on record is a regression.
const TOLERANCE: f64 = 0.03;

/// What differs less is not worth a new record.
const NOTABLE: f64 = 0.01;

/// Two runs with so many calls; their difference has nothing of starting and warming up in it.
const CALLS: [u32; 2] = [20, 60];

const LIMIT: Duration = Duration::from_secs(10 * 60);

const HEAD: &str = "\
# Instructions per message on the hot paths, counted by valgrind: `cargo xtask counts` compares, and
# `cargo xtask counts --record` writes this file anew.
";

/// `cargo xtask counts [--record]`.
pub(crate) fn command(arguments: &[&str]) -> ExitCode {
    let done = match arguments {
        [] => compare(),
        ["--record"] => record(),
        _ => Err(Stop::fail("cargo xtask counts [--record]")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Skip(why)) => {
            println!("skipped: {why}");
            ExitCode::SUCCESS
        }
        Err(Stop::Fail(why)) => {
            println!("failed: {why}");
            ExitCode::FAILURE
        }
    }
}

fn file() -> PathBuf {
    root().join("bench/counts.txt")
}

/// Counts, and fails if a path has become more expensive than the record allows.
pub(crate) fn compare() -> Result {
    let text = fs::read_to_string(file()).context("bench/counts.txt")?;
    let record = Record::parse(&text)?;
    let compiler = compiler()?;
    if record.compiler != compiler {
        return Err(Stop::skip(format!(
            "the record is of {}, this is {compiler}; `cargo xtask counts --record` makes a new one",
            record.compiler
        )));
    }
    let (report, regressions) = difference(&record.counts, &count()?);
    print!("{report}");
    if regressions == 0 {
        return Ok(());
    }
    Err(Stop::fail(format!(
        "{regressions} hot paths take over {:.0} % more instructions than on record; if that has to be, \
         `cargo xtask counts --record` records it",
        TOLERANCE * 100.0
    )))
}

fn record() -> Result {
    let record = Record { compiler: compiler()?, counts: count()? };
    fs::write(file(), record.text()).context("bench/counts.txt")?;
    println!("{} hot paths recorded in bench/counts.txt", record.counts.len());
    Ok(())
}

/// What the file holds.
#[derive(Debug, PartialEq)]
struct Record {
    compiler: String,
    counts: BTreeMap<String, f64>,
}

impl Record {
    fn text(&self) -> String {
        let mut text = format!("{HEAD}compiler {}\n", self.compiler);
        for (path, count) in &self.counts {
            let _ = writeln!(text, "{count:>10.1} {path}");
        }
        text
    }

    fn parse(text: &str) -> Result<Self> {
        let mut record = Self { compiler: String::new(), counts: BTreeMap::new() };
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let (first, rest) = line.split_once(' ').context_line(line)?;
            if first == "compiler" {
                rest.clone_into(&mut record.compiler);
            } else {
                record.counts.insert(rest.to_owned(), first.parse().context(line)?);
            }
        }
        Ok(record)
    }
}

trait ContextLine<T> {
    fn context_line(self, line: &str) -> Result<T>;
}

impl<T> ContextLine<T> for Option<T> {
    fn context_line(self, line: &str) -> Result<T> {
        self.ok_or_else(|| Stop::fail(format!("bench/counts.txt: {line}")))
    }
}

/// Tells what differs, and how many paths are regressions.
fn difference(recorded: &BTreeMap<String, f64>, counted: &BTreeMap<String, f64>) -> (String, usize) {
    let (mut report, mut regressions) = (String::new(), 0);
    for (path, count) in counted {
        let Some(before) = recorded.get(path) else {
            let _ = writeln!(report, "  {count:>10.1}            {path}: not on record");
            continue;
        };
        let change = count / before - 1.0;
        if change > TOLERANCE {
            regressions += 1;
        }
        if change.abs() > NOTABLE {
            let word = if change > TOLERANCE { " REGRESSION" } else { "" };
            let _ = writeln!(report, "  {count:>10.1} {:>+9.1} % {path}{word}", change * 100.0);
        }
    }
    for path in recorded.keys().filter(|path| !counted.contains_key(*path)) {
        regressions += 1;
        let _ = writeln!(report, "  {path}: on record, but there is no such path");
    }
    let _ = writeln!(report, "  {} hot paths counted", counted.len());
    (report, regressions)
}

/// Instructions per message of every path.
fn count() -> Result<BTreeMap<String, f64>> {
    valgrind::installed()?;
    let program = bench::build("stentor-paths")?;
    let list = process::output(Command::new(&program).arg("--list"), LIMIT)?;
    let paths: Vec<(f64, &str)> = list
        .lines()
        .map(|line| {
            let (messages, path) = line.split_once(' ').context_line(line)?;
            Ok((messages.parse().context(line)?, path))
        })
        .collect::<Result<_>>()?;
    let next = Mutex::new(paths.iter());
    let counts = Mutex::new(BTreeMap::new());
    let worker = || -> Result {
        loop {
            let Some((messages, path)) = next.lock().ok().and_then(|mut paths| paths.next()) else {
                return Ok(());
            };
            let [short, long] = CALLS.map(|calls| instructions(&program, path, calls));
            let count = (long? - short?) / f64::from(CALLS[1] - CALLS[0]) / messages;
            if let Ok(mut counts) = counts.lock() {
                counts.insert((*path).to_owned(), count);
            }
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        running
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    counts.into_inner().context("the counts")
}

/// Instructions of a whole run.
fn instructions(program: &Path, path: &str, calls: u32) -> Result<f64> {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", "--log-fd=1"])
        .arg(program)
        .args([path, &calls.to_string()]);
    let output = process::output(&mut valgrind, LIMIT)?;
    let total =
        output.lines().find_map(|line| line.split_once("refs:")).map(|(_, total)| total.replace(',', ""));
    total.and_then(|total| total.trim().parse().ok()).context_line(path)
}

/// The compiler's version and what it compiles for.
fn compiler() -> Result<String> {
    let about = process::output(Command::new("rustc").arg("-vV"), LIMIT)?;
    let field =
        |name: &str| about.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    Ok(format!("rustc {} {}", field("release:"), field("host:")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(all: &[(&str, f64)]) -> BTreeMap<String, f64> {
        all.iter().map(|&(path, count)| (path.to_owned(), count)).collect()
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let counts = counts(&[("echo, 64 x 16 B: stentor", 80.5), ("mask: stentor-proto", 1234.0)]);
        let record = Record { compiler: "rustc 1.95.0 x86_64-unknown-linux-gnu".into(), counts };
        assert_eq!(Record::parse(&record.text()).unwrap(), record);
    }

    #[test]
    fn more_than_the_tolerance_is_a_regression_and_so_is_a_path_that_is_gone() {
        let recorded = counts(&[("a", 100.0), ("b", 100.0), ("c", 100.0), ("d", 100.0)]);
        let counted = counts(&[("a", 102.9), ("b", 103.1), ("c", 50.0), ("e", 1.0)]);
        let (report, regressions) = difference(&recorded, &counted);
        assert_eq!(regressions, 2, "{report}");
        assert!(report.contains("+3.1 % b REGRESSION"), "{report}");
        assert!(report.contains("d: on record"), "{report}");
        assert!(report.contains("e: not on record"), "{report}");
    }
}
