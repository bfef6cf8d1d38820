//! What every reader makes of a file's bytes, and a checkpoint is made of.

use super::format::Format;
use super::view::TensorView;
use std::collections::{BTreeMap, HashSet};

/// What a reader finds in a file.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub format: Format,
    /// Texts beside the tensors.
    pub metadata: BTreeMap<String, String>,
    /// The keys of those texts that are only what a pickle holds beside its tensors.
    pub notes: HashSet<String>,
    /// In the order of the file.
    pub tensors: Vec<TensorView>,
    /// What a pickle names and is not read.
    pub foreign: Vec<Foreign>,
}

/// Something that a pickle asks Python to import, and perhaps to call, and that means no
/// tensor. Here it is only named: nothing of a file is ever executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The module and the name in it, such as `posix.system`.
    pub name: String,
    /// How often the file calls it.
    pub count: usize,
    /// The first few calls, with their arguments, as text.
    pub calls: Vec<String>,
}
