//! The hot paths in memory, each beside a yardstick: what code written by hand for that one purpose
//! costs.
//!
//! A [`row`] is one connection of one library through which bursts run: [`scenario`] says what
//! arrives, [`transport`] hands it over without a socket, and [`ours`] and [`yardstick`] are rows.
//! [`path`] makes those, and pieces too small to be rows, into things that criterion and callgrind
//! can run again and again.

pub mod ours;
pub mod path;
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
