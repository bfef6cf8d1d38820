//! Landmarks: points in pictures, by a heat map for each.
//!
//! A network makes of a crop `[C, S, S]` a heat map `[K, H, W]` for each of K points: a Gaussian where
//! the point is. What it is trained on, and how it is measured, is in docs/landmarks.md.
//!
//! | file | holds |
//! |---|---|
//! | `settings` | the table `[task]`, and what it comes to for points of given names |
//! | `codec` | from points to heat maps, and back |
//! | `loss` | the loss between heat maps |
//! | `finding` | what a network finds, measured |
//! | `predicting` | points in pictures whose points are not known |
//! | `metrics` | the field's numbers |
//! | `symmetry` | whether pairs fit the pictures |
//! | `probe` | samples by which sources are compared |
//! | `presets` | settings of published sets of faces |

mod codec;
mod finding;
mod loss;
mod metrics;
mod predicting;
mod presets;
mod probe;
mod settings;
mod symmetry;

pub use codec::Codec;
pub use finding::{Found, FoundIn, evaluate_landmarks, found_in_crops, loader, still};
pub use loss::{Targets, heat_map_loss};
pub use metrics::{
    FAILURE, FOUND, LandmarkEvaluation, LandmarkMeasures, Normalizer, PointEvaluation,
    ShownPicture, distance,
};
pub(in crate::train) use presets::FacePreset;
pub use settings::{LandmarksConfig, Scheme};

use super::classification::check_size;
use super::{Exhibits, Opened, Part, Samples, Scores, Task};
use crate::dataset::landmarks::{Annotations, Crops, Point};
use crate::dataset::{Ahead, Batch, Loader, Split, Views, sample_rng};
use crate::nn::{Network, Pass};
use crate::processes::Group;
use crate::start::Probe;
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::train::choice::{CodecName, HeatMapLoss, Preset};
use crate::train::config::TaskConfig;
use crate::train::data::{Given, spread};
use crate::train::parts::Parts;
use crate::train::{Config, Data, Input, Model};
use crate::{Error, Result};
use finding::lit;
use loss::is_inside;
use probe::CropProbe;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// The key of a network's file that holds the table `[task]` as JSON.
const TASK: &str = "task";

impl LandmarksConfig {
    /// The task of a run: its pictures, seen as `input`, and divided as `config` says; in one of several
    /// processes, if there is a `group`.
    ///
    /// # Errors
    /// If annotations or pictures cannot be read or divided so, a setting means no point of theirs, or
    /// the form of the method needs classes.
    pub(in crate::train) fn open(
        &self,
        config: &Config,
        input: &Input,
        given: &Given,
        group: Option<&Group>,
    ) -> Result<Opened<Landmarks>> {
        /// Crops computed at once where no gradient is needed.
        const EVALUATION_BATCH: usize = 32;
        /// Batches that are made while a step computes.
        const AHEAD: usize = 2;
        check_method(config)?;
        if given.is_some() {
            let problem = "the task landmarks reads its pictures from data.path";
            return Err(Error::config("data", problem));
        }
        let annotations = annotations(config)?;
        let mut scheme = self.scheme(&annotations.names)?;
        if scheme.skeleton.is_empty() {
            scheme.skeleton.clone_from(&annotations.skeleton);
        }
        let mut notes = annotations.notes.clone();
        if !self.flip_pairs.is_empty() {
            notes.extend(symmetry::doubts(&annotations, &scheme.partners));
        }
        let skeleton = scheme.skeleton.clone();
        let names = annotations.names.clone();
        let crops = scheme.crops(annotations, input)?;
        let data = Data::showing(Arc::new(crops.clone()), input, notes)
            .checked(config.data.check.check(), config.data.skip_unreadable)?;
        let parts = Parts::of(&config.data, &data, config.seed)?;
        let outside = finding::outside_note(&crops, &parts.training);
        let outside: Vec<String> = outside.into_iter().collect();
        let notes = [data.notes(), &parts.notes(&config.data), &outside].concat();
        let batch = config.optimizer.batch.min(parts.training.len());
        check_size(batch, input.size)?;
        let varied = crops.varied(self.variation());
        let training = Loader::shared(Arc::new(varied.clone()), batch, config.seed)?
            .subset(&parts.training)?
            .transformed(lit(input, self.brightness, self.contrast))
            .for_process(group.map(|group| [group.rank(), group.size()]));
        let batches_per_epoch = training.batches_per_epoch() as u64;
        let tested = config.data.views.views(input.size);
        let mut measured = BTreeMap::new();
        for (part, views, indices) in
            [(Part::Validation, Views::One, &parts.validation), (Part::Test, tested, &parts.test)]
        {
            if !indices.is_empty() {
                let batch = (input.batch(EVALUATION_BATCH) / views.count()).max(1);
                let of_part = loader(&crops, input, Some(indices), batch, views)?;
                measured.insert(part, of_part);
            }
        }
        let saved = Self { skeleton: named(&names, &skeleton), ..self.clone() };
        let text = serde_json::to_string(&TaskConfig::Landmarks(saved))
            .map_err(|error| Error::config("task", error.to_string()))?;
        let (samples, material) = (parts.training.len(), data.material(&config.data)?);
        let (seed, input) = (config.seed, input.clone());
        let probe = CropProbe {
            crops: crops.clone(),
            varied: varied.clone(),
            scheme: scheme.clone(),
            input: input.clone(),
            training: parts.training,
            seed,
        };
        let task = Landmarks {
            batches: Ahead::new(training, AHEAD),
            batches_per_epoch,
            seed,
            varied,
            crops,
            input,
            scheme,
            loss: self.loss,
            measured,
            probe,
            found: BTreeMap::new(),
        };
        Ok(Opened {
            task,
            outputs: names.len(),
            classes: names,
            samples,
            batches_per_epoch,
            notes,
            material,
            metadata: [(TASK.to_owned(), text)].into(),
        })
    }
}

/// An error if the method needs classes.
fn check_method(config: &Config) -> Result<()> {
    let refuse = |key: &str, problem: &str| Err(Error::config(key, problem));
    let method = &config.method;
    if method.linear_probe {
        return refuse("method.linear_probe", "fits a classifier, and landmarks have no classes");
    }
    if method.delta.is_some() && method.delta_attention {
        return refuse(
            "method.delta_attention",
            "weighs channels by a classifier, and landmarks have no classes: --delta-attention off",
        );
    }
    Ok(())
}

/// The pictures of a run: those at its path, and those for validation and test alone.
fn annotations(config: &Config) -> Result<Annotations> {
    let data = &config.data;
    let mut all = Annotations::open(&data.path)?;
    let others = [(Split::Validation, &data.validation_data), (Split::Test, &data.test_data)];
    for (split, path) in others {
        let Some(path) = path else { continue };
        if all.splits.contains(&split) {
            let (name, data) = (split.name(), data.path.display());
            let problem = format!("{data} has {name} pictures of its own; leave one out");
            return Err(Error::config(format!("data.{name}_data"), problem));
        }
        all = all.joined(split, Annotations::open(path)?)?;
    }
    Ok(all)
}

/// Lines between points, by their names.
fn named(names: &[String], skeleton: &[[usize; 2]]) -> Vec<[String; 2]> {
    skeleton.iter().map(|line| line.map(|end| names[end].clone())).collect()
}

impl Model {
    /// The same, whose file does not say it, as one for the points of a published set of faces, trained
    /// by HRNet-Facial-Landmark-Detection: with its codec, and points called by their numbers.
    ///
    /// # Errors
    /// If `set` is no set of faces, or the network has other outputs.
    pub fn for_faces(mut self, set: Preset) -> Result<Self> {
        let refuse = |problem: String| Error::config("preset", problem);
        let text = set.text();
        let settings = text.parse::<toml::Table>().map_err(|e| refuse(e.message().to_owned()))?;
        let task = settings.get("task").cloned().map(toml::Value::try_into::<TaskConfig>);
        let Some(Ok(TaskConfig::Landmarks(settings))) = task else {
            return Err(refuse(format!("{} is no set of faces", set.name())));
        };
        self.classes = (0..self.design().outputs).map(|number| number.to_string()).collect();
        settings.scheme(&self.classes)?;
        let settings = LandmarksConfig { codec: CodecName::Hrnet, ..settings };
        let text = serde_json::to_string(&TaskConfig::Landmarks(settings));
        self.notes.insert(TASK.to_owned(), text.map_err(|error| refuse(error.to_string()))?);
        Ok(self)
    }

    /// How points are found by this network, if it is one for landmarks.
    ///
    /// # Errors
    /// If its file says it in a way that has no meaning.
    pub fn landmarks(&self) -> Result<Option<Scheme>> {
        let Some(text) = self.notes.get(TASK) else { return Ok(None) };
        let refuse = |problem: String| Error::format_of(&self.origin, TASK, problem);
        let task = serde_json::from_str(text).map_err(|error| refuse(error.to_string()))?;
        let TaskConfig::Landmarks(settings) = task else { return Ok(None) };
        settings.check().map_err(|error| refuse(error.to_string()))?;
        if self.classes.len() != self.design().outputs {
            return Err(refuse("has no name for each point".to_owned()));
        }
        settings.scheme(&self.classes).map(Some).map_err(|error| refuse(error.to_string()))
    }
}

/// A network is to find points in pictures.
pub struct Landmarks {
    batches: Ahead,
    batches_per_epoch: u64,
    seed: u64,
    /// What is trained on, changed at random.
    varied: Crops,
    /// The same and all else, as it is.
    crops: Crops,
    input: Input,
    scheme: Scheme,
    loss: HeatMapLoss,
    measured: BTreeMap<Part, Loader<'static>>,
    probe: CropProbe,
    /// What was found when a part was measured last.
    found: BTreeMap<Part, LandmarkEvaluation>,
}

/// Where the points of the samples `indices` are in pixels of crops that a [`Loader`] of `crops` makes, with
/// its seed and in that epoch; `None` where one is missing.
///
/// # Errors
/// If a picture cannot be read that has no box.
pub fn placed(
    crops: &Crops,
    scheme: &Scheme,
    [seed, epoch]: [u64; 2],
    indices: &[usize],
) -> Result<Vec<Vec<Option<Point>>>> {
    let of = |&index: &usize| {
        // What was drawn for the image is drawn again.
        let placement = crops.placement(index, &mut sample_rng(seed, epoch, index))?;
        Ok(placement.points(&crops.annotations().pictures[index].points, &scheme.partners))
    };
    indices.iter().map(of).collect()
}

/// Crops, and the points in them.
pub struct Marked {
    batch: Batch,
    /// In pixels of the crops; `None` where one is missing.
    points: Vec<Vec<Option<Point>>>,
}

impl Task for Landmarks {
    type Batch = Marked;

    fn batch(&mut self, step: u64, _: &Network<f32>) -> Result<Marked> {
        let batch = self.batches.batch(step)?;
        let draw = [self.seed, step / self.batches_per_epoch];
        let points = placed(&self.varied, &self.scheme, draw, &batch.indices)?;
        Ok(Marked { batch, points })
    }

    /// The loss between the heat maps of points that are there; see [`heat_map_loss`].
    fn loss(&mut self, pass: &mut Pass<f32>, output: Var, batch: &Marked) -> Result<Var> {
        let shape = pass.value(output)?.shape();
        let &[_, _, height, width] = shape else {
            let expected = "[N, K, H, W], heat maps; take an architecture for landmarks";
            return Err(Error::shape("landmarks", "output", expected, shape));
        };
        let size = self.varied.size();
        let targets = Targets::new(&batch.points, size, [height, width], self.scheme.codec)?;
        heat_map_loss(pass, output, targets, self.loss)
    }

    /// The points that count.
    fn weight(&self, batch: &Marked) -> f64 {
        let size = self.varied.size();
        let points = batch.points.iter().flatten().flatten();
        points.filter(|point| is_inside(**point, size)).count() as f64
    }

    /// `NME`, the failure rates `FR@8` and `FR@10`, the areas `AUC@8` and `AUC@10`, and `PCK@5` and
    /// `PCK@10`, all 0 to 1; the mean error in `pixels`.
    fn evaluate(&mut self, network: &Network<f32>, part: Part) -> Result<Option<Scores>> {
        let Some(loader) = self.measured.get(&part) else { return Ok(None) };
        let Self { crops, scheme, input, .. } = self;
        let found = evaluate_landmarks(&[network], crops, loader, scheme, input, |_| Ok(()))?;
        let scores = found.scores();
        self.found.insert(part, found);
        Ok(Some(scores))
    }

    fn probe(&self) -> Option<&dyn Probe> {
        Some(&self.probe)
    }

    fn landmarks(&self, part: Part) -> Option<&LandmarkEvaluation> {
        self.found.get(&part)
    }

    /// Up to 64 crops of the validation samples, else of those to test on, else of those to train on.
    fn exhibits(&self) -> Result<Option<Exhibits>> {
        const MOST: usize = 64;
        let part = [(Part::Validation, "validation"), (Part::Test, "test")];
        let found = part
            .into_iter()
            .find_map(|(part, name)| Some((name, self.measured.get(&part)?.indices().to_vec())));
        let (part, all) = found.unwrap_or(("training", self.probe.training.clone()));
        let count = self.input.batch(MOST).min(all.len());
        let spread = spread(&all, count);
        let loader = loader(&self.crops, &self.input, Some(&spread), count, Views::One)?;
        Ok(Some(Exhibits { part, images: loader.batch(0)?.images, labels: vec![] }))
    }
}

impl LandmarkEvaluation {
    /// The numbers of all points together, the one that decides first.
    pub fn scores(&self) -> Scores {
        let mut values = vec![("NME".to_owned(), self.nme)];
        let named = |name: &str, at: [f64; 2], of: [f64; 2]| {
            let number = move |at: f64| (100.0 * at).round();
            let name = name.to_owned();
            at.into_iter().zip(of).map(move |(at, v)| (format!("{name}@{}", number(at)), v))
        };
        values.extend(named("FR", FAILURE, self.failures));
        values.extend(named("AUC", FAILURE, self.auc));
        values.extend(named("PCK", FOUND, self.pck));
        values.push(("pixels".to_owned(), self.pixels));
        Scores { samples: self.samples, larger_is_better: false, values }
    }
}

impl Samples for Marked {
    fn images(&self) -> &Tensor<f32> {
        &self.batch.images
    }

    fn indices(&self) -> &[usize] {
        &self.batch.indices
    }

    fn part(&self, samples: Range<usize>) -> Result<Self> {
        let batch = self.batch.part(samples.clone())?;
        Ok(Self { batch, points: self.points[samples].to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Design;
    use crate::train::Config;
    use toml::Table;

    fn network(points: usize) -> Model {
        let design = Design::named("landmarks_small", 3, points).unwrap();
        let input = Input::usual(&design);
        Model::from_network(Network::drawn(&design, 1).unwrap(), input, &[])
    }

    #[test]
    fn a_network_that_says_nothing_finds_the_points_of_a_set_of_faces() {
        assert!(network(98).landmarks().unwrap().is_none());
        let scheme = network(98).for_faces(Preset::Wflw).unwrap().landmarks().unwrap().unwrap();
        assert_eq!(scheme.normalizer, Normalizer::Between(60, 72));
        assert_eq!((scheme.partners[33], scheme.codec.name), (46, CodecName::Hrnet));
        // Of 300W; and of no set at all.
        assert!(network(19).for_faces(Preset::W300).is_err());
        assert!(network(98).for_faces(Preset::Paper).is_err());
        let mut damaged = network(98).for_faces(Preset::Wflw).unwrap();
        damaged.classes.pop();
        assert!(damaged.landmarks().unwrap_err().to_string().contains("no name for each point"));
        damaged.notes.insert(TASK.to_owned(), "{".to_owned());
        assert!(damaged.landmarks().is_err());
    }

    #[test]
    fn a_preset_brings_the_task_its_pairs_and_the_rate() {
        let asked = "preset = 'aflw'\n[method]\nform = 'scratch'\narchitecture = 'landmarks_small'\n\
                     [data]\npath = 'aflw'\n[task]\nsigma = 2";
        let flags: Table = asked.parse().unwrap();
        let config = Config::layered("", Table::new(), flags).unwrap();
        let TaskConfig::Landmarks(settings) = config.task else { panic!("landmarks") };
        assert_eq!((settings.sigma, settings.flip_pairs.len()), (2.0, 8));
        assert_eq!(settings.normalizer, [Normalizer::BOX]);
        assert_eq!((config.optimizer.learning_rate, config.optimizer.batch), (2e-4, 16));
    }
}
