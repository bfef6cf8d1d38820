//! The demo's data, inside the program: frames of a mouse, and networks for pictures that were drawn.

use crate::demo::write;
use crate::{Error, Result};
use rawzip::ZipArchive;
use std::path::{Path, PathBuf};

const FRAMES: &[u8] = include_bytes!("../../../data/mouse/mouse.zip");
/// By what they were trained on.
const SOURCES: [(&str, &[u8]); 4] = [
    ("bottom", include_bytes!("../../../data/mouse/bottom.safetensors")),
    ("side", include_bytes!("../../../data/mouse/side.safetensors")),
    ("animals", include_bytes!("../../../data/mouse/animals.safetensors")),
    ("faces", include_bytes!("../../../data/mouse/faces.safetensors")),
];

/// Those whose pictures imitate the rig that the frames are from: two generators were given where points
/// are in the frames that settings are chosen on.
const IMITATIONS: [&str; 2] = ["bottom", "side"];

/// What a source is called, so that it is told apart from those that know nothing of the rig.
pub(super) fn told(source: &str) -> String {
    match IMITATIONS.contains(&source) {
        true => format!("{source} (imitates the rig)"),
        false => source.to_owned(),
    }
}

/// What the demo tunes, and the frames that it is tuned to.
pub(super) struct Data {
    /// The sources' files.
    pub sources: Vec<PathBuf>,
    folder: PathBuf,
    /// The first three lines of the annotations.
    heads: Vec<String>,
    /// Their other lines, one for each frame.
    frames: Vec<String>,
}

/// The annotations of a draw: CSV files for training and testing.
pub(super) struct Split {
    pub training: PathBuf,
    pub test: PathBuf,
}

impl Data {
    /// Writes all of it to `out`.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(out: &Path) -> Result<Self> {
        let folder = out.join("mouse");
        let mut text = String::new();
        let damaged = |error: rawzip::Error| Error::format("mouse.zip", error.to_string());
        let archive = ZipArchive::from_slice(FRAMES).map_err(damaged)?;
        for record in archive.entries() {
            let record = record.map_err(damaged)?;
            let name = String::from_utf8_lossy(record.file_path().as_bytes()).into_owned();
            // They are stored as they are: pictures do not shrink.
            let content = archive.get_entry(record.wayfinder()).map_err(damaged)?.data();
            write(&folder.join(&name), content)?;
            if name == ANNOTATIONS {
                text = String::from_utf8_lossy(content).into_owned();
            }
        }
        let mut sources = Vec::new();
        for (name, content) in SOURCES {
            let path = folder.join("zoo").join(format!("{name}.safetensors"));
            write(&path, content)?;
            sources.push(path);
        }
        let mut heads: Vec<String> = text.lines().map(str::to_owned).collect();
        let frames = heads.split_off(3.min(heads.len()));
        Ok(Self { sources, folder, heads, frames })
    }

    /// Draws frames to tune on and frames to measure on, of those that settings are chosen on or of
    /// all others, and writes their annotations.
    ///
    /// # Errors
    /// If there are too few frames, or a file cannot be written.
    pub fn split(
        &self,
        validation: bool,
        [training, test]: [usize; 2],
        seed: u64,
    ) -> Result<Split> {
        let of_part = self.frames.iter().filter(|frame| is_for_settings(frame) == validation);
        let mut frames: Vec<&str> = of_part.map(String::as_str).collect();
        let most = frames.len().saturating_sub(test);
        if training < 2 || test == 0 || training > most {
            let problem = format!(
                "{training} to tune on and {test} to measure on, of {} frames; two and one at least",
                frames.len()
            );
            return Err(Error::config("frames", problem));
        }
        fastrand::Rng::with_seed(seed).shuffle(&mut frames);
        let file = |name: &str, frames: &[&str]| {
            let lines = self.heads.iter().map(String::as_str).chain(frames.iter().copied());
            let text = lines.collect::<Vec<_>>().join("\n") + "\n";
            // Beside the frames, whose names count from there.
            let of = if validation { "setting" } else { "frames" };
            let path = self.folder.join(format!("seed-{seed}-{training}-{of}-{name}.csv"));
            write(&path, text.as_bytes())?;
            Ok::<_, Error>(path)
        };
        let tested = &frames[frames.len() - test..];
        Ok(Split { training: file("tuned", &frames[..training])?, test: file("measured", tested)? })
    }
}

const ANNOTATIONS: &str = "CollectedData.csv";

/// Whether settings are chosen on the frame of a line of annotations: every sixth one, 15 of 90. What is
/// known of the rig comes from these too (`examples/draw_animals.rs`); no table measures anything on them.
pub fn is_for_settings(line: &str) -> bool {
    let name = line.split(',').next().unwrap_or_default();
    let digits: String = name.chars().filter(char::is_ascii_digit).collect();
    digits.parse::<u32>().is_ok_and(|number| number % 6 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn frames_that_settings_are_chosen_on_are_in_no_table() {
        let folder = tempfile::tempdir().unwrap();
        let data = Data::write(folder.path()).unwrap();
        assert_eq!((data.heads.len(), data.frames.len()), (3, 90));
        let lines = |path: &Path| -> HashSet<String> {
            let text = std::fs::read_to_string(path).unwrap();
            text.lines().skip(3).map(str::to_owned).collect()
        };
        let chosen = data.split(true, [10, 5], 1).unwrap();
        let chosen: HashSet<String> =
            lines(&chosen.training).union(&lines(&chosen.test)).cloned().collect();
        assert_eq!(chosen.len(), 15);
        for seed in 1..4 {
            let few = data.split(false, [15, 30], seed).unwrap();
            let many = data.split(false, [45, 30], seed).unwrap();
            // The same test frames, and the few among the many.
            assert_eq!(lines(&few.test), lines(&many.test));
            assert!(lines(&few.training).is_subset(&lines(&many.training)));
            assert!(lines(&many.training).is_disjoint(&lines(&many.test)));
            assert!(
                chosen.is_disjoint(
                    &lines(&many.training).union(&lines(&many.test)).cloned().collect()
                )
            );
        }
        assert!(data.split(false, [46, 30], 1).is_err());
    }
}
