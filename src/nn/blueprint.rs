//! What has to be known to build a network again: kept beside its tensors in a checkpoint.

use super::{Aligned, AlignedLayers, Design, Form, Mixing, Network, Values};
use crate::ops::GateFunction;
use crate::tensor::{Element, State};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// A network without its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Blueprint {
    /// Its architecture and sizes.
    pub design: Design,
    /// The form of its convolutions.
    pub form: Form,
    /// Sources of its zoo; 1 for a plain network.
    pub sources: usize,
}

impl Blueprint {
    /// A network with the values of `state`, which must hold just its tensors; they stay
    /// where they are, in a mapped file too.
    ///
    /// # Errors
    /// If a tensor is missing, one too many, or of another shape.
    pub fn build<T: Element>(&self, state: &State<T>) -> Result<Network<T>> {
        let network = Network::new(self, Values::Saved(state))?;
        network.parameters().check_names(state)?;
        Ok(network)
    }

    /// The key of a checkpoint's metadata that says what the noise of the head began with.
    pub(crate) const NOISE: &str = "noise";

    /// As strings for the metadata of a checkpoint. A prior is not among them: it is only what
    /// training started with.
    pub fn to_metadata(&self) -> BTreeMap<String, String> {
        let mut pairs = vec![
            ("architecture", self.design.name().to_owned()),
            ("channels", self.design.channels.to_string()),
            ("outputs", self.design.outputs.to_string()),
            ("form", self.form.name().to_owned()),
        ];
        if let Some(noise) = self.design.noise {
            pairs.push((Self::NOISE, noise.to_string()));
        }
        if let Some(mixing) = self.form.mixing() {
            let function = match mixing.function {
                GateFunction::Softmax => "softmax",
                GateFunction::Sigmoid => "sigmoid",
            };
            pairs.extend([
                ("sources", self.sources.to_string()),
                ("gate", function.to_owned()),
                ("aligned", mixing.aligned.layers.to_text()),
                ("aligned_pointwise", mixing.aligned.pointwise.to_string()),
                ("shortcuts_per_sample", mixing.shortcuts_per_sample.to_string()),
            ]);
        }
        if self.form == Form::Routed {
            pairs.push(("sources", self.sources.to_string()));
        }
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Whether metadata are what [`Blueprint::to_metadata`] wrote. Other programs' files may have
    /// one of its keys, but hardly all of them.
    pub fn is_in(metadata: &BTreeMap<String, String>) -> bool {
        let keys = ["architecture", "channels", "form"];
        keys.into_iter().all(|key| metadata.contains_key(key))
            && OUTPUTS.into_iter().any(|key| metadata.contains_key(key))
    }

    /// Reads what [`Blueprint::to_metadata`] wrote; `origin` is for messages.
    ///
    /// # Errors
    /// If a key is missing or its value has no meaning.
    pub fn from_metadata(origin: &str, metadata: &BTreeMap<String, String>) -> Result<Self> {
        let text = |key: &str| {
            let missing = || {
                let problem = "is missing from the file's metadata; name the architecture with \
                               --architecture, if the file is another program's";
                Error::config(format!("{origin}: {key}"), problem)
            };
            metadata.get(key).map(String::as_str).ok_or_else(missing)
        };
        fn parsed<V: std::str::FromStr>(origin: &str, key: &str, value: &str) -> Result<V> {
            value.parse().map_err(|_| {
                Error::config(format!("{origin}: {key}"), format!("{value:?} has no meaning here"))
            })
        }
        let number = |key: &str| -> Result<usize> { parsed(origin, key, text(key)?) };
        let switch = |key: &str| -> Result<bool> { parsed(origin, key, text(key)?) };
        let outputs = OUTPUTS.into_iter().find(|key| metadata.contains_key(*key));
        let outputs = || number(outputs.unwrap_or(OUTPUTS[0]));
        let design = Design::named(text("architecture")?, number("channels")?, outputs()?)?;
        let noise = metadata.get(Self::NOISE).map(|noise| parsed(origin, Self::NOISE, noise));
        let noise: Option<f64> = noise.transpose()?;
        if let Some(noise) = noise.filter(|noise| !(noise.is_finite() && *noise >= 0.0)) {
            let problem = format!("{noise} should be a finite number, 0 or more");
            return Err(Error::config(format!("{origin}: {}", Self::NOISE), problem));
        }
        let design = design.with_noise(noise);
        let form = text("form")?;
        if form == "plain" {
            return Ok(design.plain());
        }
        if form == "routed" {
            return Ok(design.in_form(Form::Routed, number("sources")?));
        }
        let function = match text("gate")? {
            "softmax" => GateFunction::Softmax,
            "sigmoid" => GateFunction::Sigmoid,
            other => {
                let problem = format!("{other:?} should be softmax or sigmoid");
                return Err(Error::config(format!("{origin}: gate"), problem));
            }
        };
        let mixing = Mixing {
            function,
            aligned: Aligned {
                layers: AlignedLayers::from_text(text("aligned")?),
                pointwise: switch("aligned_pointwise")?,
            },
            prior: None,
            shortcuts_per_sample: switch("shortcuts_per_sample")?,
        };
        let form = match form {
            "zoo" => Form::Zoo(mixing),
            "lite" => Form::Lite(mixing),
            other => {
                let problem = format!("{other:?} should be plain, zoo, lite or routed");
                return Err(Error::config(format!("{origin}: form"), problem));
            }
        };
        Ok(design.in_form(form, number("sources")?))
    }
}

/// The key of the number of outputs, and the one that files of classifiers had before.
const OUTPUTS: [&str; 2] = ["outputs", "classes"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_without_meaning_are_refused_by_their_key() {
        let design = Design::named("resnet_small", 1, 2).unwrap();
        let lite = design.in_form(Form::Lite(Mixing::default()), 2);
        let of = |blueprint: &Blueprint, key: &str, value: &str| {
            let mut metadata = blueprint.to_metadata();
            assert_eq!(Blueprint::from_metadata("a file", &metadata).unwrap(), *blueprint);
            metadata.insert(key.to_owned(), value.to_owned());
            Blueprint::from_metadata("a file", &metadata).unwrap_err().to_string()
        };
        for (key, value, said) in [
            ("gate", "relu", "should be softmax or sigmoid"),
            ("form", "soup", "should be plain, zoo, lite or routed"),
            ("sources", "many", "has no meaning here"),
            ("noise", "NaN", "should be a finite number"),
            ("noise", "-0.5", "should be a finite number"),
        ] {
            let error = of(&lite, key, value);
            assert!(error.contains(&format!("a file: {key}")) && error.contains(said), "{error}");
        }
    }
}
