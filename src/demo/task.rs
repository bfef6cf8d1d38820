//! The target: few digits, each in a condition of its own.

use crate::dataset::{
    Condition, Dataset, ResizeMode, Samples, Transform, digits, few_shot, sample_rng,
    train_validation_test,
};
use crate::tensor::Tensor;
use crate::train::Input;
use crate::{Error, Result};
use std::path::Path;

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

/// The UCI digits, every image in one of the [`CONDITIONS`], in two parts that share no image.
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
    /// Reads the digits at `path`; which image is in which condition and in which part is the
    /// same every time.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_digits(digits::read(path, SIDE)?)
    }

    /// Of digits of the demo's size; as [`Self::read`].
    ///
    /// # Errors
    /// If they are of another size.
    pub(super) fn from_digits(raw: Samples) -> Result<Self> {
        const SEED: u64 = 2021;
        let condition =
            |index: usize| CONDITIONS[sample_rng(SEED, 1, index).usize(..CONDITIONS.len())];
        let conditions = (0..raw.len()).map(condition).collect();
        let normalise = normalise();
        let samples = raw.map(SEED, |index, image, rng| {
            normalise.apply(condition(index).apply(image, rng), rng)
        })?;
        let classes = samples.classes().len();
        let [demo, validation, _] =
            train_validation_test(samples.labels(), classes, 1.0 / 3.0, 0.0, SEED)?;
        Ok(Self { samples, conditions, validation, demo })
    }

    /// Names of the classes.
    pub fn classes(&self) -> &[String] {
        self.samples.classes()
    }

    /// Draws `shots` samples of each class of a part to tune on.
    ///
    /// # Errors
    /// If a class has no more samples than that.
    pub fn split(&self, part: Part, shots: usize, seed: u64) -> Result<Split> {
        let pool = match part {
            Part::Demo => &self.demo,
            Part::Validation => &self.validation,
        };
        let labels: Vec<usize> = pool.iter().map(|&i| self.samples.labels()[i]).collect();
        let (train, test) = few_shot(&labels, self.classes().len(), shots, seed)?;
        if test.is_empty() {
            return Err(Error::config("shots", "leaves no sample to test on"));
        }
        let [train, test] =
            [train, test].map(|places| places.into_iter().map(|p| pool[p]).collect::<Vec<_>>());
        let (images, labels) = self.samples.batch(&test)?;
        let conditions = test.iter().map(|&index| self.conditions[index]).collect();
        let test = Test { images, labels, conditions };
        Ok(Split { train: self.samples.subset(&train)?, test })
    }
}
