//! One zoo on one target, compared with everything else, draw by draw.

use crate::{Options, Result, ZOOS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use zoo_tuning::compare::{Comparison, MethodKind, Outcome, Watch};
use zoo_tuning::dataset::{
    Channels, Condition, Dataset, Reading, Samples, digits, mnist, read_image,
};
use zoo_tuning::demo::{self, CONDITIONS, Part, SIDE, Target};
use zoo_tuning::export::write_atomically;
use zoo_tuning::train::choice::AutoAugment;
use zoo_tuning::train::task::Scores;

/// The kinds of `examples/train_sources.rs`, which says what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Zoo {
    Conditions,
    Ancestor,
    Classes,
    Alike,
}

/// Digits that no source has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Digits {
    /// Those of UCI.
    Uci,
    /// Those that OpenCV's documentation brings.
    OpenCv,
    /// The part of MNIST that the sources were tested on.
    Mnist,
}

impl Digits {
    fn path(self, folder: &Path) -> PathBuf {
        match self {
            Self::Uci => "data/digits/digits.csv.gz".into(),
            Self::OpenCv => folder.join("opencv/digits.png"),
            Self::Mnist => folder.join("mnist"),
        }
    }
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    pub zoo: Zoo,
    pub digits: Digits,
    /// Whether each image is in a condition of its own, or all as they are.
    pub mixed: bool,
    /// Labelled images of each class.
    pub shots: usize,
    /// Passes over them.
    pub passes: usize,
    /// Whether each image is changed by one operation of RandAugment, beside being moved.
    pub augmented: bool,
}

/// Those that say most first.
pub fn all() -> Vec<Cell> {
    let few = |(digits, mixed, shots)| (digits, mixed, shots, PASSES, false);
    let targets = [
        few((Digits::Uci, true, 20)),
        few((Digits::Uci, true, 10)),
        (Digits::Uci, true, 20, LONGER, true),
        (Digits::Uci, true, 20, LONGER, false),
        few((Digits::OpenCv, true, 20)),
        few((Digits::Uci, false, 10)),
        few((Digits::Mnist, true, 20)),
        few((Digits::Uci, true, 40)),
        few((Digits::OpenCv, false, 10)),
        few((Digits::Uci, true, 5)),
        few((Digits::OpenCv, true, 10)),
        few((Digits::Uci, false, 20)),
        few((Digits::OpenCv, true, 40)),
        few((Digits::OpenCv, true, 5)),
        few((Digits::Uci, false, 5)),
    ];
    let cells = targets.map(|(digits, mixed, shots, passes, augmented)| {
        ZOOS.map(|zoo| Cell { zoo, digits, mixed, shots, passes, augmented })
    });
    cells.into_iter().flatten().collect()
}

/// Passes over the labelled images.
const PASSES: usize = 30;
/// Those of cells that ask what is left of a zoo's gain where one tunes for longer.
const LONGER: usize = 120;
/// Images of a batch.
const BATCH: usize = 32;
/// Every row of a comparison but the greedy soup, which needs labelled images to choose by.
const METHODS: [MethodKind; 11] = [
    MethodKind::Scratch,
    MethodKind::Single,
    MethodKind::Probed,
    MethodKind::L2Sp,
    MethodKind::Delta,
    MethodKind::Average,
    MethodKind::Matched,
    MethodKind::Distilled,
    MethodKind::Zoo,
    MethodKind::Routed,
    MethodKind::Lite,
];
/// The rows of longer cells, which take four times as long.
const OF_LONGER: [MethodKind; 5] = [
    MethodKind::Scratch,
    MethodKind::Single,
    MethodKind::Zoo,
    MethodKind::Routed,
    MethodKind::Lite,
];
/// Those whose learning rate is that of the tuned singles, of which they are variants.
const VARIANTS: [MethodKind; 2] = [MethodKind::L2Sp, MethodKind::Delta];
/// The learning rates that are tried, and the draws that they are tried on.
const RATES: [f64; 3] = [0.03, 0.05, 0.1];
const CHOOSING_DRAWS: u64 = 3;

type Rates = BTreeMap<MethodKind, f64>;

impl Zoo {
    fn sources(self, folder: &Path) -> Result<Vec<PathBuf>> {
        let folder = folder.join("sources").join(name(&self)?);
        let files = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let files = files.map(|entry| Ok(entry?.path()));
        let mut files = files.collect::<Result<Vec<_>>>()?;
        files.retain(|file| file.extension().is_some_and(|ending| ending == "safetensors"));
        files.sort();
        Ok(files)
    }
}

/// The best learning rate of each method, on the demo's zoo and the part of the UCI digits that no table
/// uses: one for all cells and draws, by the mean accuracy over a few.
pub fn rates(options: &Options) -> Result<Rates> {
    let kept = options.folder.join("cells/rates.json");
    if let Ok(text) = std::fs::read(&kept) {
        return Ok(serde_json::from_slice(&text)?);
    }
    let [cell, ..] = &all()[..] else { return Err("no cell".into()) };
    let mut best: BTreeMap<MethodKind, (f64, f64)> = BTreeMap::new();
    let chosen = || METHODS.into_iter().filter(|method| !VARIANTS.contains(method));
    for rate in RATES {
        let rates = chosen().map(|method| (method, rate)).collect();
        let found =
            cell.run(options, &format!("rate-{rate}"), Part::Validation, CHOOSING_DRAWS, rates)?;
        for method in chosen() {
            // Of the singles, the mean over all.
            let all = found.methods.iter().filter(|found| found.kind == method);
            let means: Vec<f64> = all.map(|method| method.mean).collect();
            let mean = means.iter().sum::<f64>() / means.len().max(1) as f64;
            let best = best.entry(method).or_insert((mean, rate));
            if mean > best.0 {
                *best = (mean, rate);
            }
        }
    }
    let mut rates: Rates = best.into_iter().map(|(method, (_, rate))| (method, rate)).collect();
    let of_single = rates[&MethodKind::Single];
    rates.extend(VARIANTS.map(|method| (method, of_single)));
    let json = serde_json::to_vec_pretty(&rates)?;
    write_atomically(&kept, |file| file.write_all(&json))?;
    Ok(rates)
}

impl Cell {
    /// The name of its folder.
    pub fn name(&self) -> Result<String> {
        let mixed = if self.mixed { "mixed" } else { "as_is" };
        let mut of = format!("{}-{}-{mixed}-{}", name(&self.zoo)?, name(&self.digits)?, self.shots);
        if self.passes != PASSES {
            write!(of, "-{}-passes", self.passes)?;
        }
        if self.augmented {
            of += "-augmented";
        }
        Ok(of)
    }

    /// What comes of it, now or in an earlier run.
    pub fn compared(&self, options: &Options, mut rates: Rates) -> Result<Outcome> {
        if self.passes != PASSES {
            rates.retain(|method, _| OF_LONGER.contains(method));
        }
        self.run(options, &self.name()?, Part::Demo, options.draws, rates)
    }

    fn run(
        &self,
        options: &Options,
        work: &str,
        part: Part,
        draws: u64,
        rates: Rates,
    ) -> Result<Outcome> {
        let cells = options.folder.join("cells");
        let kept = cells.join(format!("{work}.json"));
        if let Ok(text) = std::fs::read(&kept) {
            let outcome: Outcome = serde_json::from_slice(&text)?;
            if outcome.plan.seeds >= draws {
                return Ok(outcome);
            }
        }
        let target = self.target(&options.folder)?;
        let steps = self.passes * (self.shots * target.classes().len()).div_ceil(BATCH);
        let sources = self.zoo.sources(&options.folder)?;
        let mut plan = demo::plan(&sources, &self.digits.path(&options.folder), steps);
        plan.seeds = draws;
        if self.augmented {
            let data = &mut plan.config.data;
            (data.auto_augment, data.augment_operations) = (AutoAugment::Rand, 1);
        }
        plan.methods = rates.keys().copied().collect();
        plan.own_rates.clone_from(&rates);
        let data = (1..=draws).map(|draw| Ok((draw, target.dataset(part, self.shots, draw)?)));
        let data = data.collect::<Result<_>>()?;
        let folder = cells.join(work);
        let comparison = match folder.join("plan.toml").exists() {
            true => Comparison::resume(&folder)?,
            false => Comparison::create(&folder, plan)?,
        };
        if comparison.plan().seeds != draws || comparison.plan().own_rates != rates {
            let folder = folder.display();
            return Err(format!("{folder} is of other draws or rates; remove it").into());
        }
        eprintln!("{work}");
        let outcome = comparison.with_data(data).run(options.jobs, options.jobs, &Told)?;
        let json = serde_json::to_vec(&outcome)?;
        write_atomically(&kept, |file| file.write_all(&json))?;
        // Hundreds of networks, which nobody asks for again.
        std::fs::remove_dir_all(&folder)?;
        Ok(outcome)
    }

    fn target(&self, folder: &Path) -> Result<Target> {
        let path = self.digits.path(folder);
        let raw = match self.digits {
            Digits::Uci => digits::read(path, SIDE)?,
            Digits::OpenCv => sheet(&path)?,
            Digits::Mnist => {
                let all = mnist::read_json(path, SIDE)?;
                // As in `train_sources`.
                all.subset(&(0..all.len()).step_by(10).collect::<Vec<_>>())?
            }
        };
        let conditions = if self.mixed { &CONDITIONS[..] } else { &[Condition::AsIs] };
        Ok(Target::of(&raw, conditions)?)
    }
}

/// The 5 000 digits of OpenCV's documentation: a sheet of 50 rows, five for each digit, and 100 columns.
fn sheet(path: &Path) -> Result<Samples> {
    const DIGIT: usize = 20;
    let mut rng = fastrand::Rng::with_seed(0);
    let sheet = read_image(path, Reading::upright(Channels::Grey), &[], &mut rng)?;
    let [_, height, width] = sheet.shape();
    let (rows, columns) = (height / DIGIT, width / DIGIT);
    let (mut images, mut labels) = (vec![], vec![]);
    for at in 0..rows * columns {
        let (row, column) = (at / columns, at % columns);
        let digit = sheet.cropped(row * DIGIT, column * DIGIT, DIGIT, DIGIT)?;
        images.push(digit.resized(SIDE, SIDE)?);
        labels.push(10 * row / rows);
    }
    Ok(Samples::new(path, images, labels, (0..10).map(|digit| digit.to_string()).collect())?)
}

/// The name of a variant, as in files.
fn name(variant: &impl Serialize) -> Result<String> {
    let value = serde_json::to_value(variant)?;
    Ok(value.as_str().ok_or("no name")?.to_owned())
}

/// A line for each network.
struct Told;

impl Watch for Told {
    fn begin(&self, _: usize) {}
    fn step(&self, _: &str, _: u64, _: u64) {}
    fn warned(&self, _: &str, _: &str) {}
    fn finished(&self, run: &str, scores: Option<&Scores>) {
        eprintln!("  {run}: {}", scores.map(Scores::to_string).unwrap_or_default());
    }
    fn failed(&self, run: &str, error: &zoo_tuning::Error) {
        eprintln!("  {run}: {error}");
    }
    fn stopped(&self) -> bool {
        false
    }
}
