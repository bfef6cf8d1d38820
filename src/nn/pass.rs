//! One forward pass over a batch.

use super::router::Sorted;
use super::{Id, Node, Parameters, Role, Step};
use crate::processes::Share;
use crate::tape::{Tape, Var};
use crate::tensor::{Element, Tensor};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// One forward pass: the tape, the parameters on it, and what layers leave behind.
///
/// ```
/// # use zoo_tuning::{nn::*, ops, tensor::Tensor, Result};
/// # fn main() -> Result<()> {
/// let network = Network::<f32>::drawn(&Design::named("resnet_small", 1, 2)?, 1)?;
///
/// let mut pass = Pass::train(network.parameters());
/// let x = pass.input(Tensor::full(&[4, 1, 8, 8], 1.0));
/// let logits = network.forward(&mut pass, x)?;
/// let loss = ops::cross_entropy(pass.tape(), logits, &[0, 1, 1, 0], 0.0)?;
/// let step = pass.backward(loss)?;
/// let weight = network.parameters().find("fc.weight")?;
/// assert_eq!(step.gradient(weight).unwrap().shape(), [2, 64]);
/// # Ok(())
/// # }
/// ```
pub struct Pass<'a, T> {
    parameters: &'a Parameters<T>,
    tape: Tape<T>,
    on_tape: Vec<Option<Var>>,
    mode: Mode,
    has_gradients: bool,
    keeps_activations: bool,
    /// Nodes of the network that are never forgotten.
    kept: Vec<Node>,
    /// By parameter.
    frozen: Vec<bool>,
    updates: Vec<(Id, Tensor<T>)>,
    observed: Vec<(String, Var)>,
    /// By the number of the node, if anything is kept.
    activations: Vec<Var>,
    /// What sources and noise are drawn by, if they are drawn.
    draws: Option<u64>,
    /// The source of each sample, if that is the caller's choice.
    given_routes: Option<Vec<usize>>,
    /// How the samples of the last batch were sorted, in a routed network.
    sorted: Option<Sorted>,
    /// What part of a batch this is, if it is one.
    share: Option<Share>,
}

/// What a pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Norms by the batch's statistics; gradients.
    Train,
    /// Norms by the running statistics; no gradients.
    Evaluate,
    /// Norms by the batch's statistics, which the running ones become; no gradients.
    Measure,
    /// Norms let everything through, and their running statistics become the batch's; no gradients.
    Transparent,
}

impl<'a, T: Element> Pass<'a, T> {
    fn new(parameters: &'a Parameters<T>, mode: Mode) -> Self {
        Self {
            parameters,
            tape: Tape::new(),
            on_tape: vec![None; parameters.len()],
            mode,
            has_gradients: mode == Mode::Train,
            keeps_activations: false,
            kept: Vec::new(),
            frozen: vec![false; parameters.len()],
            updates: Vec::new(),
            observed: Vec::new(),
            activations: Vec::new(),
            draws: None,
            given_routes: None,
            sorted: None,
            share: None,
        }
    }

    /// A pass for training: batch statistics, gradients for the parameters.
    pub fn train(parameters: &'a Parameters<T>) -> Self {
        Self::new(parameters, Mode::Train)
    }

    /// A pass for evaluation: running statistics, no gradients.
    pub fn evaluate(parameters: &'a Parameters<T>) -> Self {
        Self::new(parameters, Mode::Evaluate)
    }

    /// A pass that measures a batch: norms go by its statistics, and leave these as the running
    /// ones (of momentum 1); no gradients. See [`Pass::end`].
    pub fn measure(parameters: &'a Parameters<T>) -> Self {
        Self::new(parameters, Mode::Measure)
    }

    /// A pass that measures what comes into the norms while they let everything through as it is:
    /// each leaves mean and (biased) variance of its input as its running statistics; no gradients.
    pub fn transparent(parameters: &'a Parameters<T>) -> Self {
        Self::new(parameters, Mode::Transparent)
    }

    /// What can be random is, and follows from `seed`: in a routed network the source of each sample is
    /// drawn by how likely the router finds it, and noisy layers draw their noise. Without it, the source is
    /// the likeliest, and there is no noise.
    pub fn draw(mut self, seed: u64) -> Self {
        self.draws = Some(seed);
        self
    }

    /// In a routed network, sample n of the batch goes through source `routes[n]`, whatever its
    /// router finds.
    pub fn give_routes(mut self, routes: &[usize]) -> Self {
        self.given_routes = Some(routes.to_vec());
        self
    }

    /// The source that each sample of the last batch went through, in a routed network.
    pub fn routes(&self) -> Option<Vec<usize>> {
        let sorted = self.sorted.as_ref()?;
        let ends = sorted.counts.iter().scan(0, |end, count| {
            *end += count;
            Some(*end)
        });
        let ends: Vec<usize> = ends.collect();
        let source = |place: &usize| ends.partition_point(|end| end <= place);
        Some(sorted.inverse.iter().map(source).collect())
    }

    /// The batch is the share of this process in that of several: batch norms and lite's gates take the means
    /// of all samples. Every process makes the same passes, forward and back.
    pub fn together(mut self, share: Share) -> Self {
        self.share = Some(share);
        self
    }

    /// What part of a batch this is, if it is one.
    pub fn share(&self) -> Option<&Share> {
        self.share.as_ref()
    }

    pub(super) fn draws(&self) -> Option<u64> {
        self.draws
    }

    pub(super) fn given_routes(&self) -> Option<&[usize]> {
        self.given_routes.as_deref()
    }

    /// Whether samples take their likeliest sources: nobody draws or gives them, and nothing is learned.
    pub(super) fn chooses_likeliest(&self) -> bool {
        self.mode == Mode::Evaluate && self.draws.is_none() && self.given_routes.is_none()
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// Leaves how the batch is sorted by source.
    pub(super) fn sort(&mut self, sorted: Sorted) {
        self.sorted = Some(sorted);
    }

    pub(super) fn sorted(&self) -> Option<&Sorted> {
        self.sorted.as_ref()
    }

    /// How many samples of the batch each of `sources` sources has.
    pub(super) fn counts_of_sources(&self, sources: usize) -> Result<Vec<usize>> {
        let counts = self.sorted.as_ref().map(|sorted| sorted.counts.clone());
        counts.filter(|counts| counts.len() == sources).ok_or_else(|| {
            let problem = "a routed layer works on samples that its network has sorted";
            Error::argument("Pass", problem)
        })
    }

    /// The same, without gradients for these parameters: nothing is computed for them on the way
    /// back.
    pub fn freeze(mut self, ids: &[Id]) -> Self {
        ids.iter().for_each(|id| self.frozen[id.0] = true);
        self
    }

    /// The same, without any gradient: what an operation made is forgotten after its last use, but for the
    /// values of `nodes`, see [`Pass::activation`].
    pub(crate) fn keep_only(mut self, nodes: impl IntoIterator<Item = Node>) -> Self {
        self.has_gradients = false;
        self.kept.extend(nodes);
        self
    }

    /// The value of every node of the network is kept, see [`Pass::activation`], and nothing is
    /// forgotten on the way.
    pub fn keep_activations(mut self) -> Self {
        self.keeps_activations = true;
        self
    }

    /// Whether this pass is for training.
    pub fn is_training(&self) -> bool {
        self.mode == Mode::Train
    }

    /// The tape, for operations.
    pub fn tape(&mut self) -> &mut Tape<T> {
        &mut self.tape
    }

    /// The value behind a handle.
    ///
    /// # Errors
    /// If the handle belongs to another pass.
    pub fn value(&self, var: Var) -> Result<&Tensor<T>> {
        self.tape.value(var)
    }

    /// Puts a batch on the tape: a tensor, or an array of `ndarray`.
    pub fn input(&mut self, x: impl Into<Tensor<T>>) -> Var {
        self.tape.constant(x)
    }

    /// A parameter or buffer on the tape.
    pub fn var(&mut self, id: Id) -> Var {
        let Self { parameters, tape, on_tape, has_gradients, frozen, .. } = self;
        *on_tape[id.0].get_or_insert_with(|| {
            let value = parameters.value(id).clone();
            let role = parameters.role(id);
            if *has_gradients && role != Role::Buffer && !frozen[id.0] {
                tape.parameter(value)
            } else {
                tape.constant(value)
            }
        })
    }

    /// All parameters and buffers.
    pub fn parameters(&self) -> &'a Parameters<T> {
        self.parameters
    }

    /// The values of a parameter or buffer.
    pub fn parameter(&self, id: Id) -> &'a Tensor<T> {
        self.parameters.value(id)
    }

    /// Leaves a buffer's next value, for [`Step::update_buffers`].
    pub fn update(&mut self, id: Id, value: Tensor<T>) {
        self.updates.push((id, value));
    }

    /// Where no gradient is wanted, forgets the values that operations have made since there were `first` on the
    /// tape, but for `kept` and those that were left by name: a network of many layers need not
    /// hold them all.
    pub(super) fn forget(&mut self, first: usize, kept: Var) {
        if self.forgets() {
            let Self { tape, observed, .. } = self;
            tape.forget(first..tape.len(), |var| {
                var == kept || observed.iter().any(|(_, o)| *o == var)
            });
        }
    }

    /// Where no gradient is wanted, forgets the value of one node.
    pub(super) fn forget_one(&mut self, node: Node, var: Var) {
        if self.forgets() && !self.kept.contains(&node) {
            self.tape.forget(var.index()..var.index() + 1, |_| false);
        }
    }

    fn forgets(&self) -> bool {
        !self.has_gradients && !self.keeps_activations
    }

    pub(super) fn leave_activations(&mut self, nodes: Vec<Var>) {
        if !self.forgets() || !self.kept.is_empty() {
            self.activations = nodes;
        }
    }

    /// The value of a node of the network that was computed last, if they are kept.
    ///
    /// # Errors
    /// If they are not, or there is no such node.
    pub fn activation(&self, node: Node) -> Result<&Tensor<T>> {
        self.value(self.activation_var(node)?)
    }

    /// The same, on the tape.
    pub(super) fn activation_var(&self, node: Node) -> Result<Var> {
        self.activations.get(node.0).copied().ok_or_else(|| {
            Error::argument("Pass::activation", "no activation was kept: see keep_activations")
        })
    }

    /// Leaves an inner value by name, such as a gate.
    pub fn observe(&mut self, name: impl Into<String>, var: Var) {
        self.observed.push((name.into(), var));
    }

    /// What layers left by name, in the order of the layers.
    pub fn observed(&self) -> impl Iterator<Item = (&str, Var)> {
        self.observed.iter().map(|(name, var)| (name.as_str(), *var))
    }

    /// The gates `[N, m]` (of a lite layer in evaluation `[1, m]`), layer by layer.
    pub fn gates(&self) -> impl Iterator<Item = (&str, Var)> {
        self.observed().filter_map(|(name, var)| Some((name.strip_suffix(".gate")?, var)))
    }

    /// Multiply-adds of the convolutions, gates, linear layers, and aggregations per sample so
    /// far. Alignment and the aggregation of lite are not among them: at inference they can be
    /// done once for all.
    pub fn multiply_adds(&self) -> u64 {
        self.tape.multiply_adds()
    }

    /// Where a value stopped being finite first, as `layer (operation)`.
    ///
    /// # Errors
    /// If a value is on a device that is lost.
    pub fn first_not_finite(&self) -> Result<Option<String>> {
        self.tape.first_not_finite()
    }

    /// What the layers want to keep, without any gradients.
    pub fn end(self) -> Step<T> {
        Step::new(vec![None; self.parameters.len()], self.updates)
    }

    /// What the way back needs of this pass, without the network: for who computes a loss elsewhere.
    pub fn recorded(self) -> Recorded<T> {
        Recorded { tape: self.tape, on_tape: self.on_tape, updates: self.updates }
    }

    /// The gradients of the scalar `loss`, and what the layers want to keep.
    ///
    /// # Errors
    /// As [`Tape::backward`].
    pub fn backward(self, loss: Var) -> Result<Step<T>> {
        self.backward_with(loss, |_, _| Ok(()))
    }

    /// As [`Pass::backward`]; `each` is told the gradient of each parameter as soon as it is whole, while those
    /// of others are still being computed, or that it has none.
    ///
    /// # Errors
    /// As [`Tape::backward`]; those of `each`.
    pub fn backward_with(
        mut self,
        loss: Var,
        mut each: impl FnMut(Id, Option<&Tensor<T>>) -> Result<()>,
    ) -> Result<Step<T>> {
        let of_var = self.on_tape.iter().enumerate();
        let ids: BTreeMap<usize, Id> =
            of_var.filter_map(|(id, var)| Some((var.as_ref()?.index(), Id(id)))).collect();
        let mut gradients = self.tape.backward_with(loss, |var, gradient| {
            ids.get(&var.index()).map_or(Ok(()), |&id| each(id, gradient))
        })?;
        let gradients =
            self.on_tape.iter().map(|var| var.and_then(|var| gradients.take(var))).collect();
        Ok(Step::new(gradients, self.updates))
    }
}

/// A forward pass that waits for the gradient of what it made, see [`Pass::recorded`]. The network may
/// be changed meanwhile: the pass has kept the values that it used.
pub struct Recorded<T> {
    tape: Tape<T>,
    on_tape: Vec<Option<Var>>,
    updates: Vec<(Id, Tensor<T>)>,
}

impl<T: Element> Recorded<T> {
    /// The gradients of `sum(seed * output)` by the network's parameters, with what the layers want to
    /// keep, and by each of `inputs`: parameters that were put on the tape beside the network's.
    ///
    /// # Errors
    /// As [`Tape::backward_from`].
    #[expect(
        clippy::type_complexity,
        reason = "a gradient for each input, beside those of the network"
    )]
    pub fn backward_from(
        mut self,
        output: Var,
        seed: Tensor<T>,
        inputs: &[Var],
    ) -> Result<(Step<T>, Vec<Option<Tensor<T>>>)> {
        let mut gradients = self.tape.backward_from(output, seed)?;
        let of_inputs = inputs.iter().map(|&var| gradients.take(var)).collect();
        let of_network =
            self.on_tape.iter().map(|var| var.and_then(|var| gradients.take(var))).collect();
        Ok((Step::new(of_network, self.updates), of_inputs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Design, Form, Mixing, Network};
    use crate::ops;

    #[test]
    fn a_recorded_pass_has_the_gradients_of_the_loss_behind_it() -> Result<()> {
        let design = Design::named("resnet_small", 1, 2)?;
        let mut network = Network::<f64>::drawn(&design, 1)?;
        let images = Tensor::normal(&[2, 1, 8, 8], 1.0, &mut fastrand::Rng::with_seed(3));
        let mut pass = Pass::train(network.parameters());
        let x = pass.tape().parameter(images.clone());
        let logits = network.forward(&mut pass, x)?;
        let values = pass.value(logits)?.clone();
        let recorded = pass.recorded();
        let mut tape = Tape::new();
        let elsewhere = tape.parameter(values);
        let loss = ops::cross_entropy(&mut tape, elsewhere, &[0, 1], 0.0)?;
        let seed = tape.backward(loss)?.take(elsewhere).unwrap();
        // The network's values are another's to change.
        let weight = network.parameters().find("conv1.weight")?;
        network.parameters_mut().value_mut(weight).as_mut_slice().fill(0.0);
        let (found, of_inputs) = recorded.backward_from(logits, seed, &[x])?;

        let network = Network::<f64>::drawn(&design, 1)?;
        let mut pass = Pass::train(network.parameters());
        let x = pass.input(images);
        let logits = network.forward(&mut pass, x)?;
        let loss = ops::cross_entropy(pass.tape(), logits, &[0, 1], 0.0)?;
        let expected = pass.backward(loss)?;
        for (id, gradient) in expected.gradients() {
            assert_eq!(found.gradient(id).unwrap().as_slice(), gradient.as_slice());
        }
        assert_eq!(found.gradients().count(), expected.gradients().count());
        assert_eq!(found.updates().count(), expected.updates().count());
        assert_eq!(of_inputs[0].as_ref().unwrap().shape(), [2, 1, 8, 8]);
        Ok(())
    }

    #[test]
    fn what_is_kept_is_as_in_training_and_the_rest_is_forgotten() -> Result<()> {
        let mixed = [Form::Zoo(Mixing::default()), Form::Lite(Mixing::default())];
        let named = |name| Design::named(name, 1, 3).unwrap();
        let designs = ["resnet_small", "convnet_small"].map(named);
        let forms = designs.iter().flat_map(|design| mixed.clone().map(|form| (design, form)));
        for (design, form) in forms {
            let [_, size] = design.architecture().usual_sizes();
            let rng = &mut fastrand::Rng::with_seed(3);
            let images = Tensor::normal(&[4, 1, size, size], 1.0, rng);
            let source =
                |seed| Network::<f64>::drawn(design, seed).unwrap().parameters().state("one");
            let network = Network::from_sources(design, form, &[source(1), source(2)], 4)?;
            let found = |mut pass: Pass<f64>| -> Result<_> {
                let x = pass.input(images.clone());
                let logits = network.forward(&mut pass, x)?;
                let features = network.last_features(&mut pass)?;
                let map = network.last_map(&mut pass)?;
                let values = [logits, features, map].map(|var| pass.value(var).unwrap().clone());
                let earlier = pass.activation(Node(1)).is_ok();
                Ok((values.map(Tensor::into_vec), earlier))
            };
            let whole = found(Pass::train(network.parameters()))?;
            let parts = found(Pass::train(network.parameters()).keep_only(network.last_nodes()))?;
            assert_eq!(whole.0, parts.0);
            assert_eq!((whole.1, parts.1), (true, false));
        }
        Ok(())
    }
}
