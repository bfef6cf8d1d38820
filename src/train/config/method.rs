//! The table `[method]`: the sources, and what becomes of them.

use super::within;
use crate::nn::{Aligned, AlignedLayers, Design, Form, Mixing};
use crate::ops::GateFunction;
use crate::start::{Preparation, RouterSettings};
use crate::train::choice::{FormName, GateName, Otherwise, Start};
use crate::zoo::{Axes, Naming};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The sources of a run, and what becomes of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "docs/configuration.md describes each key")]
pub struct MethodConfig {
    pub zoo: Vec<PathBuf>,
    /// A network to go on from, instead of sources.
    pub from: Option<PathBuf>,
    pub rename: Vec<String>,
    pub prefix: Option<String>,
    pub layout: Axes,
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
    /// What a zoo becomes that is not worth routing.
    pub otherwise: Otherwise,
    /// Whether samples are only routed where that is worth it.
    pub guard: bool,
    pub linear_probe: bool,
    /// The strength of L2-SP's penalty.
    pub l2_sp: Option<f64>,
    /// The strength of DELTA's penalty.
    pub delta: Option<f64>,
    /// Whether DELTA weighs channels by what the classifier loses without them.
    pub delta_attention: bool,
}

impl Default for MethodConfig {
    fn default() -> Self {
        let Aligned { layers, pointwise } = Aligned::default();
        Self {
            zoo: vec![],
            from: None,
            rename: vec![],
            prefix: None,
            layout: Axes::Oihw,
            form: FormName::Lite,
            architecture: None,
            start: Start::Matched,
            gate_prior: true,
            gate_prior_strength: crate::start::STRENGTH,
            gate: GateName::Softmax,
            align: layers.to_text(),
            align_pointwise: pointwise,
            shortcuts_per_sample: false,
            otherwise: Otherwise::Zoo,
            guard: true,
            linear_probe: false,
            l2_sp: None,
            delta: None,
            delta_attention: true,
        }
    }
}

impl MethodConfig {
    /// An error unless every value has a meaning.
    pub(super) fn check(&self) -> Result<()> {
        within("method.gate_prior_strength", self.gate_prior_strength, -100.0, 100.0)?;
        for (key, strength) in [("method.l2_sp", self.l2_sp), ("method.delta", self.delta)] {
            within(key, strength.unwrap_or(0.0), 0.0, 1e6)?;
            if strength.is_some() && self.form == FormName::Scratch && self.from.is_none() {
                let problem = "keeps a network near its sources, and form scratch has none";
                return Err(Error::config(key, problem));
            }
        }
        if self.align.split(',').any(|name| name.trim().is_empty()) {
            let problem = "should be usual, all, none, or names of layers such as conv1,layer3";
            return Err(Error::config("method.align", problem));
        }
        if let Some(name) = &self.architecture {
            Design::named(name, 1, 1)?;
        }
        if self.from.is_some() {
            let problem = "a run begins from this network or from a zoo; give one of them";
            let alone = self.zoo.is_empty().then_some(());
            return alone.ok_or_else(|| Error::config("method.from", problem));
        }
        match (self.form, self.zoo.len()) {
            (FormName::Scratch, _) | (FormName::Single, 1) => Ok(()),
            (form, 0) => {
                let problem = format!(
                    "form {} needs the files of the sources: --zoo FILE FILE, or zoo = [\"FILE\"] \
                     in [method]",
                    form.name()
                );
                Err(Error::config("method.zoo", problem))
            }
            (FormName::Single, count) => Err(Self::too_many(count)),
            _ => Ok(()),
        }
    }

    /// An error if a key has no effect beside the others: what `from` names has its form already.
    pub(super) fn check_effect(&self, key: &str) -> Result<()> {
        const OF_ANY: [&str; 9] = [
            "zoo",
            "from",
            "rename",
            "prefix",
            "layout",
            "architecture",
            "linear_probe",
            "l2_sp",
            "delta",
        ];
        if key == "delta_attention" {
            let problem = "has no effect without --delta, whose channels it weighs";
            let has_effect = self.delta.is_some().then_some(());
            return has_effect.ok_or_else(|| Error::config(super::Config::flag(key), problem));
        }
        if self.from.is_none() || OF_ANY.contains(&key) {
            return Ok(());
        }
        let problem = "has no effect with --from, whose network is what it is";
        Err(Error::config(super::Config::flag(key), problem))
    }

    /// How the tensors of the sources' files are named.
    pub(in crate::train) fn naming(&self) -> Result<Naming> {
        Ok(Naming::from_rules(&self.rename)?.behind(self.prefix.as_deref()))
    }

    /// That a single source is tuned, but there are `count`.
    pub(in crate::train) fn too_many(count: usize) -> Error {
        let problem = format!("form single tunes one source, but {count} are given");
        Error::config("method.zoo", problem)
    }

    /// The form of the network, of one that is not routed; `prior` is what the gates' biases start
    /// with.
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
            shortcuts_per_sample: self.shortcuts_per_sample && self.unrouted() == FormName::Lite,
        };
        match self.unrouted() {
            FormName::Single | FormName::Chosen | FormName::Average | FormName::Scratch => {
                Form::Plain
            }
            FormName::Zoo | FormName::Routed => Form::Zoo(mixing),
            FormName::Lite => Form::Lite(mixing),
        }
    }

    /// The form that is taken where no sample is routed.
    pub(in crate::train) fn unrouted(&self) -> FormName {
        match (self.form, self.otherwise) {
            (FormName::Routed, Otherwise::Zoo) => FormName::Zoo,
            (FormName::Routed, Otherwise::Lite) => FormName::Lite,
            (form, _) => form,
        }
    }

    /// Whether the network is kept near where it began.
    pub(in crate::train) fn stays_near(&self) -> bool {
        self.l2_sp.is_some() || self.delta.is_some()
    }

    /// What is done with the sources before the network is built.
    pub fn preparation(&self) -> Preparation {
        let gated = matches!(self.unrouted(), FormName::Zoo | FormName::Lite);
        Preparation {
            matches: self.start == Start::Matched,
            prior: (self.gate_prior && gated).then_some(self.gate_prior_strength),
            chooses: self.form == FormName::Chosen,
            router: (self.form == FormName::Routed).then(RouterSettings::default),
        }
    }
}
