//! The zoo: checkpoints of networks of one architecture, memory-mapped and
//! checked against each other.
//!
//! | file | holds |
//! |---|---|
//! | `mapping` | a file in memory, and the types its bytes may be read as |
//! | `bytes` | where bytes lie: in a file as they are, deflated there, or made from it |
//! | `dtype`, `narrow` | the types of number a file may hold; those of 16 and 8 bits |
//! | `view` | one named tensor where it lies in the file |
//! | `format` | the formats, and how a file's first bytes tell them |
//! | `archive`, `literal`, `beside` | what several formats share: zip archives, literals of Python, files beside a file |
//! | `checkpoint` | all tensors of one file, whatever its format |
//! | `axes`, `scales` | kernels whose axes are in another order; weights of 8 bits with scales |
//! | `naming`, `layout`, `fit` | from a file's names of tensors to a network's; what is missing then |
//! | `manifest` | a zoo described in a file, with feature `cli` |
//!
//! Each format has a page, with a picture of its bytes, what is read and what is refused:
//! [`safetensors`], [`pytorch`] (its three formats, and bare pickles) and the [`pickle`] inside,
//! [`numpy`], [`onnx`], and [`shards`] for checkpoints in several files.
//!
//! ```no_run
//! use zoo_tuning::{tensor::State, zoo::Zoo};
//! # fn main() -> zoo_tuning::Result<()> {
//! // The heads belong to the tasks the sources come from, and may differ.
//! let zoo = Zoo::open_except(&["imagenet.safetensors", "moco.safetensors"], &["fc."])?;
//! for source in zoo.sources() {
//!     let state = State::<f32>::mapped(source)?; // nothing is read yet
//!     println!("{}: {:?}", state.origin, state.get("conv1.weight")?.shape());
//! }
//! # Ok(())
//! # }
//! ```

mod archive;
mod axes;
mod beside;
mod bytes;
mod checkpoint;
mod contents;
mod dtype;
mod fit;
#[cfg(test)]
pub(crate) mod fixture;
mod format;
mod layout;
mod literal;
#[cfg(feature = "train")]
mod manifest;
mod mapping;
mod naming;
pub(crate) mod narrow;
pub mod numpy;
pub mod onnx;
pub mod pickle;
pub mod pytorch;
pub mod safetensors;
mod scales;
pub mod shards;
mod view;

pub use axes::Axes;
pub use checkpoint::Checkpoint;
pub use contents::Foreign;
pub use dtype::Dtype;
pub use fit::{Fit, Misshapen, Missing};
pub use format::Format;
pub use layout::Layout;
#[cfg(feature = "train")]
pub use manifest::{Manifest, Source, sha256, sha256_of};
pub use mapping::{Mapping, MappingMut, Plain};
pub(crate) use naming::Names;
pub use naming::{Expected, Naming};
pub use view::TensorView;

use crate::{Error, Result};
use rayon::prelude::*;
use std::path::Path;

/// The last part of the names of counts that PyTorch keeps beside the running statistics of a
/// batch norm.
pub(crate) const BATCH_COUNT: &str = "num_batches_tracked";

/// Whether a tensor of this name counts batches: it is no number that a network computes with.
pub(crate) fn is_batch_count(name: &str) -> bool {
    name.ends_with(BATCH_COUNT)
}

/// Sources that fit each other: the same names, the same shapes. Their types of
/// number may differ.
#[derive(Debug)]
pub struct Zoo {
    /// Invariant: at least one.
    sources: Vec<Checkpoint>,
    except: Vec<String>,
}

impl Zoo {
    /// Opens the files at `paths`, at least one, and checks them against the first.
    ///
    /// # Errors
    /// If one cannot be read, or has a tensor that another has not, or has in
    /// another shape.
    pub fn open(paths: &[impl AsRef<Path> + Sync]) -> Result<Self> {
        Self::open_except(paths, &[])
    }

    /// As [`Self::open`], but tensors whose name begins with one of the prefixes
    /// in `except` are not checked: the head, say, of sources trained on
    /// different tasks.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_except(paths: &[impl AsRef<Path> + Sync], except: &[&str]) -> Result<Self> {
        // Side by side; of several errors, that of the first file is told all the same.
        let sources: Vec<_> = paths.par_iter().map(Checkpoint::open).collect();
        let sources = sources.into_iter().collect::<Result<_>>()?;
        Self::from_checkpoints(sources, except)
    }

    /// A zoo of checkpoints that are open already; as [`Self::open_except`].
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_checkpoints(sources: Vec<Checkpoint>, except: &[&str]) -> Result<Self> {
        let except = except.iter().map(|&prefix| prefix.to_owned()).collect();
        let zoo = Self { sources, except };
        let [first, others @ ..] = zoo.sources.as_slice() else {
            return Err(Error::argument("Zoo::open", "a zoo needs at least one source"));
        };
        for other in others {
            zoo.check(first, other)?;
        }
        Ok(zoo)
    }

    /// Checks that every tensor of each is in the other, and in the same shape.
    fn check(&self, first: &Checkpoint, second: &Checkpoint) -> Result<()> {
        let mismatch = |tensor: &TensorView, problem| Error::Mismatch {
            first: first.path().to_path_buf(),
            second: second.path().to_path_buf(),
            tensor: tensor.name().to_owned(),
            problem,
        };
        for expected in first.iter().filter(|tensor| self.checks(tensor.name())) {
            match second.find(expected.name()) {
                Some(found) if found.shape() == expected.shape() => {}
                Some(found) => {
                    let problem =
                        format!("shape {:?} against {:?}", found.shape(), expected.shape());
                    return Err(mismatch(expected, problem));
                }
                None => {
                    let problem = format!("missing against shape {:?}", expected.shape());
                    return Err(mismatch(expected, problem));
                }
            }
        }
        match second.iter().find(|t| self.checks(t.name()) && !first.contains(t.name())) {
            Some(extra) => {
                Err(mismatch(extra, format!("shape {:?} against missing", extra.shape())))
            }
            None => Ok(()),
        }
    }

    /// Whether the sources must agree about this tensor.
    ///
    /// A count of batches is never checked: it belongs to the training that is over,
    /// nothing here reads it, and PyTorch before 0.4.1 did not write it.
    fn checks(&self, name: &str) -> bool {
        !is_batch_count(name) && !self.except.iter().any(|prefix| name.starts_with(prefix))
    }

    /// The number of sources, `m`, at least 1.
    #[allow(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// The sources, in the order they were given.
    pub fn sources(&self) -> &[Checkpoint] {
        &self.sources
    }

    /// The names of the tensors about which all sources agree, in the order of
    /// the first file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sources[0].names().filter(|name| self.checks(name))
    }

    /// The tensor of this name of every source. Their shapes are the same, unless
    /// the name was excepted.
    ///
    /// # Errors
    /// If a source has none; the most similar name is in the message.
    pub fn views(&self, name: &str) -> Result<Vec<&TensorView>> {
        self.sources.iter().map(|source| source.get(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source with these tensors, of zeros.
    fn source(dtype: Dtype, tensors: &[(&str, &[usize])]) -> Checkpoint {
        let zeros = [0; 1024];
        let tensors: Vec<_> = tensors
            .iter()
            .map(|&(name, shape)| (name, dtype, shape, &zeros[..dtype.bytes_of(shape).unwrap()]))
            .collect();
        fixture::checkpoint(&tensors)
    }

    fn mismatch(a: &[(&str, &[usize])], b: &[(&str, &[usize])]) -> String {
        let sources = vec![source(Dtype::F32, a), source(Dtype::F32, b)];
        let files: Vec<_> = sources.iter().map(|s| s.path().display().to_string()).collect();
        let message = Zoo::from_checkpoints(sources, &["fc."]).unwrap_err().to_string();
        assert!(files.iter().all(|file| message.contains(file)), "{message}");
        message
    }

    #[test]
    fn sources_that_fit_form_a_zoo_whatever_their_order_and_types() {
        let zoo = Zoo::from_checkpoints(
            vec![
                source(Dtype::F32, &[("a", &[2, 3]), ("b", &[])]),
                source(Dtype::F16, &[("b", &[]), ("a", &[2, 3])]),
            ],
            &[],
        )
        .unwrap();
        assert_eq!(zoo.len(), 2);
        assert_eq!(zoo.sources().len(), 2);
        assert_eq!(zoo.names().collect::<Vec<_>>(), ["a", "b"]);
        let types: Vec<_> = zoo.views("a").unwrap().iter().map(|view| view.dtype()).collect();
        assert_eq!(types, [Dtype::F32, Dtype::F16]);
        assert!(zoo.views("c").is_err());
    }

    #[test]
    fn a_tensor_of_another_shape_is_a_mismatch() {
        let message = mismatch(&[("w", &[2, 3])], &[("w", &[3, 2])]);
        assert!(message.contains("w of") && message.ends_with("shape [3, 2] against [2, 3]"));
    }

    #[test]
    fn a_missing_tensor_is_a_mismatch() {
        let message = mismatch(&[("v", &[1]), ("w", &[2])], &[("v", &[1])]);
        assert!(message.contains("w of") && message.ends_with("missing against shape [2]"));
    }

    #[test]
    fn an_extra_tensor_is_a_mismatch() {
        let message = mismatch(&[("v", &[1])], &[("v", &[1]), ("w", &[2])]);
        assert!(message.contains("w of") && message.ends_with("shape [2] against missing"));
    }

    #[test]
    fn excepted_tensors_and_counts_of_batches_may_differ() {
        let zoo = Zoo::from_checkpoints(
            vec![
                source(Dtype::F32, &[("w", &[2]), ("fc.weight", &[10, 2]), ("fc.bias", &[10])]),
                source(Dtype::F32, &[("fc.weight", &[5, 2]), ("w", &[2])]),
                source(Dtype::F32, &[("w", &[2]), ("bn.num_batches_tracked", &[])]),
            ],
            &["fc."],
        )
        .unwrap();
        assert_eq!(zoo.names().collect::<Vec<_>>(), ["w"]);
        assert!(zoo.views("fc.weight").is_err());
    }

    #[test]
    fn a_zoo_of_nothing_is_an_error() {
        assert!(Zoo::open(&[""; 0]).is_err());
        assert!(Zoo::open(&["/nowhere/a.safetensors"]).is_err());
    }
}
