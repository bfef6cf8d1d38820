//! Means of few values and what can be said of them.

/// What a handful of values say about the mean they come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation (n - 1); 0 for a single value.
    pub std: f64,
    /// Half width of the 95 % confidence interval of the mean, by Student's t; `None` for a
    /// single value.
    pub interval: Option<f64>,
}

/// Summarises `values`, of which there is at least one.
pub fn summary(values: &[f64]) -> Summary {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    if values.len() < 2 {
        return Summary { mean, std: 0.0, interval: None };
    }
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    let std = (squares / (n - 1.0)).sqrt();
    Summary { mean, std, interval: Some(t95(values.len() - 1) * std / n.sqrt()) }
}

/// The 97.5 % quantile of Student's t with `freedom` degrees of freedom: tables up to 30, then
/// the first terms of the Cornish-Fisher expansion, which is right to three decimals there.
fn t95(freedom: usize) -> f64 {
    const TABLE: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
        2.052, 2.048, 2.045, 2.042,
    ];
    match TABLE.get(freedom.wrapping_sub(1)) {
        Some(quantile) => *quantile,
        None => {
            let (z, n) = (1.959_964_f64, freedom as f64);
            z + (z.powi(3) + z) / (4.0 * n)
                + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * n * n)
        }
    }
}

/// Accuracy of one method less that of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Mean over the seeds, in shares of 1.
    pub mean: f64,
    /// Half width of the 95 % interval of the mean; `None` for a single seed.
    pub interval: Option<f64>,
    /// One difference for each seed.
    pub each: Vec<f64>,
}

/// What a difference lets one say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// More, and the interval leaves out zero; for a single seed, just more.
    Ahead,
    /// Less, likewise.
    Behind,
    /// The interval holds zero, or the difference is zero.
    Unclear,
}

impl Difference {
    /// What it lets one say.
    pub fn verdict(&self) -> Verdict {
        let margin = self.interval.unwrap_or(0.0);
        match self.mean {
            mean if mean - margin > 0.0 => Verdict::Ahead,
            mean if mean + margin < 0.0 => Verdict::Behind,
            _ => Verdict::Unclear,
        }
    }
}

/// Spearman's rank correlation of two scores of the same things: the correlation of their ranks, those
/// of equal values being the mean of their places. `None` if one of them is the same for all, or not
/// finite.
pub fn rank_correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() || a.iter().chain(b).any(|value| !value.is_finite()) {
        return None;
    }
    let ranks = |values: &[f64]| -> Vec<f64> {
        // Twice the rank, less what all have in common.
        let rank = |v: &f64| {
            let below = values.iter().filter(|w| *w < v).count() as f64;
            let above = values.iter().filter(|w| *w > v).count() as f64;
            below - above
        };
        values.iter().map(rank).collect()
    };
    let (a, b) = (ranks(a), ranks(b));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let scale = (dot(&a, &a) * dot(&b, &b)).sqrt();
    (scale > 0.0).then(|| dot(&a, &b) / scale)
}

#[cfg(test)]
mod tests {
    use super::super::method::*;
    use super::*;

    #[test]
    fn the_interval_is_students() {
        // Mean 2, standard deviation 1, three values: 4.303 / sqrt(3).
        let of_three = summary(&[1.0, 2.0, 3.0]);
        assert_eq!((of_three.mean, of_three.std), (2.0, 1.0));
        assert!((of_three.interval.unwrap() - 4.303 / 3f64.sqrt()).abs() < 1e-9);
        assert_eq!(summary(&[0.5]), Summary { mean: 0.5, std: 0.0, interval: None });
    }

    #[test]
    fn quantiles_run_on_beyond_the_table() {
        // Tabulated: 2.040 at 31, 1.984 at 100.
        assert!((t95(31) - 2.040).abs() < 1e-3);
        assert!((t95(100) - 1.984).abs() < 1e-3);
        assert_eq!(t95(2), 4.303);
    }

    fn runs(accuracies: &[(u64, f64)]) -> Vec<Run> {
        accuracies
            .iter()
            .map(|&(seed, accuracy)| Run {
                seed,
                accuracy,
                seconds: 0.0,
                learning_rate: None,
                routed: None,
                curve: Vec::new(),
            })
            .collect()
    }

    /// By SciPy's `spearmanr`.
    #[test]
    fn ranks_correlate_as_spearman_has_it() {
        let of = |a: &[f64], b: &[f64]| rank_correlation(a, b);
        assert_eq!(of(&[1.0, 2.0, 9.0], &[0.1, 0.2, 0.3]), Some(1.0));
        assert_eq!(of(&[1.0, 2.0, 9.0], &[0.3, 0.2, 0.1]), Some(-1.0));
        let tied = of(&[1.0, 2.0, 2.0, 4.0], &[3.0, 1.0, 2.0, 4.0]).unwrap();
        assert!((tied - 0.316_227_766).abs() < 1e-9, "{tied}");
        assert_eq!(of(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(of(&[1.0, f64::NAN], &[1.0, 2.0]), None);
        assert_eq!(of(&[1.0], &[1.0]), None);
    }

    #[test]
    fn differences_pair_by_seed_and_not_by_place() {
        let ours = runs(&[(1, 0.5), (2, 0.75), (3, 1.0)]);
        let other = runs(&[(2, 0.5), (1, 0.25), (9, 0.0)]);
        let difference = paired(&ours, &other).unwrap();
        assert_eq!(difference.each, [0.25, 0.25]);
        assert_eq!(difference.interval, Some(0.0));
        assert_eq!(difference.verdict(), Verdict::Ahead);
    }

    #[test]
    fn the_interval_of_a_difference_is_students() {
        // Differences 0.1, 0.2, 0.3: standard deviation 0.1, so 4.303 * 0.1 / sqrt(3).
        let ours = runs(&[(1, 0.6), (2, 0.7), (3, 0.8)]);
        let other = runs(&[(1, 0.5), (2, 0.5), (3, 0.5)]);
        let difference = paired(&ours, &other).unwrap();
        assert!((difference.interval.unwrap() - 0.248_434).abs() < 1e-5);
        assert_eq!(difference.verdict(), Verdict::Unclear);
    }

    #[test]
    fn nothing_in_common_is_no_difference() {
        assert_eq!(paired(&runs(&[(1, 0.5)]), &runs(&[(2, 0.5)])), None);
        assert_eq!(paired(&runs(&[(1, f64::NAN)]), &runs(&[(1, 0.5)])), None);
        let one = paired(&runs(&[(1, 0.5)]), &runs(&[(1, 0.75)])).unwrap();
        assert_eq!((one.interval, one.verdict()), (None, Verdict::Behind));
    }
}
