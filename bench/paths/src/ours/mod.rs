//! Stentor: its protocol core alone, and the library as people use it.

mod proto;
mod socket;

use crate::row::Way;

/// Stentor's rows.
#[must_use]
pub fn ways() -> Vec<Way> {
    [socket::ways(), proto::ways()].into_iter().flatten().collect()
}
