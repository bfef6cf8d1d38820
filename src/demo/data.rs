//! The demo's data: inside the program, or in a folder.

use super::{CONDITIONS, Target};
use crate::Result;
use crate::export::write_atomically;
use crate::{Error, zoo::Zoo};
use std::path::{Path, PathBuf};

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
    pub sources: Vec<PathBuf>,
    pub digits: PathBuf,
    pub target: Target,
}

impl Data {
    /// The data in `folder`; its own, which the program brings along and writes to `out`, if none is
    /// given.
    ///
    /// # Errors
    /// If a file cannot be read or written, or the sources form no zoo.
    pub fn open(folder: Option<&Path>, out: &Path) -> Result<Self> {
        let at = folder.unwrap_or(out);
        let sources = CONDITIONS.map(|name| at.join(format!("zoo/{name}.safetensors"))).to_vec();
        let digits = at.join("digits/digits.csv.gz");
        if folder.is_none() {
            for (path, content) in sources.iter().zip(SOURCES).chain([(&digits, DIGITS)]) {
                let parent = path.parent().unwrap_or(out);
                std::fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
                write_atomically(path, |file| file.write_all(content))?;
            }
        }
        Zoo::open(&sources)?;
        let target = Target::read(&digits)?;
        Ok(Self { sources, digits, target })
    }
}
