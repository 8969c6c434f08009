//! A server with thousands of clients over TCP. They live in a process of their own, because one
//! process may not open enough files for both ends.
//!
//! How many there are is `STENTOR_MANY`, or as many as each test says.

mod drain;
mod half_open;

use std::env;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

/// Files that a process opens besides those of its connections.
const OTHER_FILES: u64 = 200;

/// How many clients there are to be: as many as asked for, or as this process may open files for.
fn how_many(usually: usize) -> usize {
    let asked = env::var("STENTOR_MANY").map_or(usually, |many| many.parse().expect("a number"));
    let files = rlimit::increase_nofile_limit(u64::MAX).expect("a limit of open files");
    let possible = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX);
    if asked > possible {
        println!("only {possible} clients: more need more open files");
    }
    asked.min(possible)
}

/// The process of the clients: this program again, with one test of its own. They talk in lines.
struct Clients {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Clients {
    /// Starts the ignored test `name` for so many clients of the server at `addr`.
    fn start(name: &str, addr: SocketAddr, many: usize) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", name])
            .env("STENTOR_MANY", many.to_string())
            .env("STENTOR_MANY_ADDR", addr.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, said }
    }

    /// What they say next behind this word.
    fn expect(&mut self, word: &str) -> String {
        for line in &mut self.said {
            let line = line.unwrap();
            if let Some(rest) = line.strip_prefix(word) {
                return rest.trim().to_owned();
            }
            assert!(!line.contains("panicked"), "{line}");
        }
        panic!("they end without {word:?}");
    }

    /// Tells them to go on.
    fn go_on(&mut self) {
        self.process.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// In the process of the clients: where the server is, and how many they are.
fn as_clients() -> (SocketAddr, usize) {
    let addr = env::var("STENTOR_MANY_ADDR").expect("this test is started by another");
    (addr.parse().unwrap(), how_many(0))
}

/// In the process of the clients: waits until the server says to go on.
fn wait_to_go_on() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}
