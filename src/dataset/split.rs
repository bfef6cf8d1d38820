//! Which samples are for learning and which for judging.
//!
//! Every split treats the classes alike, follows from a seed, and returns indices in
//! ascending order.

use super::samples::wrong_label;
use crate::{Error, Result};

/// What a sample is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Split {
    /// To be learnt from.
    Training,
    /// To be measured on while training.
    Validation,
    /// To be measured on at the end.
    Test,
}

impl Split {
    /// The split that folders and columns of that name hold, in any case.
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Self::Training),
            "val" | "valid" | "validation" | "dev" => Some(Self::Validation),
            "test" | "testing" => Some(Self::Test),
            _ => None,
        }
    }

    /// The name, as in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// The indices of the samples that are for this.
    pub fn indices(self, splits: &[Self]) -> Vec<usize> {
        (0..splits.len()).filter(|&index| splits[index] == self).collect()
    }
}

/// `shots` samples of each class for training, drawn with `seed`, and all others.
///
/// # Errors
/// If a label is not below `classes`, or a class has fewer than `shots` samples.
pub fn few_shot(
    labels: &[usize],
    classes: usize,
    shots: usize,
    seed: u64,
) -> Result<(Vec<usize>, Vec<usize>)> {
    let (mut training, mut rest) = (vec![], vec![]);
    for (class, members) in shuffled_members("few_shot", labels, classes, seed)?.iter().enumerate()
    {
        if members.len() < shots {
            return Err(Error::argument(
                "few_shot",
                format!("class {class} has {} samples, fewer than {shots}", members.len()),
            ));
        }
        let (drawn, others) = members.split_at(shots);
        training.extend(drawn);
        rest.extend(others);
    }
    training.sort_unstable();
    rest.sort_unstable();
    Ok((training, rest))
}

/// All samples in three parts: for training, validation and test, drawn with `seed`.
///
/// Of each class, `validation` and `test` (fractions from 0 to 1) are rounded to the nearest
/// number of samples; the training part has what is left.
///
/// # Errors
/// If a label is not below `classes`, or the fractions are not from 0 to 1 together.
pub fn train_validation_test(
    labels: &[usize],
    classes: usize,
    validation: f64,
    test: f64,
    seed: u64,
) -> Result<[Vec<usize>; 3]> {
    let operation = "train_validation_test";
    if !(validation >= 0.0 && test >= 0.0 && validation + test <= 1.0) {
        return Err(Error::argument(
            operation,
            format!("the fractions {validation} and {test} should lie between 0 and 1 together"),
        ));
    }
    let mut parts = [vec![], vec![], vec![]];
    for members in shuffled_members(operation, labels, classes, seed)? {
        let count = |fraction: f64| (fraction * members.len() as f64).round() as usize;
        let (tested, others) = members.split_at(count(test));
        let (validated, trained) = others.split_at(count(validation).min(others.len()));
        parts[0].extend(trained);
        parts[1].extend(validated);
        parts[2].extend(tested);
    }
    parts.iter_mut().for_each(|part| part.sort_unstable());
    Ok(parts)
}

/// The indices of each class's samples in a random order.
fn shuffled_members(
    operation: &'static str,
    labels: &[usize],
    classes: usize,
    seed: u64,
) -> Result<Vec<Vec<usize>>> {
    let mut members = vec![vec![]; classes];
    for (index, &label) in labels.iter().enumerate() {
        match members.get_mut(label) {
            Some(members) => members.push(index),
            None => {
                let problem = format!("sample {index}: {}", wrong_label(label, classes));
                return Err(Error::argument(operation, problem));
            }
        }
    }
    let mut rng = fastrand::Rng::with_seed(seed);
    members.iter_mut().for_each(|members| rng.shuffle(members));
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Vec<usize> {
        (0..60).map(|index| index % 3).collect()
    }

    fn of_class(part: &[usize], class: usize) -> usize {
        part.iter().filter(|index| labels()[**index] == class).count()
    }

    #[test]
    fn every_class_gets_its_shots_and_no_sample_is_lost() {
        let (training, rest) = few_shot(&labels(), 3, 4, 7).unwrap();
        for class in 0..3 {
            assert_eq!((of_class(&training, class), of_class(&rest, class)), (4, 16));
        }
        let mut all = [training, rest].concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..60));
    }

    #[test]
    fn the_seed_decides() {
        let of = |seed| few_shot(&labels(), 3, 4, seed).unwrap().0;
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn too_few_samples_and_unknown_labels_are_errors() {
        assert_eq!(
            few_shot(&labels(), 3, 21, 0).unwrap_err().to_string(),
            "few_shot: class 0 has 20 samples, fewer than 21"
        );
        assert_eq!(
            few_shot(&labels(), 2, 1, 0).unwrap_err().to_string(),
            "few_shot: sample 2: expected a label from 0 to 1, found 2"
        );
        assert!(few_shot(&[], 0, 5, 0).is_ok());
    }

    #[test]
    fn three_parts_share_every_class_by_the_fractions() {
        let parts = train_validation_test(&labels(), 3, 0.1, 0.25, 3).unwrap();
        for class in 0..3 {
            assert_eq!(parts.each_ref().map(|part| of_class(part, class)), [13, 2, 5]);
        }
        assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), 60);
        // Halves of an odd class are both rounded up; nothing is drawn twice.
        let [training, validation, test] = train_validation_test(&[0; 3], 1, 0.5, 0.5, 0).unwrap();
        assert_eq!((training.len(), validation.len(), test.len()), (0, 1, 2));
    }

    #[test]
    fn impossible_fractions_are_errors() {
        for (validation, test) in [(0.6, 0.5), (-0.1, 0.5), (f64::NAN, 0.1)] {
            assert!(train_validation_test(&labels(), 3, validation, test, 0).is_err());
        }
    }
}
