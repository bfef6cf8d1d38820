//! What was said of the sources before any tuning, and how well that foretold what came of it.

use super::statistics::rank_correlation;
use super::{Comparison, Method, MethodKind, Plan};
use crate::export::write_atomically;
use crate::start::Transferability;
use crate::train::choice::FormName;
use crate::train::{Config, transferability};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// A score of the sources by the training images, before any tuning; more is better.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// What it is called.
    pub name: String,
    /// For each seed, the score of each source.
    pub values: Vec<(u64, Vec<f64>)>,
    /// Spearman's correlation over the sources with the accuracy of each after tuning, the mean over
    /// the seeds in which sources differ in both.
    pub rank_correlation: Option<f64>,
}

impl Score {
    /// The leave-one-out accuracy of a ridge classifier, by which sources are chosen.
    pub const LEAVE_ONE_OUT: &str = "leave-one-out";
}

/// The scores of all sources with every seed of the plan, computed or as a file of the comparison has
/// them.
///
/// # Errors
/// If sources or samples cannot be read, or a feature is not finite.
pub(super) fn scores(comparison: &Comparison, plan: &Plan) -> Result<Vec<Score>> {
    let mut scores: Vec<Score> = Vec::new();
    for seed in plan.each_seed() {
        for (name, values) in of_seed(comparison, &plan.config, seed)? {
            match scores.iter_mut().find(|score| score.name == name) {
                Some(score) => score.values.push((seed, values)),
                None => scores.push(Score {
                    name,
                    values: vec![(seed, values)],
                    rank_correlation: None,
                }),
            }
        }
    }
    Ok(scores)
}

type Named = Vec<(String, Vec<f64>)>;

fn of_seed(comparison: &Comparison, config: &Config, seed: u64) -> Result<Named> {
    let folder = comparison.folder().join(format!("seed-{seed}"));
    let path = folder.join("scores.json");
    let broken = |error: serde_json::Error| Error::format(&path, error.to_string());
    if let Ok(text) = std::fs::read(&path) {
        return serde_json::from_slice(&text).map_err(broken);
    }
    let mut config = Config { seed, ..config.clone() };
    // All of them, as they are.
    config.method.form = FormName::Average;
    let found = transferability(&config, comparison.data(seed))?;
    let of = |get: fn(&Transferability) -> Option<f64>| found.iter().map(get).collect();
    let all: [(&str, Option<Vec<f64>>); 4] = [
        (Score::LEAVE_ONE_OUT, of(|t| Some(t.leave_one_out))),
        ("LogME", of(|t| Some(t.log_me))),
        ("H-score", of(|t| Some(t.h_score))),
        // Only if all sources have their classifier.
        ("LEEP", of(|t| t.leep)),
    ];
    let known = all.into_iter().filter_map(|(name, values)| Some((name.to_owned(), values?)));
    let known: Named = known.collect();
    let text = serde_json::to_vec(&known).map_err(broken)?;
    std::fs::create_dir_all(&folder).map_err(Error::io("make the folder", &folder))?;
    write_atomically(&path, |file| file.write_all(&text))?;
    Ok(known)
}

/// How well each score foretold the accuracy of the singles, all of which are among the methods.
pub(super) fn correlate(scores: &mut [Score], methods: &[Method], sources: usize) {
    let singles: Vec<&Method> = methods.iter().filter(|m| m.kind == MethodKind::Single).collect();
    if singles.len() != sources {
        return;
    }
    for score in scores {
        let of_seed = |(seed, values): &(u64, Vec<f64>)| {
            let run = |method: &&Method| method.runs.iter().find(|run| run.seed == *seed).cloned();
            let runs = singles.iter().map(run).collect::<Option<Vec<_>>>()?;
            let accuracies: Vec<f64> = runs.iter().map(|run| run.accuracy).collect();
            rank_correlation(values, &accuracies)
        };
        let found: Vec<f64> = score.values.iter().filter_map(of_seed).collect();
        let mean = || found.iter().sum::<f64>() / found.len() as f64;
        score.rank_correlation = (!found.is_empty()).then(mean);
    }
}
