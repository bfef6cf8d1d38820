//! One method against another, seed by seed.
//!
//! Runs with the same seed see the same samples, so differences are taken within a seed:
//! what a seed makes easy or hard for all methods alike cancels.

use crate::demo::{Method, MethodKind, Run, Summary, summary};

/// Accuracy of one method less that of another.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Difference {
    /// Mean over the seeds, in shares of 1.
    pub(super) mean: f64,
    /// Half width of the 95 % interval of the mean; `None` for a single seed.
    pub(super) interval: Option<f64>,
    /// One difference for each seed.
    pub(super) each: Vec<f64>,
}

/// What a difference lets one say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// More, and the interval leaves out zero; for a single seed, just more.
    Ahead,
    /// Less, likewise.
    Behind,
    /// The interval holds zero, or the difference is zero.
    Unclear,
}

impl Difference {
    pub(super) fn verdict(&self) -> Verdict {
        let margin = self.interval.unwrap_or(0.0);
        match self.mean {
            mean if mean - margin > 0.0 => Verdict::Ahead,
            mean if mean + margin < 0.0 => Verdict::Behind,
            _ => Verdict::Unclear,
        }
    }
}

/// `method` less `other`, over the seeds that both have; `None` if there is no such seed.
pub(super) fn paired(method: &[Run], other: &[Run]) -> Option<Difference> {
    let each: Vec<f64> = method
        .iter()
        .filter_map(|run| {
            let twin = other.iter().find(|twin| twin.seed == run.seed)?;
            Some(run.accuracy - twin.accuracy).filter(|difference| difference.is_finite())
        })
        .collect();
    if each.is_empty() {
        return None;
    }
    let Summary { mean, interval, .. } = summary(&each);
    Some(Difference { mean, interval, each })
}

/// The mean over all methods that fine-tune one source, as if it were a method's runs:
/// what someone may expect who picks a source at random.
pub(super) fn mean_single(methods: &[Method]) -> Vec<Run> {
    let singles: Vec<&Method> = methods.iter().filter(|m| m.kind == MethodKind::Single).collect();
    let Some(first) = singles.first() else { return Vec::new() };
    first
        .runs
        .iter()
        .filter_map(|run| {
            let found: Vec<f64> = singles
                .iter()
                .filter_map(|m| m.runs.iter().find(|twin| twin.seed == run.seed))
                .map(|twin| twin.accuracy)
                .collect();
            // A mean over fewer sources for some seeds would not be the same quantity.
            (found.len() == singles.len()).then(|| Run {
                seed: run.seed,
                accuracy: found.iter().sum::<f64>() / found.len() as f64,
                seconds: 0.0,
                curve: Vec::new(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(accuracies: &[(u64, f64)]) -> Vec<Run> {
        accuracies
            .iter()
            .map(|&(seed, accuracy)| Run { seed, accuracy, seconds: 0.0, curve: Vec::new() })
            .collect()
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
    fn the_interval_is_students() {
        // Differences 0.1, 0.2, 0.3: deviation 0.1, so 4.303 * 0.1 / sqrt(3).
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
