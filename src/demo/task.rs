//! The target: few digits, each in a condition of its own.

use crate::dataset::{
    self, Condition, Dataset, Joined, ResizeMode, Samples, Transform, digits, few_shot, sample_rng,
    train_validation_test,
};
use crate::tensor::Tensor;
use crate::train::Input;
use crate::{Error, Result};
use std::path::Path;
use std::sync::Arc;

/// Height and width of the images, of sources and target alike.
pub const SIDE: usize = 16;

/// The conditions, one for each source; a target image is in one of them.
pub const CONDITIONS: [Condition; 4] =
    [Condition::AsIs, Condition::Rotated, Condition::Inverted, Condition::Edges];

/// What all networks here see: one channel of grey values, -1 to 1.
pub fn input() -> Input {
    Input {
        channels: 1,
        resize: SIDE,
        resize_mode: ResizeMode::ShortSide,
        size: SIDE,
        mean: vec![0.5],
        std: vec![0.5],
        ignore_orientation: false,
    }
}

/// Makes grey values of 0 to 1 what [`input`] says.
pub fn normalise() -> Transform {
    input().normalise()
}

/// Digits, every image in one condition of several, in two parts that share no image.
pub struct Target {
    samples: Samples,
    conditions: Vec<Condition>,
    /// A third of each class, to choose settings on.
    validation: Vec<usize>,
    /// The others, for the demo.
    demo: Vec<usize>,
}

/// Which part of the target samples are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the demo is about.
    Demo,
    /// What its settings were chosen on.
    Validation,
}

/// A draw of few labelled samples; the others of the part are for measuring.
pub struct Split {
    /// Samples to tune on.
    pub train: Samples,
    /// Samples to measure on.
    pub test: Test,
}

/// Samples that nothing is tuned on.
pub struct Test {
    /// `[N, 1, 16, 16]`.
    pub images: Tensor<f32>,
    /// A class for each.
    pub labels: Vec<usize>,
    /// A condition for each.
    pub conditions: Vec<Condition>,
}

impl Target {
    /// Reads the UCI digits at `path`, and shows each in one of the [`CONDITIONS`].
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::of(&digits::read(path, SIDE)?, &CONDITIONS)
    }

    /// These images `[1, 16, 16]`, each in one of the conditions, of which there is at least one; which
    /// image is in which condition and in which part is the same every time.
    ///
    /// # Errors
    /// If there is no condition, or a part is left without an image of some class.
    pub fn of(raw: &Samples, conditions: &[Condition]) -> Result<Self> {
        const SEED: u64 = 2021;
        if conditions.is_empty() {
            return Err(Error::argument("Target::of", "there is no condition"));
        }
        let condition =
            |index: usize| conditions[sample_rng(SEED, 1, index).usize(..conditions.len())];
        let conditions = (0..raw.len()).map(condition).collect();
        let samples = raw.map(SEED, |index, image, rng| Ok(condition(index).apply(image, rng)))?;
        let classes = samples.classes().len();
        let [demo, validation, _] =
            train_validation_test(samples.labels(), classes, 1.0 / 3.0, 0.0, SEED)?;
        Ok(Self { samples, conditions, validation, demo })
    }

    /// Names of the classes.
    pub fn classes(&self) -> &[String] {
        self.samples.classes()
    }

    /// All samples, values 0 to 1.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// Draws `shots` samples of each class of a part to tune on.
    ///
    /// # Errors
    /// If a class has no more samples than that.
    pub fn split(&self, part: Part, shots: usize, seed: u64) -> Result<Split> {
        let [train, test] = self.drawn(part, shots, seed)?;
        let seen = |places: &[usize]| {
            let samples = self.samples.subset(places)?;
            samples.map(0, |_, image, rng| normalise().apply(image.clone(), rng))
        };
        let all: Vec<usize> = (0..test.len()).collect();
        let (images, labels) = seen(&test)?.batch(&all)?;
        let conditions = test.iter().map(|&index| self.conditions[index]).collect();
        Ok(Split { train: seen(&train)?, test: Test { images, labels, conditions } })
    }

    /// The same as data of a run, values 0 to 1: samples to tune on, to measure on, and some of the
    /// latter once more, which a learning curve looks at.
    ///
    /// # Errors
    /// If a class has no more samples than `shots`.
    pub fn dataset(&self, part: Part, shots: usize, seed: u64) -> Result<Arc<dyn Dataset>> {
        const WATCHED: usize = 300;
        use dataset::Split::{Test, Validation};
        let [train, test] = self.drawn(part, shots, seed)?;
        let watched = &test[..test.len().min(WATCHED)];
        let of = |places: &[usize]| -> Result<Arc<dyn Dataset>> {
            Ok(Arc::new(self.samples.subset(places)?))
        };
        let others = vec![(Test, of(&test)?), (Validation, of(watched)?)];
        Ok(Arc::new(Joined::new(of(&train)?, others)?))
    }

    /// The samples to tune on, `shots` of each class of a part, and all others of it.
    fn drawn(&self, part: Part, shots: usize, seed: u64) -> Result<[Vec<usize>; 2]> {
        let pool = match part {
            Part::Demo => &self.demo,
            Part::Validation => &self.validation,
        };
        let labels: Vec<usize> = pool.iter().map(|&i| self.samples.labels()[i]).collect();
        let (train, test) = few_shot(&labels, self.classes().len(), shots, seed)?;
        if test.is_empty() {
            return Err(Error::config("shots", "leaves no sample to test on"));
        }
        Ok([train, test].map(|places| places.into_iter().map(|place| pool[place]).collect()))
    }
}
