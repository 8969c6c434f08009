//! The steps of `cargo xtask test`: which there are, running them, and the summary.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::autobahn::Role;
use crate::outcome::{Result, Stop};
use crate::{autobahn, browser, cargo, counts, curl, interop, metrics, openssl, proxies, service, zlib};

/// One check.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    name: &'static str,
    about: &'static str,
    run: fn() -> Result,
}

/// Every check, the quick ones first.
pub(crate) const STEPS: &[Step] = &[
    Step { name: "fmt", about: "the formatting", run: cargo::fmt },
    Step { name: "clippy", about: "the lints, on all targets", run: cargo::clippy },
    Step { name: "doc", about: "the documentation builds without a warning", run: cargo::doc },
    Step { name: "test", about: "unit, integration, corpus and documentation tests", run: cargo::test },
    Step {
        name: "deny",
        about: "licences, duplicate versions and sources of the dependencies",
        run: cargo::deny,
    },
    Step { name: "advisories", about: "no known vulnerability in a dependency", run: cargo::advisories },
    Step { name: "zlib", about: "compressed messages to and from zlib, at random", run: zlib::run },
    Step {
        name: "metrics",
        about: "the page of the example `metrics` counts what was on the wire",
        run: metrics::run,
    },
    Step {
        name: "counts",
        about: "instructions per message on the hot paths, at most 3 % more than on record",
        run: counts::compare,
    },
    Step { name: "interop-node", about: "node `ws` as client and as server", run: interop::node },
    Step {
        name: "interop-python",
        about: "Python `websockets` as client and as server",
        run: interop::python,
    },
    Step {
        name: "interop-axum",
        about: "node `ws` and Python `websockets` against our server inside axum",
        run: interop::axum,
    },
    Step { name: "interop-tls", about: "node `ws` and Python `websockets` over TLS", run: interop::tls },
    Step {
        name: "openssl",
        about: "OpenSSL and curl against our server over TLS, with keys of every kind",
        run: openssl::run,
    },
    Step { name: "interop-curl", about: "what our server's hooks refuse, as curl sees it", run: curl::run },
    Step { name: "service", about: "the example `service` as systemd would run it", run: service::run },
    Step { name: "proxies-nginx", about: "nginx between our client and our server", run: proxies::nginx },
    Step { name: "proxies-apache", about: "Apache between our client and our server", run: proxies::apache },
    Step {
        name: "proxies-haproxy",
        about: "HAProxy between our client and our server",
        run: proxies::haproxy,
    },
    Step {
        name: "browser",
        about: "Chromium: the protocol, and the examples `chat` and `auth`",
        run: browser::run,
    },
    Step {
        name: "browser-tls",
        about: "Chromium over TLS, with an authority that it is told to trust",
        run: browser::tls,
    },
    Step {
        name: "autobahn-server",
        about: "Autobahn|Testsuite against our server",
        run: || autobahn::run(Role::Server, &autobahn::usual_cases()),
    },
    Step {
        name: "autobahn-client",
        about: "Autobahn|Testsuite against our client",
        run: || autobahn::run(Role::Client, &autobahn::usual_cases()),
    },
];

/// The steps with these names, or the first name that no step has.
pub(crate) fn named<'a>(names: &[&'a str]) -> std::result::Result<Vec<Step>, &'a str> {
    names.iter().map(|&name| STEPS.iter().find(|step| step.name == name).copied().ok_or(name)).collect()
}

/// The steps whose names start so.
pub(crate) fn starting_with(prefix: &str) -> Vec<Step> {
    STEPS.iter().filter(|step| step.name.starts_with(prefix)).copied().collect()
}

/// The names of the steps, a line each.
pub(crate) fn list() -> String {
    STEPS.iter().fold(String::new(), |mut list, step| {
        let _ = writeln!(list, "  {:<16} {}", step.name, step.about);
        list
    })
}

/// Runs the steps one after another, whatever becomes of each, and prints what became of them.
pub(crate) fn run(steps: &[Step]) -> ExitCode {
    let mut done = Vec::new();
    for step in steps {
        println!("\n== {}: {}", step.name, step.about);
        let start = Instant::now();
        let result = (step.run)();
        match &result {
            Ok(()) => {}
            Err(Stop::Skip(why)) => println!("skipped: {why}"),
            Err(Stop::Fail(why)) => println!("failed: {why}"),
        }
        done.push(Done { name: step.name, result, time: start.elapsed() });
    }
    print!("\n{}", summary(&done));
    if done.iter().any(|step| matches!(step.result, Err(Stop::Fail(_)))) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// A step that has run.
struct Done {
    name: &'static str,
    result: Result,
    time: Duration,
}

/// A table of the steps, then the reasons for what did not pass, then the totals.
fn summary(done: &[Done]) -> String {
    let (mut table, mut reasons) = (String::new(), String::new());
    let [mut passed, mut failed, mut skipped] = [0; 3];
    for Done { name, result, time } in done {
        let word = match result {
            Ok(()) => {
                passed += 1;
                "passed"
            }
            Err(Stop::Fail(why)) => {
                failed += 1;
                let _ = writeln!(reasons, "failed: {name}: {why}");
                "failed"
            }
            Err(Stop::Skip(why)) => {
                skipped += 1;
                let _ = writeln!(reasons, "skipped: {name}: {why}");
                "skipped"
            }
        };
        let _ = writeln!(table, "{name:<16} {word:<8} {:>7.1} s", time.as_secs_f64());
    }
    format!("{table}{reasons}{passed} passed, {failed} failed, {skipped} skipped\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_tells_every_step_every_reason_and_the_totals() {
        let time = Duration::from_millis(1250);
        let done = [
            Done { name: "fmt", result: Ok(()), time },
            Done { name: "clippy", result: Err(Stop::fail("exit status: 1")), time },
            Done { name: "autobahn-server", result: Err(Stop::skip("no Python 2.7")), time },
        ];
        let expected = "\
fmt              passed       1.2 s
clippy           failed       1.2 s
autobahn-server  skipped      1.2 s
failed: clippy: exit status: 1
skipped: autobahn-server: no Python 2.7
1 passed, 1 failed, 1 skipped
";
        assert_eq!(summary(&done), expected);
    }

    #[test]
    fn steps_are_chosen_by_name_in_the_order_given() {
        let chosen = named(&["doc", "fmt"]).unwrap();
        assert_eq!(chosen.iter().map(|step| step.name).collect::<Vec<_>>(), ["doc", "fmt"]);
        assert_eq!(named(&["doc", "nothing"]).unwrap_err(), "nothing");
    }
}
