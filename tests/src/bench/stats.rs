//! Medians, quantiles and how sure one can be of them.

use crate::rng::Rng;

/// Resamples of a bootstrap: the ends of a 95 % interval then rest on 50 values each.
const RESAMPLES: usize = 2000;
/// The seed of every bootstrap: the same values give the same interval.
const SEED: u64 = 1;

/// Where a median lies with 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Returns the value below which the share `q` (0 to 1) of `values` lies, between two of them where
/// it falls between. NaN if there are none.
pub(super) fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    #[expect(clippy::cast_precision_loss, reason = "a count of measurements")]
    let at = q.clamp(0.0, 1.0) * last as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let below = at.floor() as usize;
    let above = (below + 1).min(last);
    let share = at - at.floor();
    sorted[below] * (1.0 - share) + sorted[above] * share
}

/// Returns the middle of `values`; NaN if there are none.
pub(super) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// Returns the 95 % interval of the median: medians of resamples, drawn with replacement.
pub(super) fn bootstrap(values: &[f64]) -> Interval {
    let mut rng = Rng::new(SEED);
    let mut draw = || values[rng.index(values.len())];
    let medians: Vec<f64> = if values.is_empty() {
        Vec::new()
    } else {
        let resample = |_| median(&(0..values.len()).map(|_| draw()).collect::<Vec<_>>());
        (0..RESAMPLES).map(resample).collect()
    };
    Interval { low: quantile(&medians, 0.025), high: quantile(&medians, 0.975) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert!(close(median(&values), 2.5));
        assert!(close(quantile(&values, 0.0), 1.0));
        assert!(close(quantile(&values, 1.0), 4.0));
        assert!(close(quantile(&values, 0.9), 3.7));
        assert!(close(median(&[7.0]), 7.0));
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn one_wild_value_does_not_move_a_median() {
        let mut values = vec![1.0; 20];
        values.push(1000.0);
        assert!(close(median(&values), 1.0));
        let interval = bootstrap(&values);
        assert!(close(interval.low, 1.0) && close(interval.high, 1.0), "{interval:?}");
    }

    #[test]
    fn an_interval_covers_the_truth_about_as_often_as_it_says() {
        // Sums of twelve even numbers are as good as normal; the truth is a median of 1.
        let mut rng = Rng::new(7);
        let mut covered = 0;
        for _ in 0..200 {
            let mut value = || {
                let sum: u64 = (0..12).map(|_| rng.below(1001)).sum();
                #[expect(clippy::cast_precision_loss, reason = "below 12,001")]
                let sum = sum as f64;
                1.0 + (sum - 6000.0) / 100_000.0
            };
            let values: Vec<f64> = (0..21).map(|_| value()).collect();
            let Interval { low, high } = bootstrap(&values);
            covered += u32::from(low <= 1.0 && 1.0 <= high);
        }
        assert!((176..=200).contains(&covered), "covered {covered} of 200 times");
    }

    #[test]
    fn the_same_values_give_the_same_interval() {
        let values: Vec<f64> = (0..31).map(|i| f64::from(i * i % 17)).collect();
        assert_eq!(bootstrap(&values), bootstrap(&values));
        let Interval { low, high } = bootstrap(&values);
        assert!(low < median(&values) && median(&values) < high);
    }
}
