//! A network in a file, with all that is needed to use it.

use super::observe::keep_notes;
use super::{Input, checkpoint};
use crate::collapse::collapse;
use crate::export::{Renamed, format_of_ending, write_onnx};
use crate::nn::{Blueprint, Design, Form, Identified, Mixing, Network};
use crate::prune::pruned;
use crate::start::{Normalisation, absorb};
use crate::tensor::State;
use crate::zoo::{Checkpoint, Format, Naming};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// The metadata's key of the classes' names, a JSON list.
const CLASS_NAMES: &str = "class_names";

/// A network, what it expects its images to be, and what its outputs mean.
pub struct Model {
    /// The network.
    pub network: Network<f32>,
    /// Its images.
    pub input: Input,
    /// The names of its classes; empty if they are not known.
    pub classes: Vec<String>,
    /// Further texts of its file.
    pub notes: BTreeMap<String, String>,
    /// Where it is from, for messages.
    pub origin: String,
    /// Of a file that holds the network more than once, which it is; see [`Identified::choice`].
    pub choice: Option<String>,
}

impl Model {
    /// A network that was made here, for images as in `input`, of these classes.
    pub fn from_network(network: Network<f32>, input: Input, classes: &[String]) -> Self {
        let (classes, notes) = (classes.to_vec(), BTreeMap::new());
        let origin = "the network".to_owned();
        Self { network, input, classes, notes, origin, choice: None }
    }

    /// Opens a file that [`Model::write`] or a run wrote; a checkpoint of a run too, whose
    /// optimizer is passed over. A plain network of another program is opened as the
    /// architecture of the given name, or as the one that its tensors tell.
    ///
    /// # Errors
    /// If the file cannot be read, does not say what network it is, or holds another.
    pub fn open(path: impl AsRef<Path>, architecture: Option<&str>) -> Result<Self> {
        Self::from_checkpoint(Checkpoint::open(path)?, architecture, &Naming::default())
    }

    /// As [`Model::open`], of an open file, whose names are led to the network's by `rules` first.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn from_checkpoint(
        mut checkpoint: Checkpoint,
        architecture: Option<&str>,
        rules: &Naming,
    ) -> Result<Self> {
        let origin = checkpoint.path().display().to_string();
        checkpoint = checkpoint::averaged(checkpoint)?;
        let declared = checkpoint.declared();
        let said = architecture.is_none() && Blueprint::is_in(&declared);
        let said = said.then(|| Blueprint::from_metadata(&origin, &declared));
        let mut choice = None;
        let blueprint = match said.transpose()? {
            Some(blueprint) if blueprint.form != Form::Plain => {
                checkpoint = rules.renamed(checkpoint)?;
                blueprint
            }
            said => {
                // Another program may have changed the names of what was written here, too.
                let name = said.as_ref().map(|said| said.design.name()).or(architecture);
                let mut identified = Identified::new(&checkpoint, name, rules)?;
                if let Some(said) = &said {
                    identified.design = identified.design.with_noise(said.design.noise);
                }
                choice = identified.choice();
                let images = Input::said_by(&checkpoint, &identified);
                checkpoint = identified.network(checkpoint)?.with_metadata(images);
                said.unwrap_or_else(|| identified.design.plain())
            }
        };
        let (mut state, metadata) = checkpoint::network_part(&checkpoint)?;
        if Input::is_reversed(&origin, &metadata)? {
            let Input { mean, std, .. } =
                Input::from_metadata(&origin, &metadata, &blueprint.design)?;
            let ours = Normalisation { mean, std, is_reversed: false };
            let theirs = Normalisation { is_reversed: true, ..ours.clone() };
            absorb(&blueprint.design, &mut state, &theirs, &ours)?;
        }
        Ok(Self { choice, ..Self::new(blueprint, &state, metadata, origin)? })
    }

    /// The network of `blueprint` with the values of `state` and the texts of `metadata`.
    pub(super) fn new(
        blueprint: Blueprint,
        state: &State<f32>,
        mut metadata: BTreeMap<String, String>,
        origin: String,
    ) -> Result<Self> {
        let network = blueprint.build(state)?;
        let design = network.design();
        let input = Input::from_metadata(&origin, &metadata, design)?;
        let mut classes = Vec::new();
        if let Some(text) = metadata.remove(CLASS_NAMES) {
            classes = serde_json::from_str::<Vec<String>>(&text)
                .ok()
                .filter(|names| names.len() == design.outputs)
                .ok_or_else(|| {
                    let problem = format!("should be a JSON list of {} names", design.outputs);
                    Error::config(format!("{origin}: {CLASS_NAMES}"), problem)
                })?;
        }
        // What is not kept as text is written anew, or belongs to another form.
        let any = design.in_form(Form::Zoo(Mixing::default()), 1);
        let known = any.to_metadata().into_keys().chain(input.to_metadata().into_keys());
        let known = known.chain(
            [Input::OLDER_STD, Blueprint::NOISE].into_iter().chain(Input::UNITS).map(str::to_owned),
        );
        known.for_each(|key| drop(metadata.remove(&key)));
        Ok(Self { network, input, classes, notes: metadata, origin, choice: None })
    }

    /// The network's architecture and sizes.
    pub fn design(&self) -> &Design {
        self.network.design()
    }

    /// The metadata of the model's file.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let mut metadata = self.notes.clone();
        metadata.extend(self.network.blueprint().to_metadata());
        metadata.extend(self.input.to_metadata());
        if !self.classes.is_empty() {
            let names = serde_json::Value::from(self.classes.clone());
            metadata.insert(CLASS_NAMES.to_owned(), names.to_string());
        }
        metadata
    }

    /// Writes the model to the file at `path`, whole or not at all, in the format that the ending
    /// of its name says; see [`format_of_ending`].
    ///
    /// # Errors
    /// If the ending says none, the file cannot be written, or the network is none for ONNX; see
    /// [`write_onnx`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let (format, metadata) = (format_of_ending(&path)?, self.metadata());
        if format == Format::Onnx {
            return write_onnx(path, &self.network, &metadata);
        }
        let state = self.network.parameters().state("the network");
        let tensors = state.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.into()));
        let tensors = tensors.collect();
        Renamed { tensors, metadata }.in_format(format).write(path, format)
    }

    /// The plain network that computes what this lite one computes; see [`collapse`].
    ///
    /// # Errors
    /// As [`collapse`].
    pub fn collapsed(&self) -> Result<Self> {
        Ok(Self {
            network: collapse(&self.network)?,
            input: self.input.clone(),
            classes: self.classes.clone(),
            notes: self.notes.clone(),
            origin: self.origin.clone(),
            choice: None,
        })
    }

    /// The same network with those sources of its zoo alone; see [`pruned`].
    ///
    /// # Errors
    /// As [`pruned`].
    pub fn pruned(&self, kept: &[usize]) -> Result<Self> {
        let mut notes = self.notes.clone();
        keep_notes(&mut notes, kept);
        Ok(Self {
            network: pruned(&self.network, kept)?,
            input: self.input.clone(),
            classes: self.classes.clone(),
            notes,
            origin: self.origin.clone(),
            choice: None,
        })
    }

    /// For each class of a data set, the class of the network: by their names, or in their
    /// order if the network's have no names.
    ///
    /// # Errors
    /// If the network does not know a class.
    pub fn class_numbers(&self, of_data: &[String]) -> Result<Vec<usize>> {
        let refuse = |problem| Err(Error::config("data", problem));
        if self.classes.is_empty() {
            let known = self.design().outputs;
            if known != of_data.len() {
                let found = of_data.len();
                return refuse(format!("{found} classes, but {} knows {known}", self.origin));
            }
            return Ok((0..known).collect());
        }
        let number = |name: &String| self.classes.iter().position(|known| known == name);
        let numbers: Option<Vec<usize>> = of_data.iter().map(number).collect();
        match (numbers, of_data.iter().find(|name| number(name).is_none())) {
            (Some(numbers), _) => Ok(numbers),
            (None, name) => {
                let name = name.map_or("", String::as_str);
                refuse(format!(
                    "{} does not know the class {name:?}; it knows {}",
                    self.origin,
                    shortened(&self.classes)
                ))
            }
        }
    }

    /// The name of a class, or its number.
    pub fn class_name(&self, class: usize) -> String {
        self.classes.get(class).cloned().unwrap_or_else(|| class.to_string())
    }
}

/// The first few of many names.
fn shortened(names: &[String]) -> String {
    const MOST: usize = 12;
    let mut text = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > MOST {
        text += &format!(" and {} more", names.len() - MOST);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::logits;
    use super::*;
    use crate::export::Renamed;
    use crate::nn::open_zoo;
    use crate::tensor::Tensor;

    /// A small network, of which no two tensors are alike.
    fn drawn(design: &Design) -> Network<f32> {
        let mut state = Network::<f32>::drawn(design, 1).unwrap().parameters().state("drawn");
        let mut rng = fastrand::Rng::with_seed(5);
        for tensor in state.tensors.values_mut().filter(|tensor| tensor.shape().len() == 1) {
            *tensor = Tensor::from_fn(tensor.shape(), || 0.5 + rng.f32());
        }
        design.plain().build(&state).unwrap()
    }

    /// Writes the network under other names, without what has none.
    fn written(network: &Network<f32>, path: &Path, name: impl Fn(&str) -> Option<String>) {
        let state = network.parameters().state("the network");
        let tensors = state.tensors.iter().filter_map(|(n, t)| Some((name(n)?, t.into())));
        let (tensors, metadata) = (tensors.collect(), BTreeMap::new());
        let file = Renamed { tensors, metadata }.in_format(Format::Safetensors);
        file.write(path, Format::Safetensors).unwrap();
    }

    fn replaced(name: &str, pairs: &[(&str, &str)]) -> String {
        pairs.iter().fold(format!(".{name}"), |name, (from, to)| name.replace(from, to))[1..]
            .to_owned()
    }

    /// Detectron2's networks take blue first, in values up to 255 less a mean. What such a network
    /// computes of such an image, the opened one computes of the same image as it is usual here.
    #[test]
    fn a_network_under_detectron2s_names_computes_what_it_did() {
        let design = Design::named("resnet_small", 3, 5).unwrap();
        let network = drawn(&design);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("detectron2.safetensors");
        written(&network, &path, |name| {
            let pairs = [
                (".fc.", ".linear."),
                (".layer1.", ".res2."),
                (".layer2.", ".res3."),
                (".layer3.", ".res4."),
                (".downsample.0.", ".shortcut."),
                (".downsample.1.", ".shortcut.norm."),
                (".bn1.", ".conv1.norm."),
                (".bn2.", ".conv2.norm."),
            ];
            let name = replaced(name, &pairs);
            Some(if name.starts_with("conv1.") { format!("stem.{name}") } else { name })
        });
        let model = Model::open(&path, None).unwrap();
        assert_eq!(model.network.design().name(), "resnet_small");
        let (size, mut rng) = (16, fastrand::Rng::with_seed(7));
        let pixels = Tensor::from_fn(&[2, 3, size, size], || rng.f32());
        let plane = size * size;
        let each = |value: &dyn Fn(usize, usize) -> f32| {
            let of = |at: usize| {
                let (image, channel, place) = (at / (3 * plane), at / plane % 3, at % plane);
                value(channel, (image * 3 + channel) * plane + place)
            };
            Tensor::new(&[2, 3, size, size], (0..6 * plane).map(of).collect()).unwrap()
        };
        let (red_first, Input { mean, std, .. }) = (pixels.as_slice(), &model.input);
        let ours = each(&|channel, at| (red_first[at] - mean[channel]) / std[channel]);
        let theirs = each(&|channel, at| {
            let other = at - channel * plane + (2 - channel) * plane;
            255.0 * red_first[other] - [103.53, 116.28, 123.675][channel]
        });
        let expected = logits(&network, &theirs, 2).unwrap();
        let found = logits(&model.network, &ours, 2).unwrap();
        let difference = expected.relative_difference(&found).unwrap();
        assert!(difference < 1e-5, "{difference:e}");
        // Images in another order are other images.
        let confused = logits(&model.network, &theirs, 2).unwrap();
        assert!(expected.relative_difference(&confused).unwrap() > 1e-3);
    }

    /// The children in their order have no classifier: with the same one, logits are the same to the
    /// bit.
    #[test]
    fn a_network_under_the_names_of_a_sequential_computes_the_same() {
        let design = Design::named("resnet_small", 3, 5).unwrap();
        let (network, folder) = (drawn(&design), tempfile::tempdir().unwrap());
        let body = |name: &str| (!name.starts_with("fc.")).then(|| name.to_owned());
        let [named, sequential] =
            ["named", "sequential"].map(|name| folder.path().join(format!("{name}.safetensors")));
        written(&network, &named, body);
        written(&network, &sequential, |name| {
            let (child, rest) =
                body(name)?.split_once('.').map(|(a, b)| (a.to_owned(), b.to_owned()))?;
            let children = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3"];
            let at = children.iter().position(|known| *known == child)?;
            Some(format!("{at}.{rest}"))
        });
        let mut rng = fastrand::Rng::with_seed(7);
        let images = Tensor::from_fn(&[2, 3, 16, 16], || rng.f32());
        let [expected, found] = [named, sequential].map(|path| {
            let (zoo, opened) = open_zoo(&[path], Some("resnet_small")).unwrap();
            let design = opened.with_outputs(5);
            let sources = State::from_zoo(&zoo).unwrap();
            let network = Network::from_sources(&design, Form::Plain, &sources, 3).unwrap();
            logits(&network, &images, 2).unwrap()
        });
        assert_eq!(expected.as_slice(), found.as_slice());
    }
}
