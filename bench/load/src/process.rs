//! What the operating system knows of a process: CPU time and memory.

use std::fs;
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::Result;

/// CPU time of a process and all its threads, user and kernel, in nanoseconds.
///
/// From the scheduler's own account. It is brought up to date when a thread stops running, so this
/// first gives the server a moment to fall asleep.
pub(crate) fn cpu(pid: u32) -> Result<u64> {
    thread::sleep(Duration::from_millis(2));
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let account = fs::read_to_string(task?.path().join("schedstat"))?;
        let on_cpu = account.split(' ').next().ok_or("an empty schedstat")?;
        total += on_cpu.parse::<u64>()?;
    }
    Ok(total)
}

/// CPU time of this thread, which is all there is of this process.
pub(crate) fn own_cpu() -> Result<u64> {
    let time = Duration::try_from(clock_gettime(ClockId::ThreadCPUTime))?;
    Ok(u64::try_from(time.as_nanos())?)
}

/// Resident bytes of a process, once they have stopped changing.
pub(crate) fn settled_memory(pid: u32) -> Result<u64> {
    let mut last = memory(pid)?;
    let mut unchanged = 0;
    for _ in 0..100 {
        thread::sleep(Duration::from_millis(20));
        let now = memory(pid)?;
        unchanged = if now == last { unchanged + 1 } else { 0 };
        if unchanged == 10 {
            break;
        }
        last = now;
    }
    Ok(last)
}

fn memory(pid: u32) -> Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let rss = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kib = rss.and_then(|rest| rest.trim().strip_suffix(" kB")).ok_or("no Rss")?;
    Ok(kib.parse::<u64>()? * 1024)
}
