//! A network: what runs, in one of its forms, with its values.

use super::trace::Graph;
use super::{Blueprint, Builder, Conv, Design, Form, Layers, Node, Operations, Parameters};
use super::{Pass, Run, Values};
use crate::tape::Var;
use crate::tensor::{Element, State};
use crate::{Result, ops};

/// A network that can be trained and evaluated.
///
/// It holds its [`Parameters`] and, for each layer, the [`Id`](super::Id)s of those it uses.
pub struct Network<T> {
    blueprint: Blueprint,
    layers: Layers,
    graph: Graph,
    convolutions: Vec<Conv>,
    parameters: Parameters<T>,
}

impl<T: Element> Network<T> {
    /// The network of a blueprint with values from there.
    ///
    /// # Errors
    /// If a source lacks a tensor or has it in another shape, a prior has not one finite value for
    /// each source, or there is no network of these sizes.
    pub fn new(blueprint: &Blueprint, values: Values<T>) -> Result<Self> {
        let Blueprint { design, form, sources } = blueprint;
        values.check(form, *sources)?;
        let mut builder = Builder::new(design, form, *sources);
        let layers = design.architecture().layers(&mut builder)?;
        let graph = Graph::trace(&builder, &layers, None)?;
        let convolutions = builder.convolutions;
        form.mixing().map_or(Ok(()), |mixing| mixing.aligned.check(&convolutions))?;
        let parameters = values.fill(builder.declared)?;
        Ok(Self { blueprint: blueprint.clone(), layers, graph, convolutions, parameters })
    }

    /// A plain network with drawn values.
    ///
    /// # Errors
    /// If there is no network of these sizes.
    pub fn drawn(design: &Design, seed: u64) -> Result<Self> {
        Self::new(&design.plain(), Values::drawn(seed))
    }

    /// A network of that form that starts from `sources`, with a fresh head; `seed` draws what they
    /// do not hold. A plain network of several sources is their mean.
    ///
    /// # Errors
    /// As [`Network::new`]; if there is no source.
    pub fn from_sources(
        design: &Design,
        form: Form,
        sources: &[State<T>],
        seed: u64,
    ) -> Result<Self> {
        Self::new(&design.in_form(form, sources.len()), Values::sources(sources, seed))
    }

    /// What the network is, without its values.
    pub fn blueprint(&self) -> &Blueprint {
        &self.blueprint
    }

    /// Its architecture and sizes.
    pub fn design(&self) -> &Design {
        &self.blueprint.design
    }

    /// Everything that is trained or kept.
    pub fn parameters(&self) -> &Parameters<T> {
        &self.parameters
    }

    /// The same, to be changed.
    pub fn parameters_mut(&mut self) -> &mut Parameters<T> {
        &mut self.parameters
    }

    /// All convolutions, in the order in which they were declared.
    pub fn convolutions(&self) -> impl Iterator<Item = &Conv> {
        self.convolutions.iter()
    }

    /// The output for the batch `x` `[N, C, H, W]`, recorded in `pass`: logits `[N, outputs]`, or
    /// maps `[N, outputs, H', W']`.
    ///
    /// # Errors
    /// If `x` does not have the shape that the network takes.
    pub fn forward(&self, pass: &mut Pass<T>, x: Var) -> Result<Var> {
        let mut run = Run::new(pass, &self.graph.last_uses, x);
        let output = (self.layers)(&mut run, Node::INPUT)?;
        run.finish(output)
    }

    /// What goes into the head, `[N, D]`: of a map the mean of each channel.
    ///
    /// # Errors
    /// As [`Network::forward`].
    pub fn features(&self, pass: &mut Pass<T>, x: Var) -> Result<Var> {
        let mut run = Run::new(pass, &self.graph.last_uses, x);
        (self.layers)(&mut run, Node::INPUT)?;
        let features = run.finish(self.graph.features)?;
        pooled(pass, features)
    }

    /// What went into the head, as [`Network::features`], of the last forward pass in `pass`, which is
    /// one for training.
    ///
    /// # Errors
    /// If there was none.
    pub fn last_features(&self, pass: &mut Pass<T>) -> Result<Var> {
        let features = pass.activation_var(self.graph.features)?;
        pooled(pass, features)
    }

    /// The last map `[N, C, H, W]` before the head, of the last forward pass in `pass`, which is one
    /// for training.
    ///
    /// # Errors
    /// If there was none.
    pub fn last_map(&self, pass: &Pass<T>) -> Result<Var> {
        pass.activation_var(self.graph.last_map)
    }

    /// The same output, by whoever else carries out operations; `x` is its first node.
    ///
    /// # Errors
    /// Those of `operations`.
    pub fn operate(&self, operations: &mut dyn Operations, x: Node) -> Result<Node> {
        (self.layers)(operations, x)
    }
}

/// Features `[N, D]`: of a map the mean of each channel.
fn pooled<T: Element>(pass: &mut Pass<T>, features: Var) -> Result<Var> {
    match pass.value(features)?.shape().len() {
        4 => ops::global_mean_pool(pass.tape(), features),
        _ => Ok(features),
    }
}
