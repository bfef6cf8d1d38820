//! The main job on the data in the repository, which travel inside the program.
//!
//! Four small residual networks were trained on MNIST, each with its images in one
//! condition: as they are, rotated, inverted, edges only. The target is a few digits of
//! another data set (UCI), each image in one of these conditions at random, so that no source
//! covers the target alone. The demo is a [comparison](crate::compare) on them. See
//! `data/README.md`.

mod data;
mod experiment;
pub mod games;
pub mod landmarks;
mod outcome;
mod page;
mod task;

pub use experiment::{Options, plan, run};
pub use outcome::{Outcome, Settings};
pub use page::page;
pub use task::{CONDITIONS, Part, SIDE, Split, Target, Test, input, normalise};

use crate::export::write_atomically;
use crate::{Error, Result};
use std::path::Path;

/// Leaves a file alone that holds that already, so that a run which goes on finds its data as they were.
fn write(path: &Path, content: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    write_atomically(path, |file| file.write_all(content))
}
