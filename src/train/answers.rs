//! What a network answers to the samples that a run is measured on.

use super::config::TaskConfig;
use super::task::Part;
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
    /// What `model` answers to a part of the samples that this run is measured on.
    ///
    /// # Errors
    /// If the run has no such samples, they cannot be read, or do not fit the network.
    pub fn answers(&self, model: &Model, part: Part) -> Result<Answers> {
        let TaskConfig::Classification(settings) = &self.config().task;
        let opened = settings.open(self.config(), &model.input)?;
        let (key, problem) = match part {
            Part::Validation => ("data.validation", "leaves no samples to validate on"),
            Part::Test => ("data.test", "leaves no samples to test on"),
        };
        let images = opened.task.part(part).ok_or_else(|| Error::config(key, problem))?;
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
