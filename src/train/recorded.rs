//! What a run has left in its folder, read back: for a page, or for a program.

use super::observe::{self, LayerAlignment, LayerGates, SampleGates, Source};
use super::run::{CONFIG, GATES, METRICS, SUMMARY};
use super::task::Exhibits;
use super::task::landmarks::LandmarkEvaluation;
use super::{ClassEvaluation, Gates, Input, Material, Metrics, Summary};
use crate::export::write_atomically;
use crate::nn::Network;
use crate::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::Value;

pub(super) const OBSERVATIONS: &str = "observations.json";

/// What is known of the sources of a run, and what was seen inside of its network: the file
/// `observations.json`. What was not there to be seen is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Observations {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The sources.
    pub sources: Vec<Source>,
    /// What was measured on each class of the validation samples at the end.
    pub validation: Vec<ClassEvaluation>,
    /// The same of the test samples.
    pub test: Vec<ClassEvaluation>,
    /// What was measured of points at the end, on the samples for `validation` and `test`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub landmarks: BTreeMap<String, LandmarkEvaluation>,
    /// Which samples the gates were seen on: `validation`, `test` or `training`.
    pub part: String,
    /// How many of them.
    pub count: usize,
    /// The gates.
    pub gates: Vec<LayerGates>,
    /// A few of the samples.
    pub samples: Vec<SampleGates>,
    /// How far alignment went from the identity.
    pub alignment: Vec<LayerAlignment>,
}

impl Observations {
    /// The observations of the run in `folder`, if it has any.
    ///
    /// # Errors
    /// If their file cannot be read.
    pub fn read(folder: impl AsRef<Path>) -> Result<Option<Self>> {
        json(folder.as_ref().join(OBSERVATIONS))
    }

    /// Writes the file into `folder`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<()> {
        let path = folder.as_ref().join(OBSERVATIONS);
        let text =
            serde_json::to_vec(self).map_err(|error| Error::format(&path, error.to_string()))?;
        write_atomically(&path, |file| file.write_all(&text))
    }

    /// Looks into a network, by samples if there are any.
    ///
    /// # Errors
    /// If the samples do not fit the network.
    pub fn look(
        &mut self,
        network: &Network<f32>,
        input: &Input,
        exhibits: Option<Exhibits>,
    ) -> Result<()> {
        /// Samples that are shown one by one.
        const SHOWN: usize = 12;
        self.alignment = observe::alignment(network)?;
        let Some(Exhibits { part, images, labels }) = exhibits else { return Ok(()) };
        self.gates = observe::gates(network, &images)?;
        (self.part, self.count) = (part.to_owned(), images.shape()[0]);
        if labels.is_empty() {
            return Ok(());
        }
        let count = SHOWN.min(labels.len());
        let chosen: Vec<usize> = (0..count).map(|k| k * labels.len() / count).collect();
        self.samples = observe::samples(network, &images, &labels, &chosen, input)?;
        Ok(())
    }
}

/// Everything that a run has left, finished or not, but for its networks.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The folder.
    pub folder: PathBuf,
    /// The configuration: dotted keys, and values as they stand in the file, texts without quotes.
    pub settings: Vec<(String, String)>,
    /// The lines of `metrics.jsonl`.
    pub metrics: Vec<Metrics>,
    /// The lines of `gates.jsonl`.
    pub gates: Vec<Gates>,
    /// What is known of the sources, and what was seen inside of the network.
    pub observations: Observations,
    /// The files of its data.
    pub material: Material,
    /// What came out, if the run is finished.
    pub summary: Option<Summary>,
}

impl Recorded {
    /// Reads what the run in `folder` has left.
    ///
    /// # Errors
    /// If the folder holds no run, or a file of it is damaged.
    pub fn read(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref().to_path_buf();
        std::fs::read_dir(&folder).map_err(Error::io("open the run", &folder))?;
        let path = folder.join(CONFIG);
        if !path.exists() {
            let problem = format!("there is no run in this folder: it has no {CONFIG}");
            return Err(Error::format(&folder, problem));
        }
        let text = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let table: toml::Table =
            text.parse().map_err(|error: toml::de::Error| Error::format(&path, error.message()))?;
        let mut settings = Vec::new();
        flatten("", table, &mut settings);
        Ok(Self {
            settings,
            metrics: lines(&folder.join(METRICS))?,
            gates: lines(&folder.join(GATES))?,
            observations: Observations::read(&folder)?.unwrap_or_default(),
            material: Material::read(&folder)?.unwrap_or_default(),
            summary: json(folder.join(SUMMARY))?,
            folder,
        })
    }

    /// The value of a key of the configuration, whatever table it is in.
    pub fn setting(&self, key: &str) -> Option<&str> {
        let is_it = |known: &str| known.rsplit('.').next() == Some(key);
        let (_, value) = self.settings.iter().find(|(known, _)| is_it(known))?;
        Some(value)
    }
}

/// Keys and values of a table and of those below it.
fn flatten(prefix: &str, table: toml::Table, settings: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        match value {
            Value::Table(below) => flatten(&format!("{key}."), below, settings),
            Value::String(text) => settings.push((key, text)),
            value => settings.push((key, value.to_string())),
        }
    }
}

/// What a file holds as JSON, if there is one.
pub(super) fn json<T: DeserializeOwned>(path: PathBuf) -> Result<Option<T>> {
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| Error::format(&path, error.to_string()))
}

/// The lines of a file, each of them JSON; none if there is no file. A last line without an end is
/// one that is being written, or that a process was killed over: a run that goes on cuts it off.
fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    let whole = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    let lines = text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let line = |(at, line): (usize, &[u8])| {
        serde_json::from_slice(line)
            .map_err(|error| Error::format_of(path, format!("line {}", at + 1), error.to_string()))
    };
    lines.enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observations_of_older_versions_are_read() {
        let text = r#"{"gates": [{"layer": "conv1", "mean": [0.5], "deviation": [0.25]}]}"#;
        let seen: Observations = serde_json::from_str(text).unwrap();
        assert_eq!(seen.gates[0].std, [0.25]);
    }

    #[test]
    fn settings_have_dotted_keys() {
        let table = "form = 'lite'\n[optimizer]\nname = 'sgd'\nrates = [1, 2]".parse().unwrap();
        let mut settings = Vec::new();
        flatten("", table, &mut settings);
        settings.sort();
        let pairs = [("form", "lite"), ("optimizer.name", "sgd"), ("optimizer.rates", "[1, 2]")];
        assert!(
            settings.iter().map(|(key, value)| (&key[..], &value[..])).eq(pairs),
            "{settings:?}"
        );
    }

    #[test]
    fn a_line_that_is_not_whole_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        assert!(lines::<u64>(&path).unwrap().is_empty());
        std::fs::write(&path, "1\n2\n3").unwrap();
        assert_eq!(lines::<u64>(&path).unwrap(), [1, 2]);
        std::fs::write(&path, "1\nx\n3\n").unwrap();
        let error = lines::<u64>(&path).unwrap_err().to_string();
        assert!(error.contains("lines") && error.contains("line 2"), "{error}");
    }
}
