//! Which samples are for what.

use super::Data;
use super::config::DataConfig;
use crate::dataset::{Split, few_shot, train_validation_test};
use crate::{Error, Result};

/// Indices of labelled samples, by what they are for.
pub(super) struct Parts {
    pub training: Vec<usize>,
    pub validation: Vec<usize>,
    pub test: Vec<usize>,
}

impl Parts {
    /// Divides the samples that are used: as they are divided already, and the training samples
    /// further by shares of `config`, for what there is nothing yet.
    ///
    /// # Errors
    /// If nothing is left to train on, or a class has too few.
    pub fn of(config: &DataConfig, data: &Data, seed: u64) -> Result<Self> {
        const SHARES: &str = "data.validation and data.test";
        let (labels, classes) = (data.labels(), data.classes().len());
        let of = |split: Split| -> Vec<usize> {
            let splits = data.splits();
            let is_it =
                |index: &&usize| splits.get(**index).copied().unwrap_or(Split::Training) == split;
            data.used().iter().filter(is_it).copied().collect()
        };
        let [known, mut validation, mut test] =
            [Split::Training, Split::Validation, Split::Test].map(of);
        let share = |share: f64, part: &[usize]| if part.is_empty() { share } else { 0.0 };
        let shares = [share(config.validation, &validation), share(config.test, &test)];
        let labels_of = |part: &[usize]| part.iter().map(|&at| labels[at]).collect::<Vec<_>>();
        let places = train_validation_test(&labels_of(&known), classes, shares[0], shares[1], seed)
            .map_err(|error| Error::config(SHARES, error.to_string()))?;
        let [mut training, validated, tested] =
            places.map(|part| part.into_iter().map(|place| known[place]).collect::<Vec<_>>());
        validation.extend(validated);
        test.extend(tested);
        if let Some(shots) = config.shots {
            let (chosen, _) = few_shot(&labels_of(&training), classes, shots, seed)
                .map_err(|error| Error::config("data.shots", error.to_string()))?;
            training = chosen.into_iter().map(|place| training[place]).collect();
        }
        if training.is_empty() {
            return Err(Error::config(SHARES, "leave nothing to train on"));
        }
        Ok(Self { training, validation, test })
    }

    /// What became of shares that came to no sample, for a reader.
    pub fn notes(&self, config: &DataConfig) -> Vec<String> {
        let all = self.training.len() + self.validation.len() + self.test.len();
        let empty = |(name, share, part): (&str, f64, &[usize])| {
            (share > 0.0 && part.is_empty()).then(|| {
                format!(
                    "--{name} {share} of {all} images came to none in every class, so that there is \
                     no {name}; give a larger share, or images by --{name}-data"
                )
            })
        };
        [
            ("validation", config.validation, &self.validation[..]),
            ("test", config.test, &self.test[..]),
        ]
        .into_iter()
        .filter_map(empty)
        .collect()
    }
}
