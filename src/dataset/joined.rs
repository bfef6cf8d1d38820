//! Data sets one after the other.

use super::samples::no_such_sample;
use super::{Dataset, Image, Split, Transform};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Data sets one after the other, each for one purpose, with the classes of the first.
pub struct Joined {
    sets: Vec<Arc<dyn Dataset>>,
    labels: Vec<usize>,
    splits: Vec<Split>,
    files: Vec<PathBuf>,
}

impl Joined {
    /// All of `first`, which is for training as far as it does not say otherwise, and all of the
    /// others for what is named.
    ///
    /// # Errors
    /// If another data set has a class that the first has not.
    pub fn new(first: Arc<dyn Dataset>, others: Vec<(Split, Arc<dyn Dataset>)>) -> Result<Self> {
        let mut splits = first.splits().to_vec();
        splits.resize(first.len(), Split::Training);
        let (mut labels, mut files) = (first.labels().to_vec(), first.files().to_vec());
        let known = first.classes().to_vec();
        let mut sets = vec![first];
        for (split, other) in others {
            let number = |name: &String| {
                known.iter().position(|known| known == name).ok_or_else(|| {
                    let problem =
                        format!("has the class {name:?}, which the training samples have not");
                    Error::config(format!("data.{}_data", split.name()), problem)
                })
            };
            let numbers = other.classes().iter().map(number).collect::<Result<Vec<_>>>()?;
            labels.extend(other.labels().iter().map(|&label| numbers[label]));
            files.extend_from_slice(other.files());
            splits.resize(labels.len(), split);
            sets.push(other);
        }
        Ok(Self { sets, labels, splits, files })
    }
}

impl Dataset for Joined {
    fn classes(&self) -> &[String] {
        self.sets[0].classes()
    }

    fn labels(&self) -> &[usize] {
        &self.labels
    }

    fn splits(&self) -> &[Split] {
        &self.splits
    }

    fn files(&self) -> &[PathBuf] {
        &self.files
    }

    fn image(&self, index: usize) -> Result<Image> {
        // Nothing is drawn.
        self.transformed(index, &[], &mut fastrand::Rng::with_seed(0))
    }

    fn transformed(
        &self,
        index: usize,
        transforms: &[Transform],
        rng: &mut fastrand::Rng,
    ) -> Result<Image> {
        let mut place = index;
        for set in &self.sets {
            match place.checked_sub(set.len()) {
                Some(behind) => place = behind,
                None => return set.transformed(place, transforms, rng),
            }
        }
        Err(no_such_sample(Path::new("the data"), index, self.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Samples;

    fn toy(value: f32, labels: Vec<usize>, classes: &[&str]) -> Arc<dyn Dataset> {
        let images =
            (0..labels.len()).map(|i| Image::from_fn([1, 1, 1], |_, _, _| value + i as f32));
        let classes = classes.iter().map(|&name| name.to_owned()).collect();
        Arc::new(Samples::new("toy", images.collect(), labels, classes).unwrap())
    }

    #[test]
    fn samples_follow_each_other_with_the_labels_of_the_first() {
        let first = toy(0.0, vec![0, 1, 1], &["a", "b"]);
        let other = toy(10.0, vec![0, 0], &["b"]);
        let joined = Joined::new(first, vec![(Split::Test, other)]).unwrap();
        assert_eq!(joined.labels(), [0, 1, 1, 1, 1]);
        assert_eq!(Split::Test.indices(joined.splits()), [3, 4]);
        let values = (0..5).map(|index| joined.image(index).unwrap().values()[0]);
        assert_eq!(values.collect::<Vec<_>>(), [0.0, 1.0, 2.0, 10.0, 11.0]);
        assert!(joined.image(5).is_err());
    }

    #[test]
    fn a_class_that_is_not_trained_on_is_an_error() {
        let (first, other) = (toy(0.0, vec![0], &["a"]), toy(0.0, vec![0], &["c"]));
        let text = Joined::new(first, vec![(Split::Validation, other)]).err().unwrap().to_string();
        assert!(text.contains("data.validation_data: has the class \"c\""), "{text}");
    }
}
