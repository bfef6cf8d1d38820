//! The tensors of a network, by number and by name.

use crate::tensor::{Device, Element, State, Tensor};
use crate::{Error, Result};
use std::collections::HashMap;

/// The number of a tensor among the [`Parameters`] of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id(pub(super) usize);

impl Id {
    pub(crate) fn index(self) -> usize {
        self.0
    }

    pub(crate) fn from_index(index: usize) -> Self {
        Self(index)
    }
}

/// What a tensor is to training: the parameter group that it belongs to, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Kernels and batch norms: started from the sources.
    Backbone,
    /// Channel alignment: started from the identity.
    Alignment,
    /// The gates' linear layers.
    Gate,
    /// The fresh classifier.
    Head,
    /// Kept and saved, but not trained by gradients: running statistics, the gates' averages.
    Buffer,
}

struct Entry<T> {
    name: String,
    role: Role,
    value: Tensor<T>,
}

/// All tensors of a network in the order of its layers.
pub struct Parameters<T> {
    entries: Vec<Entry<T>>,
    by_name: HashMap<String, usize>,
}

impl<T: Element> Default for Parameters<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), by_name: HashMap::new() }
    }
}

impl<T: Element> Parameters<T> {
    /// Adds a tensor.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn add(&mut self, name: &str, role: Role, value: Tensor<T>) -> Result<Id> {
        let id = self.entries.len();
        if self.by_name.insert(name.to_owned(), id).is_some() {
            return Err(Error::argument("Parameters::add", format!("two tensors named {name}")));
        }
        self.entries.push(Entry { name: name.to_owned(), role, value });
        Ok(Id(id))
    }

    /// How many tensors there are, buffers included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All numbers, in order.
    pub fn ids(&self) -> impl Iterator<Item = Id> + use<T> {
        (0..self.entries.len()).map(Id)
    }

    /// The name of a tensor.
    pub fn name(&self, id: Id) -> &str {
        &self.entries[id.0].name
    }

    /// What a tensor is to training.
    pub fn role(&self, id: Id) -> Role {
        self.entries[id.0].role
    }

    /// The values of a tensor.
    pub fn value(&self, id: Id) -> &Tensor<T> {
        &self.entries[id.0].value
    }

    /// The values of a tensor, to be changed.
    pub fn value_mut(&mut self, id: Id) -> &mut Tensor<T> {
        &mut self.entries[id.0].value
    }

    /// The number of the tensor of that name.
    ///
    /// # Errors
    /// If there is none; the message suggests the nearest name.
    pub fn find(&self, name: &str) -> Result<Id> {
        self.by_name.get(name).copied().map(Id).ok_or_else(|| {
            let names = self.entries.iter().map(|e| e.name.as_str());
            Error::missing(name, "the network", names)
        })
    }

    /// Where they are.
    pub fn device(&self) -> Device {
        let large = self.entries.iter().find(|entry| !entry.value.shape().is_empty());
        large.map(|entry| entry.value.device()).unwrap_or_default()
    }

    /// Brings all tensors to a device, but for those of shape `[]`: such a number is the host's to
    /// reckon with, who would have to wait for it at every step otherwise.
    ///
    /// # Errors
    /// If there is no room for them.
    pub fn to(&mut self, device: &Device) -> Result<()> {
        for entry in self.entries.iter_mut().filter(|entry| !entry.value.shape().is_empty()) {
            entry.value = entry.value.to(device)?;
        }
        Ok(())
    }

    /// How many numbers are trained or needed at inference.
    pub fn count(&self) -> usize {
        self.entries.iter().map(|e| e.value.len()).sum()
    }

    /// How many numbers are trained.
    pub fn trained(&self) -> usize {
        let trained = self.entries.iter().filter(|e| e.role != Role::Buffer);
        trained.map(|e| e.value.len()).sum()
    }

    /// All tensors by name; no values are copied.
    pub fn state(&self, origin: impl Into<String>) -> State<T> {
        let mut state = State::new(origin);
        for entry in &self.entries {
            state.insert(&entry.name, entry.value.clone());
        }
        state
    }

    /// An error if `state` holds a tensor that is none of these.
    pub(super) fn check_names(&self, state: &State<T>) -> Result<()> {
        let Some(extra) = state.tensors.keys().find(|name| !self.by_name.contains_key(*name))
        else {
            return Ok(());
        };
        let names = self.entries.iter().map(|e| e.name.as_str());
        Err(Error::missing(extra, format!("the network (but {} has)", state.origin), names))
    }

    /// Takes all values from `state`, which must hold just these tensors.
    ///
    /// # Errors
    /// If a tensor is missing, of another shape, or there is one too many. Nothing is
    /// changed then.
    pub fn load(&mut self, state: &State<T>) -> Result<()> {
        for entry in &self.entries {
            let found = state.get(&entry.name)?;
            if found.shape() != entry.value.shape() {
                let expected = format!("{:?} in {}", entry.value.shape(), state.origin);
                return Err(Error::shape("load", &entry.name, expected, found.shape()));
            }
        }
        self.check_names(state)?;
        for entry in &mut self.entries {
            entry.value = state.get(&entry.name)?.clone();
        }
        Ok(())
    }
}
