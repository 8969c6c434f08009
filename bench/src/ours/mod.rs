//! Stentor: its protocol core alone, and the library as people use it.

mod proto;

use crate::row::Way;

/// Stentor's rows.
#[must_use]
pub fn ways() -> Vec<Way> {
    proto::ways()
}
