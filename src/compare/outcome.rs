//! What a comparison found: from finished runs to the rows of the table.

use super::plan::{Job, Plan};
use super::{Method, MethodKind, Run, ensemble_accuracy, multiply_adds};
use crate::train::{self, Model, Summary};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Everything that a comparison found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Version of the program.
    pub version: String,
    /// What was asked for.
    pub plan: Plan,
    /// Names of the sources.
    pub sources: Vec<String>,
    /// For each seed, what the sources scored on the training images before any tuning, 0 to 1;
    /// empty if nothing asked them.
    pub scores: Vec<(u64, Vec<f64>)>,
    /// Samples that were trained on, with the first seed.
    pub training_samples: usize,
    /// Samples that accuracy is measured on, with the first seed.
    pub test_samples: usize,
    /// What is compared, in the order of the table.
    pub methods: Vec<Method>,
    /// Seconds that the last process took.
    pub seconds: f64,
}

impl Outcome {
    /// The folders of all runs, in that of the comparison.
    pub fn folders(&self) -> Vec<String> {
        let sources = self.sources.iter().map(|name| (name.clone(), PathBuf::new()));
        let jobs = self.plan.jobs(&sources.collect::<Vec<_>>());
        jobs.into_iter().map(|job| job.folder).collect()
    }

    /// What the others are measured against: the single source that one would choose by its score,
    /// or the best one by hindsight where there are no scores.
    pub fn reference(&self) -> Option<&Method> {
        let of = |kind| self.methods.iter().find(|method| method.kind == kind);
        of(MethodKind::Chosen).or_else(|| of(MethodKind::Hindsight))
    }
}

/// A finished run, measured.
struct Finished<'a> {
    job: &'a Job,
    run: Run,
    /// Parameters, multiply-adds, bytes.
    sizes: [u64; 3],
    /// Of singles: the probabilities of the classes, an image after the other.
    probabilities: Vec<Vec<f64>>,
    labels: Vec<usize>,
}

/// The table of finished runs; of a run without a summary the loss did not stay finite.
pub(super) fn outcome(
    folder: &Path,
    plan: &Plan,
    sources: Vec<String>,
    done: &[(Job, Option<Summary>)],
) -> Result<Outcome> {
    let (mut finished, mut collapsed) = (Vec::new(), Vec::new());
    for (job, summary) in done {
        let Some(summary) = summary else { continue };
        let path = folder.join(&job.folder);
        let run = train::Run::resume(&path)?;
        let model = Model::open(run.model_file(), None)?;
        let test = summary.test.as_ref().ok_or_else(|| Error::format(&path, "was not tested"))?;
        let accuracy = test.deciding().map_or(f64::NAN, |(_, value)| value);
        let (seed, seconds) = (job.seed, summary.seconds);
        let one = |accuracy| Run { seed, accuracy, seconds, curve: vec![] };
        if job.kind == MethodKind::Lite {
            let path = folder.join(format!("seed-{seed}/collapsed.safetensors"));
            model.collapsed()?.write(&path)?;
            let plain = Model::open(&path, None)?;
            let answers = run.answers(&plain)?;
            collapsed.push((one(answers.accuracy), sizes(&plain, &path)?));
        }
        let sizes = sizes(&model, &run.model_file())?;
        let answers = match job.kind {
            MethodKind::Single => run.answers(&model)?,
            _ => train::Answers::default(),
        };
        let train::Answers { probabilities, labels, .. } = answers;
        finished.push(Finished { job, run: one(accuracy), sizes, probabilities, labels });
    }
    let scores = scores(done, sources.len());
    let with = |get: fn(&Summary) -> usize| {
        done.iter().find_map(|(_, summary)| summary.as_ref().map(get)).unwrap_or(0)
    };
    Ok(Outcome {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        methods: methods(plan, &sources, done, &finished, collapsed, &scores)?,
        training_samples: with(|summary| summary.training_samples),
        test_samples: with(|summary| summary.test.as_ref().map_or(0, |test| test.samples)),
        plan: plan.clone(),
        sources,
        scores,
        seconds: 0.0,
    })
}

/// The scores of all sources by seed, as the first run that asked them found them.
fn scores(done: &[(Job, Option<Summary>)], sources: usize) -> Vec<(u64, Vec<f64>)> {
    let mut found: Vec<(u64, Vec<f64>)> = Vec::new();
    for (job, summary) in done {
        let Some(Summary { source_scores, .. }) = summary else { continue };
        let is_known = found.iter().any(|(seed, _)| *seed == job.seed);
        // A single source knows only its own.
        if !is_known && job.source.is_none() && source_scores.len() == sources && sources > 0 {
            found.push((job.seed, source_scores.clone()));
        }
    }
    found
}

fn sizes(model: &Model, path: &Path) -> Result<[u64; 3]> {
    let bytes = std::fs::metadata(path).map_err(Error::io("look at", path))?.len();
    Ok([model.network.parameters().trained() as u64, multiply_adds(model)?, bytes])
}

fn methods(
    plan: &Plan,
    sources: &[String],
    done: &[(Job, Option<Summary>)],
    finished: &[Finished],
    collapsed: Vec<(Run, [u64; 3])>,
    scores: &[(u64, Vec<f64>)],
) -> Result<Vec<Method>> {
    let of = |kind, source| {
        finished.iter().filter(move |f| (f.job.kind, f.job.source) == (kind, source))
    };
    let row = |kind: MethodKind, source: Option<usize>, name: &str, description: &str| {
        let sizes = of(kind, source).next()?.sizes;
        let runs = of(kind, source).map(|finished| finished.run.clone()).collect();
        let failed = done
            .iter()
            .filter(|(job, summary)| (job.kind, job.source) == (kind, source) && summary.is_none());
        let failed: Vec<String> = failed.map(|(job, _)| job.seed.to_string()).collect();
        let mut description = description.to_owned();
        if !failed.is_empty() {
            let seeds = failed.join(", ");
            description += &format!("; left out: the loss did not stay finite with seed {seeds}");
        }
        Some(Method::new(kind, name, &description, runs, sizes))
    };
    let mut methods = Vec::new();
    methods.extend(row(MethodKind::Scratch, None, "from scratch", "random weights, no source"));
    let singles: Vec<(usize, Method)> = sources
        .iter()
        .enumerate()
        .filter_map(|(at, name)| {
            let text = format!("the source `{name}` alone, tuned");
            Some((at, row(MethodKind::Single, Some(at), &format!("single: {name}"), &text)?))
        })
        .collect();
    methods.extend(singles.iter().map(|(_, method)| method.clone()));
    methods.extend(chosen(&singles, scores));
    methods.extend(hindsight(&singles));
    for (kind, name, text) in [
        (MethodKind::Average, "plain average", "the mean of the sources as one network, tuned"),
        (
            MethodKind::Matched,
            "matched average",
            "the same, the sources' channels permuted first so that they match",
        ),
        (MethodKind::Zoo, "Zoo-Tuning", "all sources in one network: a kernel for each image"),
        (
            MethodKind::Lite,
            "lite Zoo-Tuning",
            "all sources in one network: a kernel for all images",
        ),
    ] {
        methods.extend(row(kind, None, name, text));
    }
    if let Some(&(_, sizes)) = collapsed.first() {
        let (name, text) = ("lite, collapsed", "the lite network as one plain network, read back");
        let runs = collapsed.into_iter().map(|(run, _)| run).collect();
        methods.push(Method::new(MethodKind::Collapsed, name, text, runs, sizes));
    }
    methods.extend(ensemble(plan, sources.len(), finished)?);
    Ok(methods)
}

/// What someone gets who tunes only the source that scores best.
fn chosen(singles: &[(usize, Method)], scores: &[(u64, Vec<f64>)]) -> Option<Method> {
    let (_, first) = singles.first()?;
    let best = |scores: &[f64]| {
        (0..scores.len()).reduce(|best, at| if scores[at] > scores[best] { at } else { best })
    };
    let runs: Vec<Run> = scores
        .iter()
        .filter_map(|(seed, scores)| {
            let (_, method) = singles.iter().find(|(at, _)| Some(*at) == best(scores))?;
            method.runs.iter().find(|run| run.seed == *seed).cloned()
        })
        .collect();
    let text = "the single source with the best score before tuning: nothing else is tuned";
    let sizes = [first.parameters, first.multiply_adds, first.bytes];
    let new = || Method::new(MethodKind::Chosen, "single by score", text, runs.clone(), sizes);
    (!runs.is_empty()).then(new)
}

/// The single that turned out best on the test samples.
fn hindsight(singles: &[(usize, Method)]) -> Option<Method> {
    let all = singles.iter().map(|(_, method)| method);
    let best = all.clone().max_by(|a, b| a.mean.total_cmp(&b.mean))?.clone();
    Some(Method {
        kind: MethodKind::Hindsight,
        description: format!(
            "`{}`, which was best on the test samples: known only after tuning all {}",
            best.name,
            singles.len()
        ),
        name: "best single (hindsight)".to_owned(),
        seconds: all.map(|method| method.seconds).sum(),
        ..best
    })
}

/// All singles, their probabilities averaged; of the seeds with all of them.
fn ensemble(plan: &Plan, sources: usize, finished: &[Finished]) -> Result<Option<Method>> {
    let of = |seed| {
        let is_member = move |f: &&Finished| f.job.kind == MethodKind::Single && f.job.seed == seed;
        finished.iter().filter(is_member)
    };
    let first = plan.config.seed;
    let (mut runs, mut sizes) = (Vec::new(), [0; 3]);
    for seed in (first..first.saturating_add(plan.seeds)).filter(|&s| of(s).count() == sources) {
        let Some(one) = of(seed).next() else { continue };
        let members = of(seed).map(|member| member.probabilities.concat());
        runs.push(Run {
            seed,
            accuracy: ensemble_accuracy(members, &one.labels)?,
            seconds: of(seed).map(|member| member.run.seconds).sum(),
            curve: vec![],
        });
        sizes = [0, 1, 2].map(|k| of(seed).map(|member| member.sizes[k]).sum());
    }
    let text = format!("{sources} networks, their probabilities averaged");
    let name = "ensemble of all singles";
    let new = || Method::new(MethodKind::Ensemble, name, &text, runs.clone(), sizes);
    Ok((!runs.is_empty()).then(new))
}
