//! A comparison: a folder, and the runs that fill it.
//!
//! | file | holds |
//! |---|---|
//! | `plan.toml` | everything that decides what is computed |
//! | `seed-N/METHOD/` | a run of each method; see [`crate::train::Run`] |
//! | `seed-N/collapsed.safetensors` | the lite network as a plain one |
//! | `seed-N/soup.safetensors` | the greedy soup |
//! | `seed-N/scores.json` | what the sources scored before any tuning |
//! | `results.json` | what came out |
//!
//! Each network is a run of its own, so that a comparison that is killed at any moment goes on
//! where it was, and ends with the same bits.

use super::budget::{most_important, within};
use super::memory::Memory;
use super::outcome::{Outcome, outcome};
use super::plan::{Job, Plan, SOURCES};
use super::rates::{Done, fittest};
use super::scores::scores;
use super::{MethodKind, work};
use crate::dataset::Dataset;
use crate::export::{is_leftover, write_atomically};
use crate::tensor::Device;
use crate::train::task::Scores;
use crate::train::{Config, Event, Observer, Recorded, Summary};
use crate::{Error, Result, train};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Who looks on; the calls come from several threads.
pub trait Watch: Sync {
    /// So many networks will be tuned.
    fn begin(&self, runs: usize);

    /// A step of a run is done.
    fn step(&self, run: &str, step: u64, steps: u64);

    /// A run says what a user should know, such as what of the data was left out.
    fn warned(&self, run: &str, warning: &str);

    /// A run is finished; what it was measured to be on the test samples.
    fn finished(&self, run: &str, scores: Option<&Scores>);

    /// A run cannot go on, and with it the comparison.
    fn failed(&self, run: &str, error: &Error);

    /// Whether to stop, to go on later.
    fn stopped(&self) -> bool;
}

/// A folder that a comparison is recorded in.
pub struct Comparison {
    folder: PathBuf,
    plan: Plan,
    /// Whether the folder was made for the comparison.
    made: bool,
    /// What computes.
    device: Device,
    /// Whether its runs may go on with other data than they began with.
    accepts_changed_data: bool,
    /// Data of each seed that take the place of those at their path.
    data: BTreeMap<u64, Arc<dyn Dataset>>,
}

impl Comparison {
    /// A new comparison in `folder`, which is made if need be.
    ///
    /// # Errors
    /// If the plan leaves nothing to do, or the folder holds anything or cannot be written.
    pub fn create(folder: impl AsRef<Path>, mut plan: Plan) -> Result<Self> {
        plan.check()?;
        let folder = folder.as_ref().to_path_buf();
        let name = folder.display();
        if folder.join(PLAN).exists() {
            let problem = format!("{name} holds a comparison; --resume {name} goes on with it");
            return Err(Error::config("out", problem));
        }
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut names = entries.map(|entry| entry.file_name());
        if names.any(|name| !is_leftover(&name.to_string_lossy())) {
            return Err(Error::config(
                "out",
                format!("{name} is not empty; choose another folder"),
            ));
        }
        let Config { method, data, .. } = &mut plan.config;
        let further = [&mut data.validation_data, &mut data.test_data].into_iter().flatten();
        for path in method.zoo.iter_mut().chain([&mut data.path]).chain(further) {
            *path = std::path::absolute(&*path).map_err(Error::io("find", &*path))?;
        }
        let made = !folder.exists();
        std::fs::create_dir_all(&folder).map_err(Error::io("make the folder", &folder))?;
        write_plan(&folder, &plan)?;
        Ok(Self { made, ..Self::of(folder, plan) })
    }

    /// The comparison in `folder`, to go on with.
    ///
    /// # Errors
    /// If there is none, or its plan cannot be read.
    pub fn resume(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref().to_path_buf();
        let path = folder.join(PLAN);
        if !path.exists() {
            let problem = format!("there is no comparison in {}: no {PLAN}", folder.display());
            return Err(Error::config("resume", problem));
        }
        let text = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let table: Result<toml::Table, _> = text.parse();
        let plan: Plan = table
            .and_then(toml::Table::try_into)
            .map_err(|error| Error::format(&path, error.message().to_owned()))?;
        plan.check()?;
        Ok(Self::of(folder, plan))
    }

    fn of(folder: PathBuf, plan: Plan) -> Self {
        let (device, data) = (Device::Cpu, BTreeMap::new());
        Self { folder, plan, made: false, device, accepts_changed_data: false, data }
    }

    /// The same comparison, whose runs go on though their data are not what they were, and record that.
    pub fn accepting_changed_data(self) -> Self {
        Self { accepts_changed_data: true, ..self }
    }

    /// The same comparison, its networks tuned by `device`.
    pub fn on(self, device: Device) -> Self {
        Self { device, ..self }
    }

    /// The same comparison, on these data of each seed in place of those at the plan's path; see
    /// [`train::Run::with_data`].
    pub fn with_data(self, data: BTreeMap<u64, Arc<dyn Dataset>>) -> Self {
        Self { data, ..self }
    }

    /// The data of a seed that take the place of those at the plan's path.
    pub(super) fn data(&self, seed: u64) -> Option<Arc<dyn Dataset>> {
        self.data.get(&seed).cloned()
    }

    /// The run of a job: the one in its folder, or a new one.
    pub(super) fn run_of(&self, job: &Job) -> Result<train::Run> {
        let folder = self.folder.join(&job.folder);
        let run = train::Run::resume_or_create(folder, job.config.clone())?;
        let mut run = run.on(self.device.clone());
        if self.accepts_changed_data {
            run = run.accepting_changed_data();
        }
        if let Some(data) = self.data(job.seed) {
            run = run.with_data(data);
        }
        Ok(run)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is compared.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Tunes every network that is not tuned yet, `at_once` of them side by side on `threads`
    /// threads together, and measures what follows from them.
    ///
    /// With a budget of time, only as much of it as that allows, see [`Budget`](super::Budget).
    ///
    /// Results do not depend on either number; only times do. Peak memory is that of `at_once` runs;
    /// fewer are tuned side by side where there is not so much.
    ///
    /// # Errors
    /// Whatever stops a run; [`Error::Interrupted`] if `watch` stops the comparison. A folder that was
    /// made for it is gone if no run of it could begin, so that the same command may be given again.
    pub fn run(&self, at_once: usize, threads: usize, watch: &dyn Watch) -> Result<Outcome> {
        let found = self.compared(at_once, threads, watch);
        if found.as_ref().is_err_and(|error| !matches!(error, Error::Interrupted { .. })) {
            self.remove_start();
        }
        found
    }

    /// Removes the plan and the files of the sources, if no run has left anything.
    fn remove_start(&self) {
        if !self.made {
            return;
        }
        let [plan, sources] = [PLAN, SOURCES].map(|name| self.folder.join(name));
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            // A run that could not begin has removed its own folder; no folder that holds anything is
            // removed by this.
            if path != plan && path != sources && std::fs::remove_dir(path).is_err() {
                return;
            }
        }
        // What cannot be removed is in nobody's way but the next comparison's, which says so.
        let _ = std::fs::remove_dir_all(sources);
        let _ = std::fs::remove_file(plan);
        let _ = std::fs::remove_dir(&self.folder);
    }

    fn compared(&self, at_once: usize, threads: usize, watch: &dyn Watch) -> Result<Outcome> {
        let begun = Instant::now();
        let sources = self.plan.sources(&self.folder)?;
        let at_once = at_once.max(1);
        let threads = (threads / at_once).max(1);
        let memory = Memory::new();
        let watch: &dyn Watch = &Weighed { watch, memory: &memory };
        let has_failed = AtomicBool::new(false);
        let all = |jobs: Vec<Job>| -> Result<Vec<Done>> {
            let result = |job: &Job| {
                let stopped = || watch.stopped() || has_failed.load(Ordering::Relaxed);
                let warn = |what: &str| watch.warned(&job.folder, what);
                let found = match memory.place(&job.folder, stopped, warn) {
                    Some(_place) => self.result(job, watch),
                    None => Err(Error::Interrupted { saved: Some(self.folder.clone()) }),
                };
                has_failed.fetch_or(found.is_err(), Ordering::Relaxed);
                found
            };
            let summaries = work(&jobs, at_once, threads, result)?;
            Ok(jobs.into_iter().zip(summaries).collect())
        };
        let plan = match &self.plan.budget {
            Some(budget) if budget.left_out.is_none() => {
                self.measured(&sources, budget.duration()?.as_secs_f64(), at_once, all)?
            }
            _ => self.plan.clone(),
        };
        let jobs = plan.jobs(&sources);
        watch.begin(jobs.len());
        let (taught, jobs): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(Job::is_taught);
        let mut done = all(jobs)?;
        let (taught, alone) = self.with_teachers(taught, &done, sources.len())?;
        done.extend(all(taught)?);
        done.extend(alone.into_iter().map(|job| (job, None)));
        let names: Vec<String> = sources.into_iter().map(|(name, _)| name).collect();
        let scores = scores(self, &plan).unwrap_or_else(|error| {
            watch.warned("scores", &format!("the sources could not be scored: {error}"));
            vec![]
        });
        let mut outcome = outcome(self, &plan, names, scores, &done)?;
        outcome.seconds = begun.elapsed().as_secs_f64();
        let json = serde_json::to_vec_pretty(&outcome)
            .map_err(|error| Error::format(&self.folder, error.to_string()))?;
        write_atomically(self.folder.join(RESULTS), |file| file.write_all(&json))?;
        Ok(outcome)
    }

    /// What the plan's budget allows, by the time of its most important run; written down, so that the
    /// comparison goes on with that.
    fn measured(
        &self,
        sources: &[(String, PathBuf)],
        seconds: f64,
        at_once: usize,
        all: impl Fn(Vec<Job>) -> Result<Vec<Done>>,
    ) -> Result<Plan> {
        let first = most_important(&self.plan);
        let job = self.plan.jobs(sources).into_iter().find(|job| Some(job.kind) == first);
        let done = all(job.into_iter().collect())?;
        let of_run = done.iter().find_map(|(_, summary)| {
            let Summary { seconds, steps, resumed_at_step, .. } = summary.as_ref()?;
            // Of a run that was stopped, the last process measured only its own steps.
            let share = (steps - resumed_at_step).max(1) as f64 / (*steps).max(1) as f64;
            Some(seconds / share)
        });
        let runs = of_run.map_or(0.0, |of_run| at_once as f64 * seconds / of_run);
        let plan = within(&self.plan, sources.len(), runs);
        write_plan(&self.folder, &plan)?;
        Ok(plan)
    }

    /// The jobs that learn from the tuned singles, with these, and those whose teachers are not all
    /// there.
    fn with_teachers(
        &self,
        jobs: Vec<Job>,
        done: &[Done],
        sources: usize,
    ) -> Result<(Vec<Job>, Vec<Job>)> {
        let (mut taught, mut alone) = (Vec::new(), Vec::new());
        let singles = fittest(done.iter().filter(|(job, _)| job.kind == MethodKind::Single));
        for job in jobs {
            let is_teacher =
                |(single, summary): &&Done| single.seed == job.seed && summary.is_some();
            let file = |(single, _): &Done| Ok(self.run_of(single)?.model_file());
            let files = singles.iter().filter(is_teacher).map(file).collect::<Result<Vec<_>>>()?;
            match files.len() == sources {
                true => taught.push(job.taught_by(files)),
                false => alone.push(job),
            }
        }
        Ok((taught, alone))
    }

    /// What came of the run of a job; nothing if its loss did not stay finite, which is a result, too.
    fn result(&self, job: &Job, watch: &dyn Watch) -> Result<Option<Summary>> {
        match self.tuned(job, watch) {
            Err(Error::NotFinite { .. }) => Ok(None),
            Err(Error::Interrupted { .. }) => {
                Err(Error::Interrupted { saved: Some(self.folder.clone()) })
            }
            found => found.map(Some).inspect_err(|error| watch.failed(&job.folder, error)),
        }
    }

    /// The run of a job, brought to its end.
    fn tuned(&self, job: &Job, watch: &dyn Watch) -> Result<Summary> {
        let mut run = self.run_of(job)?;
        if !run.is_finished() {
            run.train(&mut Seen::new(&job.folder, watch))?;
        }
        // As its file has it, whether it was trained now or before.
        let summary = Recorded::read(run.folder())?.summary;
        let summary = summary.ok_or_else(|| Error::format(run.folder(), "its summary is gone"))?;
        watch.finished(&job.folder, summary.test.as_ref());
        Ok(summary)
    }
}

fn write_plan(folder: &Path, plan: &Plan) -> Result<()> {
    let text = toml::to_string(plan).map_err(|e| Error::config(PLAN, e.to_string()))?;
    write_atomically(folder.join(PLAN), |file| file.write_all(text.as_bytes()))
}

const PLAN: &str = "plan.toml";
const RESULTS: &str = "results.json";

/// Passes on what happens, and notes what a run takes of the memory.
struct Weighed<'a> {
    watch: &'a dyn Watch,
    memory: &'a Memory,
}

impl Watch for Weighed<'_> {
    fn begin(&self, runs: usize) {
        self.watch.begin(runs);
    }

    fn step(&self, run: &str, step: u64, steps: u64) {
        self.memory.after_step(run);
        self.watch.step(run, step, steps);
    }

    fn warned(&self, run: &str, warning: &str) {
        self.watch.warned(run, warning);
    }

    fn finished(&self, run: &str, scores: Option<&Scores>) {
        self.watch.finished(run, scores);
    }

    fn failed(&self, run: &str, error: &Error) {
        self.watch.failed(run, error);
    }

    fn stopped(&self) -> bool {
        self.watch.stopped()
    }
}

/// Tells a watcher of one run.
pub(crate) struct Seen<'a> {
    run: &'a str,
    steps: u64,
    watch: &'a dyn Watch,
}

impl<'a> Seen<'a> {
    pub(crate) fn new(run: &'a str, watch: &'a dyn Watch) -> Self {
        Self { run, steps: 0, watch }
    }
}

impl Observer for Seen<'_> {
    fn note(&mut self, event: &Event) {
        match *event {
            Event::Begin { steps, .. } => self.steps = steps,
            Event::Step { step, .. } => self.watch.step(self.run, step, self.steps),
            Event::Warning(warning) => self.watch.warned(self.run, warning),
            _ => {}
        }
    }

    fn stopped(&self) -> bool {
        self.watch.stopped()
    }
}
