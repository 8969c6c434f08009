//! What is printed.

use std::fmt::Write;

use super::cases::Case;
use super::rounds::Row;
use super::servers::Group;

/// One case as a table.
pub(crate) fn case(case: &Case, rows: &[Row]) -> String {
    let goal = case.goal.map_or(String::new(), |goal| format!(" (goal: {goal:.2})"));
    let mut table = format!("\n{}{goal}   [{}]\n", case.title(), case.id());
    let _ = writeln!(
        table,
        "  {:<28} {:>7} {:>15} {:>11} {:>11} {:>6}",
        "server", "ratio", "quartiles", "µs/message", "load µs", "busy"
    );
    for row in rows {
        let missed = row.server.group == Group::Ours && case.goal.is_some_and(|goal| row.ratio.median > goal);
        let _ = writeln!(
            table,
            "  {:<28} {:>7.3} {:>7.3}-{:<7.3} {:>11.3} {:>11.3} {:>5.0}%{}",
            row.server.name,
            row.ratio.median,
            row.ratio.lower,
            row.ratio.upper,
            row.nanoseconds.median / 1e3,
            row.load.median / 1e3,
            row.load_share.median * 100.0,
            if missed { "  over the goal" } else { "" }
        );
    }
    table
}
