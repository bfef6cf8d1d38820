//! A comparison on the command line: its progress (bars on a terminal, plain lines elsewhere), and what
//! it leaves.

use super::output::{Result, message};
use super::progress::interrupted;
use crate::Error;
use crate::compare::Watch;
use crate::export::write_atomically;
use crate::train::task::Scores;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A bar for each run on a terminal, a line for each finished one elsewhere.
pub struct Compared {
    bars: MultiProgress,
    all: Mutex<Option<ProgressBar>>,
    each: Mutex<HashMap<String, ProgressBar>>,
    warnings: Mutex<HashSet<String>>,
}

impl Compared {
    /// With a bar for all runs.
    pub fn new() -> Self {
        Self {
            bars: MultiProgress::new(),
            all: Mutex::default(),
            each: Mutex::default(),
            warnings: Mutex::default(),
        }
    }

    /// Takes the bars away.
    pub fn finish(&self) {
        self.bars.clear().ok();
    }

    fn say(&self, text: String) {
        if std::io::stderr().is_terminal() {
            self.bars.suspend(|| message(text));
        } else {
            message(text);
        }
    }
}

impl Watch for Compared {
    fn begin(&self, runs: usize) {
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} networks {elapsed}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = self.bars.add(ProgressBar::new(runs as u64).with_style(style));
        if let Ok(mut all) = self.all.lock() {
            *all = Some(bar);
        }
    }

    fn step(&self, run: &str, step: u64, steps: u64) {
        let Ok(mut each) = self.each.lock() else { return };
        let bar = each.entry(run.to_owned()).or_insert_with(|| {
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {msg}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(steps).with_style(style).with_message(run.to_owned());
            self.bars.add(bar)
        });
        bar.set_position(step);
    }

    /// Runs have most warnings in common; each is said once.
    fn warned(&self, run: &str, warning: &str) {
        if self.warnings.lock().is_ok_and(|mut said| said.insert(warning.to_owned())) {
            self.say(format!("{run}: {warning}"));
        }
    }

    fn finished(&self, run: &str, scores: Option<&Scores>) {
        if let Some(bar) = self.each.lock().ok().and_then(|mut each| each.remove(run)) {
            bar.finish_and_clear();
        }
        if let Ok(all) = self.all.lock() {
            all.iter().for_each(|bar| bar.inc(1));
        }
        let scores = scores.map_or("not tested".to_owned(), Scores::to_string);
        self.say(format!("{run}: {scores}"));
    }

    fn failed(&self, run: &str, _: &Error) {
        self.say(format!("{run} cannot go on:"));
    }

    fn stopped(&self) -> bool {
        interrupted()
    }
}

/// Writes numbers and a page of them; where the page is.
pub fn written<O: Serialize>(
    out: &Path,
    outcome: &O,
    page: impl Fn(&O) -> crate::Result<String>,
) -> Result<PathBuf> {
    let json = serde_json::to_vec_pretty(outcome).map_err(std::io::Error::from)?;
    // First of all: whatever becomes of the page, the numbers are there.
    write_atomically(out.join("results.json"), |file| file.write_all(&json))?;
    let (page, path) = (page(outcome)?, out.join("report.html"));
    write_atomically(&path, |file| file.write_all(page.as_bytes()))?;
    Ok(path)
}
