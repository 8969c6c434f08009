//! Interleaved rounds, medians, and the table.

use std::fmt::Write;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use stentor_paths::row::{Burst, Kind, Task, Way};
use stentor_paths::scenario::Scenario;

/// How long one sample runs: long against the clock's own cost, short against a scheduler's slice.
const SAMPLE: Duration = Duration::from_millis(2);

/// One row's samples, in nanoseconds per message.
#[derive(Debug)]
pub struct Samples {
    name: &'static str,
    kind: Kind,
    /// Sorted.
    nanoseconds: Vec<f64>,
    writes_per_burst: usize,
}

/// Measures every way that does `task`, in turns: each round takes one sample of each, so that what
/// disturbs the machine for a while disturbs all of them alike.
#[must_use]
pub fn interleaved(ways: &[Way], task: Task, scenario: &Scenario, rounds: usize) -> Vec<Samples> {
    let chosen = || ways.iter().filter(|way| way.task == task);
    let mut open: Vec<_> = chosen().map(|way| Open::new(way, scenario)).collect();
    let mut samples: Vec<_> = chosen()
        .zip(&open)
        .map(|(way, row)| Samples {
            name: way.name,
            kind: way.kind,
            nanoseconds: Vec::with_capacity(rounds),
            writes_per_burst: row.writes_per_burst,
        })
        .collect();
    for _ in 0..rounds {
        for (row, samples) in open.iter_mut().zip(&mut samples) {
            samples.nanoseconds.push(row.sample());
        }
    }
    for row in &mut samples {
        row.nanoseconds.sort_by(f64::total_cmp);
    }
    samples
}

/// Opens one way's connection and makes sure that it answers byte for byte.
#[must_use]
pub fn open_checked(way: &Way, scenario: &Scenario) -> Box<dyn Burst> {
    let mut connection = (way.open)(scenario);
    let expected = if way.task == Task::Echo { scenario.echo() } else { Vec::new() };
    assert_eq!(connection.recorded_burst(), expected, "{} in {}", way.name, scenario.name);
    connection
}

struct Open {
    connection: Box<dyn Burst>,
    messages: usize,
    bursts: u32,
    writes_per_burst: usize,
}

impl Open {
    fn new(way: &Way, scenario: &Scenario) -> Self {
        let mut connection = open_checked(way, scenario);
        let writes_per_burst = {
            let (_, before) = connection.written();
            connection.burst();
            connection.written().1 - before
        };
        let mut bursts = 1;
        while time(|| (0..bursts).for_each(|_| connection.burst())) < SAMPLE {
            bursts *= 2;
        }
        Self { connection, messages: scenario.messages, bursts, writes_per_burst }
    }

    #[allow(clippy::cast_precision_loss)] // far fewer than 2^52 messages
    fn sample(&mut self) -> f64 {
        let took = time(|| (0..self.bursts).for_each(|_| self.connection.burst()));
        took.as_secs_f64() * 1e9 / f64::from(self.bursts) / self.messages as f64
    }
}

/// CPU time of this thread, so that another program's turn on the core does not count.
fn time(work: impl FnOnce()) -> Duration {
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::try_from(now).expect("CPU time is not negative")
    };
    let start = now();
    work();
    now().checked_sub(start).expect("CPU time does not go back")
}

/// The table of one task and scenario.
#[must_use]
pub fn table(rows: &[Samples]) -> String {
    let best = |kind| rows.iter().filter(|row| row.kind == kind).map(Samples::median).reduce(f64::min);
    let ratio = |row: &Samples, base: Option<f64>| {
        base.map_or("-".into(), |base| format!("{:.2}", row.median() / base))
    };
    let mut table = String::from(
        "| server | ns/message | min - max | x yardstick | x best peer | writes/burst |\n|---|---:|---:|---:|---:|---:|\n",
    );
    for row in rows {
        writeln!(
            table,
            "| {:<40} | {:>7.1} | {:>7.1} - {:>7.1} | {:>6} | {:>6} | {:>3} |",
            row.name,
            row.median(),
            row.nanoseconds[0],
            row.nanoseconds[row.nanoseconds.len() - 1],
            ratio(row, best(Kind::Yardstick)),
            ratio(row, best(Kind::Peer)),
            row.writes_per_burst,
        )
        .expect("writing to a String does not fail");
    }
    table
}

impl Samples {
    fn median(&self) -> f64 {
        self.nanoseconds[self.nanoseconds.len() / 2]
    }
}
