//! The one error of the crate.
//!
//! Each variant says what was expected, what was found, where, and, where one
//! helps, what to do. Nothing that a file's bytes or a user's shapes say may
//! panic: it ends here.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A tensor does not have the shape that an operation needs.
    Shape {
        /// The operation that looked at it, e.g. `conv2d`.
        operation: &'static str,
        /// Which tensor, e.g. `input` or `layer1.0.conv1.weight`.
        tensor: String,
        /// What would have been accepted, e.g. `[N, 64, H, W]`.
        expected: String,
        /// The shape that was found.
        found: Vec<usize>,
    },
    /// An argument other than a tensor's shape is outside of what an operation accepts.
    Argument {
        /// The operation or function.
        operation: &'static str,
        /// What is wrong with which argument.
        problem: String,
    },
    /// The tape was used in an order that has no meaning.
    Tape {
        /// What was attempted.
        problem: &'static str,
        /// What to do instead.
        hint: &'static str,
    },
    /// The operating system refused.
    Io {
        /// What was being done, e.g. `open`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// A file's bytes are not what its format promises.
    Format {
        /// The file.
        path: PathBuf,
        /// The tensor or record concerned, if one is known.
        item: Option<String>,
        /// What was expected and what was found.
        problem: String,
    },
    /// Two sources of a zoo do not fit each other.
    Mismatch {
        /// The file that sets the expectation.
        first: PathBuf,
        /// The file that breaks it.
        second: PathBuf,
        /// The tensor concerned.
        tensor: String,
        /// How they differ.
        problem: String,
    },
    /// A named tensor is not there.
    Missing {
        /// The name that was asked for.
        tensor: String,
        /// Where it was looked for.
        place: String,
        /// A name that is there and looks alike.
        nearest: Option<String>,
    },
    /// A data set's file holds something that cannot be used.
    Data {
        /// The file or folder.
        path: PathBuf,
        /// The line, record or class concerned; empty for the whole file.
        place: String,
        /// What was expected and what was found.
        problem: String,
    },
    /// A value became infinite or not a number.
    NotFinite {
        /// The step of training, counted from 1; 0 outside of training.
        step: u64,
        /// The indices of the samples in the batch.
        batch: Vec<usize>,
        /// The layer or operation whose output turned first.
        layer: String,
    },
    /// A configuration cannot be carried out.
    Config {
        /// The key or flag.
        key: String,
        /// What is wrong and what would be accepted.
        problem: String,
    },
    /// What was asked for has no answer, and why.
    Impossible {
        /// What was asked for.
        request: &'static str,
        /// Why it cannot be.
        reason: String,
        /// What to do instead.
        hint: &'static str,
    },
    /// A device, or the driver that it is reached by, refused.
    Device {
        /// The device, e.g. `opencl:0`.
        device: String,
        /// What was being done, e.g. `build gemm.cl`.
        action: String,
        /// What is wrong, and, where it helps, what to do.
        problem: String,
    },
    /// A device has no room.
    DeviceMemory {
        /// The device, e.g. `opencl:0`.
        device: String,
        /// The bytes that were asked for; `None` if the driver asked for itself.
        asked: Option<u64>,
        /// Bytes that nothing of this program is in.
        free: u64,
        /// All bytes.
        memory: u64,
        /// Bytes of the largest buffer.
        largest_buffer: u64,
        /// Samples at once that it has room for, if that was tried; 0 if not even one fits.
        fits: Option<usize>,
        /// Where a run can be resumed from, if one stopped of it.
        saved: Option<PathBuf>,
    },
    /// The user asked to stop; the state was saved first.
    Interrupted {
        /// Where a run can be resumed from, if something was saved.
        saved: Option<PathBuf>,
    },
}

impl Error {
    /// A shape error of `operation` about `tensor`.
    pub fn shape(
        operation: &'static str,
        tensor: impl Into<String>,
        expected: impl Into<String>,
        found: &[usize],
    ) -> Self {
        Self::Shape {
            operation,
            tensor: tensor.into(),
            expected: expected.into(),
            found: found.to_vec(),
        }
    }

    /// An argument error of `operation`.
    pub fn argument(operation: &'static str, problem: impl Into<String>) -> Self {
        Self::Argument { operation, problem: problem.into() }
    }

    /// An adapter for `map_err` on calls of the operating system.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// A format error about the file at `path`.
    pub fn format(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Self::Format { path: path.as_ref().to_path_buf(), item: None, problem: problem.into() }
    }

    /// A format error about one tensor or record of the file at `path`.
    pub fn format_of(
        path: impl AsRef<Path>,
        item: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        Self::Format {
            path: path.as_ref().to_path_buf(),
            item: Some(item.into()),
            problem: problem.into(),
        }
    }

    /// A data error about `place` (a line, a record, a class) of the file at `path`.
    pub fn data(
        path: impl AsRef<Path>,
        place: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        Self::Data {
            path: path.as_ref().to_path_buf(),
            place: place.into(),
            problem: problem.into(),
        }
    }

    /// A configuration error about `key`.
    pub fn config(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Config { key: key.into(), problem: problem.into() }
    }

    /// An error of a device.
    pub fn device(
        device: impl fmt::Display,
        action: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        let (action, problem) = (action.into(), problem.into());
        Self::Device { device: device.to_string(), action, problem }
    }

    /// A missing tensor `name` of `place`, with the most similar of the `present` names.
    pub fn missing<'a>(
        name: &str,
        place: impl Into<String>,
        present: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let nearest = nearest(name, present).map(str::to_owned);
        Self::Missing { tensor: name.to_owned(), place: place.into(), nearest }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape { operation, tensor, expected, found } => {
                write!(f, "{operation}: {tensor} should have shape {expected}, but has {found:?}")
            }
            Self::Argument { operation, problem } => write!(f, "{operation}: {problem}"),
            Self::Tape { problem, hint } => write!(f, "{problem}; {hint}"),
            Self::Io { action, path, source } => {
                write!(f, "cannot {action} {}: {source}", path.display())
            }
            Self::Format { path, item: Some(item), problem } => {
                write!(f, "{}: {item}: {problem}", path.display())
            }
            Self::Format { path, item: None, problem } => {
                write!(f, "{}: {problem}", path.display())
            }
            Self::Mismatch { first, second, tensor, problem } => write!(
                f,
                "these files do not form a zoo: {tensor} of {} against {}: {problem}",
                second.display(),
                first.display()
            ),
            Self::Missing { tensor, place, nearest } => {
                write!(f, "{place} has no tensor named {tensor}")?;
                match nearest {
                    Some(name) => write!(f, "; the most similar one is {name}"),
                    None => Ok(()),
                }
            }
            Self::Data { path, place, problem } if place.is_empty() => {
                write!(f, "{}: {problem}", path.display())
            }
            Self::Data { path, place, problem } => {
                write!(f, "{}, {place}: {problem}", path.display())
            }
            Self::NotFinite { step: 0, batch, layer } => {
                write!(f, "the output of {layer} is not finite")?;
                if batch.is_empty() { Ok(()) } else { write!(f, " (samples {batch:?})") }
            }
            Self::NotFinite { step, batch, layer } => write!(
                f,
                "step {step}: the output of {layer} is no longer finite (samples {batch:?}); \
                 lower the learning rate, or look at these samples"
            ),
            Self::Config { key, problem } => write!(f, "{key}: {problem}"),
            Self::Impossible { request, reason, hint } => {
                write!(f, "cannot {request}: {reason}; {hint}")
            }
            Self::Device { device, action, problem } => {
                write!(f, "{device}: cannot {action}: {problem}")
            }
            Self::DeviceMemory { device, asked, free, memory, largest_buffer, fits, saved } => {
                let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
                let asked = asked.map_or("what the driver needs itself".to_owned(), mib);
                write!(
                    f,
                    "{device}: out of memory: asked for {asked}, free are {} of {}, and one \
                     buffer holds {} at most",
                    mib(*free),
                    mib(*memory),
                    mib(*largest_buffer)
                )?;
                match fits {
                    Some(0) => write!(f, "; not even a batch of 1 fits")?,
                    Some(fits) => write!(f, "; a batch of {fits} was tried, and fits")?,
                    None => {}
                }
                let Some(path) = saved else { return Ok(()) };
                write!(
                    f,
                    "; nothing that was written is lost: --resume {} goes on from the last \
                     checkpoint where there is more room, such as on the cpu",
                    path.display()
                )
            }
            Self::Interrupted { saved: Some(path) } => {
                write!(f, "interrupted; resume with --resume {}", path.display())
            }
            Self::Interrupted { saved: None } => write!(f, "interrupted"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// The candidate that `name` is most probably a misspelling of.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // The time is that of both lengths multiplied, and a file may hold names of any length.
    const LONGEST: usize = 200;
    candidates
        .into_iter()
        .filter(|candidate| name.len().max(candidate.len()) <= LONGEST)
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .min()
        .filter(|(distance, _)| *distance <= name.len() / 2)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, one row at a time; used only to suggest a name.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_name_suggests_the_nearest() {
        let error = Error::missing(
            "layer1.0.conv1.weigth",
            "a.safetensors",
            ["fc.bias", "layer1.0.conv1.weight"],
        );
        assert_eq!(
            error.to_string(),
            "a.safetensors has no tensor named layer1.0.conv1.weigth; \
             the most similar one is layer1.0.conv1.weight"
        );
    }

    #[test]
    fn names_that_nobody_types_are_not_compared() {
        let long = "layer".repeat(1_000_000);
        assert_eq!(nearest(&long, [&long[1..]]), None);
        assert_eq!(nearest("layers", [&long[..], "layer"]), Some("layer"));
    }

    #[test]
    fn edit_distance_counts_single_character_changes() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
    }
}
