//! What a network answers to the test samples of a run.

use super::config::TaskConfig;
use super::{Model, Run, evaluate};
use crate::{Error, Result};

/// Probabilities of the classes, and the true ones, an image after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// Of all classes.
    pub probabilities: Vec<Vec<f64>>,
    /// The class that it is.
    pub labels: Vec<usize>,
    /// The share of the images whose most probable class is the true one.
    pub accuracy: f64,
}

impl Run {
    /// What `model` answers to the samples that this run is tested on.
    ///
    /// # Errors
    /// If the run has no such samples, they cannot be read, or do not fit the network.
    pub fn answers(&self, model: &Model) -> Result<Answers> {
        let TaskConfig::Classification(settings) = &self.config().task;
        let opened = settings.open(self.config(), &model.input)?;
        let images = opened
            .task
            .test()
            .ok_or_else(|| Error::config("data.test", "leaves no samples to test on"))?;
        let numbers: Vec<usize> = (0..opened.outputs).collect();
        let mut answers = Answers::default();
        let found = evaluate(&model.network, images, &numbers, &opened.classes, |told| {
            answers.probabilities.push(told.probabilities.clone());
            answers.labels.push(told.label);
            Ok(())
        })?;
        answers.accuracy = found.accuracy;
        Ok(answers)
    }
}
