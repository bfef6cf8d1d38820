//! What a run is to do, as a file says it: `config.toml`.
//!
//! A configuration is made of layers, each over the one before: the defaults, a file, flags.
//! In all of them the keys have the same names; a preset of a layer lies right under it.

use super::choice::*;
use super::{Augmentation, Input};
use crate::nn::{Aligned, AlignedLayers, Design, Form, Mixing};
use crate::ops::GateFunction;
use crate::optim::{Decay, Group, Groups, Rule, Schedule};
use crate::start::Preparation;
use crate::{Error, Result, error};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// More steps than any run can take.
pub(super) const MOST_STEPS: u64 = 1 << 40;

/// Everything that decides what a run computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the command line's help describes each key")]
pub struct Config {
    pub zoo: Vec<PathBuf>,
    pub rename: Vec<String>,
    pub data: PathBuf,
    pub form: FormName,
    pub architecture: Option<String>,
    pub start: Start,
    pub gate_prior: bool,
    pub gate_prior_strength: f64,
    pub gate: GateName,
    /// `usual`, `all`, `none`, or names of layers with commas between them.
    pub align: String,
    pub align_pointwise: bool,
    pub shortcuts_per_sample: bool,
    pub optimizer: OptimizerName,
    pub learning_rate: f64,
    pub momentum: f64,
    pub nesterov: bool,
    pub backbone_rate: f64,
    pub alignment_rate: f64,
    pub gate_rate: f64,
    pub head_rate: f64,
    pub weight_decay: f64,
    pub backbone_decay: Option<f64>,
    pub alignment_decay: Option<f64>,
    pub gate_decay: Option<f64>,
    pub head_decay: Option<f64>,
    pub schedule: ScheduleName,
    pub warmup: usize,
    pub milestones: Vec<usize>,
    pub factor: f64,
    /// One of `epochs` and `steps` is given.
    pub epochs: Option<u64>,
    pub steps: Option<u64>,
    pub batch: usize,
    pub label_smoothing: f64,
    pub size: Option<usize>,
    pub resize: Option<usize>,
    pub channels: Option<usize>,
    pub mean: Option<Vec<f32>>,
    pub deviation: Option<Vec<f32>>,
    pub augmentation: AugmentationName,
    pub shots: Option<usize>,
    pub validation: f64,
    pub test: f64,
    pub seed: u64,
    pub log_every: u64,
    /// In steps; 0 is once an epoch.
    pub validate_every: u64,
    pub checkpoint_every: u64,
    pub threads: Option<u16>,
}

impl Default for Config {
    fn default() -> Self {
        let Aligned { layers, pointwise } = Aligned::default();
        Self {
            zoo: vec![],
            rename: vec![],
            data: PathBuf::new(),
            form: FormName::Lite,
            architecture: None,
            start: Start::Matched,
            gate_prior: true,
            gate_prior_strength: crate::start::STRENGTH,
            gate: GateName::Softmax,
            align: layers.to_text(),
            align_pointwise: pointwise,
            shortcuts_per_sample: false,
            optimizer: OptimizerName::Sgd,
            learning_rate: 0.01,
            momentum: 0.9,
            nesterov: true,
            backbone_rate: 1.0,
            alignment_rate: 1.0,
            gate_rate: 1.0,
            head_rate: 1.0,
            weight_decay: 5e-4,
            backbone_decay: None,
            alignment_decay: None,
            gate_decay: None,
            head_decay: None,
            schedule: ScheduleName::Cosine,
            warmup: 0,
            milestones: vec![],
            factor: 0.1,
            epochs: Some(20),
            steps: None,
            batch: 32,
            label_smoothing: 0.0,
            size: None,
            resize: None,
            channels: None,
            mean: None,
            deviation: None,
            augmentation: AugmentationName::Shift,
            shots: None,
            validation: 0.1,
            test: 0.0,
            seed: 1,
            log_every: 1,
            validate_every: 0,
            checkpoint_every: 100,
            threads: None,
        }
    }
}

impl Config {
    /// All keys.
    pub fn keys() -> Vec<String> {
        // As JSON, where nothing is left out: TOML has no null.
        match serde_json::to_value(Self::default()) {
            Ok(serde_json::Value::Object(map)) => map.into_iter().map(|(key, _)| key).collect(),
            _ => vec![],
        }
    }

    /// Reads the file at `path` and puts `flags` over it.
    ///
    /// # Errors
    /// If the file cannot be read or is no TOML; if a key is unknown or its value unusable.
    pub fn read(path: Option<&Path>, flags: Table) -> Result<Self> {
        let (mut file, mut origin) = (Table::new(), String::new());
        if let Some(path) = path {
            let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
            file = text
                .parse()
                .map_err(|error: toml::de::Error| Error::format(path, error.to_string().trim()))?;
            origin = path.display().to_string();
        }
        Self::layered(&origin, file, flags)
    }

    /// The defaults, the presets that `file` names under the key `preset`, `file`, the presets
    /// that `flags` names, and `flags`, each over the one before; `origin` is the file's name
    /// for messages.
    ///
    /// # Errors
    /// If a key is unknown or its value unusable.
    pub fn layered(origin: &str, mut file: Table, mut flags: Table) -> Result<Self> {
        let keys = Self::keys();
        let in_file = |key: &str| {
            if origin.is_empty() { key.to_owned() } else { format!("{origin}: {key}") }
        };
        let of_file = presets(file.remove("preset"))?;
        let of_flags = presets(flags.remove("preset"))?;
        let mut merged = Table::try_from(Self::default())
            .map_err(|error| Error::config("defaults", error.to_string()))?;
        of_file.into_iter().try_for_each(|preset| put_preset(&mut merged, preset))?;
        for key in file.keys() {
            if !keys.contains(key) {
                let problem = match error::nearest(key, keys.iter().map(String::as_str)) {
                    Some(near) => format!("there is no such key; did you mean {near}?"),
                    None => format!("there is no such key; there are {}", keys.join(", ")),
                };
                return Err(Error::config(in_file(key), problem));
            }
        }
        // Each value on its own first, so that a message can name its key.
        for (layer, is_file) in [(&file, true), (&flags, false)] {
            for (key, value) in layer {
                let mut trial = merged.clone();
                trial.insert(key.clone(), value.clone());
                if let Err(error) = trial.try_into::<Self>() {
                    let key = if is_file { in_file(key) } else { key.clone() };
                    return Err(Error::config(key, error.message()));
                }
            }
        }
        overlay(&mut merged, file)?;
        of_flags.into_iter().try_for_each(|preset| put_preset(&mut merged, preset))?;
        overlay(&mut merged, flags)?;
        let config: Self =
            merged.try_into().map_err(|e: toml::de::Error| Error::config(origin, e.message()))?;
        config.check()?;
        Ok(config)
    }

    /// As the text of a file that [`Config::read`] reads.
    ///
    /// # Errors
    /// If a number is too large for TOML.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|error| Error::config("config.toml", error.to_string()))
    }

    /// Checks all values that have a meaning of their own.
    ///
    /// # Errors
    /// If one of them has not.
    pub fn check(&self) -> Result<()> {
        let range = |key: &str, value: f64, low: f64, high: f64| {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            Err(Error::config(key, format!("{value} should be a number from {low} to {high}")))
        };
        range("learning_rate", self.learning_rate, 0.0, 1e6)?;
        range("gate_prior_strength", self.gate_prior_strength, -100.0, 100.0)?;
        range("momentum", self.momentum, 0.0, 1.0)?;
        for (key, rate) in [
            ("backbone_rate", self.backbone_rate),
            ("alignment_rate", self.alignment_rate),
            ("gate_rate", self.gate_rate),
            ("head_rate", self.head_rate),
        ] {
            range(key, rate, 0.0, 1e6)?;
        }
        for (key, decay) in [
            ("weight_decay", Some(self.weight_decay)),
            ("backbone_decay", self.backbone_decay),
            ("alignment_decay", self.alignment_decay),
            ("gate_decay", self.gate_decay),
            ("head_decay", self.head_decay),
        ] {
            range(key, decay.unwrap_or(0.0), 0.0, 1e6)?;
        }
        range("factor", self.factor, 0.0, 1e6)?;
        range("label_smoothing", self.label_smoothing, 0.0, 1.0)?;
        range("validation", self.validation, 0.0, 1.0)?;
        range("test", self.test, 0.0, 1.0)?;
        let whole = |key: &str, value: u64, low: u64, high: u64| {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            Err(Error::config(key, format!("{value} should be from {low} to {high}")))
        };
        whole("batch", self.batch as u64, 1, 1 << 16)?;
        whole("shots", self.shots.unwrap_or(1) as u64, 1, u64::MAX)?;
        whole("log_every", self.log_every, 1, u64::MAX)?;
        whole("checkpoint_every", self.checkpoint_every, 1, u64::MAX)?;
        whole("epochs", self.epochs.unwrap_or(1), 1, MOST_STEPS)?;
        whole("steps", self.steps.unwrap_or(1), 1, MOST_STEPS)?;
        whole("seed", self.seed, 0, i64::MAX as u64)?;
        whole("threads", self.threads.unwrap_or(1).into(), 1, 1024)?;
        if self.align.split(',').any(|name| name.trim().is_empty()) {
            let problem = "should be usual, all, none, or names of layers such as conv1,layer3";
            return Err(Error::config("align", problem));
        }
        if let Some(name) = &self.architecture {
            Design::named(name, 1, 1)?;
        }
        if self.data.as_os_str().is_empty() {
            return Err(Error::config("data", "is missing: where are the labelled images?"));
        }
        match (self.form, self.zoo.len()) {
            (FormName::Scratch, _) | (FormName::Single, 1) => Ok(()),
            (form, 0) => {
                let name = form.name();
                Err(Error::config("zoo", format!("form {name} needs the files of the sources")))
            }
            (FormName::Single, count) => {
                let problem = format!("form single tunes one source, but {count} are given");
                Err(Error::config("zoo", problem))
            }
            _ => Ok(()),
        }
    }

    /// The form of the network; `prior` is what the gates' biases start with.
    pub fn form(&self, prior: Option<Vec<f64>>) -> Form {
        let mixing = Mixing {
            function: match self.gate {
                GateName::Softmax => GateFunction::Softmax,
                GateName::Sigmoid => GateFunction::Sigmoid,
            },
            aligned: Aligned {
                layers: AlignedLayers::from_text(&self.align),
                pointwise: self.align_pointwise,
            },
            prior,
            shortcuts_per_sample: self.shortcuts_per_sample && self.form == FormName::Lite,
        };
        match self.form {
            FormName::Single | FormName::Average | FormName::Scratch => Form::Plain,
            FormName::Zoo => Form::Zoo(mixing),
            FormName::Lite => Form::Lite(mixing),
        }
    }

    /// What is done with the sources before the network is built.
    pub fn preparation(&self) -> Preparation {
        let gated = matches!(self.form, FormName::Zoo | FormName::Lite);
        Preparation {
            matches: self.start == Start::Matched,
            prior: (self.gate_prior && gated).then_some(self.gate_prior_strength),
        }
    }

    /// The rule of the optimizer.
    pub fn rule(&self) -> Rule {
        match self.optimizer {
            OptimizerName::Sgd => Rule::Sgd { momentum: self.momentum, nesterov: self.nesterov },
            OptimizerName::Adam => Rule::ADAM,
        }
    }

    /// The settings of each parameter group.
    pub fn groups(&self) -> Groups {
        let group =
            |rate, decay: Option<f64>| Group { rate, decay: decay.unwrap_or(self.weight_decay) };
        Groups {
            backbone: group(self.backbone_rate, self.backbone_decay),
            alignment: group(self.alignment_rate, self.alignment_decay),
            gate: group(self.gate_rate, self.gate_decay),
            head: group(self.head_rate, self.head_decay),
        }
    }

    /// How the learning rate changes.
    pub fn schedule(&self) -> Schedule {
        let decay = match self.schedule {
            ScheduleName::Constant => Decay::Constant,
            ScheduleName::Cosine => Decay::Cosine,
            ScheduleName::Step => {
                Decay::Step { milestones: self.milestones.clone(), factor: self.factor }
            }
        };
        Schedule { warmup: self.warmup, decay }
    }

    /// How images are changed at random.
    pub fn augmentation(&self) -> Augmentation {
        match self.augmentation {
            AugmentationName::None => Augmentation::None,
            AugmentationName::Shift => Augmentation::Shift,
            AugmentationName::Crop => Augmentation::Crop,
        }
    }

    /// What the network sees: what is not chosen here is as in `usual`.
    ///
    /// # Errors
    /// If sizes, means and deviations do not fit.
    pub fn input(&self, usual: Input) -> Result<Input> {
        let size = self.size.unwrap_or(usual.size);
        let resize = match (self.resize, self.size) {
            (Some(resize), _) => resize,
            // 256 for 224, if the usual input has a margin.
            (None, Some(size)) if usual.size > 0 => {
                (size.saturating_mul(usual.resize) as f64 / usual.size as f64).round() as usize
            }
            (None, _) => usual.resize,
        };
        let spread = |chosen: &Option<Vec<f32>>, usual: Vec<f32>| match chosen.as_deref() {
            Some([one]) => vec![*one; usual.len()],
            Some(values) => values.to_vec(),
            None => usual,
        };
        let input = Input {
            channels: usual.channels,
            resize,
            size,
            mean: spread(&self.mean, usual.mean),
            deviation: spread(&self.deviation, usual.deviation),
        };
        input.check("")?;
        Ok(input)
    }
}

/// The presets that a value of the key `preset` names, as a list or separated by commas.
fn presets(value: Option<Value>) -> Result<Vec<Preset>> {
    let names: Vec<String> = match value {
        None => vec![],
        Some(Value::String(names)) => names.split(',').map(|name| name.trim().to_owned()).collect(),
        Some(Value::Array(names)) => {
            names.iter().map(|name| name.as_str().unwrap_or_default().to_owned()).collect()
        }
        Some(other) => vec![other.to_string()],
    };
    let named = |name: String| {
        let preset = [Preset::Default, Preset::Released, Preset::Paper];
        preset.into_iter().find(|preset| preset.name() == name).ok_or_else(|| {
            let known = Preset::NAMES.join(", ");
            Error::config("preset", format!("there is no {name:?}; there are {known}"))
        })
    };
    names.into_iter().map(named).collect()
}

/// Puts the keys of a preset over others.
fn put_preset(merged: &mut Table, preset: Preset) -> Result<()> {
    let table = preset.text().parse();
    overlay(merged, table.map_err(|e: toml::de::Error| Error::config("preset", e.message()))?)
}

/// Puts a layer over others. Of `epochs` and `steps`, one takes the place of the other.
fn overlay(merged: &mut Table, layer: Table) -> Result<()> {
    match (layer.contains_key("epochs"), layer.contains_key("steps")) {
        (true, true) => return Err(Error::config("steps", "give either epochs or steps")),
        (true, false) => drop(merged.remove("steps")),
        (false, true) => drop(merged.remove("epochs")),
        (false, false) => {}
    }
    merged.extend(layer);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layered(file: &str, flags: &str) -> Result<Config, String> {
        let table = |text: &str| text.parse::<Table>().unwrap();
        let mut flags = table(flags);
        flags.entry("data").or_insert("digits.csv".into());
        flags.entry("zoo").or_insert(vec!["a", "b"].into());
        Config::layered("run.toml", table(file), flags).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_are_over_the_file_over_defaults_and_presets_right_under_each() {
        let config = layered(
            "preset = ['released', 'paper']\nlearning_rate = 0.5\nbatch = 7\nepochs = 3",
            "batch = 9",
        );
        let config = config.unwrap();
        assert_eq!((config.learning_rate, config.batch), (0.5, 9));
        assert_eq!((config.epochs, config.steps), (Some(3), None), "the file is over its preset");
        assert_eq!((config.start, config.gate), (Start::Plain, GateName::Sigmoid));
        assert_eq!((config.head_rate, config.milestones.len()), (10.0, 2));
        let over = layered("learning_rate = 0.5\nhead_rate = 1.0", "preset = 'paper'").unwrap();
        assert_eq!((over.learning_rate, over.head_rate), (0.01, 10.0), "a flag's preset");
        let paper = layered("", "preset = 'paper'").unwrap();
        assert_eq!((paper.steps, paper.epochs, paper.gate_prior), (Some(15_000), None, true));
    }

    #[test]
    fn what_is_written_is_read() {
        let config = layered("steps = 5\nmean = [0.5]\nhead_decay = 0.0", "").unwrap();
        let again = Config::layered("", config.to_toml().unwrap().parse().unwrap(), Table::new());
        assert_eq!(again.unwrap(), config);
    }

    #[test]
    fn unknown_keys_suggest_the_nearest() {
        assert_eq!(
            layered("learning-rate = 0.1", "").unwrap_err(),
            "run.toml: learning-rate: there is no such key; did you mean learning_rate?"
        );
        assert!(layered("xyzzy = 1", "").unwrap_err().contains("there are zoo, rename, data"));
    }

    #[test]
    fn values_that_cannot_be_used_name_their_key() {
        for (text, key) in [
            ("learning_rate = nan", "learning_rate"),
            ("learning_rate = -1.0", "learning_rate"),
            ("learning_rate = inf", "learning_rate"),
            ("learning_rate = 'fast'", "learning_rate"),
            ("batch = 0", "batch"),
            ("batch = -1", "batch"),
            ("batch = 9000000000000000000", "batch"),
            ("batch = 1.5", "batch"),
            ("steps = 0", "steps"),
            ("epochs = 9223372036854775807", "epochs"),
            ("epochs = 1\nsteps = 1", "steps"),
            ("form = 'zoom'", "form"),
            ("align = 'conv1,,layer3'", "align"),
            ("align = ['conv1']", "align"),
            ("architecture = 'resnet19'", "architecture"),
            ("validation = 1.5", "validation"),
            ("preset = 'x'", "preset"),
            ("preset = 3", "preset"),
            ("threads = 0", "threads"),
            ("threads = 70000", "threads"),
            ("seed = -1", "seed"),
            ("zoo = []", "zoo"),
            ("data = ''", "data"),
            ("form = 'single'", "zoo"),
        ] {
            // The flags of `layered` would hide two of these.
            let file = text.parse::<Table>().unwrap();
            let mut base: Table = "data = 'd'\nzoo = ['a', 'b']".parse().unwrap();
            base.extend(file);
            let error = Config::layered("", base, Table::new()).unwrap_err().to_string();
            assert!(error.starts_with(key), "{text}: {error}");
        }
    }

    #[test]
    fn every_preset_is_read() {
        for name in Preset::NAMES {
            layered("", &format!("preset = '{name}'")).unwrap();
        }
    }

    #[test]
    fn the_network_sees_what_was_chosen() {
        let usual = || Input::usual(&Design::named("resnet18", 3, 10).unwrap());
        let mut config = Config { size: Some(112), mean: Some(vec![0.1]), ..Config::default() };
        let input = config.input(usual()).unwrap();
        assert_eq!((input.size, input.resize, input.mean), (112, 128, vec![0.1; 3]));
        config.size = Some(usize::MAX);
        assert!(config.input(usual()).is_err());
    }
}
