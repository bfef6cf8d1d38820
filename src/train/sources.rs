//! What a run begins with: from the files of the sources to the network before its first step.

use super::choice::FormName;
use super::config::MethodConfig;
use super::{Config, Input};
use crate::nn::{Blueprint, Design, Network, identified_zoo};
use crate::start::{Prepared, Probe};
use crate::tensor::State;
use crate::zoo::{Checkpoint, Manifest, Naming, Source, Zoo};
use crate::{Error, Result};
use std::path::PathBuf;

/// The sources of a run and what they say of themselves.
pub(super) struct Sources {
    pub states: Vec<State<f32>>,
    /// With the outputs of the first source.
    pub design: Design,
    /// What the sources expect their images to be.
    pub input: Input,
}

impl Sources {
    /// Opens the files of `config`.
    ///
    /// # Errors
    /// If they cannot be read, form no zoo, or do not say what they are.
    pub fn open(config: &Config) -> Result<Self> {
        let (method, channels) = (&config.method, config.data.channels);
        let files = match method.form {
            // The files are not used, but may say what the architecture is.
            FormName::Scratch => method.zoo.iter().take(1).collect::<Vec<_>>(),
            _ => method.zoo.iter().collect(),
        };
        let name = method.architecture.as_deref();
        if files.is_empty() {
            let problem = "a run from scratch needs its name";
            let name = name.ok_or_else(|| Error::config("method.architecture", problem))?;
            let design = Design::named(name, channels.unwrap_or(1), 1)?;
            let input = Input::usual(&design);
            return Ok(Self { states: vec![], design, input });
        }
        let (described, sources) = opened(&files, &method.rename)?;
        let name = name.or(described.as_deref());
        if method.form == FormName::Single && sources.len() > 1 {
            return Err(MethodConfig::too_many(sources.len()));
        }
        let (zoo, design) = identified_zoo(sources, name)?;
        let input = input(&zoo, &design, config)?;
        let states = State::of_zoo(&zoo)?;
        let states = if method.form == FormName::Scratch { vec![] } else { states };
        let fits = states.is_empty() || channels.is_none_or(|c| c == design.channels);
        if !fits {
            let problem = format!("the sources see {} channels", design.channels);
            return Err(Error::config("data.channels", problem));
        }
        if let (true, Some(channels)) = (states.is_empty(), channels) {
            let design = design.with_channels(channels);
            let usual = Input::usual(&design);
            let input = Input { size: input.size, resize: input.resize, ..usual };
            return Ok(Self { states, design, input });
        }
        Ok(Self { states, design, input })
    }
}

/// Open files with the rules for their names, and the architecture that a description names.
type Opened = (Option<String>, Vec<(Checkpoint, Naming)>);

/// The checkpoints of the files, or of the sources that a file describes, with the rules for
/// their names.
fn opened(files: &[&PathBuf], rename: &[String]) -> Result<Opened> {
    let (described, sources): (_, Vec<_>) = match files {
        [file] if file.extension().is_some_and(|extension| extension == "toml") => {
            if !rename.is_empty() {
                let file = file.display();
                let problem =
                    format!("{file} has rules for each source of its own: write them there");
                return Err(Error::config("method.rename", problem));
            }
            let Manifest { architecture, sources } = Manifest::read(file)?;
            (architecture, sources.iter().map(Source::open).collect::<Result<_>>()?)
        }
        _ => {
            let rules = Naming::of_rules(rename)?;
            let open = |file: &&PathBuf| Ok((Checkpoint::open(file)?, rules.clone()));
            (None, files.iter().map(open).collect::<Result<_>>()?)
        }
    };
    for (source, _) in &sources {
        let declared = source.declared();
        let form = declared.get("form").filter(|_| Blueprint::is_in(&declared));
        if let Some(form) = form.filter(|form| *form != "plain") {
            let problem = format!("is a {form} network; a source is a plain one (see collapse)");
            return Err(Error::config(source.path().display().to_string(), problem));
        }
    }
    Ok((described, sources))
}

/// What the sources expect their images to be: the same of all, unless the run says what.
fn input(zoo: &Zoo, design: &Design, config: &Config) -> Result<Input> {
    let of = |source: &Checkpoint| {
        let origin = source.path().display().to_string();
        Input::from_metadata(&origin, &source.declared(), design)
    };
    let first = of(&zoo.sources()[0])?;
    let chosen = config.data.mean.is_some() && config.data.std.is_some();
    for source in &zoo.sources()[1..] {
        let input = of(source)?;
        let same = (&first.mean, &first.std) == (&input.mean, &input.std);
        if !chosen && !same {
            let problem = format!(
                "{} was trained with another normalisation than {}; choose one by --mean and --std",
                source.path().display(),
                zoo.sources()[0].path().display()
            );
            return Err(Error::config("data.mean and data.std", problem));
        }
    }
    Ok(first)
}

/// The network before its first step, made of `sources` after a look at the samples of `probe`; and
/// what the sources scored, if anything depended on it.
pub(super) fn initial_network(
    config: &Config,
    sources: Sources,
    outputs: usize,
    probe: Option<&dyn Probe>,
    note: impl FnMut(&str),
) -> Result<(Network<f32>, Vec<f64>)> {
    let design = sources.design.with_outputs(outputs);
    for source in &sources.states {
        if let Some((name, _)) = source.tensors.iter().find(|(_, tensor)| !tensor.is_finite()) {
            let problem = "holds a value that is not finite; nothing can be tuned from there";
            return Err(Error::format_of(&source.origin, name, problem));
        }
    }
    let Prepared { sources, scores, prior } = match probe {
        Some(probe) => config.method.preparation().prepare(&design, sources.states, probe, note)?,
        None => Prepared { sources: sources.states, ..Prepared::default() },
    };
    let network = match &sources[..] {
        [] => Network::drawn(&design, config.seed)?,
        sources => Network::from_sources(&design, config.method.form(prior), sources, config.seed)?,
    };
    Ok((network, scores))
}
