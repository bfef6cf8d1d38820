//! What a run begins with: from the sources to the network before its first step.

use super::choice::{FormName, Start};
use super::{Config, Data, Input};
use crate::nn::{Architecture, Blueprint, Builder, Form, Resnet, identified_zoo};
use crate::start;
use crate::tensor::State;
use crate::zoo::{Checkpoint, Manifest, Naming, Source, Zoo};
use crate::{Error, Result};
use std::path::PathBuf;

/// Samples on which the sources are scored, at most.
const SCORED: usize = 2000;

/// Pixels of the images by which channels are matched, at most: enough for stable correlations;
/// time grows with them.
const MATCHED_PIXELS: usize = 1 << 21;

/// The sources of a run and what they say of themselves.
pub(super) struct Sources {
    pub states: Vec<State<f32>>,
    /// With the classes of the first source.
    pub architecture: Architecture,
    /// What the sources expect their images to be.
    pub input: Input,
}

impl Sources {
    /// Opens the files of `config`.
    ///
    /// # Errors
    /// If they cannot be read, form no zoo, or do not say what they are.
    pub fn open(config: &Config) -> Result<Self> {
        let files = match config.form {
            // The files are not used, but may say what the architecture is.
            FormName::Scratch => config.zoo.iter().take(1).collect::<Vec<_>>(),
            _ => config.zoo.iter().collect(),
        };
        let name = config.architecture.as_deref();
        if files.is_empty() {
            let problem = "a run from scratch needs its name";
            let name = name.ok_or_else(|| Error::config("architecture", problem))?;
            let architecture = Architecture::named(name, config.channels.unwrap_or(1), 1)?;
            let input = Input::usual(&architecture);
            return Ok(Self { states: vec![], architecture, input });
        }
        let (described, sources) = opened(&files, &config.rename)?;
        let name = name.or(described.as_deref());
        if config.form == FormName::Single && sources.len() > 1 {
            let problem = format!("form single tunes one source, but {} are given", sources.len());
            return Err(Error::config("zoo", problem));
        }
        let (zoo, architecture) = identified_zoo(sources, name)?;
        let input = input(&zoo, &architecture, config)?;
        let states = State::of_zoo(&zoo)?;
        let states = if config.form == FormName::Scratch { vec![] } else { states };
        let fits = states.is_empty() || config.channels.is_none_or(|c| c == architecture.channels);
        if !fits {
            let problem = format!("the sources see {} channels", architecture.channels);
            return Err(Error::config("channels", problem));
        }
        if let (true, Some(channels)) = (states.is_empty(), config.channels) {
            let architecture = Architecture { channels, ..architecture };
            let usual = Input::usual(&architecture);
            let input = Input { size: input.size, resize: input.resize, ..usual };
            return Ok(Self { states, architecture, input });
        }
        Ok(Self { states, architecture, input })
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
                return Err(Error::config("rename", problem));
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
fn input(zoo: &Zoo, architecture: &Architecture, config: &Config) -> Result<Input> {
    let of = |source: &Checkpoint| {
        let origin = source.path().display().to_string();
        Input::from_metadata(&origin, &source.declared(), architecture)
    };
    let first = of(&zoo.sources()[0])?;
    let chosen = config.mean.is_some() && config.deviation.is_some();
    for source in &zoo.sources()[1..] {
        let input = of(source)?;
        let same = (&first.mean, &first.deviation) == (&input.mean, &input.deviation);
        if !chosen && !same {
            let problem = format!(
                "{} was trained with another normalisation than {}; choose one",
                source.path().display(),
                zoo.sources()[0].path().display()
            );
            return Err(Error::config("mean and deviation", problem));
        }
    }
    Ok(first)
}

/// The network before its first step.
pub(super) struct Beginning {
    pub blueprint: Blueprint,
    pub network: Resnet<f32>,
    /// What the sources scored on the target, if they were asked.
    pub scores: Vec<f64>,
}

/// Makes the network of `config` out of `sources`, by a look at the images `training`.
pub(super) fn begin(
    config: &Config,
    mut sources: Sources,
    data: &Data,
    training: &[usize],
    mut note: impl FnMut(&str),
) -> Result<Beginning> {
    let architecture = Architecture { classes: data.classes().len(), ..sources.architecture };
    for source in &sources.states {
        if let Some((name, _)) = source.tensors.iter().find(|(_, tensor)| !tensor.is_finite()) {
            let problem = "holds a value that is not finite; nothing can be tuned from there";
            return Err(Error::format_of(&source.origin, name, problem));
        }
    }
    let several = sources.states.len() > 1;
    let match_them = several && config.start == Start::Matched;
    let prior = config.gate_prior && matches!(config.form, FormName::Zoo | FormName::Lite);
    let mut scores = vec![];
    if match_them || (several && prior) {
        note("scoring the sources");
        const BATCH: usize = 64;
        let mut spread = spread(training, SCORED);
        fastrand::Rng::with_seed(config.seed).shuffle(&mut spread);
        let loader = data.in_order(Some(&spread), BATCH)?;
        for source in &sources.states {
            let batches = (0..loader.batches_per_epoch() as u64)
                .map(|step| loader.batch(step).map(|batch| (batch.images, batch.labels)));
            scores.push(start::score(&architecture, source, batches)?);
        }
    }
    if match_them {
        note("matching the sources");
        let pixels = sources.input.size.max(1).saturating_pow(2);
        let spread = spread(training, (MATCHED_PIXELS / pixels).clamp(8, 512));
        let images = data.in_order(Some(&spread), spread.len())?.batch(0)?.images;
        let reference = start::best(&scores).unwrap_or(0);
        sources.states = start::matched(&architecture, &sources.states, reference, &images)?;
    }
    let bias = (prior && several).then(|| start::gate_bias(&scores, config.gate_prior_strength));
    let form = config.form(bias);
    let builder = if sources.states.is_empty() {
        Builder::fresh(config.seed)
    } else {
        Builder::from_sources(&sources.states, form.clone(), config.seed)?
    };
    let network = Resnet::new(&architecture, builder)?;
    let count = if form == Form::Plain { 1 } else { sources.states.len() };
    Ok(Beginning { blueprint: Blueprint { architecture, form, sources: count }, network, scores })
}

/// At most so many of the indices, evenly spread: data is often sorted by class.
fn spread(indices: &[usize], most: usize) -> Vec<usize> {
    let count = indices.len().min(most);
    (0..count).map(|k| indices[k * indices.len() / count]).collect()
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn indices_are_spread_evenly() {
        assert_eq!(spread(&[1, 2, 3, 4, 5, 6], 3), [1, 3, 5]);
        assert_eq!(spread(&[1, 2], 3), [1, 2]);
        assert!(spread(&[], 3).is_empty());
    }
}
