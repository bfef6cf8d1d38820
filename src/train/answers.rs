//! What networks answer to the samples that a run is measured on.

use super::evaluation::{add, for_each_batch};
use super::measures::{Measures, Told};
use super::task::Part;
use super::{Model, Run};
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
    /// What each of `models` answers to a part of the samples that this run is measured on. Models
    /// that see images alike are shown the same ones, which are read once.
    ///
    /// # Errors
    /// If the run has no such samples, they cannot be read, or do not fit a network.
    pub fn answers(&self, models: &[&Model], part: Part) -> Result<Vec<Answers>> {
        let mut answers = vec![Answers::default(); models.len()];
        let mut left: Vec<usize> = (0..models.len()).collect();
        while let Some(&first) = left.first() {
            let is_alike = |at: &usize| models[*at].input == models[first].input;
            let (alike, others): (Vec<usize>, Vec<usize>) = left.into_iter().partition(is_alike);
            self.answer(models, &alike, part, &mut answers)?;
            left = others;
        }
        Ok(answers)
    }

    /// Fills in the answers of the models at these places, which see images alike.
    fn answer(
        &self,
        models: &[&Model],
        places: &[usize],
        part: Part,
        answers: &mut [Answers],
    ) -> Result<()> {
        let settings = self.config().task.classification("a comparison")?;
        let opened = settings.open(self.config(), &models[places[0]].input, self.given(), None)?;
        let (key, problem) = match part {
            Part::Validation => ("data.validation", "leaves no samples to validate on"),
            Part::Test => ("data.test", "leaves no samples to test on"),
        };
        let images = opened.task.part(part).ok_or_else(|| Error::config(key, problem))?;
        let numbers: Vec<usize> = (0..opened.outputs).collect();
        let mut measures: Vec<Measures> = places.iter().map(|_| Measures::default()).collect();
        for_each_batch(images, |batch| {
            for (&at, measures) in places.iter().zip(&mut measures) {
                let Answers { probabilities, labels, .. } = &mut answers[at];
                let mut keep = |told: &Told| {
                    probabilities.push(told.probabilities.clone());
                    labels.push(told.label);
                    Ok(())
                };
                add(measures, &models[at].network, batch, &numbers, &mut keep)?;
            }
            Ok(())
        })?;
        for (at, measures) in places.iter().zip(measures) {
            answers[*at].accuracy = measures.evaluation(&opened.classes)?.accuracy;
        }
        Ok(())
    }
}
