//! The networks at hand, each family in a file, and those that a program adds.

mod convnet;
mod efficientnet_layouts;
mod efficientnet_lite;
mod hrnet;
mod hrnet_head;
mod hrnet_layouts;
mod landmarks_small;
mod normed;
mod residual;
mod resnet;
mod resnet_layouts;

pub use convnet::{ConvLayer, ConvNet};
pub use efficientnet_lite::EfficientNetLite;
pub use hrnet::{HRNet, HRNetHead};
pub use resnet::{Block, ResNet, Stem};

use super::Architecture;
use crate::{Error, Result};
use std::sync::{Arc, PoisonError, RwLock};

/// All families: a new one is a file beside this one, and a line here.
const FAMILIES: [Family; 5] = [
    resnet::FAMILY,
    efficientnet_lite::FAMILY,
    convnet::FAMILY,
    hrnet::FAMILY,
    landmarks_small::FAMILY,
];

/// The networks that speed is measured on, as in most tables of others, by their depths.
pub const MEASURED: [(u32, &str); 3] = [(18, "resnet18"), (34, "resnet34"), (50, "resnet50")];

/// Networks of one kind.
struct Family {
    /// Those that have names.
    members: fn() -> Members,
    /// The one whose name says what it is, if the name is of this family.
    specified: fn(&str) -> Option<Result<Member>>,
}

type Member = Arc<dyn Architecture>;

type Members = Vec<Member>;

/// What programs have registered.
static REGISTERED: RwLock<Vec<Arc<dyn Architecture>>> = RwLock::new(Vec::new());

/// All architectures, those built in first.
pub fn all() -> Vec<Arc<dyn Architecture>> {
    let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
    let built_in = FAMILIES.iter().flat_map(|family| (family.members)());
    built_in.chain(registered.iter().cloned()).collect()
}

/// The names of all architectures.
pub fn names() -> Vec<String> {
    all().iter().map(|architecture| architecture.name().to_owned()).collect()
}

/// Adds an architecture for this process: files that name it can be opened then, and others are
/// compared with it.
///
/// # Errors
/// If there is one of that name.
pub fn register(architecture: impl Architecture + 'static) -> Result<()> {
    let name = architecture.name();
    if names().iter().any(|known| known == name) {
        return Err(Error::config("architecture", format!("there is a {name} already")));
    }
    let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
    registered.push(Arc::new(architecture));
    Ok(())
}

/// The architecture of that name: one of [`all`], or one that its name specifies, see [`ConvNet`] and
/// [`HRNet`].
///
/// # Errors
/// If there is none.
pub(super) fn named(name: &str) -> Result<Arc<dyn Architecture>> {
    if let Some(known) = all().into_iter().find(|architecture| architecture.name() == name) {
        return Ok(known);
    }
    FAMILIES.iter().find_map(|family| (family.specified)(name)).unwrap_or_else(|| {
        let names = names().join(", ");
        Err(Error::config("architecture", format!("there is no {name}; there are {names}")))
    })
}
