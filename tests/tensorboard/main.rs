//! Event files of a run that was interrupted, for TensorBoard to read.
//!
//! With `ZOO_TENSORBOARD_KEEP` they are left in that folder, which must not exist, beside
//! `expected.json`: what TensorBoard should find in them. `check.sh` asks it.
#![cfg(feature = "train")]

use serde_json::json;
use std::path::Path;
use std::{env, fs};
use zoo_tuning::Result;
use zoo_tuning::train::EventFile;

/// Values of two curves, by step.
fn value(tag: &str, step: u64) -> f64 {
    match (tag, step) {
        ("odd", 3) => f64::NAN,
        ("odd", 4) => f64::INFINITY,
        ("odd", _) => -1e30,
        _ => (step as f64 + 0.1).ln(),
    }
}

fn write(folder: &Path) -> Result<()> {
    let text = "| key | value |\n|---|---|\n| learning rate | 0.01 |\n\nΔ ≤ 1";
    let mut curves = serde_json::Map::new();
    let mut events = EventFile::create(folder)?;
    events.text(0, "configuration", text)?;
    // The process was killed after step 120, and goes on from the checkpoint of step 100.
    for step in 1..=120 {
        let value = if step > 100 { 1e6 } else { value("loss/training", step) };
        events.scalar(step, "loss/training", value)?;
    }
    let killed = events.path().to_owned();
    drop(events);
    let mut events = EventFile::resume(folder, 101)?;
    for step in 101..=200 {
        events.scalar(step, "loss/training", value("loss/training", step))?;
    }
    // Far beyond 32 bits, and lengths that take several bytes.
    let (late, long) = (u64::pow(10, 15), "x".repeat(300));
    for (tag, steps) in [("odd", vec![3, 4, 5]), (&long, vec![late, late + 1])] {
        for step in steps {
            events.scalar(step, tag, value(tag, step))?;
        }
    }
    events.flush()?;

    // A whole event of the killed process is followed by half of one.
    let whole = fs::read(&killed).unwrap();
    fs::write(&killed, &whole[..whole.len() - 5]).unwrap();

    for (tag, steps) in [
        ("loss/training", (1..=200).collect::<Vec<_>>()),
        ("odd", vec![3, 4, 5]),
        (&long, vec![late, late + 1]),
    ] {
        // As a text, since JSON has no NaN.
        let points =
            steps.iter().map(|&step| json!([step, format!("{}", value(tag, step) as f32)]));
        curves.insert(tag.to_owned(), points.collect());
    }
    let expected = json!({ "scalars": curves, "texts": { "configuration": [[0, text]] } });
    fs::write(folder.join("expected.json"), expected.to_string()).unwrap();
    Ok(())
}

#[test]
fn files_are_written() -> Result<()> {
    let temporary = tempfile::tempdir().unwrap();
    let kept = env::var_os("ZOO_TENSORBOARD_KEEP");
    let folder = kept.as_deref().map_or(temporary.path(), Path::new);
    write(folder)?;
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
    assert_eq!(names.iter().filter(|name| name.contains("tfevents")).count(), 2, "{names:?}");
    Ok(())
}
