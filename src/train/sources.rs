//! What a run begins with: from the files of the sources to the network before its first step.

use super::checkpoint::averaged;
use super::choice::FormName;
use super::config::{DataConfig, MethodConfig};
use super::expectation::Expectation;
use super::observe;
use super::{Config, Input, Model};
use crate::nn::{Blueprint, Design, Identified, Network, Role, Values, identified_zoo};
use crate::start::{Fitted, Prepared, Probe, linear_probe};
use crate::tensor::State;
use crate::zoo::{Axes, Checkpoint, Manifest, Naming, Source};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The sources of a run and what they say of themselves.
pub(super) struct Sources {
    pub states: Vec<State<f32>>,
    /// The same, for a reader.
    pub described: Vec<observe::Source>,
    /// With the outputs of the first source.
    pub design: Design,
    /// What the sources expect their images to be.
    pub input: Input,
    /// The network that the run goes on from, instead of sources.
    pub from: Option<Model>,
    /// Tensors that all of them have in the same shape.
    pub shared: usize,
    /// What is to be known of them: of a file with several networks, which was taken; which
    /// normalisation a first layer took over.
    pub notes: Vec<String>,
}

impl Sources {
    /// Opens the files of `config`.
    ///
    /// # Errors
    /// If they cannot be read, form no zoo, or do not say what they are.
    pub fn open(config: &Config) -> Result<Self> {
        let (method, channels) = (&config.method, config.data.channels);
        if let Some(path) = &method.from {
            let (name, rules) = (method.architecture.as_deref(), method.naming()?);
            let checkpoint = Checkpoint::open(path)?.with_axes(method.layout);
            let beside = Input::file_beside(&checkpoint);
            let is_said = Input::is_normalised(&checkpoint.declared());
            let model = Model::from_checkpoint(checkpoint, name, &rules)?;
            if is_said {
                check_normalisation(&config.data, &model)?;
            }
            let (design, input) = (model.design().clone(), model.input.clone());
            check_channels(channels, &design)?;
            let (states, described) = (vec![], vec![]);
            let choice = model.choice.as_ref().map(|choice| format!("{}: {choice}", model.origin));
            let beside = beside.map(|file| {
                format!("{}: expects images as {} says: {input}", model.origin, file.display())
            });
            let notes = choice.into_iter().chain(beside).collect();
            return Ok(Self {
                states,
                described,
                design,
                input,
                from: Some(model),
                shared: 0,
                notes,
            });
        }
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
            let (states, described, notes) = (vec![], vec![], vec![]);
            return Ok(Self { states, described, design, input, from: None, shared: 0, notes });
        }
        let Opened { architecture, sources, described } = opened(&files, method)?;
        let name = name.or(architecture.as_deref());
        if method.form == FormName::Single && sources.len() > 1 {
            return Err(MethodConfig::too_many(sources.len()));
        }
        let (zoo, identified) = identified_zoo(sources, name)?;
        let design = identified[0].design.clone();
        let choice = |(one, source): (&Identified, &Checkpoint)| {
            Some(format!("{}: {}", source.path().display(), one.choice()?))
        };
        let mut notes: Vec<_> = identified.iter().zip(zoo.sources()).filter_map(choice).collect();
        let shared = zoo.names().count();
        let expectations = Expectation::of_all(&zoo, &identified, &config.data)?;
        let beside = |(source, one): (&Checkpoint, &Expectation)| {
            let (path, file) = (source.path().display(), Input::file_beside(source)?);
            Some(format!("{path}: expects images as {} says: {}", file.display(), one.input))
        };
        notes.extend(zoo.sources().iter().zip(&expectations).filter_map(beside));
        let input = expectations[0].input.clone();
        let (states, described) = match method.form {
            FormName::Scratch => (vec![], vec![]),
            _ => {
                let mut states = State::from_zoo(&zoo)?;
                let given = config.data.input(input.clone())?;
                for (state, expectation) in states.iter_mut().zip(&expectations) {
                    notes.extend(expectation.absorb(&design, state, &given)?);
                }
                (states, described)
            }
        };
        if !states.is_empty() {
            check_channels(channels, &design)?;
        }
        if let (true, Some(channels)) = (states.is_empty(), channels) {
            let design = design.with_channels(channels);
            let usual = Input::usual(&design);
            let Input { size, resize, resize_mode, .. } = input;
            let input = Input { size, resize, resize_mode, ..usual };
            return Ok(Self { states, described, design, input, from: None, shared, notes });
        }
        Ok(Self { states, described, design, input, from: None, shared, notes })
    }
}

/// What was found of the sources of a zoo.
#[derive(Clone, Debug)]
pub struct CheckedZoo {
    /// Tensors that all of them have in the same shape.
    pub shared: usize,
    /// What is to be known of them: of a file with several networks, which was taken; which
    /// normalisation a first layer took over.
    pub notes: Vec<String>,
}

/// Opens the sources that a description, or the files themselves, name, as a run does.
///
/// # Errors
/// What a run refuses.
pub fn check_zoo(files: &[PathBuf]) -> Result<CheckedZoo> {
    let mut config = Config::default();
    config.method.zoo = files.to_vec();
    let Sources { shared, notes, .. } = Sources::open(&config)?;
    Ok(CheckedZoo { shared, notes })
}

/// An error if the run wants other channels than its sources see.
fn check_channels(wanted: Option<usize>, design: &Design) -> Result<()> {
    if wanted.is_none_or(|channels| channels == design.channels) {
        return Ok(());
    }
    let problem = format!("the sources see {} channels", design.channels);
    Err(Error::config("data.channels", problem))
}

/// An error if the run wants images of another mean or standard deviation than its network says that
/// it sees.
fn check_normalisation(data: &DataConfig, model: &Model) -> Result<()> {
    let Input { mean, std, .. } = data.input(model.input.clone())?;
    let seen = [("mean", mean, &model.input.mean), ("std", std, &model.input.std)];
    for (key, wanted, seen) in seen {
        if wanted != *seen {
            let problem = format!(
                "{wanted:?} is not what {} was trained with, {seen:?}; leave it out, so that the \
                 network sees what it knows",
                model.origin
            );
            return Err(Error::config(format!("data.{key}"), problem));
        }
    }
    Ok(())
}

/// Open files.
struct Opened {
    /// What a description names.
    architecture: Option<String>,
    /// With the rules for their names.
    sources: Vec<(Checkpoint, Naming)>,
    described: Vec<observe::Source>,
}

/// The checkpoints of the files, or of the sources that a file describes, with the rules for
/// their names.
fn opened(files: &[&PathBuf], method: &MethodConfig) -> Result<Opened> {
    let MethodConfig { rename, prefix, layout, .. } = method;
    let (architecture, entries, sources): (_, Vec<Source>, Vec<_>) = match files {
        [file] if file.extension().is_some_and(|extension| extension == "toml") => {
            for (key, is_given) in [
                ("rename", !rename.is_empty()),
                ("prefix", prefix.is_some()),
                ("layout", *layout != Axes::default()),
            ] {
                if is_given {
                    let file = file.display();
                    let problem = format!("{file} says it of each source: write it there");
                    return Err(Error::config(format!("method.{key}"), problem));
                }
            }
            let Manifest { architecture, sources } = Manifest::read(file)?;
            let open = sources.iter().map(Source::open).collect::<Result<_>>()?;
            (architecture, sources, open)
        }
        _ => {
            let rules = method.naming()?;
            let open = |file: &&PathBuf| {
                let checkpoint = Checkpoint::open(file)?.with_axes(*layout);
                Ok((averaged(checkpoint)?, rules.clone()))
            };
            (None, vec![], files.iter().map(open).collect::<Result<_>>()?)
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
    let described = described(&sources, &entries);
    Ok(Opened { architecture, sources, described })
}

/// What is known of the sources; `entries` are theirs in a description, or none.
fn described(sources: &[(Checkpoint, Naming)], entries: &[Source]) -> Vec<observe::Source> {
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let stems: Vec<String> = sources.iter().map(|(source, _)| stem(source.path())).collect();
    let described = |(at, (source, _)): (usize, &(Checkpoint, Naming))| {
        let (path, entry) = (source.path(), entries.get(at).cloned().unwrap_or_default());
        let said = |keys: &[&str]| keys.iter().find_map(|key| source.metadata().get(*key)).cloned();
        // Many a file is called model.safetensors, and only its folder says whose.
        let is_alone = stems.iter().filter(|other| **other == stems[at]).count() == 1;
        let folder = path.parent().filter(|_| !is_alone).and_then(Path::file_name);
        let usual = match folder {
            Some(folder) => format!("{}/{}", folder.to_string_lossy(), stems[at]),
            None => stems[at].clone(),
        };
        observe::Source {
            name: entry.name.unwrap_or(usual),
            trained_on: said(&["trained_on"]).unwrap_or_default(),
            file: path.display().to_string(),
            bytes: source.file_bytes().unwrap_or(0),
            scores: vec![],
            licence: entry.licence.or_else(|| said(&["licence", "license"])),
            origin: entry.origin.or_else(|| said(&["origin"])),
        }
    };
    sources.iter().enumerate().map(described).collect()
}

/// What a router promised before any tuning, and whether samples are routed by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoutingPromise {
    /// The leave-one-out score of the best source alone: its accuracy, or the share of the values'
    /// variance that it explains.
    pub best_alone: f64,
    /// That of the features of samples that go through the source that fits them.
    pub routed: f64,
    /// The error of the second in parts of the first's.
    pub error_ratio: f64,
    /// The share of samples that goes through each source.
    pub shares: Vec<f64>,
    /// Whether samples are routed.
    pub taken: bool,
}

impl RoutingPromise {
    fn new(fitted: &Fitted, sources: usize, is_guarded: bool) -> Self {
        Self {
            best_alone: fitted.best_alone,
            routed: fitted.routed,
            error_ratio: fitted.error_ratio(),
            shares: fitted.shares(sources),
            taken: !is_guarded || fitted.is_worth_it(),
        }
    }
}

/// The network before its first step.
pub(super) struct Begun {
    pub network: Network<f32>,
    /// What the sources scored, if anything depended on it.
    pub scores: Vec<f64>,
    /// If a router was wanted.
    pub routing: Option<RoutingPromise>,
}

impl Begun {
    fn new(network: Network<f32>) -> Self {
        Self { network, scores: vec![], routing: None }
    }
}

/// The network before its first step, made of `sources` after a look at the samples of `probe`.
pub(super) fn initial_network(
    config: &Config,
    sources: Sources,
    classes: &[String],
    outputs: usize,
    probe: Option<&dyn Probe>,
    mut note: impl FnMut(&str),
) -> Result<Begun> {
    let mut begun = joined(config, sources, classes, outputs, probe, &mut note)?;
    if config.method.linear_probe {
        note("fitting the classifier");
        let problem = "the task has no labelled samples";
        let probe = probe.ok_or_else(|| Error::config("method.linear_probe", problem))?;
        linear_probe(&mut begun.network, probe.labelled())?;
    }
    Ok(begun)
}

/// The same, before its head is fitted.
fn joined(
    config: &Config,
    sources: Sources,
    classes: &[String],
    outputs: usize,
    probe: Option<&dyn Probe>,
    note: impl FnMut(&str),
) -> Result<Begun> {
    if let Some(model) = sources.from {
        let noise = config.task.noise();
        return gone_on_from(model, classes, outputs, noise, config.seed).map(Begun::new);
    }
    let design = sources.design.with_outputs(outputs).with_noise(config.task.noise());
    for source in &sources.states {
        if let Some((name, _)) = source.tensors.iter().find(|(_, tensor)| !tensor.is_finite()) {
            let problem = "holds a value that is not finite; nothing can be tuned from there";
            return Err(Error::format_of(&source.origin, name, problem));
        }
    }
    let form = config.method.form;
    let prepared = match probe {
        Some(probe) => config.method.preparation().prepare(&design, sources.states, probe, note)?,
        None if matches!(form, FormName::Chosen | FormName::Routed) => {
            let name = form.name();
            let problem =
                format!("{name} looks at sources by labelled samples, and the task has none");
            return Err(Error::config("method.form", problem));
        }
        None => Prepared::unprepared(sources.states),
    };
    let promise = |fitted| RoutingPromise::new(fitted, prepared.sources.len(), config.method.guard);
    let routing = prepared.router.as_ref().map(promise);
    if routing.as_ref().is_some_and(|routing| routing.taken) {
        let network = prepared.routed_network(&design, config.seed)?;
        return Ok(Begun { network, scores: prepared.scores, routing });
    }
    let Prepared { sources, scores, prior, .. } = prepared;
    let network = match &sources[..] {
        [] => Network::drawn(&design, config.seed)?,
        sources => Network::from_sources(&design, config.method.form(prior), sources, config.seed)?,
    };
    Ok(Begun { network, scores, routing })
}

/// The network of `model`; with a fresh head, unless it knows just these classes. Noise is as it is asked for.
fn gone_on_from(
    model: Model,
    classes: &[String],
    outputs: usize,
    noise: Option<f64>,
    seed: u64,
) -> Result<Network<f32>> {
    let of = model.design();
    let is_known = model.classes == classes && of.outputs == outputs;
    if is_known && of.noise.is_some() == noise.is_some() {
        return Ok(model.network);
    }
    let mut blueprint = model.network.blueprint().clone();
    blueprint.design = blueprint.design.with_outputs(outputs).with_noise(noise);
    let fresh = Network::<f32>::new(&blueprint, Values::drawn(seed))?;
    let fresh = fresh.parameters();
    let mut state = model.network.parameters().state(model.origin);
    state.tensors.retain(|name, _| fresh.find(name).is_ok());
    for id in fresh.ids().filter(|&id| fresh.role(id) == Role::Head) {
        if !is_known || !state.tensors.contains_key(fresh.name(id)) {
            state.insert(fresh.name(id), fresh.value(id).clone());
        }
    }
    blueprint.build(&state)
}
