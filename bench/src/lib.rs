//! What Stentor costs, measured beside its peers in the same run.
//!
//! [`scenario`] says what arrives, [`transport`] hands it over without a socket, [`row`] holds one
//! connection of one library and runs bursts through it, and [`yardstick`], [`peers`], [`ours`] and
//! [`measure`] fill and print the table; [`idle`] is about memory. The binaries are `in_memory`, `allocations` and `idle`;
//! `README.md` says what their figures mean.

pub mod idle;
pub mod measure;
pub mod ours;
pub mod peers;
pub mod row;
pub mod scenario;
pub mod transport;
pub mod yardstick;

/// A runtime for the timers of the libraries that have any. Its guard is held while rows are opened
/// and run; it does not poll them.
///
/// # Panics
///
/// When the operating system gives none.
#[must_use]
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Every row that can be measured in memory.
#[must_use]
pub fn all_ways() -> Vec<row::Way> {
    [yardstick::ways(), peers::ways(), ours::ways()].into_iter().flatten().collect()
}
