//! Every row does its work, so that a change that breaks one is seen without reading tables.

use stentor_bench::all_ways;
use stentor_bench::measure::open_checked;
use stentor_paths::runtime;
use stentor_paths::scenario::SCENARIOS;

#[test]
fn every_row_answers_every_scenario_again_and_again() {
    let runtime = runtime();
    let _guard = runtime.enter();
    for way in all_ways() {
        for scenario in &SCENARIOS {
            let mut connection = open_checked(&way, scenario);
            for _ in 0..10 {
                connection.burst();
            }
        }
    }
}
