//! Round-trip times at a fixed rate.
//!
//! A message's time counts from the moment it was due, not from when it was sent: a server that
//! stands still for a while delays all the messages that were due meanwhile, and all of them show it.

use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::Result;
use crate::arguments::Arguments;
use crate::engine::Engine;
use crate::slow::SlowReaders;

/// How much of the time goes to warming up, before anything is counted.
const WARM_UP: f64 = 0.15;

/// How long the last echoes are waited for.
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn run(arguments: &Arguments) -> Result<String> {
    let mut engine = Engine::open(arguments)?;
    engine.verify(arguments)?;
    let slow_readers = SlowReaders::open(arguments)?;

    // The poll waits in milliseconds; a timer that ticks with every message wakes it in time.
    let interval = Duration::from_secs_f64(1.0 / arguments.rate);
    let ticker = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let tick = Timespec::try_from(interval)?;
    timerfd_settime(&ticker, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: tick, it_value: tick })?;
    let ticker_key = engine.connections.len();
    engine.poll.add(&ticker, ticker_key)?;

    let start = Instant::now();
    let counted_from = start + arguments.duration.mul_f64(WARM_UP);
    let end = counted_from + arguments.duration;
    let mut times = Vec::new();
    let (mut next, mut connection, mut missing) = (start, 0, 0);
    while next < end || missing > 0 {
        let now = Instant::now();
        while next < end && next <= now {
            engine.connections[connection].due.push_back(next);
            engine.send(connection)?;
            connection = (connection + 1) % engine.connections.len();
            next += interval;
            missing += 1;
        }
        let ready: Vec<usize> = engine.poll.wait(Duration::from_millis(100))?.collect();
        for key in ready {
            if key == ticker_key {
                rustix::io::read(&ticker, &mut [0; 8])?;
                continue;
            }
            let count = engine.read(key)?;
            let now = Instant::now();
            let connection = &mut engine.connections[key];
            for due in connection.due.drain(..count) {
                missing -= 1;
                if due >= counted_from {
                    times.push(now.duration_since(due).as_nanos());
                }
            }
            connection.write(&engine.frames)?;
        }
        if now > end + LIMIT {
            return Err(format!("{missing} echoes did not come").into());
        }
    }
    slow_readers.check()?;
    times.sort_unstable();
    let percentile = |permille: usize| times[(times.len() - 1) * permille / 1000];
    Ok(format!(
        r#"{{"messages":{},"p50_ns":{},"p99_ns":{},"p999_ns":{},"max_ns":{}}}"#,
        times.len(),
        percentile(500),
        percentile(990),
        percentile(999),
        percentile(1000)
    ))
}
