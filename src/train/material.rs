//! The files that a run's data are made of, as they were when it began: the file `data.json`.
//!
//! A run that is resumed looks whether they are the same, by their names, sizes and times. Their
//! contents are not compared: they may be hundreds of gigabytes.

use super::config::DataConfig;
use super::recorded::json;
use crate::export::write_atomically;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

pub(super) const MATERIAL: &str = "data.json";

/// Files and what became of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Material {
    /// The files of all samples that are used, by path.
    pub files: BTreeMap<PathBuf, Stamp>,
    /// Why pictures are left out that cannot be read, one by one.
    pub unreadable: Vec<String>,
    /// What had changed when the run went on with it all the same.
    pub accepted: Vec<Accepted>,
}

/// A file, as far as one sees without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stamp {
    /// Its size.
    pub bytes: u64,
    /// When it was changed last, in nanoseconds since 1970, if the system tells.
    pub changed: Option<u64>,
}

/// A change of the data that the user has accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// Steps done before.
    pub step: u64,
    /// What had changed.
    pub change: String,
}

impl Material {
    /// A number that is another one for files of other names or sizes, most likely: FNV-1a, cut to 53 bits, which
    /// a floating-point number holds.
    pub(super) fn mark(&self) -> u64 {
        let names = self.files.iter().flat_map(|(path, stamp)| {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes().iter().copied();
            name.chain(stamp.bytes.to_le_bytes())
        });
        let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        names.fold(0xcbf2_9ce4_8422_2325, hash) >> 11
    }

    /// Of these pictures, and of whatever else lies where the configuration says.
    ///
    /// # Errors
    /// If a file cannot be looked at.
    pub(super) fn look<'a>(
        config: &DataConfig,
        pictures: impl Iterator<Item = &'a Path>,
        unreadable: &[String],
    ) -> Result<Self> {
        let mut paths: Vec<PathBuf> = pictures.map(Path::to_path_buf).collect();
        let given =
            [Some(&config.path), config.validation_data.as_ref(), config.test_data.as_ref()];
        for path in given.into_iter().flatten() {
            if !path.is_dir() {
                // A list of pictures, or a file of many images.
                paths.push(path.clone());
            } else if !paths.iter().any(|picture| picture.starts_with(path)) {
                let entries = std::fs::read_dir(path).map_err(Error::io("read", path))?;
                let files = entries.flatten().map(|entry| entry.path());
                paths.extend(files.filter(|file| file.is_file()));
            }
        }
        let stamped = paths.into_iter().map(|path| {
            let metadata = path.metadata().map_err(Error::io("look at", &path))?;
            let changed = metadata.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
            let changed = changed.and_then(|time| u64::try_from(time.as_nanos()).ok());
            let path = std::path::absolute(&path).map_err(Error::io("find", &path))?;
            Ok((path, Stamp { bytes: metadata.len(), changed }))
        });
        let files = stamped.collect::<Result<_>>()?;
        Ok(Self { files, unreadable: unreadable.to_vec(), accepted: vec![] })
    }

    /// What the run in `folder` began with, if it says so.
    ///
    /// # Errors
    /// If its file cannot be read.
    pub fn read(folder: impl AsRef<Path>) -> Result<Option<Self>> {
        json(folder.as_ref().join(MATERIAL))
    }

    /// Writes the file into `folder`.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(MATERIAL);
        let text =
            serde_json::to_vec(self).map_err(|error| Error::format(&path, error.to_string()))?;
        write_atomically(&path, |file| file.write_all(&text))
    }

    /// What is not as it was, for a reader.
    pub(super) fn change(&self, now: &Self) -> Option<String> {
        let (mut gone, mut new, mut sizes, mut times) = (vec![], vec![], vec![], vec![]);
        for (path, before) in &self.files {
            let name = path.display();
            match now.files.get(path) {
                None => gone.push(name.to_string()),
                Some(now) if now.bytes != before.bytes => {
                    sizes.push(format!("{name} ({} bytes, was {})", now.bytes, before.bytes));
                }
                Some(now) if now.changed != before.changed => times.push(name.to_string()),
                Some(_) => {}
            }
        }
        let unknown = now.files.keys().filter(|path| !self.files.contains_key(*path));
        new.extend(unknown.map(|path| path.display().to_string()));
        let kinds = [
            ("gone, or left out", gone),
            ("new", new),
            ("of another size", sizes),
            ("of the same size, but changed at another time", times),
        ];
        let kinds = kinds.iter().filter(|(_, files)| !files.is_empty());
        let lines: Vec<_> =
            kinds.map(|(kind, files)| format!("{kind}: {}", first(files))).collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    }
}

/// How many there are, and the first few of them.
fn first(files: &[String]) -> String {
    const SHOWN: usize = 5;
    let more = match files.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{} ({}{more})", files.len(), files[..files.len().min(SHOWN)].join(", "))
}
