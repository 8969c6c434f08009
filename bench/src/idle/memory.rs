//! The server's process and its resident memory.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::servers::Server;

/// A server in a process of its own, which ends with this value.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    /// The port it listens on.
    pub port: u16,
}

impl ServerProcess {
    /// Starts this program again as `server`.
    ///
    /// # Errors
    ///
    /// When it cannot be started or does not say its port.
    pub fn start(server: Server) -> io::Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .args(["--serve", server.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        BufReader::new(stdout).read_line(&mut line)?;
        let port = line.trim().parse().map_err(io::Error::other)?;
        Ok(Self { child, port })
    }

    /// Resident bytes, once they have stopped changing.
    ///
    /// # Errors
    ///
    /// When the process has ended.
    pub fn settled_memory(&self) -> io::Result<u64> {
        let mut last = self.memory()?;
        let mut unchanged = 0;
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(20));
            let now = self.memory()?;
            unchanged = if now == last { unchanged + 1 } else { 0 };
            if unchanged == 10 {
                break;
            }
            last = now;
        }
        Ok(last)
    }

    fn memory(&self) -> io::Result<u64> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        let rss = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
        let kib = rss.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Ok(kib.ok_or(io::ErrorKind::InvalidData)? * 1024)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Raises the limit of open files as far as is allowed, for this process and its children, and
/// returns it.
///
/// # Errors
///
/// When the limit cannot be set.
pub fn raise_open_files() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}
