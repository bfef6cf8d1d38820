//! What a comparison found: from finished runs to the rows of the table.

use super::plan::{Job, Plan};
use super::rates::{Done, fittest};
use super::scores::correlate;
use super::soup::greedy_soup;
use super::{Comparison, Method, MethodKind, Point, Run, Score, ensemble_accuracy, multiply_adds};
use crate::start::best;
use crate::train::choice::Otherwise;
use crate::train::task::Part;
use crate::train::{Answers, Meter, Metrics, Model, Recorded, RoutingPromise, Summary};
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
    /// What the sources scored on the training images before any tuning, and how well that foretold
    /// what came of it; empty if they could not be scored.
    pub scores: Vec<Score>,
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

    /// What a budget of time did not allow, if there was something.
    pub fn left_out(&self) -> Option<&str> {
        let left_out = self.plan.budget.as_ref()?.left_out.as_deref();
        left_out.filter(|left_out| !left_out.is_empty())
    }

    /// What the others are measured against: the single source that one would choose by its score,
    /// or the best one by hindsight where there are no scores.
    pub fn reference(&self) -> Option<&Method> {
        let of = |kind| self.methods.iter().find(|method| method.kind == kind);
        of(MethodKind::Chosen).or_else(|| of(MethodKind::Hindsight))
    }
}

/// A finished network, measured.
struct Finished {
    kind: MethodKind,
    source: Option<usize>,
    run: Run,
    /// Parameters, multiply-adds, bytes.
    sizes: [u64; 3],
    /// To the test images, where more than the accuracy is asked for.
    answers: Answers,
}

/// How many sources a mixed network asks.
const MIXED: usize = 2;

/// Name and description of the methods that tune one network with each seed.
const ROWS: [(MethodKind, &str, &str); 10] = [
    (
        MethodKind::Probed,
        "linear probe, then tuning",
        "the single by score, its classifier fitted in closed form before the first step",
    ),
    (MethodKind::L2Sp, "L2-SP", "the single by score, its weights kept near those of the source"),
    (
        MethodKind::Delta,
        "DELTA",
        "the single by score, its last feature maps kept near those of the source",
    ),
    (MethodKind::Average, "plain average", "the mean of the sources as one network, tuned"),
    (
        MethodKind::Matched,
        "matched average",
        "the same, the sources' channels permuted first so that they match",
    ),
    (
        MethodKind::Distilled,
        "distilled ensemble",
        "the single by score, tuned to the mean answers of all tuned singles beside the labels",
    ),
    (MethodKind::Zoo, "Zoo-Tuning", "all sources in one network: a kernel for each image"),
    (
        MethodKind::Routed,
        "routed zoo",
        "each image through the source that fits it; Zoo-Tuning where that is not worth it",
    ),
    (
        MethodKind::Mixed,
        "routed zoo, two mixed",
        "the same network, the two likeliest sources of an image mixed where the second is likely enough",
    ),
    (MethodKind::Lite, "lite Zoo-Tuning", "all sources in one network: a kernel for all images"),
];

/// The table of finished runs; of a run without a summary the loss did not stay finite.
pub(super) fn outcome(
    comparison: &Comparison,
    plan: &Plan,
    sources: Vec<String>,
    mut scores: Vec<Score>,
    done: &[Done],
) -> Result<Outcome> {
    // What a soup is made of is no network of its own.
    let (soups, done): (Vec<&Done>, Vec<&Done>) =
        done.iter().partition(|(job, _)| job.kind == MethodKind::Soup);
    let done = fittest(done);
    let mut finished = Vec::new();
    for seed in plan.each_seed() {
        let done: Vec<&Done> = done.iter().filter(|(job, _)| job.seed == seed).collect();
        let soups: Vec<&Done> = soups.iter().filter(|(job, _)| job.seed == seed).copied().collect();
        finished.extend(of_seed(comparison, &done, &soups)?);
    }
    let with = |get: fn(&Summary) -> usize| {
        done.iter().find_map(|(_, summary)| summary.as_ref().map(get)).unwrap_or(0)
    };
    let methods = methods(plan, &sources, &done, &finished, &scores)?;
    correlate(&mut scores, &methods, sources.len());
    Ok(Outcome {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        methods,
        training_samples: with(|summary| summary.training_samples),
        test_samples: with(|summary| summary.test.as_ref().map_or(0, |test| test.samples)),
        plan: plan.clone(),
        sources,
        scores,
        seconds: 0.0,
    })
}

/// The networks of a seed, and those that are made of them: the collapsed one, and the soup.
fn of_seed(comparison: &Comparison, done: &[&Done], soups: &[&Done]) -> Result<Vec<Finished>> {
    let Some((first, _)) = done.iter().chain(soups).next() else { return Ok(vec![]) };
    let seed = first.seed;
    let run = |accuracy, seconds| Run {
        seed,
        accuracy,
        seconds,
        learning_rate: None,
        routed: None,
        curve: vec![],
    };
    let mut finished: Vec<Finished> = Vec::new();
    // By their places, those that are shown the test images once more.
    let mut asked: Vec<(usize, Model)> = Vec::new();
    let mut made: Vec<(MethodKind, Model, f64)> = Vec::new();
    for (job, summary) in done {
        let Some(Summary { routing, .. }) = summary else { continue };
        let kind = job.kind;
        // Named by the method, measured on the network that stands for it.
        let (job, summary) = standing_for(job, routing.as_ref(), done).unwrap_or((job, summary));
        let Some(Summary { test, seconds, .. }) = summary else { continue };
        let of_job = comparison.run_of(job)?;
        let (path, file) = (of_job.folder(), of_job.model_file());
        let model = Model::open(&file, None)?;
        let test = test.as_ref().ok_or_else(|| Error::format(path, "was not tested"))?;
        let accuracy = test.deciding().map_or(f64::NAN, |(_, value)| value);
        let run = Run {
            learning_rate: Some(job.config.optimizer.learning_rate),
            routed: routing.as_ref().map(|routing| routing.taken),
            curve: curve(&Recorded::read(path)?.metrics),
            ..run(accuracy, *seconds)
        };
        let (source, sizes) = (job.source, sizes(&model, &file)?);
        let is_routed = run.routed == Some(true);
        finished.push(Finished { kind, source, run, sizes, answers: Answers::default() });
        match kind {
            MethodKind::Single => asked.push((finished.len() - 1, model)),
            // Where the guard took another form, there is nothing to mix, and it is the same network.
            MethodKind::Routed => {
                let mixed = finished.last().map(mixed);
                finished.extend(mixed);
                if is_routed {
                    let mut model = model;
                    model.network.mix_likeliest(MIXED)?;
                    asked.push((finished.len() - 1, model));
                }
            }
            MethodKind::Lite => made.push((MethodKind::Collapsed, model.collapsed()?, *seconds)),
            _ => {}
        }
    }
    if let Some(soup) = greedy_soup(comparison, soups)? {
        let seconds = soups.iter().filter_map(|(_, summary)| Some(summary.as_ref()?.seconds));
        made.push((MethodKind::Soup, soup, seconds.sum()));
    }
    for (kind, model, seconds) in made {
        let file = comparison.folder().join(format!("seed-{seed}/{}.safetensors", kind.name()));
        model.write(&file)?;
        let model = Model::open(&file, None)?;
        let (run, sizes) = (run(f64::NAN, seconds), sizes(&model, &file)?);
        asked.push((finished.len(), model));
        finished.push(Finished { kind, source: None, run, sizes, answers: Answers::default() });
    }
    let models: Vec<&Model> = asked.iter().map(|(_, model)| model).collect();
    let answers = comparison.run_of(first)?.answers(&models, Part::Test)?;
    for ((at, _), answers) in asked.iter().zip(answers) {
        let Finished { kind, run, answers: kept, .. } = &mut finished[*at];
        if *kind != MethodKind::Single {
            run.accuracy = answers.accuracy;
        }
        *kept = answers;
    }
    Ok(finished)
}

/// Of a run that the guard did not let route: the one of the form that it took instead, if that was tuned
/// too. Its learning rate is chosen for that form, where the other's is the routed one's: Zoo-Tuning
/// of sources of other classes loses seven points at it.
fn standing_for<'a>(
    job: &Job,
    routing: Option<&RoutingPromise>,
    done: &[&'a Done],
) -> Option<(&'a Job, &'a Option<Summary>)> {
    routing.filter(|routing| !routing.taken)?;
    let instead = match job.config.method.otherwise {
        Otherwise::Zoo => MethodKind::Zoo,
        Otherwise::Lite => MethodKind::Lite,
    };
    let other = done.iter().find(|(other, summary)| other.kind == instead && summary.is_some());
    other.map(|(job, summary)| (job, summary))
}

/// What becomes of the routed network that was finished last, its likeliest sources mixed.
fn mixed(finished: &Finished) -> Finished {
    let Finished { run, sizes: [parameters, multiply_adds, bytes], .. } = finished;
    Finished {
        kind: MethodKind::Mixed,
        source: None,
        run: run.clone(),
        sizes: [*parameters, MIXED as u64 * multiply_adds, *bytes],
        answers: Answers::default(),
    }
}

/// The course of a run, at the steps at which it was measured.
fn curve(metrics: &[Metrics]) -> Vec<Point> {
    let mut losses = Meter::default();
    let point = |line: &Metrics| {
        losses.add(line.loss);
        let (_, accuracy) = line.validation.as_ref()?.deciding()?;
        Some(Point { step: line.step as usize, loss: losses.take()?, accuracy })
    };
    metrics.iter().filter_map(point).collect()
}

fn sizes(model: &Model, path: &Path) -> Result<[u64; 3]> {
    let bytes = std::fs::metadata(path).map_err(Error::io("look at", path))?.len();
    Ok([model.network.parameters().trained() as u64, multiply_adds(model)?, bytes])
}

fn methods(
    plan: &Plan,
    sources: &[String],
    done: &[Done],
    finished: &[Finished],
    scores: &[Score],
) -> Result<Vec<Method>> {
    let of = |kind, source| finished.iter().filter(move |f| (f.kind, f.source) == (kind, source));
    let row = |kind: MethodKind, source: Option<usize>, name: &str, description: &str| {
        let sizes = of(kind, source).next()?.sizes;
        let runs: Vec<Run> = of(kind, source).map(|finished| finished.run.clone()).collect();
        let failed = done
            .iter()
            .filter(|(job, summary)| (job.kind, job.source) == (kind, source) && summary.is_none());
        let failed: Vec<String> = failed.map(|(job, _)| job.seed.to_string()).collect();
        let mut description =
            format!("{description}{}{}", at_rates(plan, &runs), how_many_routed(&runs));
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
    let texts: Vec<String> = plan.rates_of(MethodKind::Soup).iter().map(f64::to_string).collect();
    let text = format!(
        "the single by score tuned at learning rates {}; those that help on the validation samples, \
         averaged",
        texts.join(", ")
    );
    // Where no run was routed, nothing was mixed.
    let is_routed = finished.iter().any(|finished| finished.run.routed == Some(true));
    let rows = ROWS.iter().filter(|(kind, ..)| *kind != MethodKind::Mixed || is_routed);
    let rows = rows.map(|(kind, name, text)| row(*kind, None, name, text));
    methods.extend(rows.flatten());
    methods.extend(row(MethodKind::Soup, None, "greedy soup", &text));
    let (name, text) = ("lite, collapsed", "the lite network as one plain network, read back");
    methods.extend(row(MethodKind::Collapsed, None, name, text));
    methods.extend(ensemble(plan, sources.len(), finished)?);
    Ok(methods)
}

/// At which learning rates the runs of a method are, if there was a choice.
fn at_rates(plan: &Plan, runs: &[Run]) -> String {
    let at = |rate: &f64| runs.iter().filter(|run| run.learning_rate == Some(*rate)).count();
    let counted = plan.rates.iter().map(|rate| (rate, at(rate))).filter(|(_, count)| *count > 0);
    let texts: Vec<_> = counted.map(|(rate, count)| format!("{rate} in {count}")).collect();
    if plan.rates.len() < 2 || texts.is_empty() {
        return String::new();
    }
    format!("; learning rate {} of {} runs", texts.join(", "), runs.len())
}

/// In how many runs the guard let samples be routed, if it had to decide that.
fn how_many_routed(runs: &[Run]) -> String {
    let decided: Vec<bool> = runs.iter().filter_map(|run| run.routed).collect();
    if decided.is_empty() {
        return String::new();
    }
    let count = decided.iter().filter(|routed| **routed).count();
    format!("; routed in {count} of {} runs", decided.len())
}

/// What someone gets who tunes only the source that scores best.
fn chosen(singles: &[(usize, Method)], scores: &[Score]) -> Option<Method> {
    let (_, first) = singles.first()?;
    let score = scores.iter().find(|score| score.name == Score::LEAVE_ONE_OUT)?;
    let runs: Vec<Run> = score
        .values
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
        let is_member = move |f: &&Finished| f.kind == MethodKind::Single && f.run.seed == seed;
        finished.iter().filter(is_member)
    };
    let (mut runs, mut sizes) = (Vec::new(), [0; 3]);
    for seed in plan.each_seed().filter(|&seed| of(seed).count() == sources) {
        let Some(one) = of(seed).next() else { continue };
        let members = of(seed).map(|member| member.answers.probabilities.concat());
        runs.push(Run {
            seed,
            accuracy: ensemble_accuracy(members, &one.answers.labels)?,
            seconds: of(seed).map(|member| member.run.seconds).sum(),
            learning_rate: None,
            routed: None,
            curve: vec![],
        });
        sizes = [0, 1, 2].map(|k| of(seed).map(|member| member.sizes[k]).sum());
    }
    let text = format!("{sources} networks, their probabilities averaged");
    let name = "ensemble of all singles";
    let new = || Method::new(MethodKind::Ensemble, name, &text, runs.clone(), sizes);
    Ok((!runs.is_empty()).then(new))
}
