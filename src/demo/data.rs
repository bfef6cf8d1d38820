//! The demo's data: inside the program, or in a folder.

use super::{CONDITIONS, SIDE, Target};
use crate::Result;
use crate::dataset::digits;
use crate::zoo::{Checkpoint, Mapping, Zoo};
use std::path::Path;
use std::sync::Arc;

/// A network for each of the [`CONDITIONS`].
const SOURCES: [&[u8]; CONDITIONS.len()] = [
    include_bytes!("../../data/zoo/as_is.safetensors"),
    include_bytes!("../../data/zoo/rotated.safetensors"),
    include_bytes!("../../data/zoo/inverted.safetensors"),
    include_bytes!("../../data/zoo/edges.safetensors"),
];
const DIGITS: &[u8] = include_bytes!("../../data/digits/digits.csv.gz");

/// What the demo tunes, and what it tunes it to.
pub(super) struct Data {
    pub zoo: Zoo,
    /// The bytes of each source's file.
    pub sizes: Vec<u64>,
    pub target: Target,
}

impl Data {
    /// The data that came with the program, wherever it runs.
    fn inside() -> Result<Self> {
        let open = |(condition, bytes)| {
            let mapping = Mapping::inside(format!("{condition}.safetensors"), bytes);
            Checkpoint::from_mapping(Arc::new(mapping))
        };
        let sources = CONDITIONS.into_iter().zip(SOURCES).map(open).collect::<Result<_>>()?;
        let zoo = Zoo::from_checkpoints(sources, &[])?;
        let sizes = SOURCES.map(|bytes| bytes.len() as u64).into();
        let target = Target::from_digits(digits::from_bytes(DIGITS, "digits.csv.gz", SIDE)?)?;
        Ok(Self { zoo, sizes, target })
    }

    /// The same files in a folder, or what somebody put in their place.
    fn in_folder(folder: &Path) -> Result<Self> {
        let file = |condition| folder.join("zoo").join(format!("{condition}.safetensors"));
        let zoo = Zoo::open(&CONDITIONS.map(file))?;
        let sizes = zoo.sources().iter().map(Checkpoint::file_bytes).collect::<Result<_>>()?;
        let target = Target::read(folder.join("digits").join("digits.csv.gz"))?;
        Ok(Self { zoo, sizes, target })
    }

    /// The data in the folder, if one is given, and otherwise the program's own.
    ///
    /// # Errors
    /// If a file in the folder cannot be read, or the sources form no zoo.
    pub fn open(folder: Option<&Path>) -> Result<Self> {
        folder.map_or_else(Self::inside, Self::in_folder)
    }
}
