//! Allocations per message, in memory: `README.md` says what they mean.
//!
//! Apart from `in_memory`, because a counting allocator costs time.

use stentor_bench::all_ways;
use stentor_bench::measure::open_checked;
use stentor_paths::runtime;
use stentor_paths::scenario::SCENARIOS;

const BURSTS: u32 = 1000;

fn main() {
    let runtime = runtime();
    let _guard = runtime.enter();
    println!("allocations and bytes allocated per message, mean of {BURSTS} bursts\n");
    for scenario in &SCENARIOS {
        println!("{}\n\n| server | task | allocations | bytes |\n|---|---|---:|---:|", scenario.name);
        for way in all_ways() {
            let mut connection = open_checked(&way, scenario);
            // Buffers reach their size first: a steady state is what is asked for.
            for _ in 0..100 {
                connection.burst();
            }
            let counted = allocation_counter::measure(|| {
                for _ in 0..BURSTS {
                    connection.burst();
                }
            });
            let per_message = |total: u64| {
                #[allow(clippy::cast_precision_loss)] // far fewer than 2^52
                let (total, messages) = (total as f64, scenario.messages as f64);
                total / f64::from(BURSTS) / messages
            };
            let (count, bytes) = (per_message(counted.count_total), per_message(counted.bytes_total));
            println!("| {:<40} | {:?} | {count:>7.3} | {bytes:>8.1} |", way.name, way.task);
        }
        println!();
    }
}
