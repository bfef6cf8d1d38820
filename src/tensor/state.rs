//! Tensors by name.

use super::{Element, Tensor};
use crate::zoo::{Checkpoint, Zoo, is_batch_count};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// Tensors by name, as a checkpoint holds them ("state dict"), and where they are from.
#[derive(Clone, Debug, Default)]
pub struct State<T> {
    /// A file or a description, for messages.
    pub origin: String,
    /// The tensors, sorted by name.
    pub tensors: BTreeMap<String, Tensor<T>>,
}

impl<T: Element> State<T> {
    /// A state without tensors.
    pub fn new(origin: impl Into<String>) -> Self {
        Self { origin: origin.into(), tensors: BTreeMap::new() }
    }

    /// The tensors of a checkpoint, used in place where their type permits, and converted one by
    /// one as they are used otherwise. Those that are not numbers of a network, such as
    /// PyTorch's counts `num_batches_tracked`, are left out.
    ///
    /// # Errors
    /// If a tensor's type has no values of type `T`.
    pub fn mapped(checkpoint: &Checkpoint) -> Result<Self> {
        let mut state = Self::new(checkpoint.path().display().to_string());
        for view in checkpoint.iter().filter(|view| !is_batch_count(view.name())) {
            state.insert(view.name(), Tensor::mapped(view)?);
        }
        Ok(state)
    }

    /// The tensors of each source of a zoo, as [`State::mapped`] takes them.
    ///
    /// # Errors
    /// If a tensor's type has no values of type `T`.
    pub fn from_zoo(zoo: &Zoo) -> Result<Vec<Self>> {
        zoo.sources().iter().map(Self::mapped).collect()
    }

    /// The tensor of that name; cloning it copies no values.
    ///
    /// # Errors
    /// If there is none; the message suggests the nearest name.
    pub fn get(&self, name: &str) -> Result<&Tensor<T>> {
        self.tensors.get(name).ok_or_else(|| {
            Error::missing(name, &self.origin, self.tensors.keys().map(String::as_str))
        })
    }

    /// Puts a tensor in, in place of one of the same name.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor<T>) {
        self.tensors.insert(name.into(), tensor);
    }

    /// The tensors whose names begin with `prefix`, without it.
    pub fn below(&self, prefix: &str) -> Self {
        let stripped = |(name, tensor): (&String, &Tensor<T>)| {
            Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
        };
        let tensors = self.tensors.iter().filter_map(stripped).collect();
        Self { origin: self.origin.clone(), tensors }
    }
}
