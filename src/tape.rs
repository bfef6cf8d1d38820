//! Reverse-mode differentiation.
//!
//! A [`Tape`] is a list of nodes in the order of their creation. Each holds a
//! value and, if a parameter leads to it, the [`Backward`] rule of the operation
//! that made it. [`Tape::backward`] walks the list once, from the end: the whole
//! chain rule is that one loop.
//!
//! ```
//! use zoo_tuning::ndarray::{Ix2, array};
//! use zoo_tuning::{ops, tape::Tape};
//! # fn main() -> zoo_tuning::Result<()> {
//! let mut tape = Tape::new();
//! let x = tape.constant(array![[3.0f32, -1.0]]);
//! let w = tape.parameter(array![[0.5], [2.0]]);
//! let y = ops::matmul(&mut tape, x, w)?;
//! assert_eq!(tape.value(y)?.view::<Ix2>()?, array![[-0.5]]);
//! let mut gradients = tape.backward(y)?;
//! assert_eq!(gradients.take(w).unwrap().into_array::<Ix2>()?, array![[3.0], [-1.0]]);
//! # Ok(())
//! # }
//! ```

use crate::profile::{Clock, Pass, Work};
use crate::tensor::{Device, Element, Tensor};
use crate::{Error, Result};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A handle to a value on a tape: a number, free to copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Var {
    index: u32,
    tape: u32,
}

impl Var {
    /// The number of the node, in the order of creation.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// The backward rule of one recorded operation: whatever its forward pass saved.
///
/// An operation of one's own is a struct that implements this trait and a
/// function that computes the value and calls [`Tape::record`]; see
/// `examples/own_operation.rs`. It is `Send`, so that a tape may wait in one thread and be walked in
/// another.
pub trait Backward<T>: Send {
    /// Given `dy`, the gradient of the loss with respect to the operation's
    /// output, returns the gradient with respect to each input, in the order
    /// given to [`Tape::record`]. Where `wanted[i]` is false, `None` saves work.
    ///
    /// The rule is consumed, so that what it saved is freed as soon as it is used.
    ///
    /// # Errors
    /// Whatever the operation finds wrong.
    fn backward(self: Box<Self>, dy: Tensor<T>, wanted: &[bool]) -> Result<Vec<Option<Tensor<T>>>>;

    /// Multiply-adds of the forward pass, by its formula; 0 where they are few beside the values
    /// that are read and written.
    fn multiply_adds(&self) -> u64 {
        0
    }

    /// Of [`Backward::multiply_adds`], those that depend on parameters alone: a network that no
    /// longer learns can do without them.
    fn multiply_adds_of_parameters(&self) -> u64 {
        0
    }

    /// Multiply-adds of [`Backward::backward`]. In a product of the first two inputs, the
    /// gradient of each costs what the product did.
    fn multiply_adds_backward(&self, wanted: &[bool]) -> u64 {
        let gradients = wanted.iter().take(2).filter(|&&wanted| wanted).count();
        self.multiply_adds().saturating_mul(gradients as u64)
    }
}

struct Node<T> {
    /// `None` once the backward pass has gone by.
    value: Option<Tensor<T>>,
    inputs: Vec<u32>,
    /// Whether a parameter leads here; if not, no gradient is computed.
    needs_gradient: bool,
    rule: Option<Box<dyn Backward<T>>>,
    operation: &'static str,
    scope: Option<Arc<str>>,
    multiply_adds: u64,
}

/// The record of one forward pass.
pub struct Tape<T> {
    id: u32,
    nodes: Vec<Node<T>>,
    scope: Option<Arc<str>>,
    spent: bool,
    clock: Clock,
}

impl<T: Element> Default for Tape<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Element> Tape<T> {
    const USED_UP: Error = Error::Tape {
        problem: "backward was already called on this tape",
        hint: "record the forward pass again on a new tape",
    };

    /// An empty tape.
    pub fn new() -> Self {
        static NEXT_ID: AtomicU32 = AtomicU32::new(0);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self { id, nodes: Vec::new(), scope: None, spent: false, clock: Clock::start() }
    }

    /// A value that needs no gradient: a tensor, or an array of `ndarray`.
    pub fn constant(&mut self, value: impl Into<Tensor<T>>) -> Var {
        self.leaf("constant", value.into(), false)
    }

    /// A value whose gradient [`Tape::backward`] returns: a tensor, or an array of `ndarray`.
    pub fn parameter(&mut self, value: impl Into<Tensor<T>>) -> Var {
        self.leaf(PARAMETER, value.into(), true)
    }

    /// The value behind a handle.
    ///
    /// # Errors
    /// If the handle belongs to another tape, or the backward pass has freed the value.
    pub fn value(&self, var: Var) -> Result<&Tensor<T>> {
        self.node(var)?.value.as_ref().ok_or(Error::Tape {
            problem: "this value was freed, by the backward pass or by forget",
            hint: "read the values that you need before, or keep them",
        })
    }

    /// Records that `operation` made `value` from `inputs`. If no parameter
    /// leads to any of them, `rule` is dropped at once.
    ///
    /// # Errors
    /// If an input belongs to another tape, or the tape has been used up.
    pub fn record(
        &mut self,
        operation: &'static str,
        value: Tensor<T>,
        inputs: &[Var],
        rule: impl Backward<T> + 'static,
    ) -> Result<Var> {
        if self.spent {
            return Err(Self::USED_UP);
        }
        let (mut needs_gradient, mut values) = (false, value.len());
        for &input in inputs {
            let node = self.node(input)?;
            needs_gradient |= node.needs_gradient;
            values += node.value.as_ref().map_or(0, Tensor::len);
        }
        let multiply_adds = rule.multiply_adds();
        let of_parameters = rule.multiply_adds_of_parameters();
        value.device().finish_for_profile()?;
        self.clock.lap(operation, Pass::Forward, self.scope.as_ref(), || {
            work::<T>(multiply_adds, values)
        });
        let rule = needs_gradient.then(|| Box::new(rule) as Box<dyn Backward<T>>);
        let inputs = if needs_gradient { inputs.iter().map(|v| v.index).collect() } else { vec![] };
        let value = Some(value);
        let scope = self.scope.clone();
        let multiply_adds = multiply_adds.saturating_sub(of_parameters);
        let node = Node { value, inputs, needs_gradient, rule, operation, scope, multiply_adds };
        Ok(self.push(node))
    }

    /// Multiply-adds of the operations so far, by their formulas, but for what depends on
    /// parameters alone.
    pub fn multiply_adds(&self) -> u64 {
        self.nodes.iter().map(|node| node.multiply_adds).fold(0, u64::saturating_add)
    }

    /// Whether a parameter leads to any of these, so that a backward rule will be kept.
    ///
    /// # Errors
    /// If one belongs to another tape.
    pub fn needs_gradient(&self, inputs: &[Var]) -> Result<bool> {
        inputs.iter().try_fold(false, |any, &input| Ok(any | self.node(input)?.needs_gradient))
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Forgets what operations have computed at these nodes, but for what `is_kept`, for leaves, and
    /// for what leads to a gradient: an evaluation need hold no more than what is still to be read.
    pub fn forget(&mut self, nodes: Range<usize>, is_kept: impl Fn(Var) -> bool) {
        let tape = self.id;
        let end = nodes.end.min(self.nodes.len());
        for index in nodes.start..end {
            let node = &mut self.nodes[index];
            let is_leaf = matches!(node.operation, "constant" | PARAMETER);
            if !is_leaf && !node.needs_gradient && !is_kept(Var { index: index as u32, tape }) {
                node.value = None;
            }
        }
    }

    /// Names the part of a network that the following nodes belong to, for messages.
    pub fn enter(&mut self, scope: &str) {
        self.scope = Some(Arc::from(scope));
    }

    /// The first node, in order of creation, that holds a value that is not
    /// finite, as `scope (operation)`.
    ///
    /// # Errors
    /// If a value is on a device that is lost.
    pub fn first_not_finite(&self) -> Result<Option<String>> {
        for node in &self.nodes {
            let Some(value) = &node.value else { continue };
            if !value.to(&Device::Cpu)?.is_finite() {
                return Ok(Some(match &node.scope {
                    Some(scope) => format!("{scope} ({})", node.operation),
                    None => node.operation.to_owned(),
                }));
            }
        }
        Ok(None)
    }

    /// The gradients of the scalar `loss` with respect to all parameters.
    ///
    /// # Errors
    /// If `loss` holds more than one value ([`Tape::backward_from`] takes a seed
    /// gradient), no parameter leads to it, or the tape has been used up.
    pub fn backward(&mut self, loss: Var) -> Result<Gradients<T>> {
        self.backward_with(loss, |_, _| Ok(()))
    }

    /// As [`Tape::backward`]; `each` is told the gradient of each parameter as soon as it is whole, while those
    /// of others are still being computed, or that it has none; in an order that follows from the order in which
    /// parameters were put on the tape alone.
    ///
    /// # Errors
    /// As [`Tape::backward`]; those of `each`.
    pub fn backward_with(
        &mut self,
        loss: Var,
        each: impl FnMut(Var, Option<&Tensor<T>>) -> Result<()>,
    ) -> Result<Gradients<T>> {
        let value = self.value(loss)?;
        if value.len() != 1 {
            return Err(Error::Tape {
                problem: "backward starts at a single value, but the loss has several",
                hint: "reduce it to one, or give a seed gradient to backward_from",
            });
        }
        let seed = Tensor::full(value.shape(), T::one());
        self.propagate(loss, seed, each)
    }

    /// The gradients of `sum(seed * output)` with respect to all parameters.
    /// Values and saved data are freed on the way, so a tape serves once.
    ///
    /// # Errors
    /// If `seed` has another shape than `output`, no parameter leads to
    /// `output`, or the tape has been used up.
    pub fn backward_from(
        &mut self,
        output: Var,
        seed: impl Into<Tensor<T>>,
    ) -> Result<Gradients<T>> {
        self.propagate(output, seed.into(), |_, _| Ok(()))
    }

    fn propagate(
        &mut self,
        output: Var,
        seed: Tensor<T>,
        mut each: impl FnMut(Var, Option<&Tensor<T>>) -> Result<()>,
    ) -> Result<Gradients<T>> {
        if self.spent {
            return Err(Self::USED_UP);
        }
        let value = self.value(output)?;
        if value.shape() != seed.shape() {
            let expected = format!("{:?}, like the output", value.shape());
            return Err(Error::shape("backward", "seed gradient", expected, seed.shape()));
        }
        if !self.node(output)?.needs_gradient {
            return Err(Error::Tape {
                problem: "no parameter leads to this value",
                hint: "make the tensors that are to be trained with Tape::parameter",
            });
        }
        self.spent = true;

        let mut gradients: Vec<Option<Tensor<T>>> = Vec::new();
        gradients.resize_with(self.nodes.len(), || None);
        gradients[output.index as usize] = Some(seed);
        self.clock.skip();
        for index in (0..self.nodes.len()).rev() {
            let node = &mut self.nodes[index];
            node.value = None;
            let Some(rule) = node.rule.take() else {
                // A leaf has no rule: its gradient, if any, stays for the caller. All that were made of it
                // come after it, and have added to its gradient by now.
                if node.needs_gradient && node.operation == PARAMETER {
                    each(Var { index: index as u32, tape: self.id }, gradients[index].as_ref())?;
                    self.clock.skip();
                }
                continue;
            };
            let Some(dy) = gradients[index].take() else { continue };
            let (operation, inputs) = (node.operation, std::mem::take(&mut node.inputs));
            let wanted: Vec<bool> =
                inputs.iter().map(|&i| self.nodes[i as usize].needs_gradient).collect();
            let (multiply_adds, mut values) = (rule.multiply_adds_backward(&wanted), dy.len());
            let device = dy.device();
            let returned = rule.backward(dy, &wanted)?;
            if returned.len() != inputs.len() {
                let problem = format!(
                    "its backward rule returned {} gradients for {} inputs",
                    returned.len(),
                    inputs.len()
                );
                return Err(Error::argument(operation, problem));
            }
            for ((input, wanted), gradient) in inputs.into_iter().zip(wanted).zip(returned) {
                let (true, Some(gradient)) = (wanted, gradient) else { continue };
                let value = self.nodes[input as usize].value.as_ref();
                if let Some(value) = value.filter(|v| v.shape() != gradient.shape()) {
                    let expected = format!("{:?}, like the input", value.shape());
                    return Err(Error::shape(operation, "gradient", expected, gradient.shape()));
                }
                values += gradient.len();
                accumulate(operation, &mut gradients[input as usize], gradient)?;
            }
            device.finish_for_profile()?;
            self.clock.lap(operation, Pass::Backward, self.nodes[index].scope.as_ref(), || {
                work::<T>(multiply_adds, values)
            });
        }
        Ok(Gradients { tape: self.id, gradients })
    }

    fn leaf(&mut self, operation: &'static str, value: Tensor<T>, needs_gradient: bool) -> Var {
        let scope = self.scope.clone();
        let var = self.push(Node {
            value: Some(value),
            inputs: vec![],
            needs_gradient,
            rule: None,
            operation,
            scope,
            multiply_adds: 0,
        });
        // Wherever the value is from, the next operation has not made it.
        self.clock.skip();
        var
    }

    fn push(&mut self, node: Node<T>) -> Var {
        let index = self.nodes.len() as u32;
        self.nodes.push(node);
        Var { index, tape: self.id }
    }

    fn node(&self, var: Var) -> Result<&Node<T>> {
        if var.tape != self.id {
            return Err(Error::Tape {
                problem: "this value was recorded on another tape",
                hint: "a handle is valid only on the tape that made it",
            });
        }
        Ok(&self.nodes[var.index as usize])
    }
}

/// What stands for an operation where a parameter was put on the tape.
const PARAMETER: &str = "parameter";

/// What an operation has done, for the profile.
fn work<T>(multiply_adds: u64, values: usize) -> Work {
    let bytes = (values as u64).saturating_mul(size_of::<T>() as u64);
    Work { flops: multiply_adds.saturating_mul(2), bytes }
}

/// The one place where gradients meet.
fn accumulate<T: Element>(
    operation: &'static str,
    sum: &mut Option<Tensor<T>>,
    gradient: Tensor<T>,
) -> Result<()> {
    match sum {
        None => *sum = Some(gradient),
        Some(sum) => {
            Device::of(operation, [&*sum, &gradient])?.engine().add_to(sum, &gradient)?;
        }
    }
    Ok(())
}

/// What [`Tape::backward`] returns: a gradient for each parameter that leads to the loss.
pub struct Gradients<T> {
    tape: u32,
    gradients: Vec<Option<Tensor<T>>>,
}

impl<T> Gradients<T> {
    /// Takes out the gradient of a parameter, of the parameter's shape; `None`
    /// if the loss does not depend on it.
    pub fn take(&mut self, var: Var) -> Option<Tensor<T>> {
        if var.tape != self.tape {
            return None;
        }
        self.gradients.get_mut(var.index as usize)?.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops;

    fn square_sum(tape: &mut Tape<f64>, x: Var) -> Var {
        let zero = tape.constant(Tensor::zeros(&[2]));
        ops::mse(tape, x, zero).unwrap()
    }

    #[test]
    fn a_value_used_twice_receives_both_gradients() {
        let mut tape = Tape::new();
        let x = tape.parameter(Tensor::new(&[2], vec![1.0, -2.0]).unwrap());
        let y = ops::add(&mut tape, x, x).unwrap();
        let loss = square_sum(&mut tape, y);
        // loss = (2x)^2 / 2 summed over two values: the gradient is 4x.
        let mut gradients = tape.backward(loss).unwrap();
        assert_eq!(gradients.take(x).unwrap().as_slice(), [4.0, -8.0]);
    }

    #[test]
    fn backward_twice_is_an_error() {
        let mut tape = Tape::new();
        let x = tape.parameter(Tensor::new(&[2], vec![1.0, -2.0]).unwrap());
        let loss = square_sum(&mut tape, x);
        assert!(tape.backward(loss).is_ok());
        assert!(matches!(tape.backward(loss), Err(Error::Tape { .. })));
        assert!(matches!(tape.backward_from(x, Tensor::zeros(&[2])), Err(Error::Tape { .. })));
        let y = tape.constant(Tensor::zeros(&[2]));
        assert!(matches!(ops::relu(&mut tape, y), Err(Error::Tape { .. })));
    }

    #[test]
    fn several_values_need_a_seed() {
        let mut tape = Tape::new();
        let x = tape.parameter(Tensor::new(&[2], vec![1.0, -2.0]).unwrap());
        assert!(matches!(tape.backward(x), Err(Error::Tape { .. })));
        let wrong = Tensor::zeros(&[3]);
        assert!(matches!(tape.backward_from(x, wrong), Err(Error::Shape { .. })));
        let seed = Tensor::full(&[2], 3.0);
        let mut gradients = tape.backward_from(x, seed).unwrap();
        assert_eq!(gradients.take(x).unwrap().as_slice(), [3.0, 3.0]);
    }

    #[test]
    fn what_leads_to_no_parameter_gets_no_gradient() {
        /// A rule that must never run.
        struct Never;
        impl Backward<f64> for Never {
            fn backward(
                self: Box<Self>,
                _: Tensor<f64>,
                _: &[bool],
            ) -> Result<Vec<Option<Tensor<f64>>>> {
                panic!("asked for a gradient that leads nowhere")
            }
        }
        let mut tape = Tape::new();
        let c = tape.constant(Tensor::zeros(&[2]));
        let y = tape.record("never", Tensor::zeros(&[2]), &[c], Never).unwrap();
        let x = tape.parameter(Tensor::zeros(&[2]));
        let sum = ops::add(&mut tape, x, y).unwrap();
        let loss = square_sum(&mut tape, sum);
        let mut gradients = tape.backward(loss).unwrap();
        assert!(gradients.take(c).is_none());
        assert!(gradients.take(x).is_some());
        let mut tape = Tape::new();
        let c = tape.constant(Tensor::scalar(1.0));
        assert!(matches!(tape.backward(c), Err(Error::Tape { .. })));
    }

    #[test]
    fn saved_values_are_freed_as_the_backward_pass_runs() {
        let values = Tensor::new(&[2], vec![1.0, 2.0]).unwrap();
        let mut tape = Tape::new();
        let x = tape.parameter(values.clone());
        let y = ops::relu(&mut tape, x).unwrap();
        let loss = square_sum(&mut tape, y);
        tape.backward(loss).unwrap();
        assert!(tape.value(y).is_err());
        // Nothing else holds the parameter, so that it can be updated in place.
        let (before, mut values) = (values.as_slice().as_ptr(), values);
        values.as_mut_slice()[0] = 0.0;
        assert_eq!(values.as_slice().as_ptr(), before);
    }

    #[test]
    fn what_is_forgotten_is_gone_but_for_leaves_and_what_is_kept() {
        let mut tape = Tape::new();
        let x = tape.constant(Tensor::<f64>::full(&[1], 1.0));
        let doubled = ops::add(&mut tape, x, x).unwrap();
        let kept = ops::add(&mut tape, doubled, x).unwrap();
        let parameter = tape.parameter(Tensor::full(&[1], 1.0));
        let wanted = ops::add(&mut tape, kept, parameter).unwrap();
        tape.forget(0..tape.len(), |var| var == kept);
        assert!(matches!(tape.value(doubled), Err(Error::Tape { .. })));
        assert_eq!(tape.value(x).unwrap().as_slice(), [1.0]);
        assert_eq!(tape.value(kept).unwrap().as_slice(), [3.0]);
        // A gradient will be asked for.
        assert_eq!(tape.value(wanted).unwrap().as_slice(), [4.0]);
    }

    #[test]
    fn a_handle_is_valid_on_its_own_tape_only() {
        let (mut a, mut b) = (Tape::<f64>::new(), Tape::<f64>::new());
        let x = a.parameter(Tensor::zeros(&[1]));
        assert!(matches!(ops::relu(&mut b, x), Err(Error::Tape { .. })));
    }

    #[test]
    fn the_first_value_that_is_not_finite_is_named() {
        let mut tape = Tape::new();
        let x = tape.parameter(Tensor::new(&[1], vec![f64::MAX]).unwrap());
        tape.enter("layer1.0");
        let y = ops::add(&mut tape, x, x).unwrap();
        tape.enter("fc");
        ops::relu(&mut tape, y).unwrap();
        assert_eq!(tape.first_not_finite().unwrap().as_deref(), Some("layer1.0 (add)"));
    }
}
