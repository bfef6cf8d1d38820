//! Image classification: labelled images, cross-entropy, accuracy.

use super::mixing::mixed_cross_entropy;
use super::teachers::Teachers;
use super::{Exhibits, Mixed, Mixing, Opened, Part, Samples, Scores, Task, rows_of};
use crate::dataset::{Ahead, Batch, Loader, Transform, Views};
use crate::nn::{Network, Pass};
use crate::processes::Group;
use crate::start::{Labelled, Probe};
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::train::choice::{ClassWeights, Sampler};
use crate::train::config::within;
use crate::train::data::{DataProbe, Given};
use crate::train::parts::Parts;
use crate::train::{ClassEvaluation, Config, Data, Input, evaluate};
use crate::{Error, Result, ops};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

/// The settings of the task, beside its `name` in the table `[task]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClassificationConfig {
    /// Share of the target that goes to all classes alike.
    pub label_smoothing: f64,
    /// The parameter of mixup's distribution; 0 for none.
    pub mixup: f64,
    /// The same of CutMix.
    pub cutmix: f64,
    /// How much each class counts in the loss.
    pub class_weights: ClassWeights,
    /// Networks to learn from, beside the labels.
    pub teachers: Vec<PathBuf>,
    /// The share of the loss that is theirs.
    pub teacher_share: f64,
    /// What logits are divided by there.
    pub temperature: f64,
}

impl Default for ClassificationConfig {
    fn default() -> Self {
        Self {
            label_smoothing: 0.0,
            mixup: 0.0,
            cutmix: 0.0,
            class_weights: ClassWeights::None,
            teachers: vec![],
            teacher_share: 0.7,
            temperature: 2.0,
        }
    }
}

impl ClassificationConfig {
    /// An error unless every value has a meaning.
    pub(in crate::train) fn check(&self) -> Result<()> {
        within("task.label_smoothing", self.label_smoothing, 0.0, 1.0)?;
        // Beyond, shares are near a half, and take long to be drawn.
        within("task.mixup", self.mixup, 0.0, 4.0)?;
        within("task.cutmix", self.cutmix, 0.0, 4.0)?;
        within("task.teacher_share", self.teacher_share, 0.0, 1.0)?;
        within("task.temperature", self.temperature, 0.01, 100.0)
    }

    /// The task of a run: its images, or those that are `given` to it, seen as `input`, and divided as
    /// `config` says; in one of several processes, if there is a `group`.
    ///
    /// # Errors
    /// If the images cannot be read or divided so, or a batch is too large.
    pub(in crate::train) fn open(
        &self,
        config: &Config,
        input: &Input,
        given: &Given,
        group: Option<&Group>,
    ) -> Result<Opened<Classification<'static>>> {
        /// Batches that are made while a step computes.
        const AHEAD: usize = 2;
        let seed = config.seed;
        let data = Data::of_run(&config.data, input, given)?
            .checked(config.data.check.check(), config.data.skip_unreadable)?;
        let classes = data.classes().to_vec();
        let parts = Parts::of(&config.data, &data, seed)?;
        let notes = [data.notes(), &parts.notes(&config.data)].concat();
        let batch = config.optimizer.batch.min(parts.training.len());
        check_size(batch, input.size)?;
        let augmentation = config.data.augmentation();
        let mut loader = data.shuffled(Some(&parts.training), batch, seed, augmentation)?;
        if let Some(transform) = config.data.auto_augment() {
            // Behind it, values are normalised.
            loader = loader.preceded_by(transform);
        }
        if config.data.erasing > 0.0 {
            loader = loader.followed_by(Transform::RandomErasing(config.data.erasing));
        }
        if config.data.sampler == Sampler::Balanced {
            loader = loader.balanced();
        }
        let batches_per_epoch = loader.batches_per_epoch() as u64;
        let mixing = Mixing { mixup: self.mixup, cutmix: self.cutmix };
        if mixing == Mixing::default() {
            // What is mixed may be of another process.
            loader = loader.for_process(group.map(|group| [group.rank(), group.size()]));
        }
        let mut task = Classification::ahead(loader, AHEAD).smoothed(self.label_smoothing);
        task = task.mixed(mixing, seed);
        if self.class_weights == ClassWeights::Balanced {
            task = task.weighted(balanced(&parts.training, data.labels(), classes.len()));
        }
        if !self.teachers.is_empty() {
            let shares = [self.teacher_share, self.temperature];
            task.teachers = Some(Teachers::open(&self.teachers, shares, input, &classes)?);
        }
        let tested = config.data.views.views(input.size);
        for (part, views, indices) in
            [(Part::Validation, Views::One, &parts.validation), (Part::Test, tested, &parts.test)]
        {
            if !indices.is_empty() {
                let batch = (input.evaluation_batch() / views.count()).max(1);
                let loader = data.in_views(views, Some(indices), batch)?;
                task = task.measured_on(part, loader);
            }
        }
        let (outputs, samples) = (classes.len(), parts.training.len());
        let material = data.material(&config.data)?;
        let task = task.probed_by(DataProbe { data, training: parts.training, seed });
        let metadata = BTreeMap::new();
        Ok(Opened { task, outputs, classes, samples, batches_per_epoch, notes, material, metadata })
    }
}

/// A weight for each class, so that all count alike: `n / (classes n_k)` of n samples, as
/// scikit-learn's `balanced`; 0 of a class without samples.
fn balanced(samples: &[usize], labels: &[usize], classes: usize) -> Vec<f64> {
    let mut counts = vec![0; classes];
    samples.iter().for_each(|&index| counts[labels[index]] += 1);
    let weight = |&count: &usize| match count {
        0 => 0.0,
        _ => samples.len() as f64 / (classes * count) as f64,
    };
    counts.iter().map(weight).collect()
}

/// An error if a mistake in a size would ask for a batch that no memory holds.
pub(super) fn check_size(batch: usize, size: usize) -> Result<()> {
    const MOST_VALUES: usize = 1 << 31;
    let values = [batch, size, size, 3].iter().try_fold(1usize, |n, &k| n.checked_mul(k));
    if values.is_some_and(|values| values <= MOST_VALUES) {
        return Ok(());
    }
    let problem = format!("{batch} images of {size}x{size} are more than one step can hold");
    Err(Error::config("optimizer.batch", problem))
}

/// A network is to tell classes of images apart.
pub struct Classification<'a> {
    batches: Batches<'a>,
    smoothing: f64,
    mixing: Mixing,
    /// Of what is drawn for mixing.
    seed: u64,
    /// Of each class, or none.
    weights: Vec<f64>,
    teachers: Option<Teachers>,
    validation: Option<Loader<'a>>,
    test: Option<Loader<'a>>,
    probe: Option<Box<dyn Probe + 'a>>,
    /// What was found when a part was measured last.
    classes: BTreeMap<Part, Vec<ClassEvaluation>>,
}

/// Where batches come from.
enum Batches<'a> {
    /// Made when they are asked for.
    Loader(Loader<'a>),
    Ahead(Ahead),
}

impl<'a> Classification<'a> {
    /// Trains on the batches of `training`.
    pub fn new(training: Loader<'a>) -> Self {
        Self::of(Batches::Loader(training))
    }

    /// As [`Classification::new`]; a thread makes the next `count` batches while one is worked on.
    pub fn ahead(training: Loader<'static>, count: usize) -> Self {
        Self::of(Batches::Ahead(Ahead::new(training, count)))
    }

    /// The samples of a part that it is measured on, if there are some.
    pub(in crate::train) fn part(&self, part: Part) -> Option<&Loader<'a>> {
        match part {
            Part::Validation => self.validation.as_ref(),
            Part::Test => self.test.as_ref(),
        }
    }

    fn of(batches: Batches<'a>) -> Self {
        Self {
            batches,
            smoothing: 0.0,
            mixing: Mixing::default(),
            seed: 0,
            weights: vec![],
            teachers: None,
            validation: None,
            test: None,
            probe: None,
            classes: BTreeMap::new(),
        }
    }

    /// The same with labels smoothed (Szegedy et al., 2016): `smoothing / K` for every class, the
    /// rest for the label.
    pub fn smoothed(self, smoothing: f64) -> Self {
        Self { smoothing, ..self }
    }

    /// The same with images mixed, as `seed` and the step say.
    pub fn mixed(self, mixing: Mixing, seed: u64) -> Self {
        Self { mixing, seed, ..self }
    }

    /// The same with a weight in the loss for each class.
    pub fn weighted(self, weights: Vec<f64>) -> Self {
        Self { weights, ..self }
    }

    /// The same, measured on these images, which should be in order.
    pub fn measured_on(mut self, part: Part, images: Loader<'a>) -> Self {
        match part {
            Part::Validation => self.validation = Some(images),
            Part::Test => self.test = Some(images),
        }
        self
    }

    /// The same, with samples by which sources are compared.
    pub fn probed_by(self, probe: impl Probe + 'a) -> Self {
        Self { probe: Some(Box::new(probe)), ..self }
    }
}

impl Task for Classification<'_> {
    type Batch = Mixed;

    fn batch(&mut self, step: u64, _: &Network<f32>) -> Result<Mixed> {
        let batch = match &mut self.batches {
            Batches::Loader(loader) => loader.batch(step),
            Batches::Ahead(ahead) => ahead.batch(step),
        };
        self.mixing.mix(batch?, self.seed, step)
    }

    /// The mean cross-entropy of the batch, and that with the answers of teachers, if there are some.
    fn loss(&mut self, pass: &mut Pass<f32>, output: Var, batch: &Mixed) -> Result<Var> {
        let loss = mixed_cross_entropy(pass, output, batch, self.smoothing, &self.weights)?;
        match &mut self.teachers {
            Some(teachers) => teachers.teach(pass, output, batch.images(), loss),
            None => Ok(loss),
        }
    }

    fn weight(&self, batch: &Mixed) -> f64 {
        batch.weight(&self.weights)
    }

    /// `accuracy`, 0 to 1, and `loss`, the mean cross-entropy.
    fn evaluate(&mut self, network: &Network<f32>, part: Part) -> Result<Option<Scores>> {
        let Some(images) = self.part(part) else { return Ok(None) };
        let names = images.classes();
        let numbers: Vec<usize> = (0..names.len()).collect();
        let mut found = evaluate(network, images, &numbers, names, |_| Ok(()));
        // Nobody chose this batch, so that nobody has to choose another.
        while let Err(Error::DeviceMemory { fits: Some(batch @ 1..), .. }) = found {
            let images = images.in_batches_of(batch)?;
            found = evaluate(network, &images, &numbers, names, |_| Ok(()));
        }
        let found = found?;
        self.classes.insert(part, found.classes);
        Ok(Some(Scores {
            samples: found.samples,
            larger_is_better: true,
            values: vec![("accuracy".to_owned(), found.accuracy), ("loss".to_owned(), found.loss)],
        }))
    }

    fn probe(&self) -> Option<&dyn Probe> {
        self.probe.as_deref()
    }

    fn classes(&self, part: Part) -> &[ClassEvaluation] {
        self.classes.get(&part).map_or(&[], Vec::as_slice)
    }

    /// Up to 256 images of the validation samples, else of those to test on, else of those to train
    /// on; fewer if they are large.
    fn exhibits(&self) -> Result<Option<Exhibits>> {
        const MOST: usize = 256;
        const VALUES: usize = 1 << 22;
        let parts = [("validation", &self.validation), ("test", &self.test)];
        let found = parts.into_iter().find_map(|(part, images)| Some((part, images.as_ref()?)));
        if let Some((part, loader)) = found {
            let one = loader.in_batches_of(1)?.batch(0)?.images.len();
            let all = loader.indices();
            // Data is often sorted by class.
            let count = (VALUES / one.max(1)).clamp(1, MOST).min(all.len());
            let spread: Vec<usize> = (0..count).map(|k| all[k * all.len() / count]).collect();
            let Batch { images, labels, .. } =
                loader.in_batches_of(count)?.subset(&spread)?.batch(0)?;
            return Ok(Some(Exhibits { part, images, labels }));
        }
        let training = self.probe().and_then(|probe| probe.labelled().next()).transpose()?;
        Ok(training.map(|(images, labels)| Exhibits { part: "training", images, labels }))
    }
}

impl Samples for Batch {
    fn images(&self) -> &Tensor<f32> {
        &self.images
    }

    fn indices(&self) -> &[usize] {
        &self.indices
    }

    fn part(&self, samples: Range<usize>) -> Result<Self> {
        let images = rows_of(&self.images, &samples, self.labels.len())?;
        let [labels, indices] =
            [&self.labels, &self.indices].map(|all| all[samples.clone()].to_vec());
        Ok(Self { images, labels, indices })
    }
}

/// The same batch in every step, to be learnt by heart or measured.
pub struct One(pub Batch);

impl Task for One {
    type Batch = Batch;

    fn batch(&mut self, _: u64, _: &Network<f32>) -> Result<Batch> {
        Ok(self.0.clone())
    }

    fn loss(&mut self, pass: &mut Pass<f32>, output: Var, batch: &Batch) -> Result<Var> {
        ops::cross_entropy(pass.tape(), output, &batch.labels, 0.0)
    }

    fn evaluate(&mut self, _: &Network<f32>, _: Part) -> Result<Option<Scores>> {
        Ok(None)
    }
}

/// A set of labelled images, all scored in one batch and matched by the same ones.
pub struct Whole {
    /// The images, `[N, C, H, W]`.
    pub images: Tensor<f32>,
    /// Their labels.
    pub labels: Vec<usize>,
}

impl Probe for Whole {
    fn labelled(&self) -> Box<dyn Iterator<Item = Labelled> + '_> {
        Box::new(std::iter::once(Ok((self.images.clone(), self.labels.clone()))))
    }

    fn images(&self) -> Result<Tensor<f32>> {
        Ok(self.images.clone())
    }
}
