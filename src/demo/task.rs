//! The target: few digits, each in a condition of its own.

use crate::dataset::{Condition, Dataset, Samples, Transform, digits, few_shot, sample_rng};
use crate::tensor::Tensor;
use crate::{Error, Result};
use std::path::Path;

/// Height and width of the images, of sources and target alike.
pub const SIDE: usize = 16;

/// The conditions, one for each source; a target image is in one of them.
pub const CONDITIONS: [Condition; 4] =
    [Condition::AsIs, Condition::Rotated, Condition::Inverted, Condition::Edges];

/// What all networks here see: grey values of 0 to 1 become -1 to 1.
pub fn normalise() -> Transform {
    Transform::Normalise { mean: vec![0.5], deviation: vec![0.5] }
}

/// The UCI digits, every image in one of the [`CONDITIONS`].
pub struct Target {
    samples: Samples,
    conditions: Vec<Condition>,
}

/// A draw of few labelled samples; the others are for testing.
pub struct Split {
    /// Samples to tune on.
    pub train: Samples,
    /// Samples that nothing is tuned or chosen on: images `[N, 1, 16, 16]`, labels, and
    /// their conditions.
    pub test: (Tensor<f32>, Vec<usize>, Vec<Condition>),
}

impl Target {
    /// Reads the digits at `path`; which image is in which condition is the same every time.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        const SEED: u64 = 2021;
        let raw = digits::read(path, SIDE)?;
        let condition =
            |index: usize| CONDITIONS[sample_rng(SEED, 1, index).usize(..CONDITIONS.len())];
        let conditions = (0..raw.len()).map(condition).collect();
        let normalise = normalise();
        let samples = raw.map(SEED, |index, image, rng| {
            normalise.apply(condition(index).apply(image, rng), rng)
        })?;
        Ok(Self { samples, conditions })
    }

    /// Names of the classes.
    pub fn classes(&self) -> &[String] {
        self.samples.classes()
    }

    /// Draws `shots` samples of each class to tune on.
    ///
    /// # Errors
    /// If a class has not more samples than that.
    pub fn split(&self, shots: usize, seed: u64) -> Result<Split> {
        let (train, test) = few_shot(self.samples.labels(), self.classes().len(), shots, seed)?;
        if test.is_empty() {
            return Err(Error::config("shots", "leaves no sample to test on"));
        }
        self.split_at(&train, &test)
    }

    /// As [`Target::split`], but with validation samples in the place of the test samples,
    /// twice as many as there are to tune on, all from those that [`Target::split`] with this
    /// seed and `3 shots` would tune on: to choose settings without looking at a test sample.
    ///
    /// # Errors
    /// If a class has not so many samples.
    pub fn validation_split(&self, shots: usize, seed: u64) -> Result<Split> {
        let (some, _) = few_shot(self.samples.labels(), self.classes().len(), 3 * shots, seed)?;
        let labels: Vec<usize> = some.iter().map(|&i| self.samples.labels()[i]).collect();
        let (train, validation) = few_shot(&labels, self.classes().len(), shots, seed)?;
        let of = |places: Vec<usize>| -> Vec<usize> { places.iter().map(|&p| some[p]).collect() };
        self.split_at(&of(train), &of(validation))
    }

    fn split_at(&self, train: &[usize], test: &[usize]) -> Result<Split> {
        let (images, labels) = self.samples.batch(test)?;
        let conditions = test.iter().map(|&index| self.conditions[index]).collect();
        Ok(Split { train: self.samples.subset(train)?, test: (images, labels, conditions) })
    }
}
