//! What is compared: networks, seeds, and the run that makes each of them.

use super::MethodKind;
use crate::train::Config;
use crate::train::choice::{FormName, Start};
use crate::train::config::TaskConfig;
use crate::zoo::Manifest;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that decides what a comparison computes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// How many seeds, counted from that of `config`. A seed draws the samples of every method alike.
    pub seeds: u64,
    /// What is tuned, of [`Plan::TUNED`]; what follows from it is compared too.
    pub methods: Vec<MethodKind>,
    /// Learning rates, of which each run of a method has the one that is best on its validation
    /// samples; none for that of `config`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<f64>,
    /// The learning rates of single methods, where one is chosen for them alone; that of `config` for
    /// all others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub own_rates: BTreeMap<MethodKind, f64>,
    /// How long all of it may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// How all of it is tuned; the form and the start of the sources are the methods'.
    pub config: Config,
}

/// A limit of time for a comparison, and what became of its plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Such as `30m`.
    pub time: String,
    /// What was left out, in words, once that was decided; empty if nothing had to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

impl Budget {
    /// The time.
    ///
    /// # Errors
    /// If it is none.
    pub fn duration(&self) -> Result<Duration> {
        humantime::parse_duration(&self.time).map_err(|error| {
            let problem = format!("{error}; expected a time such as 30m or 1h 30m");
            Error::config("budget", problem)
        })
    }
}

/// The folder of the files that a description of several sources becomes.
pub(super) const SOURCES: &str = "sources";

/// A network that is tuned, with the run that does it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Job {
    pub kind: MethodKind,
    /// The source of a single one, by its place in the zoo.
    pub source: Option<usize>,
    pub seed: u64,
    /// The folder of the run, in that of the comparison.
    pub folder: String,
    pub config: Config,
}

impl Plan {
    /// The methods that tune networks.
    pub const TUNED: [MethodKind; 12] = [
        MethodKind::Scratch,
        MethodKind::Single,
        MethodKind::Probed,
        MethodKind::L2Sp,
        MethodKind::Delta,
        MethodKind::Soup,
        MethodKind::Average,
        MethodKind::Matched,
        MethodKind::Distilled,
        MethodKind::Zoo,
        MethodKind::Routed,
        MethodKind::Lite,
    ];

    /// An error unless there is something to compare, on samples that nothing is tuned on.
    pub(super) fn check(&self) -> Result<()> {
        if !(1..=1000).contains(&self.seeds) {
            return Err(Error::config("seeds", format!("{} is not 1 to 1000", self.seeds)));
        }
        if let Some(kind) = self.methods.iter().find(|kind| !Self::TUNED.contains(kind)) {
            let problem = format!("{} follows from the others, and is always there", kind.name());
            return Err(Error::config("methods", problem));
        }
        if self.methods.is_empty() {
            return Err(Error::config("methods", "there is none to compare"));
        }
        let has = |kind| self.methods.contains(&kind);
        if has(MethodKind::Distilled) && !has(MethodKind::Single) {
            let problem = "distilled learns from the tuned singles: choose single too";
            return Err(Error::config("methods", problem));
        }
        let rates = self.rates.iter().chain(self.own_rates.values());
        if let Some(rate) = rates.into_iter().find(|rate| !(rate.is_finite() && **rate > 0.0)) {
            return Err(Error::config("rates", format!("{rate} should be above 0")));
        }
        if (self.rates.len() > 1 || has(MethodKind::Soup)) && self.config.data.validation == 0.0 {
            let problem = "several rates, and soup, need samples to choose by: --validation SHARE";
            return Err(Error::config("data.validation", problem));
        }
        self.budget.as_ref().map(Budget::duration).transpose()?;
        if self.config.method.zoo.is_empty() {
            return Err(Error::config("method.zoo", "there are no sources: --zoo FILE FILE"));
        }
        self.config.task.classification("a comparison")?;
        self.config.check()
    }

    /// The learning rates that a method is tuned at.
    pub(super) fn rates_of(&self, kind: MethodKind) -> Vec<f64> {
        let usual = self.own_rates.get(&kind).copied();
        let usual = usual.unwrap_or(self.config.optimizer.learning_rate);
        match (kind, &self.rates[..]) {
            // Of one network there is no soup.
            (MethodKind::Soup, [] | [_]) => {
                let middle = self.rates.first().copied().unwrap_or(usual);
                vec![middle / 2.0, middle, middle * 2.0]
            }
            (_, []) => vec![usual],
            (_, rates) => rates.to_vec(),
        }
    }

    /// The sources, each by a name of its own and as a file that a run takes. A description of
    /// several becomes one of each, in the folder.
    pub(super) fn sources(&self, folder: &Path) -> Result<Vec<(String, PathBuf)>> {
        let stem =
            |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut sources: Vec<(String, PathBuf)> = match &self.config.method.zoo[..] {
            [file] if file.extension().is_some_and(|extension| extension == "toml") => {
                let Manifest { architecture, sources } = Manifest::read(file)?;
                let folder = folder.join(SOURCES);
                std::fs::create_dir_all(&folder).map_err(Error::io("make the folder", &folder))?;
                let one = |(at, mut source): (usize, crate::zoo::Source)| {
                    let file = &source.file;
                    source.file = std::path::absolute(file).map_err(Error::io("find", file))?;
                    let name = source.name.clone().unwrap_or_else(|| stem(&source.file));
                    let path = folder.join(format!("{}.toml", at + 1));
                    let architecture = architecture.clone();
                    let text = Manifest { architecture, sources: vec![source] }.to_toml()?;
                    crate::export::write_atomically(&path, |out| out.write_all(text.as_bytes()))?;
                    Ok((name, path))
                };
                sources.into_iter().enumerate().map(one).collect::<Result<_>>()?
            }
            files => files.iter().map(|file| (stem(file), file.clone())).collect(),
        };
        let names: Vec<String> = sources.iter().map(|(name, _)| folder_name(name)).collect();
        for (at, (name, _)) in sources.iter_mut().enumerate() {
            // Many a file is called model.safetensors.
            let is_alone = names.iter().filter(|other| **other == names[at]).count() == 1;
            *name = if is_alone { names[at].clone() } else { format!("{}-{}", names[at], at + 1) };
        }
        Ok(sources)
    }

    /// All seeds.
    pub(super) fn each_seed(&self) -> Range<u64> {
        let first = self.config.seed;
        first..first.saturating_add(self.seeds)
    }

    /// All networks that are tuned, those of a seed after each other.
    pub(super) fn jobs(&self, sources: &[(String, PathBuf)]) -> Vec<Job> {
        let job = |seed: u64, kind: MethodKind, source: Option<usize>, rate: f64| {
            /// The strength of a penalty, where none is chosen.
            const STRENGTH: f64 = 0.01;
            let mut config = Config { seed, ..self.config.clone() };
            config.optimizer.learning_rate = rate;
            let method = &mut config.method;
            // A penalty is its method's alone.
            let [l2_sp, delta] = [&mut method.l2_sp, &mut method.delta].map(Option::take);
            match kind {
                MethodKind::Probed => method.linear_probe = true,
                MethodKind::L2Sp => method.l2_sp = l2_sp.or(Some(STRENGTH)),
                MethodKind::Delta => method.delta = delta.or(Some(STRENGTH)),
                _ => {}
            }
            (method.form, method.start) = match kind {
                MethodKind::Scratch => (FormName::Scratch, Start::Plain),
                MethodKind::Single => (FormName::Single, Start::Plain),
                MethodKind::Probed
                | MethodKind::L2Sp
                | MethodKind::Delta
                | MethodKind::Soup
                | MethodKind::Distilled => (FormName::Chosen, Start::Plain),
                MethodKind::Average => (FormName::Average, Start::Plain),
                MethodKind::Matched => (FormName::Average, Start::Matched),
                MethodKind::Zoo => (FormName::Zoo, method.start),
                MethodKind::Routed => (FormName::Routed, method.start),
                _ => (FormName::Lite, method.start),
            };
            let mut folder = format!("seed-{seed}/{}", kind.name());
            if let Some((name, path)) = source.and_then(|at| sources.get(at)) {
                method.zoo = vec![path.clone()];
                folder = format!("{folder}-{name}");
            }
            if self.rates_of(kind).len() > 1 {
                folder = format!("{folder}-rate-{rate}");
            }
            Job { kind, source, seed, folder, config }
        };
        let of_seed = |seed: u64| {
            self.methods.iter().flat_map(move |&kind| -> Vec<Job> {
                let of: Vec<Option<usize>> = match kind {
                    MethodKind::Single => (0..sources.len()).map(Some).collect(),
                    // There is nothing to choose from.
                    MethodKind::Routed if sources.len() < 2 => vec![],
                    _ => vec![None],
                };
                let rates = self.rates_of(kind);
                let jobs = of.into_iter().flat_map(|source| {
                    rates.iter().map(move |&rate| job(seed, kind, source, rate))
                });
                jobs.collect()
            })
        };
        self.each_seed().flat_map(of_seed).collect()
    }
}

impl Job {
    /// Whether the job learns from networks that other jobs tune.
    pub fn is_taught(&self) -> bool {
        self.kind == MethodKind::Distilled
    }

    /// The same, taught by the networks in these files.
    pub fn taught_by(mut self, files: Vec<PathBuf>) -> Self {
        if let TaskConfig::Classification(task) = &mut self.config.task {
            task.teachers = files;
        }
        self
    }
}

/// A name without what a folder's name should not have.
fn folder_name(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    name.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let mut config = Config { seed: 5, ..Config::default() };
        config.method.zoo = ["a/model.pth", "b/model.pth", "c d.pth"].map(PathBuf::from).to_vec();
        let methods = vec![MethodKind::Single, MethodKind::Matched];
        Plan { seeds: 2, methods, config, ..Plan::default() }
    }

    #[test]
    fn every_rate_of_every_method_is_a_run_of_its_own() {
        let plan = Plan { seeds: 1, rates: vec![0.05, 0.1], ..plan() };
        let jobs = plan.jobs(&plan.sources(Path::new("nowhere")).unwrap());
        let folders: Vec<&str> = jobs.iter().map(|job| &job.folder[..]).collect();
        assert_eq!(folders.len(), 8);
        assert_eq!(
            folders[..2],
            ["seed-5/single-model-1-rate-0.05", "seed-5/single-model-1-rate-0.1"]
        );
        assert_eq!(jobs[1].config.optimizer.learning_rate, 0.1);
        // A soup needs several, whatever was chosen.
        let mut plan = Plan { rates: vec![], ..plan };
        assert_eq!(plan.rates_of(MethodKind::Soup), [0.005, 0.01, 0.02]);
        plan.own_rates.insert(MethodKind::Average, 0.5);
        let of = |kind| plan.rates_of(kind);
        assert_eq!((of(MethodKind::Average), of(MethodKind::Zoo)), (vec![0.5], vec![0.01]));
    }

    #[test]
    fn what_cannot_be_compared_so_is_refused() {
        let refused = |change: fn(&mut Plan)| {
            let mut plan = plan();
            plan.config.data.path = "data".into();
            plan.check().unwrap();
            change(&mut plan);
            plan.check().unwrap_err().to_string()
        };
        let taught = refused(|plan| plan.methods = vec![MethodKind::Distilled]);
        assert!(taught.contains("choose single too"), "{taught}");
        let blind = refused(|plan| {
            (plan.rates, plan.config.data.validation) = (vec![0.1, 0.2], 0.0);
        });
        assert!(blind.contains("need samples to choose by"), "{blind}");
        assert!(refused(|plan| plan.rates = vec![0.0]).contains("should be above 0"));
        let budget = refused(|plan| {
            plan.budget = Some(Budget { time: "soon".into(), left_out: None });
        });
        assert!(budget.contains("expected a time such as 30m"), "{budget}");
    }

    #[test]
    fn every_seed_has_a_run_of_each_method_and_of_each_single_source() {
        let plan = plan();
        let sources = plan.sources(Path::new("nowhere")).unwrap();
        let jobs = plan.jobs(&sources);
        let folders: Vec<&str> = jobs.iter().map(|job| &job.folder[..]).collect();
        let of_seed = ["single-model-1", "single-model-2", "single-c_d", "matched"];
        let expected = [5, 6].map(|seed| of_seed.map(|name| format!("seed-{seed}/{name}")));
        assert_eq!(folders, expected.concat());
        assert_eq!(jobs[1].config.method.zoo, [PathBuf::from("b/model.pth")]);
        assert_eq!((jobs[7].config.seed, jobs[7].config.method.form), (6, FormName::Average));
    }

    #[test]
    fn what_follows_from_other_methods_cannot_be_chosen() {
        let mut plan = plan();
        plan.methods.push(MethodKind::Ensemble);
        let error = plan.check().unwrap_err().to_string();
        assert!(error.contains("ensemble follows from the others"), "{error}");
    }
}
