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
}

impl Answers {
    /// The share of the images whose most probable class is the true one; 0 without images.
    pub fn accuracy(&self) -> f64 {
        let largest =
            |p: &[f64]| (0..p.len()).reduce(|best, k| if p[k] > p[best] { k } else { best });
        let is_right = |(p, label): &(&Vec<f64>, &usize)| largest(p) == Some(**label);
        let right = self.probabilities.iter().zip(&self.labels).filter(is_right).count();
        right as f64 / self.labels.len().max(1) as f64
    }
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
        evaluate(&model.network, images, &numbers, &opened.classes, |told| {
            answers.probabilities.push(told.probabilities.clone());
            answers.labels.push(told.label);
            Ok(())
        })?;
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_probable_class_is_the_answer() {
        let probabilities = vec![vec![0.2, 0.8], vec![0.5, 0.5], vec![0.9, 0.1]];
        let answers = Answers { probabilities, labels: vec![1, 0, 1] };
        assert_eq!(answers.accuracy(), 2.0 / 3.0);
        assert_eq!(Answers::default().accuracy(), 0.0);
    }
}
