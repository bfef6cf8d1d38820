//! What is counted while a network is measured, and what follows from the counts.
//!
//! Precision, recall and F1 are those of scikit-learn, `precision_recall_fscore_support`.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was measured on labelled images.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Number of images.
    pub samples: usize,
    /// The share of images whose class has the largest output, 0 to 1.
    pub accuracy: f64,
    /// The share of images whose class is among the five largest outputs; `None` if there are no
    /// more than five classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top5_accuracy: Option<f64>,
    /// Mean cross-entropy.
    pub loss: f64,
    /// Means over the classes that have images or are predicted; a class without precision or
    /// recall counts as 0.
    pub precision: f64,
    /// As the precision.
    pub recall: f64,
    /// As the precision.
    pub f1: f64,
    /// How far the probabilities of the predicted classes are from the share that is right: the
    /// expected calibration error (Guo et al., 2017, "On Calibration of Modern Neural Networks")
    /// `sum_b |B_b| / n |accuracy(B_b) - confidence(B_b)|` over [`Measures::BINS`] bins of equal
    /// width, each open below.
    pub calibration_error: f64,
    /// The same for each class.
    pub classes: Vec<ClassEvaluation>,
    /// How often which class was taken for which.
    pub confusion: Vec<Confusion>,
}

/// What was measured on the images of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassEvaluation {
    /// The class.
    pub name: String,
    /// Its images.
    pub samples: usize,
    /// The share of its images that was told right, 0 to 1; `None` if there are none.
    #[serde(alias = "accuracy")]
    pub recall: Option<f64>,
    /// The share of the images taken for it that are of it; `None` if there are none.
    #[serde(default)]
    pub precision: Option<f64>,
    /// The harmonic mean of both, `2 right / (samples + predicted)`; `None` if there are neither.
    #[serde(default)]
    pub f1: Option<f64>,
}

/// An entry of the confusion matrix that is not 0.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Confusion {
    /// The true class.
    pub label: String,
    /// The class that it was taken for; the same on the diagonal.
    pub predicted: String,
    /// The number of images.
    pub samples: usize,
}

/// What a network makes of a labelled image.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The image by its number in the data set.
    pub index: usize,
    /// Its class, of the network's.
    pub label: usize,
    /// The class with the largest probability.
    pub predicted: usize,
    /// Of every class of the network.
    pub probabilities: Vec<f64>,
}

/// Counts of images told one after the other.
#[derive(Debug, Default)]
pub struct Measures {
    /// By true and by predicted class; only what occurs, for classes may be many.
    confusion: BTreeMap<(usize, usize), usize>,
    among_five: usize,
    loss: f64,
    /// Images, right ones, and the sum of probabilities, by the probability of the predicted class.
    bins: [(usize, usize, f64); Self::BINS],
}

impl Measures {
    /// Bins of the calibration error.
    pub const BINS: usize = 15;

    /// Counts an image; `log_probability` is that of its class, which may be finite where the
    /// probability is 0.
    pub fn add(&mut self, told: &Told, log_probability: f64) {
        let Told { label, predicted, ref probabilities, .. } = *told;
        *self.confusion.entry((label, predicted)).or_default() += 1;
        let own = probabilities[label];
        let is_before = |(k, &p): (usize, &f64)| p > own || (p == own && k < label);
        let rank = probabilities.iter().enumerate().filter(|&other| is_before(other)).count();
        self.among_five += usize::from(rank < 5);
        self.loss -= log_probability;
        let confidence = probabilities[predicted];
        let bin = (confidence * Self::BINS as f64).ceil() as usize;
        let (samples, right, sum) = &mut self.bins[bin.clamp(1, Self::BINS) - 1];
        *samples += 1;
        *right += usize::from(label == predicted);
        *sum += confidence;
    }

    /// What follows, of classes of these names.
    ///
    /// # Errors
    /// If nothing was counted, or a class has no name.
    pub fn evaluation(&self, names: &[String]) -> Result<Evaluation> {
        /// Of one class: its images, those predicted, those right.
        #[derive(Clone, Copy, Default)]
        struct Count(usize, usize, usize);
        let mut counts = vec![Count::default(); names.len()];
        let mut confusion = Vec::with_capacity(self.confusion.len());
        for (&(label, predicted), &samples) in &self.confusion {
            if label.max(predicted) >= names.len() {
                return Err(Error::argument("evaluate", "a class of the network has no name"));
            }
            counts[label].0 += samples;
            counts[predicted].1 += samples;
            if label == predicted {
                counts[label].2 += samples;
            }
            let [label, predicted] = [label, predicted].map(|class| names[class].clone());
            confusion.push(Confusion { label, predicted, samples });
        }
        let samples: usize = counts.iter().map(|count| count.0).sum();
        if samples == 0 {
            return Err(Error::argument("evaluate", "there are no images"));
        }
        let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
        let class =
            |(name, &Count(samples, predicted, right)): (&String, &Count)| ClassEvaluation {
                name: name.clone(),
                samples,
                recall: share(right, samples),
                precision: share(right, predicted),
                f1: share(2 * right, samples + predicted),
            };
        let classes: Vec<_> = names.iter().zip(&counts).map(class).collect();
        let occurring = classes.iter().filter(|class| class.f1.is_some());
        let mean = |of: fn(&ClassEvaluation) -> Option<f64>| {
            let sum: f64 = occurring.clone().filter_map(of).sum();
            sum / occurring.clone().count() as f64
        };
        let n = samples as f64;
        let gap = |&(_, right, sum): &(usize, usize, f64)| (right as f64 - sum).abs();
        Ok(Evaluation {
            samples,
            accuracy: counts.iter().map(|count| count.2).sum::<usize>() as f64 / n,
            top5_accuracy: (names.len() > 5).then_some(self.among_five as f64 / n),
            loss: self.loss / n,
            precision: mean(|class| class.precision),
            recall: mean(|class| class.recall),
            f1: mean(|class| class.f1),
            calibration_error: self.bins.iter().map(gap).sum::<f64>() / n,
            classes,
            confusion,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|class| class.to_string()).collect()
    }

    fn told(label: usize, probabilities: &[f64]) -> Told {
        let larger = |best: usize, k| if probabilities[k] > probabilities[best] { k } else { best };
        let predicted = (0..probabilities.len()).fold(0, larger);
        Told { index: 0, label, predicted, probabilities: probabilities.to_vec() }
    }

    /// Values of scikit-learn, by `tests/golden/measures.py`.
    #[test]
    fn measures_are_those_of_scikit_learn() {
        let golden = include_str!("../../tests/golden/measures.json");
        let golden: Value = serde_json::from_str(golden).unwrap();
        let numbers = |of: &Value| -> Vec<f64> {
            of.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
        };
        let mut measures = Measures::default();
        let labels = numbers(&golden["labels"]);
        for (label, row) in labels.iter().zip(golden["probabilities"].as_array().unwrap()) {
            let told = told(*label as usize, &numbers(row));
            measures.add(&told, told.probabilities[told.label].ln());
        }
        let found = measures.evaluation(&names(golden["classes"].as_u64().unwrap() as usize));
        let found = serde_json::to_value(found.unwrap()).unwrap();
        let close = |found: &Value, expected: &Value, what: &str| {
            let [found, expected] = [found, expected].map(|value| value.as_f64().unwrap_or(0.0));
            assert!((found - expected).abs() < 1e-12, "{what}: {found}, expected {expected}");
        };
        for (name, expected) in golden["means"].as_object().unwrap() {
            close(&found[name], expected, name);
        }
        for name in ["precision", "recall", "f1", "samples"] {
            for (class, expected) in
                golden["of_classes"][name].as_array().unwrap().iter().enumerate()
            {
                close(&found["classes"][class][name], expected, &format!("{name} of {class}"));
            }
        }
        let mut matrix = vec![vec![0u64; 7]; 7];
        for entry in found["confusion"].as_array().unwrap() {
            let class = |key: &str| entry[key].as_str().unwrap().parse::<usize>().unwrap();
            matrix[class("label")][class("predicted")] = entry["samples"].as_u64().unwrap();
        }
        assert_eq!(serde_json::to_value(matrix).unwrap(), golden["confusion"]);
    }

    /// 3 images of 0.9, 2 right, and 1 of 0.6, right: `(|2 - 2.7| + |1 - 0.6|) / 4`.
    #[test]
    fn the_calibration_error_is_its_closed_form() {
        let mut measures = Measures::default();
        for (label, p) in [(0, 0.9), (0, 0.9), (1, 0.9), (0, 0.6)] {
            measures.add(&told(label, &[p, 1.0 - p]), 0.0);
        }
        let found = measures.evaluation(&names(2)).unwrap();
        assert!((found.calibration_error - 1.1 / 4.0).abs() < 1e-12);
        assert_eq!((found.accuracy, found.top5_accuracy), (0.75, None));
    }

    #[test]
    fn a_class_that_never_occurs_has_no_measures() {
        let mut measures = Measures::default();
        assert!(measures.evaluation(&names(3)).is_err(), "nothing was counted");
        measures.add(&told(0, &[0.2, 0.8, 0.0]), 0.0);
        let found = measures.evaluation(&names(3)).unwrap();
        let of = |class: usize| {
            let ClassEvaluation { recall, precision, f1, .. } = found.classes[class];
            (recall, precision, f1)
        };
        assert_eq!(of(0), (Some(0.0), None, Some(0.0)));
        assert_eq!(of(1), (None, Some(0.0), Some(0.0)));
        assert_eq!((of(2), found.f1), ((None, None, None), 0.0));
        assert!(measures.evaluation(&names(1)).is_err(), "a class has no name");
    }
}
