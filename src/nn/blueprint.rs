//! What has to be known to build a network again: kept beside its tensors in a checkpoint.

use super::{Aligned, Architecture, Builder, Form, Mixing, Network, Resnet};
use crate::ops::GateFunction;
use crate::tensor::{Element, State};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// A network without its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Blueprint {
    /// Its sizes.
    pub architecture: Architecture,
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
    pub fn build<T: Element>(&self, state: &State<T>) -> Result<Resnet<T>> {
        let builder = Builder::saved(state, self.form.clone(), self.sources);
        let network = Resnet::new(&self.architecture, builder)?;
        network.parameters().check_names(state)?;
        Ok(network)
    }

    /// As strings for the metadata of a checkpoint. A prior is not among them: it is only what
    /// training started with.
    pub fn to_metadata(&self) -> BTreeMap<String, String> {
        let Architecture { name, channels, classes, .. } = &self.architecture;
        let mut pairs = vec![
            ("architecture", (*name).to_owned()),
            ("channels", channels.to_string()),
            ("classes", classes.to_string()),
            ("form", self.form.name().to_owned()),
        ];
        if let Some(mixing) = self.form.mixing() {
            let stages = mixing.aligned.stages.iter().map(|&s| if s { '1' } else { '0' });
            let function = match mixing.function {
                GateFunction::Softmax => "softmax",
                GateFunction::Sigmoid => "sigmoid",
            };
            pairs.extend([
                ("sources", self.sources.to_string()),
                ("gate", function.to_owned()),
                ("aligned_stem", mixing.aligned.stem.to_string()),
                ("aligned_stages", stages.collect()),
                ("aligned_pointwise", mixing.aligned.pointwise.to_string()),
                ("shortcuts_per_sample", mixing.shortcuts_per_sample.to_string()),
            ]);
        }
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Whether metadata are what [`Blueprint::to_metadata`] wrote. Other programs' files may have
    /// one of its keys, but hardly all of them.
    pub fn is_in(metadata: &BTreeMap<String, String>) -> bool {
        let keys = ["architecture", "channels", "classes", "form"];
        keys.into_iter().all(|key| metadata.contains_key(key))
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
        let architecture =
            Architecture::named(text("architecture")?, number("channels")?, number("classes")?)?;
        let form = text("form")?;
        if form == "plain" {
            return Ok(Self { architecture, form: Form::Plain, sources: 1 });
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
                stem: switch("aligned_stem")?,
                stages: text("aligned_stages")?
                    .chars()
                    .map(|c| match c {
                        '0' | '1' => Ok(c == '1'),
                        _ => {
                            let problem = format!("{c:?} should be 0 or 1");
                            Err(Error::config(format!("{origin}: aligned_stages"), problem))
                        }
                    })
                    .collect::<Result<_>>()?,
                pointwise: switch("aligned_pointwise")?,
            },
            prior: None,
            shortcuts_per_sample: switch("shortcuts_per_sample")?,
        };
        let form = match form {
            "zoo" => Form::Zoo(mixing),
            "lite" => Form::Lite(mixing),
            other => {
                let problem = format!("{other:?} should be plain, zoo or lite");
                return Err(Error::config(format!("{origin}: form"), problem));
            }
        };
        Ok(Self { architecture, form, sources: number("sources")? })
    }
}
