//! What a run writes down while it goes: one line of JSON for every few steps.

use super::observe::LayerAverage;
use super::task::{Measured, Scores};
use crate::export::is_leftover;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A mean that is being taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Meter {
    sum: f64,
    count: u64,
}

impl Meter {
    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        self.sum += value;
        // A file may say how many there were.
        self.count = self.count.saturating_add(1);
    }

    /// The mean since it was taken last.
    pub fn take(&mut self) -> Option<f64> {
        let Self { sum, count } = std::mem::take(self);
        (count > 0).then(|| sum / count as f64)
    }
}

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Steps done.
    pub step: u64,
    /// The epoch that the step belongs to, counted from 1.
    pub epoch: u64,
    /// Mean training loss since the line before.
    pub loss: f64,
    /// The learning rate of the step.
    pub learning_rate: f64,
    /// Mean norm of the gradients since the line before, as they were before they were clipped, if
    /// they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradient_norm: Option<f64>,
    /// How good the network is on the validation samples, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Scores>,
    /// What the task has seen by the way since the line before, if it sees anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
}

/// One line of `gates.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gates {
    /// Steps done.
    pub step: u64,
    /// The moving averages of the gates, layer by layer.
    pub gates: Vec<LayerAverage>,
}

/// A file of lines, such as `metrics.jsonl`, held by one process at a time.
pub(super) struct Record {
    path: PathBuf,
    /// `None` if nothing is recorded.
    file: Option<File>,
    bytes: u64,
}

impl Record {
    /// Opens the file, makes it if need be, and cuts it off after `bytes`.
    ///
    /// # Errors
    /// If it cannot be opened, is shorter than that, or another process writes it.
    pub fn open(path: PathBuf, bytes: u64) -> Result<Self> {
        let mut options = OpenOptions::new();
        let mut file = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let problem = "another process is writing it; is the run still going?";
                return Err(Error::format(&path, problem));
            }
            // Some file systems have no locks.
            Err(TryLockError::Error(_)) => {}
        }
        let found = file.metadata().map_err(Error::io("read", &path))?.len();
        if found < bytes {
            let problem =
                format!("has {found} bytes, but had {bytes} when the checkpoint was made");
            return Err(Error::format(&path, problem));
        }
        if found > bytes {
            file.set_len(bytes).map_err(Error::io("cut off", &path))?;
        }
        file.seek(SeekFrom::Start(bytes)).map_err(Error::io("write", &path))?;
        Ok(Self { path, file: Some(file), bytes })
    }

    /// Of a process that another one records for.
    pub fn nowhere() -> Self {
        Self { path: PathBuf::new(), file: None, bytes: 0 }
    }

    /// Writes a line.
    pub fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut line = serde_json::to_vec(line)
            .map_err(|error| Error::format(&self.path, error.to_string()))?;
        line.push(b'\n');
        file.write_all(&line).map_err(Error::io("write", &self.path))?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Brings everything onto the disk, and says how long the file is.
    pub fn synchronise(&mut self) -> Result<u64> {
        if let Some(file) = &self.file {
            file.sync_data().map_err(Error::io("synchronise", &self.path))?;
        }
        Ok(self.bytes)
    }
}

/// Removes what a killed process has left of files that it was writing.
pub(super) fn remove_leftovers(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if is_leftover(&entry.file_name().to_string_lossy()) {
            // Nothing depends on it.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: u64) -> Metrics {
        let (learning_rate, gradient_norm, validation) = (0.1, None, None);
        Metrics {
            step,
            epoch: 1,
            loss: 0.5,
            learning_rate,
            gradient_norm,
            validation,
            measured: None,
        }
    }

    #[test]
    fn a_record_is_cut_off_and_written_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut record = Record::open(path.clone(), 0).unwrap();
        record.write(&line(1)).unwrap();
        let bytes = record.synchronise().unwrap();
        record.write(&line(2)).unwrap();
        assert!(Record::open(path.clone(), 0).is_err(), "it is in use");
        drop(record);
        let mut record = Record::open(path.clone(), bytes).unwrap();
        record.write(&line(3)).unwrap();
        drop(record);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "{\"step\":1,\"epoch\":1,\"loss\":0.5,\"learning_rate\":0.1}\n\
             {\"step\":3,\"epoch\":1,\"loss\":0.5,\"learning_rate\":0.1}\n"
        );
        assert!(Record::open(path, 1000).is_err());
    }

    #[test]
    fn a_meter_takes_the_mean_and_starts_again() {
        let mut meter = Meter::default();
        meter.add(1.0);
        meter.add(2.0);
        assert_eq!((meter.take(), meter.take()), (Some(1.5), None));
    }
}
