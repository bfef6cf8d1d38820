//! Which samples are for what.

use super::config::DataConfig;
use crate::dataset::{few_shot, train_validation_test};
use crate::{Error, Result};

/// Indices of labelled samples, by what they are for.
pub(super) struct Parts {
    pub training: Vec<usize>,
    pub validation: Vec<usize>,
    pub test: Vec<usize>,
}

impl Parts {
    /// Divides samples with these labels, of so many classes, as `config` says.
    ///
    /// # Errors
    /// If nothing is left to train on, or a class has too few.
    pub fn of(config: &DataConfig, labels: &[usize], classes: usize, seed: u64) -> Result<Self> {
        const SHARES: &str = "data.validation and data.test";
        let DataConfig { validation, test, shots, .. } = *config;
        let [mut training, validation, test] =
            train_validation_test(labels, classes, validation, test, seed)
                .map_err(|error| Error::config(SHARES, error.to_string()))?;
        if let Some(shots) = shots {
            let of_training: Vec<usize> = training.iter().map(|&index| labels[index]).collect();
            let (chosen, _) = few_shot(&of_training, classes, shots, seed)
                .map_err(|error| Error::config("data.shots", error.to_string()))?;
            training = chosen.into_iter().map(|place| training[place]).collect();
        }
        if training.is_empty() {
            return Err(Error::config(SHARES, "leave nothing to train on"));
        }
        Ok(Self { training, validation, test })
    }
}
