//! Data sets one after the other.

use super::samples::no_such_sample;
use super::{Dataset, Image, Split, Transform};
use crate::{Error, Result};
use std::path::Path;
use std::sync::Arc;

/// Data sets one after the other, each for one purpose, with the classes of the first.
pub struct Joined {
    sets: Vec<Arc<dyn Dataset>>,
    labels: Vec<usize>,
    splits: Vec<Split>,
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
        let mut labels = first.labels().to_vec();
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
            splits.resize(labels.len(), split);
            sets.push(other);
        }
        Ok(Self { sets, labels, splits })
    }

    /// The data set of a sample, and its number there.
    fn place(&self, mut index: usize) -> Option<(&dyn Dataset, usize)> {
        for set in &self.sets {
            match index.checked_sub(set.len()) {
                Some(behind) => index = behind,
                None => return Some((set.as_ref(), index)),
            }
        }
        None
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

    fn file(&self, index: usize) -> Option<&Path> {
        let (set, index) = self.place(index)?;
        set.file(index)
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
        match self.place(index) {
            Some((set, index)) => set.transformed(index, transforms, rng),
            None => Err(no_such_sample(Path::new("the data"), index, self.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Channels, Pictures, Reading, Samples};

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
        assert_eq!(joined.file(4), None);
    }

    #[test]
    fn samples_without_files_leave_those_of_others_in_their_places() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("data.csv"), "path,class\nx.png,a\n").unwrap();
        let list = folder.path().join("data.csv");
        let pictures = Pictures::list(&list, Reading::upright(Channels::Rgb)).unwrap();
        let first = toy(0.0, vec![0, 0], &["a"]);
        let joined = Joined::new(first, vec![(Split::Test, Arc::new(pictures))]).unwrap();
        let file = folder.path().join("x.png");
        assert_eq!([0, 1, 2, 3].map(|index| joined.file(index)), [None, None, Some(&*file), None]);
    }

    #[test]
    fn a_class_that_is_not_trained_on_is_an_error() {
        let (first, other) = (toy(0.0, vec![0], &["a"]), toy(0.0, vec![0], &["c"]));
        let text = Joined::new(first, vec![(Split::Validation, other)]).err().unwrap().to_string();
        assert!(text.contains("data.validation_data: has the class \"c\""), "{text}");
    }
}
