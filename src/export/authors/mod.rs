//! A zoo under the names that it has in the PyTorch code which the authors released.
//!
//! | ours | the authors' |
//! |---|---|
//! | `L.weight` `[m, O, C, k, k]` | `f_net.L.weight`, the same |
//! | `L.alignment` `[m, O, O]` | `f_net.L.align_conv` `[m O, O, 1, 1]`: row `i O + o` is row `o` of source `i` |
//! | `L.gate.reduce.weight` `[h, C]` | `f_net.L.attention.1.weight` `[h, C, 1, 1]` |
//! | `L.gate.expand.weight` `[m, h]` | `f_net.L.attention.3.weight` `[m, h, 1, 1]` |
//! | `L.gate.expand.bias` `[m]` | `f_net.L.attention.3.bias`, the same |
//! | `L.gate.average.sum` `[m]`, `L.gate.average.weight` `[]` | `f_net.L.lite_attention` `[m]`: sum / weight |
//! | `fc.weight`, `fc.bias` | `c_net.weight`, `c_net.bias` |
//! | batch norms | the same below `f_net.`, with a count `num_batches_tracked` |
//!
//! Values are the same bit for bit, with one exception. The authors keep the average of a gate
//! without correcting its bias, so theirs is one number where ours are two. What a network
//! computes is exact in both directions: ours is written as the corrected average, and theirs is
//! read as a sum of weight 1. An average of nothing but zeros has seen no batch yet: so a
//! weight of 0 is written, and so zeros are read. Training that goes on from a converted file
//! moves the average as the program does that trains.
//!
//! Their gates are sigmoids, and in lite their shortcuts gate every sample on its own nevertheless.
//! A zoo with softmax gates is refused, because their code would compute something else from
//! the same numbers; one whose shortcuts are lite is written with a `lite_attention` for them too,
//! for which their code, as it is, has no place: strict loading says so.

mod plan;
mod read;
mod write;

pub use read::from_authors;
pub use write::to_authors;

use super::Data;
use crate::Result;
use crate::tensor::Tensor;
use crate::zoo::TensorView;
use std::collections::BTreeMap;

/// What the names of the backbone, and of the classifier, begin with.
const BACKBONE: &str = "f_net.";
const CLASSIFIER: &str = "c_net.";

/// The parts of a layer whose names differ: ours, theirs.
const ALIGNMENT: (&str, &str) = ("alignment", "align_conv");
const AVERAGE: (&str, &str) = ("gate.average.sum", "lite_attention");
const AVERAGE_WEIGHT: &str = "gate.average.weight";
const GATE: [(&str, &str); 3] = [
    ("gate.reduce.weight", "attention.1.weight"),
    ("gate.expand.weight", "attention.3.weight"),
    ("gate.expand.bias", "attention.3.bias"),
];

/// Tensors to be written, and the texts beside them.
pub struct Renamed<'a> {
    /// By their new names, in the order of the file they are from.
    pub tensors: Vec<(String, Data<'a>)>,
    /// The texts that are true of them.
    pub metadata: BTreeMap<String, String>,
}

/// A tensor under its new name.
struct Entry<'a> {
    name: String,
    shape: Vec<usize>,
    values: Values<'a>,
}

enum Values<'a> {
    Of(&'a TensorView),
    Made(Vec<f32>),
}

impl<'a> Entry<'a> {
    fn data(&self) -> Result<Data<'a>> {
        match &self.values {
            Values::Of(view) => Data::from(*view).reshaped(&self.shape),
            Values::Made(values) => Data::made(&self.shape, values),
        }
    }

    fn tensor(&self) -> Result<Tensor<f32>> {
        match &self.values {
            Values::Of(view) => Tensor::mapped(view)?.reshape(&self.shape),
            Values::Made(values) => Tensor::new(&self.shape, values.clone()),
        }
    }
}

/// The layer of a tensor `L.PART`.
fn layer<'n>(name: &'n str, part: &str) -> Option<&'n str> {
    name.strip_suffix(part)?.strip_suffix('.')
}

#[cfg(test)]
mod tests;
