//! `cargo xtask`: the commands that check Stentor, from formatting to real browsers.
//!
//! It installs what a check needs (into `.tools/` and `node_modules/`, which git ignores; Debian packages when it
//! runs as root) and does not depend on the crates that it checks.

mod autobahn;
mod bench;
mod browser;
mod cargo;
mod counts;
mod curl;
mod interop;
mod metrics;
mod openssl;
mod outcome;
mod peer;
mod process;
mod proxies;
mod service;
mod steps;
mod tools;
mod workspace;
mod zlib;

use std::env;
use std::process::ExitCode;

use crate::steps::STEPS;

const USAGE: &str = "\
cargo xtask COMMAND

  test [STEP…]                     every check, or those named (`cargo xtask test --help` lists them)
  interop                          node `ws` and Python `websockets`, as clients and as servers, with and without TLS;
                                   curl as a client
  browser                          Chromium: the protocol, and the examples `chat` and `auth`
  proxies [nginx|apache|haproxy]   these proxies between our client and our server, or one of them
  autobahn [server|client] [CASES] Autobahn|Testsuite against our server and our client, or one of them; CASES are
                                   patterns such as 6.*, or --all (without them: all but most of 12 and 13)
  bench [OPTIONS] [CASE…]          what an echo costs, beside other libraries in the same run
                                   (`cargo xtask bench --help` tells more)
  counts [--record]                instructions per message on the hot paths, beside those on record
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["test", rest @ ..] if asks_for_help(rest) => {
            print!("cargo xtask test [STEP…]\n\n{}", steps::list());
            ExitCode::SUCCESS
        }
        ["bench", rest @ ..] => bench::command(rest),
        [] => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        all if asks_for_help(all) => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        ["test"] => steps::run(STEPS),
        ["test", names @ ..] => match steps::named(names) {
            Ok(chosen) => steps::run(&chosen),
            Err(unknown) => wrong(&format!("no step {unknown}; the steps are:\n{}", steps::list())),
        },
        ["interop"] => steps::run(&steps::starting_with("interop")),
        ["browser"] => steps::run(&steps::starting_with("browser")),
        ["proxies"] => steps::run(&steps::starting_with("proxies")),
        ["proxies", name @ ("nginx" | "apache" | "haproxy")] => {
            steps::run(&steps::starting_with(&format!("proxies-{name}")))
        }
        ["autobahn", rest @ ..] => autobahn::command(rest),
        ["counts", rest @ ..] => counts::command(rest),
        _ => wrong(USAGE),
    }
}

fn asks_for_help(arguments: &[&str]) -> bool {
    arguments.iter().any(|argument| matches!(*argument, "-h" | "--help"))
}

/// Says what is wrong with the command line.
fn wrong(why: &str) -> ExitCode {
    eprint!("{why}");
    ExitCode::from(2)
}
