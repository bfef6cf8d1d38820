//! The learning rate that each method is compared at: the one that is best on validation samples.

use super::plan::Job;
use crate::train::Summary;
use crate::train::choice::Keep;
use crate::train::task::Scores;

/// A run of a comparison, and what came out; nothing if its loss did not stay finite.
pub(super) type Done = (Job, Option<Summary>);

/// Of the runs of a method (and source) with one seed, which differ in their learning rate, the one
/// that is best on the validation samples, the first of equals. Its time is that of all of them.
pub(super) fn fittest<'a>(done: impl IntoIterator<Item = &'a Done>) -> Vec<Done> {
    let mut kept: Vec<Done> = Vec::new();
    for (job, summary) in done {
        let of_one = |(other, _): &&mut Done| {
            (other.kind, other.source, other.seed) == (job.kind, job.source, job.seed)
        };
        let Some((best, of_best)) = kept.iter_mut().find(of_one) else {
            kept.push((job.clone(), summary.clone()));
            continue;
        };
        let seconds = |summary: &Option<Summary>| summary.as_ref().map_or(0.0, |s| s.seconds);
        let all = seconds(of_best) + seconds(summary);
        if is_better((job, summary.as_ref()), (best, of_best.as_ref())) {
            (*best, *of_best) = (job.clone(), summary.clone());
        }
        if let Some(summary) = of_best {
            summary.seconds = all;
        }
    }
    kept
}

/// How good the network that a run leaves is on its validation samples.
pub(super) fn validation<'a>(job: &Job, summary: &'a Summary) -> Option<&'a Scores> {
    match (job.config.record.keep, &summary.best) {
        (Keep::Best, Some(best)) => Some(&best.validation),
        _ => summary.validation.as_ref(),
    }
}

fn is_better(
    (job, summary): (&Job, Option<&Summary>),
    (best, of_best): (&Job, Option<&Summary>),
) -> bool {
    let (Some(summary), Some(of_best)) = (summary, of_best) else { return summary.is_some() };
    match (validation(job, summary), validation(best, of_best)) {
        (Some(own), Some(other)) => own.is_better_than(other),
        _ => false,
    }
}
