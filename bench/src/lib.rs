//! What Stentor costs in memory, without sockets, measured beside its peers in the same run.
//!
//! The rows of Stentor and the yardstick come from `stentor-paths`; [`peers`] adds the other
//! libraries, and [`measure`] fills and prints the table. The binaries are `in_memory` and
//! `allocations`; `README.md` says what their figures mean.

pub mod measure;
pub mod peers;

use stentor_paths::row::Way;

/// Every row that can be measured in memory.
#[must_use]
pub fn all_ways() -> Vec<Way> {
    [stentor_paths::yardstick::ways(), peers::ways(), stentor_paths::ours::ways()]
        .into_iter()
        .flatten()
        .collect()
}
