//! Nanoseconds of CPU per message, in memory: `README.md` says what they mean.

use std::time::SystemTime;

use stentor_bench::all_ways;
use stentor_bench::measure::{interleaved, open_checked, table};
use stentor_paths::row::{Task, Way};
use stentor_paths::runtime;
use stentor_paths::scenario::SCENARIOS;

const USAGE: &str = "\
in_memory [--rounds N]                 the tables
in_memory --only ROW SCENARIO BURSTS   runs the one row whose name begins with ROW, for a profiler
in_memory --list                       names of rows and scenarios";

fn main() -> Result<(), lexopt::Error> {
    use lexopt::prelude::{Long, ValueExt};

    let runtime = runtime();
    let _guard = runtime.enter();
    let mut rounds = 51;
    let mut arguments = lexopt::Parser::from_env();
    let ways = all_ways();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("rounds") => rounds = arguments.value()?.parse()?,
            Long("only") => {
                let [row, scenario, bursts] = [arguments.value()?, arguments.value()?, arguments.value()?];
                only(&ways, &row.string()?, &scenario.string()?, bursts.parse()?);
                return Ok(());
            }
            Long("list") => {
                for way in &ways {
                    println!("{:?}: {}", way.task, way.name);
                }
                for scenario in &SCENARIOS {
                    println!("scenario: {}", scenario.name);
                }
                return Ok(());
            }
            _ => {
                println!("{USAGE}");
                return Ok(());
            }
        }
    }
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    println!("in memory, {rounds} interleaved rounds, unix time {}\n", since_epoch.as_secs());
    for scenario in &SCENARIOS {
        for task in [Task::Echo, Task::Decode] {
            println!("{task:?}, {}\n\n{}", scenario.name, table(&interleaved(&ways, task, scenario, rounds)));
        }
    }
    Ok(())
}

fn only(ways: &[Way], row: &str, scenario: &str, bursts: usize) {
    let way = ways.iter().find(|way| way.name.starts_with(row)).expect("a row of that name: see --list");
    let scenario = SCENARIOS.iter().find(|known| known.name == scenario).expect("a scenario: see --list");
    let mut connection = open_checked(way, scenario);
    (0..bursts).for_each(|_| connection.burst());
    println!("{}: {} messages", way.name, bursts * scenario.messages);
}
