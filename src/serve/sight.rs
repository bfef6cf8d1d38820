//! What a network sees in one picture.

use super::neighbours::{Neighbour, Neighbours};
use super::shown::shown;
use crate::dataset::{Image, image_from_bytes};
use crate::train::{Model, Observations, Prediction, observe, probabilities};
use crate::{Error, Result};
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// A network that pictures are shown to.
pub struct Sight {
    model: Model,
    /// Classes that are told, at most.
    top: usize,
    /// Names of the sources; empty if they are not known.
    sources: Vec<String>,
    neighbours: Option<Neighbours>,
}

/// What was seen.
#[derive(Debug, Serialize)]
pub(super) struct Seen {
    /// The most probable classes, the most probable first.
    classes: Vec<Prediction>,
    /// The gates of every layer that has some; empty of a plain network.
    gates: Vec<LayerGates>,
    /// The sources with their mean gates, whoever spoke loudest first.
    sources: Vec<Source>,
    /// The nearest training samples, the nearest first; empty if they are not known.
    neighbours: Vec<Neighbour>,
    /// What the network was shown, as an address that holds a PNG.
    picture: String,
    /// How long it took.
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct LayerGates {
    layer: String,
    /// One for each source, in the order of the sources of [`About`].
    gates: Vec<f32>,
}

#[derive(Debug, Serialize)]
struct Source {
    name: String,
    gate: f32,
}

/// What a network is, for a page.
#[derive(Debug, Serialize)]
pub(super) struct About<'a> {
    version: &'static str,
    file: &'a str,
    architecture: &'a str,
    form: &'static str,
    input: String,
    classes: usize,
    sources: &'a [String],
    /// How many training samples are compared with.
    neighbours: usize,
    /// Bytes of a picture, at most.
    pub most_bytes: usize,
}

impl Sight {
    /// Of a network, with what the run in `folder` recorded of its sources.
    ///
    /// # Errors
    /// If the record is damaged.
    pub fn new(model: Model, top: usize, folder: &Path) -> Result<Self> {
        let observed = Observations::read(folder)?.unwrap_or_default();
        let is_its = model.network.blueprint().sources == observed.sources.len();
        let sources = observed.sources.into_iter().filter(|_| is_its).map(|source| source.name);
        Ok(Self { sources: sources.collect(), model, top, neighbours: None })
    }

    /// From now on, pictures are compared with the training samples of the run in `folder`.
    ///
    /// # Errors
    /// If there is no such run, its samples cannot be read, or its classes are others.
    pub fn find_neighbours(&mut self, folder: &Path) -> Result<()> {
        self.neighbours = Some(Neighbours::of_run(folder, &self.model)?);
        Ok(())
    }

    /// How many training samples pictures are compared with.
    fn neighbours(&self) -> usize {
        self.neighbours.as_ref().map_or(0, Neighbours::count)
    }

    pub(super) fn about(&self, most_bytes: usize) -> About<'_> {
        let Self { model, sources, .. } = self;
        About {
            version: env!("CARGO_PKG_VERSION"),
            file: &model.origin,
            architecture: model.design().name(),
            form: model.network.blueprint().form.name(),
            input: model.input.to_string(),
            classes: model.design().outputs,
            sources,
            neighbours: self.neighbours(),
            most_bytes,
        }
    }

    /// What the network sees in a picture's file.
    ///
    /// # Errors
    /// If the bytes are no picture that can be used, or an output is not finite.
    pub(super) fn see(&self, bytes: Vec<u8>) -> Result<Seen> {
        let begun = Instant::now();
        let Self { model, top, .. } = self;
        let (reading, transforms) = (model.input.reading()?, model.input.transforms());
        // No transform of evaluation draws anything.
        let nothing_drawn = &mut fastrand::Rng::with_seed(0);
        let image = image_from_bytes(bytes, "the picture", reading, &transforms, nothing_drawn)?;
        let picture = shown(&image, model)?;
        let images = Image::stack(&[image])?;
        let (logits, gates) = observe::look(&model.network, &images, &[0])?;
        if !logits.is_finite() {
            return Err(Error::data("the picture", "", "the network's outputs are not finite"));
        }
        let classes = model.most_probable(&probabilities(&logits)?[0], *top);
        let gates: Vec<LayerGates> = gates
            .into_iter()
            .map(|(layer, gate)| LayerGates { layer, gates: gate.as_slice().to_vec() })
            .collect();
        let neighbours = match &self.neighbours {
            Some(neighbours) => neighbours.nearest(model, images)?,
            None => vec![],
        };
        let (sources, seconds) = (self.loudest(&gates), begun.elapsed().as_secs_f64());
        Ok(Seen { classes, gates, sources, neighbours, picture, seconds })
    }

    /// The sources by their mean gates.
    fn loudest(&self, layers: &[LayerGates]) -> Vec<Source> {
        let count = layers.iter().map(|layer| layer.gates.len()).max().unwrap_or(0);
        let source = |at: usize| {
            let gates: Vec<f32> = layers.iter().filter_map(|l| l.gates.get(at).copied()).collect();
            let name = self.sources.get(at).cloned();
            Source {
                name: name.unwrap_or_else(|| format!("source {}", at + 1)),
                gate: gates.iter().sum::<f32>() / gates.len().max(1) as f32,
            }
        };
        let mut sources: Vec<Source> = (0..count).map(source).collect();
        sources.sort_by(|a, b| b.gate.total_cmp(&a.gate));
        sources
    }
}
