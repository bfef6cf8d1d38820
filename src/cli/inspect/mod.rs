//! `inspect`: what is in checkpoint files.

mod mixed;
mod network;
mod tensors;

use super::data::NetworkNames;
use super::output::{self, Output, Result, Stop, failure};
use crate::nn::Identified;
use crate::zoo::{Checkpoint, Format, Naming, Zoo};
use clap::Args;
use mixed::MixedReport;
use network::{NearnessReport, NetworkReport};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tensors::Tensor;

/// Show what is in checkpoint files, which network they hold, and whether they form a zoo.
///
/// The formats: safetensors, PyTorch (.pth, old and new), pickles of NumPy arrays, .npy, .npz, ONNX,
/// and indices of several files. Values are not read, so that files of any size are shown at once;
/// and nothing that a file says is ever run, so that an untrusted .pth can be looked at safely: what
/// it would have Python import and call is listed.
///
/// Of a zoo that was written here, its sources are listed: their names, what they scored before
/// tuning, and how its gates weigh them.
///
/// What of a file is not the network's, such as the head of another task, is named part by part, and
/// so is a head that is missing: a source needs none.
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
    files: Vec<Entry>,
    zoo: Option<ZooReport>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Entry {
    Read(Box<File>),
    /// Why it cannot be read.
    Failed {
        file: String,
        problem: String,
    },
}

#[derive(Serialize)]
struct File {
    file: String,
    /// What it was called before, if it is given once more.
    same_as: Option<String>,
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
    /// The sources and gates of a zoo that was written here.
    mixed: Option<MixedReport>,
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

#[derive(Serialize)]
struct ZooReport {
    forms: bool,
    sources: usize,
    /// Tensors that all files share.
    shared: usize,
    /// Files that were given before.
    repeated: usize,
    problem: Option<String>,
}

pub fn run(arguments: Arguments, output: &mut Output) -> Result {
    let rules = arguments.network.rules()?;
    let named = arguments.network.architecture.as_deref();
    let look = |path: &PathBuf| -> crate::Result<_> {
        let checkpoint = arguments.network.open(path)?;
        let mut file = file(&checkpoint, arguments.statistics)?;
        let identified = match named {
            Some(name) => Some(Identified::compared(&checkpoint, name, &rules)?),
            // A zoo that was written here says what it is.
            None if mixed::is_mixed(&checkpoint) => {
                match MixedReport::new(checkpoint.clone(), &rules) {
                    Ok(mixed) => file.mixed = Some(mixed),
                    Err(error) => file.near = Some(NearnessReport::broken(&error)),
                }
                None
            }
            None => match Identified::or_nearness(&checkpoint, &rules)? {
                Ok(identified) => Some(identified),
                Err(nearness) => {
                    file.near = Some(NearnessReport::new(&nearness));
                    None
                }
            },
        };
        file.network = identified.as_ref().map(NetworkReport::new);
        Ok((file, (checkpoint, identified)))
    };
    // Side by side.
    let looked: Vec<_> = arguments.files.par_iter().map(look).collect();
    let (mut files, mut checkpoints) = (Vec::new(), Vec::new());
    for (path, looked) in arguments.files.iter().zip(looked) {
        files.push(match looked {
            Ok((mut file, checkpoint)) => {
                let before = arguments.files.iter().take(files.len());
                file.same_as = same_file(path, before).map(|path| path.display().to_string());
                checkpoints.push(checkpoint);
                Entry::Read(Box::new(file))
            }
            Err(error) => {
                Entry::Failed { file: path.display().to_string(), problem: error.to_string() }
            }
        });
    }
    let mut report = Report { files, zoo: None };
    let is_repeated = |entry: &&Entry| matches!(entry, Entry::Read(file) if file.same_as.is_some());
    let repeated = report.files.iter().filter(is_repeated).count();
    if checkpoints.len() > 1 && checkpoints.len() == report.files.len() {
        let first = checkpoints.iter().find_map(|(_, identified)| identified.as_ref());
        let head = first.map_or(&["fc."][..], |one| one.design.architecture().head());
        let except: Vec<&str> = match &arguments.except[..] {
            [] => head.to_vec(),
            chosen => chosen.iter().map(String::as_str).collect(),
        };
        let zoo = zoo(&checkpoints, &rules, &except, named.is_some());
        report.zoo = Some(ZooReport { repeated, ..zoo });
    }
    let is_well = |entry: &Entry| match entry {
        Entry::Read(file) => file.network.as_ref().is_none_or(NetworkReport::fits),
        Entry::Failed { .. } => false,
    };
    let all_are_well = report.files.iter().all(is_well);
    if output.json {
        output.object(&report)?;
    }
    for entry in &report.files {
        match entry {
            Entry::Failed { problem, .. } => {
                // In their order with what is listed.
                output.finish()?;
                failure(problem);
            }
            Entry::Read(file) if !output.json => {
                show(file, arguments.brief, named.is_some(), output)?;
            }
            Entry::Read(_) => {}
        }
    }
    match report.zoo.filter(|_| !output.json) {
        Some(ZooReport { problem: Some(problem), .. }) => {
            output.line(output::printable(&problem))?;
        }
        Some(ZooReport { sources, shared, repeated, .. }) => {
            let text = format!("these {sources} files form a zoo: {shared} tensors in common");
            let again = match repeated {
                0 => String::new(),
                count => format!("; {count} of them given before"),
            };
            output.line(text + &again)?;
        }
        None => {}
    }
    if all_are_well { Ok(()) } else { Err(Stop::Failed) }
}

/// That of the paths `before` that leads to the same file, by another name or a link too.
fn same_file<'a>(
    path: &Path,
    mut before: impl Iterator<Item = &'a PathBuf>,
) -> Option<&'a PathBuf> {
    let place = path.canonicalize().ok()?;
    before.find(|other| other.canonicalize().is_ok_and(|other| other == place))
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
        Ok(zoo) => {
            let shared = zoo.names().count();
            ZooReport { forms: true, sources, shared, repeated: 0, problem: None }
        }
        Err(error) => {
            let problem = Some(error.to_string());
            ZooReport { forms: false, sources, shared: 0, repeated: 0, problem }
        }
    }
}

fn file(checkpoint: &Checkpoint, with_statistics: bool) -> crate::Result<File> {
    let path = checkpoint.path();
    let foreign = checkpoint.foreign().iter().map(|foreign| ForeignReport {
        name: foreign.name.clone(),
        count: foreign.count,
        calls: foreign.calls.clone(),
    });
    Ok(File {
        file: path.display().to_string(),
        same_as: None,
        format: checkpoint.format(),
        bytes: checkpoint.file_bytes()?,
        parameters: checkpoint.iter().map(|view| view.len() as u64).sum(),
        metadata: checkpoint.metadata().clone(),
        foreign: foreign.collect(),
        network: None,
        near: None,
        mixed: None,
        tensors: tensors::tensors(checkpoint, with_statistics)?,
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
    if let Some(same_as) = &file.same_as {
        output.line(format!("  the same file as {}", output::printable(same_as)))?;
    }
    if let Some(network) = &file.network {
        network.show(compared, output)?;
    }
    if let Some(near) = &file.near {
        near.show(output)?;
    }
    if let Some(mixed) = &file.mixed {
        mixed.show(output)?;
    }
    if brief { Ok(()) } else { tensors::show(&file.tensors, output) }
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
