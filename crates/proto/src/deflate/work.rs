//! How much is inflated or compressed before others have their turn.

use super::Step;

/// The most bytes inflated in a row, about a fifth of a millisecond's work.
const INFLATED: usize = 256 << 10;

/// The most bytes compressed in a row: half a millisecond to one, at the usual levels.
const COMPRESSED: usize = 64 << 10;

/// What a byte of compressed input counts for beside the output it leads to: blocks that yield
/// little cost most, because each makes tables of its own.
const INPUT: usize = 4;

/// The work that may still be done before the next pause.
#[derive(Debug)]
pub(crate) struct Work {
    left: usize,
    most: usize,
}

impl Work {
    /// To inflate.
    pub(crate) fn inflating() -> Self {
        Self { left: INFLATED, most: INFLATED }
    }

    /// To compress.
    pub(crate) fn compressing() -> Self {
        Self { left: COMPRESSED, most: COMPRESSED }
    }

    /// Whether it is time for a pause.
    pub(crate) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// How much may be done at once.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// A step of inflating was done.
    pub(crate) fn spend(&mut self, step: Step) {
        self.spend_output(step.produced.saturating_add(step.consumed.saturating_mul(INPUT)));
    }

    /// So many bytes were written, or compressed.
    pub(crate) fn spend_output(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// Others had their turn.
    pub(crate) fn renew(&mut self) {
        self.left = self.most;
    }
}
