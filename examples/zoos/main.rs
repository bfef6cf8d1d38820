//! Zoos of several kinds, tuned to several targets: where does which form of a zoo help?
//! `benches/zoos.sh` trains the sources, obtains the targets, and calls it; see there.
//!
//!     cargo run --release --example zoos -- FOLDER [--draws N] [--cells N] [--jobs N]
//!
//! A *cell* is a zoo, a target, and a number of labelled images of each class. Learning rates are chosen
//! first, on images that no table uses; then each cell is a comparison, draw by draw. What is done
//! stays in FOLDER/cells; a run that was stopped goes on there.

mod cell;
mod table;

use cell::Zoo;
use std::error::Error;
use std::path::PathBuf;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What the command line asks for.
struct Options {
    folder: PathBuf,
    /// Draws of labelled images in each cell.
    draws: u64,
    /// Of the cells, the first so many.
    cells: usize,
    /// Networks that are tuned side by side.
    jobs: usize,
}

fn main() -> Result<()> {
    let options = options()?;
    let rates = cell::rates(&options)?;
    let mut done = Vec::new();
    for cell in cell::all().into_iter().take(options.cells) {
        done.push((cell.clone(), cell.compared(&options, rates.clone())?));
        // After each cell, since the next one may be hours away.
        table::write(&options.folder, &done)?;
    }
    Ok(())
}

fn options() -> Result<Options> {
    const USAGE: &str = "usage: zoos FOLDER [--draws N] [--cells N] [--jobs N]";
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().filter(|first| !first.starts_with('-')).ok_or(USAGE)?;
    let mut options = Options { folder: folder.into(), draws: 16, cells: usize::MAX, jobs: 2 };
    while let Some(flag) = arguments.next() {
        let number = arguments.next().and_then(|text| text.parse().ok()).ok_or(USAGE)?;
        match &*flag {
            "--draws" => options.draws = number,
            "--cells" => options.cells = number as usize,
            "--jobs" => options.jobs = number as usize,
            _ => return Err(USAGE.into()),
        }
    }
    Ok(options)
}

/// All zoos, for the order of cells.
const ZOOS: [Zoo; 4] = [Zoo::Conditions, Zoo::Ancestor, Zoo::Classes, Zoo::Alike];
