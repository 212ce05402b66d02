//! Taking two measurements in turn, so that what changes on the machine changes both.

use super::stats::{Interval, bootstrap, median, quantile};

/// Pairs that a ratio rests on at least.
pub(super) const PAIRS_MIN: usize = 15;
/// Spread of the ratios, from the tenth to the ninetieth in a hundred over the median, from which
/// on none is claimed.
pub(super) const SPREAD_MAX: f64 = 0.25;

/// Measurements in pairs, in one unit.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Pairs {
    /// What is measured.
    pub ours: Vec<f64>,
    /// What it is measured against.
    pub base: Vec<f64>,
}

impl Pairs {
    /// Returns the ratio of each pair.
    pub(super) fn ratios(&self) -> Vec<f64> {
        self.ours.iter().zip(&self.base).map(|(ours, base)| ours / base).collect()
    }

    /// Returns the median of the ratios.
    pub(super) fn ratio(&self) -> f64 {
        median(&self.ratios())
    }

    /// Returns the 95 % interval of that median.
    pub(super) fn interval(&self) -> Interval {
        bootstrap(&self.ratios())
    }

    /// Returns how far the ratios lie apart, as a share of their median.
    pub(super) fn spread(&self) -> f64 {
        let ratios = self.ratios();
        (quantile(&ratios, 0.9) - quantile(&ratios, 0.1)) / median(&ratios)
    }
}

/// Measures `pairs` times in the order A B, B A, A B, …; the first pair warms up and is left out.
pub(super) fn measure<E>(
    pairs: usize,
    mut ours: impl FnMut() -> Result<f64, E>,
    mut base: impl FnMut() -> Result<f64, E>,
) -> Result<Pairs, E> {
    let mut taken = Pairs::default();
    for round in 0..=pairs {
        let (a, b) = if round % 2 == 0 {
            let a = ours()?;
            (a, base()?)
        } else {
            let b = base()?;
            (ours()?, b)
        };
        if round > 0 {
            taken.ours.push(a);
            taken.base.push(b);
        }
    }
    Ok(taken)
}

/// Returns the least of `blocks` values: for work of nanoseconds, whatever else the machine does
/// only ever adds.
pub(super) fn least(blocks: usize, block: impl FnMut() -> f64) -> f64 {
    std::iter::repeat_with(block).take(blocks).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn pairs_are_taken_in_turn_and_the_first_is_left_out() {
        let order = RefCell::new(String::new());
        let note = |what: char, value: f64| {
            order.borrow_mut().push(what);
            Ok::<f64, Infallible>(value)
        };
        let Ok(pairs) = measure(3, || note('A', 3.0), || note('B', 2.0));
        assert_eq!(order.into_inner(), "ABBAABBA");
        assert_eq!((pairs.ours.len(), pairs.ratio()), (3, 1.5));
        assert!(pairs.spread().abs() < 1e-9);
    }

    #[test]
    fn what_slows_both_down_moves_no_ratio() {
        let slow = |i: u32| if i.is_multiple_of(5) { 3.0 } else { 1.0 };
        let pairs = Pairs {
            ours: (0..20).map(|i| 1.1 * slow(i)).collect(),
            base: (0..20).map(slow).collect(),
        };
        assert!((pairs.ratio() - 1.1).abs() < 1e-9 && pairs.spread() < 1e-9);
        let interval = pairs.interval();
        assert!(interval.low <= pairs.ratio() && pairs.ratio() <= interval.high);
    }

    #[test]
    fn the_least_block_counts() {
        let mut values = [3.0, 1.0, 2.0].into_iter();
        assert!((least(3, || values.next().unwrap()) - 1.0).abs() < f64::EPSILON);
    }
}
