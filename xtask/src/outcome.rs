//! How a check ends when it does not pass.

use std::fmt;

/// The result of a check, or of a part of one.
pub(crate) type Result<T = ()> = std::result::Result<T, Stop>;

/// Why a check did not pass.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It cannot run on this machine: what is missing and cannot be installed.
    Skip(String),
    /// It ran and something is wrong.
    Fail(String),
}

impl Stop {
    pub(crate) fn skip(why: impl fmt::Display) -> Self {
        Self::Skip(why.to_string())
    }

    pub(crate) fn fail(why: impl fmt::Display) -> Self {
        Self::Fail(why.to_string())
    }
}

/// Adds to a foreign error what was being done.
pub(crate) trait Context<T> {
    /// Fails with "`what`: error".
    fn context(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Stop::Fail(format!("{what}: {error}")))
    }
}
