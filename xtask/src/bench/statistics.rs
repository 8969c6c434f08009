//! Medians and quartiles.

use serde_json::{Value, json};

/// What a row of samples says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    /// A quarter of the samples is below.
    pub(crate) lower: f64,
    pub(crate) median: f64,
    /// A quarter of the samples is above.
    pub(crate) upper: f64,
}

impl Summary {
    /// Of samples in any order; of none, zeros.
    pub(crate) fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let at = |quarter: usize| {
            let place = samples.len().saturating_sub(1) * quarter;
            let (low, rest) = (place / 4, place % 4);
            let value = |index: usize| samples.get(index).copied().unwrap_or_default();
            match rest {
                0 => value(low),
                1 => value(low) * 0.75 + value(low + 1) * 0.25,
                2 => f64::midpoint(value(low), value(low + 1)),
                _ => value(low) * 0.25 + value(low + 1) * 0.75,
            }
        };
        Self { lower: at(1), median: at(2), upper: at(3) }
    }

    /// In another unit.
    pub(crate) fn scaled(self, factor: f64) -> Self {
        Self { lower: self.lower * factor, median: self.median * factor, upper: self.upper * factor }
    }

    pub(crate) fn to_json(self) -> Value {
        json!({ "lower": self.lower, "median": self.median, "upper": self.upper })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_quarters() {
        let summary = Summary::of(vec![5.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!(summary, Summary { lower: 2.0, median: 3.0, upper: 4.0 });
        let summary = Summary::of(vec![1.0, 2.0]);
        assert_eq!(summary, Summary { lower: 1.25, median: 1.5, upper: 1.75 });
        assert_eq!(Summary::of(vec![7.0]), Summary { lower: 7.0, median: 7.0, upper: 7.0 });
    }
}
