//! Child processes: each has a time limit, and none outlives what started it.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::outcome::{Context, Result, Stop};

/// Runs a command to its end with our output; it must succeed within `limit`.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result {
    let child = Running::spawn(command.stdin(Stdio::null()))?;
    finish(child, limit)
}

/// Like [`run`], but gives back what the command prints to standard output instead of showing it.
pub(crate) fn output(command: &mut Command, limit: Duration) -> Result<String> {
    let mut child = Running::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let mut stdout = child.stdout();
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).map(|_| String::from_utf8_lossy(&bytes).into_owned())
    });
    let name = child.name.clone();
    finish(child, limit)?;
    joined(reader).context(name)
}

/// Like [`run`], but gives back the lines the command prints to standard output, besides showing them.
pub(crate) fn shown_output(command: &mut Command, limit: Duration) -> Result<Vec<String>> {
    let mut child = Running::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let lines = shown_lines(child.stdout());
    finish(child, limit)?;
    Ok(lines.iter().collect())
}

/// Like [`run`], but what the command prints goes to a file, which a failure names.
pub(crate) fn logged(command: &mut Command, log: &Path, limit: Duration) -> Result {
    finish(spawn_logged(command, log)?, limit).map_err(|stop| match stop {
        Stop::Fail(why) => Stop::Fail(format!("{why}; see {}", log.display())),
        skip @ Stop::Skip(_) => skip,
    })
}

/// Starts a command; what it prints goes to a file.
pub(crate) fn spawn_logged(command: &mut Command, log: &Path) -> Result<Running> {
    let output = File::create(log).context(log.display())?;
    let errors = output.try_clone().context(log.display())?;
    Running::spawn(command.stdin(Stdio::null()).stdout(output).stderr(errors))
}

/// Whether a command can be started and succeeds within a short time; what it prints is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Running::spawn(command).is_ok_and(|child| finish(child, Duration::from_secs(60)).is_ok())
}

/// A server in a child process: ended when dropped.
#[derive(Debug)]
pub(crate) struct Service {
    address: String,
    child: Running,
}

impl Service {
    /// Starts a server and waits for its line `listening on http://ADDRESS`.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        const LIMIT: Duration = Duration::from_secs(30);
        let mut child = Running::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
        let lines = shown_lines(child.stdout());
        let line = lines.recv_timeout(LIMIT).context(format!("{}: not ready in {LIMIT:?}", child.name))?;
        match line.strip_prefix("listening on ") {
            Some(address) => Ok(Self { address: address.to_owned(), child }),
            None => Err(Stop::fail(format!("{}: the first line is not the address: {line}", child.name))),
        }
    }

    /// Where it listens: `http://HOST:PORT`, or `https://` over TLS.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.child.id()
    }
}

/// A child process that is ended, with its descendants, when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    name: String,
}

impl Running {
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let name = describe(command);
        let child = command.spawn().context(&name)?;
        Ok(Self { child, name })
    }

    /// The exit status, if it has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context(&self.name)
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it prints, if that is piped; to be taken once.
    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("standard output is piped, and taken once")
    }

    /// What it reads, if that is piped; to be taken once.
    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("standard input is piped, and taken once")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let descendants = descendants(self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !descendants.is_empty() {
            // The standard library ends children only; every shell has `kill` built in.
            let _ = Command::new("sh")
                .args(["-c", "kill -KILL \"$@\" 2>/dev/null", "sh"])
                .args(descendants)
                .status();
        }
    }
}

/// The process ids of a process's children, their children, and so on; none where the system does not tell.
fn descendants(process: u32) -> Vec<String> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let mut all = Vec::new();
    for child in children.split_whitespace() {
        all.extend(child.parse().map(descendants).unwrap_or_default());
        all.push(child.to_owned());
    }
    all
}

/// Waits for a child to end by itself, successfully, within `limit`.
fn finish(mut child: Running, limit: Duration) -> Result {
    // The standard library has no wait with a limit, so this asks, at a pace that no one notices.
    let deadline = Instant::now() + limit;
    loop {
        match child.ended()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(Stop::fail(format!("{}: {status}", child.name))),
            None if Instant::now() > deadline => {
                return Err(Stop::fail(format!("{}: not done in {limit:?}", child.name)));
            }
            None => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Reads and shows lines until the end.
pub(crate) fn shown_lines(stdout: ChildStdout) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(std::result::Result::ok) {
            println!("{line}");
            // Nobody may want the lines any more; they are shown all the same.
            let _ = sender.send(line);
        }
    });
    lines
}

fn joined<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The command line, shortened, for messages.
fn describe(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args().map(OsStr::to_string_lossy).take(6) {
        let _ = write!(line, " {argument}");
    }
    if command.get_args().len() > 6 {
        line.push_str(" …");
    }
    line
}

#[cfg(all(test, unix))] // a shell is at hand
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[cfg(target_os = "linux")]
    fn lives(process: &str) -> bool {
        // A zombie that nobody has waited for yet is dead, too.
        fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn a_command_that_fails_is_a_failure() {
        let failed = run(&mut shell("exit 3"), Duration::from_secs(10));
        assert_eq!(failed, Err(Stop::fail("sh -c exit 3: exit status: 3")));
    }

    #[test]
    fn a_command_that_takes_too_long_is_a_failure() {
        let failed = run(&mut shell("sleep 60"), Duration::ZERO);
        assert_eq!(failed, Err(Stop::fail("sh -c sleep 60: not done in 0ns")));
    }

    #[test]
    #[cfg(target_os = "linux")] // where the system tells which processes descend from one
    fn a_service_ends_with_its_descendants() {
        let service = Service::start(&mut shell("sleep 60 & echo listening on $!; wait")).unwrap();
        let grandchild = service.address().to_owned();
        assert!(lives(&grandchild));
        drop(service);
        // They have their signal; the system takes them away soon after.
        let deadline = Instant::now() + Duration::from_secs(10);
        while lives(&grandchild) {
            assert!(Instant::now() < deadline, "process {grandchild} lives on");
            thread::yield_now();
        }
    }

    #[test]
    fn a_service_that_ends_before_it_listens_is_a_failure() {
        assert!(matches!(Service::start(&mut shell("exit 0")), Err(Stop::Fail(_))));
    }

    #[test]
    fn output_and_shown_output_give_all_lines() {
        assert_eq!(output(&mut shell("echo a; echo b"), Duration::from_secs(10)).unwrap(), "a\nb\n");
        assert_eq!(shown_output(&mut shell("echo a; echo b"), Duration::from_secs(10)).unwrap(), ["a", "b"]);
    }
}
