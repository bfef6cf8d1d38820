//! The table `[data]`: the samples, and how the network sees them.

use super::{one_or_more, within};
use crate::dataset::{ResizeMode, Transform};
use crate::train::choice::{AugmentationName, AutoAugment, CheckName, Sampler, ViewsName};
use crate::train::{Augmentation, Input};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The samples of a run, and how the network sees them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "docs/configuration.md describes each key")]
pub struct DataConfig {
    pub path: PathBuf,
    pub validation_data: Option<PathBuf>,
    pub test_data: Option<PathBuf>,
    pub check: CheckName,
    pub skip_unreadable: bool,
    pub shots: Option<usize>,
    pub validation: f64,
    pub test: f64,
    pub size: Option<usize>,
    pub resize: Option<usize>,
    pub resize_mode: Option<ResizeMode>,
    pub ignore_orientation: bool,
    pub channels: Option<usize>,
    pub mean: Option<Vec<f32>>,
    pub std: Option<Vec<f32>>,
    pub augmentation: AugmentationName,
    pub auto_augment: AutoAugment,
    /// Operations of RandAugment.
    pub augment_operations: usize,
    /// How strong they are, 0 to 30.
    pub augment_magnitude: usize,
    /// Share of training images that lose a random part.
    pub erasing: f64,
    pub sampler: Sampler,
    /// Of each image that is tested on.
    pub views: ViewsName,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            validation_data: None,
            test_data: None,
            check: CheckName::Headers,
            skip_unreadable: false,
            shots: None,
            validation: 0.1,
            test: 0.0,
            size: None,
            resize: None,
            resize_mode: None,
            ignore_orientation: false,
            channels: None,
            mean: None,
            std: None,
            augmentation: AugmentationName::Shift,
            auto_augment: AutoAugment::None,
            augment_operations: 2,
            augment_magnitude: 9,
            erasing: 0.0,
            sampler: Sampler::Shuffled,
            views: ViewsName::One,
        }
    }
}

impl DataConfig {
    /// An error unless every value has a meaning.
    pub(super) fn check(&self) -> Result<()> {
        one_or_more("data.shots", self.shots.unwrap_or(1) as u64)?;
        within("data.validation", self.validation, 0.0, 1.0)?;
        within("data.test", self.test, 0.0, 1.0)?;
        within("data.augment_operations", self.augment_operations, 0, 100)?;
        within("data.augment_magnitude", self.augment_magnitude, 0, 30)?;
        within("data.erasing", self.erasing, 0.0, 1.0)
    }

    /// An error if there is no path, of a task that needs one.
    pub(super) fn check_path(&self) -> Result<()> {
        if self.path.as_os_str().is_empty() {
            let problem = "is missing: where are the samples? Give --data PATH, or path = \"PATH\" \
                           in [data]";
            return Err(Error::config("data.path", problem));
        }
        Ok(())
    }

    /// Whether there are samples to measure on while training.
    pub(super) fn has_validation(&self) -> bool {
        self.validation > 0.0
    }

    /// An error if a key has no effect beside the others.
    pub(super) fn check_effect(&self, key: &str) -> Result<()> {
        let is_of_rand = ["augment_operations", "augment_magnitude"].contains(&key);
        if is_of_rand && self.auto_augment != AutoAugment::Rand {
            let problem = "has no effect without --auto-augment randaugment, which it belongs to";
            return Err(Error::config(super::Config::flag(key), problem));
        }
        Ok(())
    }

    /// What is done to images at random before their values are normalised, beside
    /// [`DataConfig::augmentation`].
    pub fn auto_augment(&self) -> Option<Transform> {
        let (operations, magnitude) = (self.augment_operations, self.augment_magnitude);
        match self.auto_augment {
            AutoAugment::None => None,
            AutoAugment::Rand => Some(Transform::RandAugment { operations, magnitude }),
            AutoAugment::Trivial => Some(Transform::TrivialAugment),
        }
    }

    /// How images are changed at random.
    pub fn augmentation(&self) -> Augmentation {
        match self.augmentation {
            AugmentationName::None => Augmentation::None,
            AugmentationName::Shift => Augmentation::Shift,
            AugmentationName::Crop => Augmentation::Crop,
        }
    }

    /// What the network sees: what is not chosen here is as in `usual`.
    ///
    /// # Errors
    /// If sizes, means and standard deviations do not fit.
    pub fn input(&self, usual: Input) -> Result<Input> {
        let size = self.size.unwrap_or(usual.size);
        let resize = match (self.resize, self.size) {
            (Some(resize), _) => resize,
            // 256 for 224, if the usual input has a margin.
            (None, Some(size)) if usual.size > 0 => {
                (size.saturating_mul(usual.resize) as f64 / usual.size as f64).round() as usize
            }
            (None, _) => usual.resize,
        };
        let spread = |chosen: &Option<Vec<f32>>, usual: Vec<f32>| match chosen.as_deref() {
            Some([one]) => vec![*one; usual.len()],
            Some(values) => values.to_vec(),
            None => usual,
        };
        let input = Input {
            channels: usual.channels,
            resize,
            resize_mode: self.resize_mode.unwrap_or(usual.resize_mode),
            size,
            mean: spread(&self.mean, usual.mean),
            std: spread(&self.std, usual.std),
            ignore_orientation: self.ignore_orientation || usual.ignore_orientation,
        };
        input.check("")?;
        Ok(input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Design;

    #[test]
    fn the_network_sees_what_was_chosen() {
        let usual = || Input::usual(&Design::named("resnet18", 3, 10).unwrap());
        let mut data =
            DataConfig { size: Some(112), mean: Some(vec![0.1]), ..DataConfig::default() };
        let input = data.input(usual()).unwrap();
        assert_eq!((input.size, input.resize, input.mean), (112, 128, vec![0.1; 3]));
        data.size = Some(usize::MAX);
        assert!(data.input(usual()).is_err());
    }
}
