//! `inspect`: what is in checkpoint files.

use super::data::NetworkNames;
use super::output::{self, Output, Result, Stop};
use crate::nn::{Blueprint, Identified, Nearness};
use crate::zoo::{Checkpoint, Format, Naming, TensorView, Zoo};
use clap::Args;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Show what is in checkpoint files, which network they hold, and whether they form a zoo.
///
/// The formats: safetensors, PyTorch (.pth, old and new), pickles of NumPy arrays, .npy, .npz, ONNX,
/// and indices of several files. Values are not read, so that files of any size are shown at once;
/// and nothing that a file says is ever run, so that an untrusted .pth can be looked at safely: what
/// it would have Python import and call is listed.
///
/// With --as, a file is compared with a network: what is missing, unexpected, or has another shape.
/// Files form a zoo if they have the same tensors in the same shapes; only the head may differ.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zoo-tuning inspect model.pth
  zoo-tuning inspect moco_v1_200ep_pretrain.pth.tar --as resnet50
  zoo-tuning inspect data/zoo/*.safetensors --brief
  zoo-tuning inspect twins.pth --prefix model.
  zoo-tuning inspect odd.pth --as resnet18 --rename '^net\\.stem=conv1' --rename 'downsample=shortcut'
  zoo-tuning inspect a.safetensors b.safetensors --json | jq .zoo.forms")]
pub struct Arguments {
    /// Checkpoint files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    network: NetworkNames,
    /// Names of tensors that may differ between the files begin with this [default: those of the
    /// network's head, or fc.]
    #[arg(long, value_name = "PREFIX")]
    except: Vec<String>,
    /// Leave out the list of tensors
    #[arg(long)]
    brief: bool,
    /// Read all values too: their sum, the smallest, the largest, and how many are not finite; of
    /// types that are only carried from file to file, such as C64, nothing
    #[arg(long, conflicts_with = "brief")]
    statistics: bool,
}

#[derive(Serialize)]
struct Report {
    files: Vec<File>,
    zoo: Option<ZooReport>,
}

#[derive(Serialize)]
struct File {
    file: String,
    #[serde(serialize_with = "id")]
    format: Format,
    bytes: u64,
    parameters: u64,
    metadata: BTreeMap<String, String>,
    /// What a pickle would have Python import and call, beside its tensors.
    foreign: Vec<ForeignReport>,
    network: Option<NetworkReport>,
    /// What the file comes near to, if it holds no network that is known here.
    near: Option<NearnessReport>,
    tensors: Vec<Tensor>,
}

/// The word for a format.
fn id<S: serde::Serializer>(
    format: &Format,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(format.id())
}

#[derive(Serialize)]
struct ForeignReport {
    name: String,
    count: usize,
    calls: Vec<String>,
}

/// How a file fits a network.
#[derive(Serialize)]
struct NetworkReport {
    architecture: String,
    fits: bool,
    prefix: String,
    /// The prefix and the layout, for a human.
    names: String,
    found: usize,
    missing: Vec<String>,
    misshapen: Vec<String>,
    unexpected: Vec<String>,
    /// Why the file does not hold the network although its tensors are there.
    caveat: Option<String>,
    /// What names begin with where the file holds the network once more.
    elsewhere: Vec<String>,
    /// The same, for a human.
    #[serde(skip)]
    choice: Option<String>,
}

#[derive(Serialize)]
struct NearnessReport {
    kind: &'static str,
    architecture: Option<String>,
    differences: Vec<String>,
    /// All of it, for a human.
    text: String,
}

#[derive(Serialize)]
struct Tensor {
    name: String,
    dtype: &'static str,
    shape: Vec<usize>,
    bytes: u64,
    #[serde(flatten)]
    statistics: Option<Statistics>,
}

/// Of a tensor's values, as `f64`; of those that are finite, if there are any.
#[derive(Serialize)]
struct Statistics {
    sum: f64,
    min: Option<f64>,
    max: Option<f64>,
    not_finite: usize,
}

#[derive(Serialize)]
struct ZooReport {
    forms: bool,
    sources: usize,
    /// Tensors that all files share.
    shared: usize,
    problem: Option<String>,
}

/// Whether a file says that it holds a zoo, per sample or lite.
fn is_mixed(checkpoint: &Checkpoint) -> bool {
    let declared = checkpoint.declared();
    Blueprint::is_in(&declared) && declared.get("form").is_some_and(|form| form != "plain")
}

pub fn run(arguments: Arguments, output: &mut Output) -> Result {
    let rules = arguments.network.rules()?;
    let named = arguments.network.architecture.as_deref();
    let look = |path: &PathBuf| -> crate::Result<_> {
        let checkpoint = Checkpoint::open(path)?;
        let mut file = file(&checkpoint, arguments.statistics)?;
        let identified = match named {
            Some(name) => Some(Identified::compared(&checkpoint, name, &rules)?),
            None => match Identified::or_nearness(&checkpoint, &rules)? {
                Ok(identified) => Some(identified),
                // A zoo that was written here says what it is.
                Err(_) if is_mixed(&checkpoint) => None,
                Err(nearness) => {
                    file.near = Some(near(&nearness));
                    None
                }
            },
        };
        file.network = identified.as_ref().map(network);
        Ok((file, (checkpoint, identified)))
    };
    // Side by side; the error of the first file comes first all the same.
    let looked: Vec<_> = arguments.files.par_iter().map(look).collect();
    let looked: crate::Result<Vec<_>> = looked.into_iter().collect();
    let (files, checkpoints): (Vec<_>, Vec<_>) = looked?.into_iter().unzip();
    let mut report = Report { files, zoo: None };
    if checkpoints.len() > 1 {
        let first = checkpoints.iter().find_map(|(_, identified)| identified.as_ref());
        let head = first.map_or(&["fc."][..], |one| one.design.architecture().head());
        let except: Vec<&str> = match &arguments.except[..] {
            [] => head.to_vec(),
            chosen => chosen.iter().map(String::as_str).collect(),
        };
        report.zoo = Some(zoo(&checkpoints, &rules, &except, named.is_some()));
    }
    let fits = |file: &File| file.network.as_ref().is_none_or(|network| network.fits);
    let all_fit = report.files.iter().all(fits);
    if output.json {
        output.object(&report)?;
    } else {
        for file in &report.files {
            show(file, arguments.brief, named.is_some(), output)?;
        }
        match report.zoo {
            Some(ZooReport { problem: Some(problem), .. }) => {
                output.line(output::printable(&problem))?;
            }
            Some(ZooReport { sources, shared, .. }) => {
                let text = format!("these {sources} files form a zoo: {shared} tensors in common");
                output.line(text)?;
            }
            None => {}
        }
    }
    if all_fit { Ok(()) } else { Err(Stop::Failed) }
}

/// Whether the files form a zoo: under the names that were asked for, or, if they do not and no
/// network was named, under those of the network that all of them hold.
fn zoo(
    checkpoints: &[(Checkpoint, Option<Identified>)],
    rules: &Naming,
    except: &[&str],
    named: bool,
) -> ZooReport {
    let sources = checkpoints.len();
    let form = |sources: Vec<crate::Result<Checkpoint>>| {
        Zoo::from_checkpoints(sources.into_iter().collect::<crate::Result<_>>()?, except)
    };
    let asked = |(file, identified): &(Checkpoint, Option<Identified>)| match identified {
        Some(identified) if named => identified.network(file.clone()),
        _ => rules.renamed(file.clone()),
    };
    let held = |(file, identified): &(Checkpoint, Option<Identified>)| {
        Some(identified.as_ref()?.network(file.clone()))
    };
    let zoo =
        form(checkpoints.par_iter().map(asked).collect()).or_else(|error| {
            match checkpoints.par_iter().map(held).collect::<Option<Vec<_>>>() {
                Some(sources) if !named => form(sources),
                _ => Err(error),
            }
        });
    match zoo {
        Ok(zoo) => ZooReport { forms: true, sources, shared: zoo.names().count(), problem: None },
        Err(error) => {
            ZooReport { forms: false, sources, shared: 0, problem: Some(error.to_string()) }
        }
    }
}

fn network(identified: &Identified) -> NetworkReport {
    let Identified { design, naming, fit, elsewhere } = identified;
    NetworkReport {
        architecture: design.name().to_owned(),
        fits: identified.is_complete(),
        prefix: naming.prefix().to_owned(),
        names: naming.to_string(),
        found: fit.found,
        missing: fit.missing.iter().map(ToString::to_string).collect(),
        misshapen: fit.misshapen.iter().map(ToString::to_string).collect(),
        unexpected: fit.unexpected.clone(),
        caveat: identified.caveat().map(str::to_owned),
        elsewhere: elsewhere.clone(),
        choice: identified.choice(),
    }
}

fn near(nearness: &Nearness) -> NearnessReport {
    let differences = match nearness {
        Nearness::Variant { differences, .. } => differences.clone(),
        _ => Vec::new(),
    };
    NearnessReport {
        kind: nearness.id(),
        architecture: nearness.architecture().map(str::to_owned),
        differences,
        text: nearness.to_string(),
    }
}

fn file(checkpoint: &Checkpoint, with_statistics: bool) -> crate::Result<File> {
    let path = checkpoint.path();
    let tensor = |view: &TensorView| {
        Ok(Tensor {
            name: view.name().to_owned(),
            dtype: view.dtype().name(),
            shape: view.shape().to_vec(),
            bytes: view.byte_len() as u64,
            statistics: (with_statistics && !view.dtype().is_opaque())
                .then(|| statistics(view))
                .transpose()?,
        })
    };
    let mut tensors = checkpoint.iter().map(tensor).collect::<crate::Result<Vec<_>>>()?;
    tensors.sort_by(|a, b| natural(&a.name).cmp(natural(&b.name)));
    let foreign = checkpoint.foreign().iter().map(|foreign| ForeignReport {
        name: foreign.name.clone(),
        count: foreign.count,
        calls: foreign.calls.clone(),
    });
    Ok(File {
        file: path.display().to_string(),
        format: checkpoint.format(),
        bytes: checkpoint.file_bytes()?,
        parameters: checkpoint.iter().map(|view| view.len() as u64).sum(),
        metadata: checkpoint.metadata().clone(),
        foreign: foreign.collect(),
        network: None,
        near: None,
        tensors,
    })
}

fn statistics(view: &TensorView) -> crate::Result<Statistics> {
    let values = view.to_vec::<f64>()?;
    let finite = values.iter().copied().filter(|value| value.is_finite());
    // Neumaier's sum, which loses nothing that matters.
    let (mut sum, mut lost) = (0.0, 0.0);
    for value in finite.clone() {
        let next: f64 = sum + value;
        lost +=
            if f64::abs(sum) >= value.abs() { (sum - next) + value } else { (value - next) + sum };
        sum = next;
    }
    Ok(Statistics {
        sum: sum + lost,
        min: finite.clone().reduce(f64::min),
        max: finite.clone().reduce(f64::max),
        not_finite: values.len() - finite.count(),
    })
}

/// Characters of a text that are shown.
const LONGEST: usize = 100;

/// A text of a file, which may be of any length and hold anything.
fn shortened(text: &str) -> String {
    let mut shown: String = output::printable(text).chars().take(LONGEST).collect();
    if text.chars().count() > LONGEST {
        shown += "...";
    }
    shown
}

fn show(file: &File, brief: bool, compared: bool, output: &mut Output) -> Result {
    let size = format!(
        "{}, {} {}, {} numbers, {}",
        file.format,
        file.tensors.len(),
        if file.tensors.len() == 1 { "tensor" } else { "tensors" },
        output::count(file.parameters),
        output::bytes(file.bytes)
    );
    output.line(format!("{}: {size}", output.bold(&file.file)))?;
    for (key, text) in &file.metadata {
        output.line(format!("  {} = {}", shortened(key), shortened(text)))?;
    }
    show_foreign(&file.foreign, output)?;
    match &file.network {
        Some(network) if compared => show_network(network, output)?,
        Some(NetworkReport { architecture, names, .. }) => {
            output.line(format!("  holds a {architecture}, names {names}"))?;
        }
        None => {}
    }
    if let Some(choice) = file.network.as_ref().and_then(|network| network.choice.as_ref()) {
        output.line(format!("  {}", output::printable(choice)))?;
    }
    if let Some(near) = &file.near {
        output.line(format!("  {}", output::printable(&near.text)))?;
    }
    if !brief {
        let mut rows = vec![["  tensor", "type", "shape", "bytes"].map(str::to_owned).to_vec()];
        if file.tensors.iter().any(|tensor| tensor.statistics.is_some()) {
            rows[0].extend(["sum", "smallest", "largest", "not finite"].map(str::to_owned));
        }
        rows.extend(file.tensors.iter().map(|tensor| {
            let mut row = vec![
                format!("  {}", output::printable(&tensor.name)),
                tensor.dtype.to_owned(),
                format!("{:?}", tensor.shape),
                output::count(tensor.bytes),
            ];
            if let Some(Statistics { sum, min, max, not_finite }) = tensor.statistics {
                let shown = |value: Option<f64>| value.map_or("-".into(), |v| format!("{v:.6}"));
                row.extend([Some(sum), min, max].map(shown));
                row.push(not_finite.to_string());
            }
            row
        }));
        output.table(&rows)?;
    }
    Ok(())
}

fn show_foreign(foreign: &[ForeignReport], output: &mut Output) -> Result {
    if foreign.is_empty() {
        return Ok(());
    }
    output
        .line("  Python would import for this file, beside what tensors need (nothing was run):")?;
    for ForeignReport { name, count, calls } in foreign {
        if calls.is_empty() {
            output.line(format!("    {}", shortened(name)))?;
        }
        for call in calls {
            output.line(format!("    {}", shortened(call)))?;
        }
        if *count > calls.len() && !calls.is_empty() {
            output.line(format!("    and {} more calls of it", count - calls.len()))?;
        }
    }
    Ok(())
}

fn show_network(network: &NetworkReport, output: &mut Output) -> Result {
    let NetworkReport { architecture, fits, names, found, .. } = network;
    let judgement = if *fits { "fits" } else { "does not fit" };
    let names = output::printable(names);
    output.line(format!("  {judgement} {architecture}: {found} tensors found, names {names}"))?;
    if let Some(caveat) = &network.caveat {
        output.line(format!("  {caveat}"))?;
    }
    for (what, all) in [
        ("missing", &network.missing),
        ("of another shape", &network.misshapen),
        ("unexpected", &network.unexpected),
    ] {
        const MOST: usize = 20;
        if !all.is_empty() {
            output.line(format!("  {} {what}:", all.len()))?;
        }
        for name in all.iter().take(MOST) {
            output.line(format!("    {}", output::printable(name)))?;
        }
        if all.len() > MOST {
            output.line(format!("    and {} more (--json lists all)", all.len() - MOST))?;
        }
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

/// The parts of a name, one by one: they are compared without being kept.
fn natural(name: &str) -> impl Iterator<Item = Part<'_>> {
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
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn numbers_in_names_are_compared_as_numbers() {
        let mut names =
            ["layer10.1", "layer9.0", "layer9.00", "bn", "é2", "layer9.10", "2", "layer9.2", "10"];
        names.sort_by(|a, b| natural(a).cmp(natural(b)));
        assert_eq!(names[..2], ["2", "10"]);
        assert_eq!(names[2], "bn");
        assert_eq!(names[5..], ["layer9.2", "layer9.10", "layer10.1", "é2"]);
    }
}
