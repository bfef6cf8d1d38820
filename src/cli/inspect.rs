//! `inspect`: what is in checkpoint files.

use super::output::{self, Output, Result};
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use zoo_tuning::zoo::{Checkpoint, Zoo};

/// Show the tensors of checkpoint files, and whether the files form a zoo.
///
/// Files form a zoo if they have the same tensors in the same shapes; only the head may differ.
/// Values are not read, so that files of any size are shown at once.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zoo-tuning inspect model.safetensors
  zoo-tuning inspect data/zoo/*.safetensors --brief
  zoo-tuning inspect a.safetensors b.safetensors --json | jq .zoo.forms")]
pub struct Arguments {
    /// Checkpoint files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Names of tensors that may differ between the files begin with this
    #[arg(long, value_name = "PREFIX", default_values_t = ["fc.".to_owned()])]
    except: Vec<String>,
    /// Leave out the list of tensors
    #[arg(long)]
    brief: bool,
}

#[derive(Serialize)]
struct Report {
    files: Vec<File>,
    zoo: Option<ZooReport>,
}

#[derive(Serialize)]
struct File {
    file: String,
    bytes: u64,
    parameters: u64,
    metadata: BTreeMap<String, String>,
    tensors: Vec<Tensor>,
}

#[derive(Serialize)]
struct Tensor {
    name: String,
    dtype: &'static str,
    shape: Vec<usize>,
    bytes: u64,
}

#[derive(Serialize)]
struct ZooReport {
    forms: bool,
    sources: usize,
    /// Tensors that all files share.
    shared: usize,
    problem: Option<String>,
}

pub fn run(arguments: Arguments, output: &mut Output) -> Result {
    let mut checkpoints = Vec::with_capacity(arguments.files.len());
    let mut report = Report { files: Vec::new(), zoo: None };
    for path in &arguments.files {
        let checkpoint = Checkpoint::open(path)?;
        report.files.push(file(&checkpoint)?);
        checkpoints.push(checkpoint);
    }
    if checkpoints.len() > 1 {
        let sources = checkpoints.len();
        let except: Vec<&str> = arguments.except.iter().map(String::as_str).collect();
        report.zoo = Some(match Zoo::from_checkpoints(checkpoints, &except) {
            Ok(zoo) => {
                ZooReport { forms: true, sources, shared: zoo.names().count(), problem: None }
            }
            Err(error) => {
                ZooReport { forms: false, sources, shared: 0, problem: Some(error.to_string()) }
            }
        });
    }
    if output.json {
        return output.object(&report);
    }
    for file in &report.files {
        show(file, arguments.brief, output)?;
    }
    match report.zoo {
        Some(ZooReport { problem: Some(problem), .. }) => output.line(output::printable(&problem)),
        Some(ZooReport { sources, shared, .. }) => {
            output.line(format!("these {sources} files form a zoo: {shared} tensors in common"))
        }
        None => Ok(()),
    }
}

fn file(checkpoint: &Checkpoint) -> Result<File> {
    let path = checkpoint.path();
    let bytes = std::fs::metadata(path).map_err(zoo_tuning::Error::io("read", path))?.len();
    let mut tensors: Vec<Tensor> = checkpoint
        .iter()
        .map(|view| Tensor {
            name: view.name().to_owned(),
            dtype: view.dtype().name(),
            shape: view.shape().to_vec(),
            bytes: view.byte_len() as u64,
        })
        .collect();
    tensors.sort_by(|a, b| natural(&a.name).cmp(&natural(&b.name)));
    Ok(File {
        file: path.display().to_string(),
        bytes,
        parameters: checkpoint.iter().map(|view| view.len() as u64).sum(),
        metadata: checkpoint.metadata().clone(),
        tensors,
    })
}

/// Characters of a text that are shown.
const LONGEST: usize = 100;

fn show(file: &File, brief: bool, output: &mut Output) -> Result {
    let size = format!(
        "{} tensors, {} numbers, {}",
        file.tensors.len(),
        output::count(file.parameters),
        output::bytes(file.bytes)
    );
    output.line(format!("{}: {size}", output.bold(&file.file)))?;
    for (key, text) in &file.metadata {
        // A text may be of any length, and hold anything.
        let mut shown: String = output::printable(text).chars().take(LONGEST).collect();
        if text.chars().count() > LONGEST {
            shown += "...";
        }
        output.line(format!("  {} = {shown}", output::printable(key)))?;
    }
    if !brief {
        let mut rows = vec![["  tensor", "type", "shape", "bytes"].map(str::to_owned).to_vec()];
        rows.extend(file.tensors.iter().map(|tensor| {
            vec![
                format!("  {}", output::printable(&tensor.name)),
                tensor.dtype.to_owned(),
                format!("{:?}", tensor.shape),
                output::count(tensor.bytes),
            ]
        }));
        output.table(&rows)?;
    }
    Ok(())
}

/// A part of a name: digits are compared by their number, so that `layer10` follows `layer9`.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    /// Without leading zeros, by length first: no number is too large.
    Number(usize, &'a str),
    Text(&'a str),
}

fn natural(name: &str) -> Vec<Part<'_>> {
    name.as_bytes()
        .chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit())
        .filter_map(|part| std::str::from_utf8(part).ok())
        .map(|part| {
            let digits = part.trim_start_matches('0');
            if part.starts_with(|c: char| c.is_ascii_digit()) {
                Part::Number(digits.len(), digits)
            } else {
                Part::Text(part)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn numbers_in_names_are_compared_as_numbers() {
        let mut names =
            ["layer10.1", "layer9.0", "layer9.00", "bn", "é2", "layer9.10", "2", "layer9.2", "10"];
        names.sort_by(|a, b| natural(a).cmp(&natural(b)));
        assert_eq!(names[..2], ["2", "10"]);
        assert_eq!(names[2], "bn");
        assert_eq!(names[5..], ["layer9.2", "layer9.10", "layer10.1", "é2"]);
    }
}
