//! How the tensors of a file fit a network, told as PyTorch's strict loading tells it.

use super::checkpoint::Checkpoint;
use super::naming::{Expected, Naming};
use super::view::TensorView;
use std::collections::{HashMap, HashSet};
use std::fmt;

/// What of a network is in a file, and what is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fit {
    /// Tensors of the network that are in the file, in the same shape.
    pub found: usize,
    /// Those that are not in the file.
    pub missing: Vec<Missing>,
    /// Those that have another shape there.
    pub misshapen: Vec<Misshapen>,
    /// The file's names of tensors that are not the network's.
    pub unexpected: Vec<String>,
    /// Of these, those within parts of the network, by the names that they would have there:
    /// the file holds a deeper network, or one of another kind.
    pub beyond: Vec<String>,
}

/// A tensor of the network that is not in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The most similar name that is there and is not the network's.
    pub nearest: Option<String>,
}

/// A tensor that has another shape in the file than in the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshapen {
    /// Its name.
    pub name: String,
    /// Its shape in the network.
    pub expected: Vec<usize>,
    /// Its shape in the file.
    pub found: Vec<usize>,
}

impl Fit {
    /// Compares the file under that naming with the network. Counts of batches
    /// (`num_batches_tracked`) and scales of weights of 8 bits are neither missing nor unexpected.
    pub fn new(checkpoint: &Checkpoint, naming: &Naming, expected: &[Expected]) -> Self {
        let mut present: HashMap<String, &TensorView> = HashMap::new();
        let wanted: HashSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
        let parts: HashSet<&str> = wanted.iter().copied().filter_map(first_part).collect();
        let mut fit = Self::default();
        for view in checkpoint.parts() {
            match naming.apply(view.name()) {
                Some(name) if wanted.contains(name.as_str()) => drop(present.insert(name, view)),
                name => {
                    fit.unexpected.push(view.name().to_owned());
                    let within =
                        |name: &String| first_part(name).is_some_and(|part| parts.contains(part));
                    fit.beyond.extend(name.filter(within));
                }
            }
        }
        for (name, shape) in expected {
            match present.get(name) {
                Some(view) if view.shape() == shape => fit.found += 1,
                Some(view) => {
                    let (expected, found) = (shape.clone(), view.shape().to_vec());
                    fit.misshapen.push(Misshapen { name: name.clone(), expected, found });
                }
                None => {
                    // Not of many: looking for similar names takes the square of their number.
                    let few = fit.missing.len() < 10;
                    let unused = fit.unexpected.iter().map(String::as_str);
                    let near = few.then(|| crate::error::nearest(name, unused)).flatten();
                    let (shape, nearest) = (shape.clone(), near.map(str::to_owned));
                    fit.missing.push(Missing { name: name.clone(), shape, nearest });
                }
            }
        }
        fit
    }

    /// Whether the file holds the network, its classifier perhaps excepted: names that begin with
    /// one of `except` may be missing, have another shape, or be more than the network has.
    pub fn is_complete(&self, except: &[&str]) -> bool {
        let excepted = |name: &str| except.iter().any(|prefix| name.starts_with(prefix));
        self.missing.iter().all(|missing| excepted(&missing.name))
            && self.misshapen.iter().all(|misshapen| excepted(&misshapen.name))
            && self.beyond.iter().all(|name| excepted(name))
    }
}

/// The part of a network that a tensor of this name is in, such as `layer3`; a tensor beside all
/// parts is in none.
fn first_part(name: &str) -> Option<&str> {
    name.split_once('.').map(|(part, _)| part)
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, shape, nearest } = self;
        write!(f, "{name} {shape:?}")?;
        nearest.iter().try_for_each(|nearest| write!(f, " (there is {nearest})"))
    }
}

impl fmt::Display for Misshapen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, expected, found } = self;
        write!(f, "{name} {found:?} instead of {expected:?}")
    }
}

impl fmt::Display for Fit {
    /// The first few of what does not fit, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn part(what: &str, all: &[impl ToString]) -> Option<String> {
            const MOST: usize = 4;
            let shown: Vec<String> = all.iter().take(MOST).map(ToString::to_string).collect();
            let more = all.len() - shown.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            (!all.is_empty()).then(|| format!("{what}: {}{more}", shown.join(", ")))
        }
        let parts = [
            part("missing", &self.missing),
            part("of another shape", &self.misshapen),
            part("unexpected", &self.unexpected),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(
            if parts.is_empty() { "all fits".to_owned() } else { parts.join("; ") }.as_str(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::dtype::Dtype;
    use super::super::fixture;
    use super::*;

    #[test]
    fn what_does_not_fit_is_listed_with_the_nearest_name() {
        let tensors: [(&str, Dtype, &[usize], &[u8]); 3] = [
            ("conv1.weight", Dtype::U8, &[2, 3, 1, 1], &[0; 6]),
            ("bn1.weigth", Dtype::U8, &[2], &[0; 2]),
            ("bn1.num_batches_tracked", Dtype::U8, &[], &[0]),
        ];
        let file = fixture::checkpoint(&tensors);
        let expected = [("conv1.weight", vec![2, 1, 1, 1]), ("bn1.weight", vec![2])];
        let expected = expected.map(|(name, shape)| (name.to_owned(), shape));
        let fit = Fit::new(&file, &Naming::default().detect(&file, &expected, &[]), &expected);
        assert_eq!(
            fit.to_string(),
            "missing: bn1.weight [2] (there is bn1.weigth); of another shape: conv1.weight \
             [2, 3, 1, 1] instead of [2, 1, 1, 1]; unexpected: bn1.weigth"
        );
        assert_eq!((fit.found, fit.missing.len(), fit.misshapen.len()), (0, 1, 1));
        assert!(fit.is_complete(&["conv1.", "bn1."]) && !fit.is_complete(&["conv1."]));
        assert_eq!(Fit::default().to_string(), "all fits");
        let many = Fit { unexpected: ('a'..='f').map(String::from).collect(), ..Fit::default() };
        assert_eq!(many.to_string(), "unexpected: a, b, c, d and 2 more");
    }
}
