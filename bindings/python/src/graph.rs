//! Values that know what they were made of, and the way back over them.
//!
//! Each operation is recorded on a tape of its own, and values hold the tapes that made them. What nobody
//! holds any more is gone, so that neither a loop without a way back nor a forgotten loss keeps memory.

use crate::dlpack::{self, Loan};
use std::collections::{BinaryHeap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zoo_tuning::tape::{Tape, Var};
use zoo_tuning::tensor::Tensor;
use zoo_tuning::{Error, Result};

/// A value, and how it was made if a gradient leads through it.
pub struct Variable {
    /// Larger than those of the values that it was made of.
    id: u64,
    value: Mutex<Tensor<f32>>,
    needs_gradient: bool,
    /// Of a parameter, the sum of what came back to it.
    gradient: Mutex<Option<Tensor<f32>>>,
    /// How it was made; `None` for a parameter, for a constant, and once the way back went through.
    made: Mutex<Option<Made>>,
    is_leaf: bool,
    /// Whether another library may write to the value.
    is_lent: AtomicBool,
}

/// How a value was made.
struct Made {
    inputs: Vec<Arc<Variable>>,
    rule: Box<dyn Rule>,
}

/// The way back through what made a value.
pub trait Rule: Send {
    /// Given the gradient by the value, the gradient by each input.
    fn back(self: Box<Self>, gradient: Tensor<f32>) -> Result<Vec<Option<Tensor<f32>>>>;
}

/// An operation on a tape of its own.
struct Operation {
    tape: Tape<f32>,
    inputs: Vec<Var>,
    output: Var,
}

impl Rule for Operation {
    fn back(mut self: Box<Self>, gradient: Tensor<f32>) -> Result<Vec<Option<Tensor<f32>>>> {
        let mut gradients = self.tape.backward_from(self.output, gradient)?;
        Ok(self.inputs.iter().map(|&input| gradients.take(input)).collect())
    }
}

/// What a lock holds, also if its last holder failed: nothing is left half done here.
fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Variable {
    fn new(value: Tensor<f32>, needs_gradient: bool, made: Option<Made>) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            value: Mutex::new(value),
            needs_gradient,
            gradient: Mutex::new(None),
            is_leaf: made.is_none(),
            is_lent: AtomicBool::new(false),
            made: Mutex::new(made),
        })
    }

    /// A value that no gradient leads to.
    pub fn constant(value: Tensor<f32>) -> Arc<Self> {
        Self::new(value, false, None)
    }

    /// A value that takes a gradient.
    pub fn parameter(value: Tensor<f32>) -> Arc<Self> {
        Self::new(value, true, None)
    }

    /// A value with its way back to `inputs`.
    pub fn made(
        value: Tensor<f32>,
        inputs: Vec<Arc<Self>>,
        rule: impl Rule + 'static,
    ) -> Arc<Self> {
        Self::new(value, true, Some(Made { inputs, rule: Box::new(rule) }))
    }

    /// The value; a clone shares the numbers.
    pub fn value(&self) -> Tensor<f32> {
        locked(&self.value).clone()
    }

    /// The memory of the value, to be lent.
    pub fn loan(&self) -> Loan {
        let mut value = locked(&self.value);
        dlpack::loan(&mut value, self.is_lent.swap(true, Ordering::Relaxed))
    }

    /// Whether a gradient leads here.
    pub fn needs_gradient(&self) -> bool {
        self.needs_gradient
    }

    /// What came back to a parameter.
    pub fn gradient(&self) -> Option<Tensor<f32>> {
        locked(&self.gradient).clone()
    }

    /// Forgets what came back.
    pub fn forget_gradient(&self) {
        *locked(&self.gradient) = None;
    }

    /// The values that this was made of, of which nothing is known after that.
    fn take_inputs(&mut self) -> Vec<Arc<Self>> {
        let made = self.made.get_mut().unwrap_or_else(PoisonError::into_inner);
        made.take().map(|made| made.inputs).unwrap_or_default()
    }
}

impl Drop for Variable {
    /// One after the other: of a loss that was added up over many steps, each inside of the next, the
    /// stack would not hold all.
    fn drop(&mut self) {
        let mut rest = self.take_inputs();
        while let Some(input) = rest.pop() {
            if let Some(mut input) = Arc::into_inner(input) {
                rest.append(&mut input.take_inputs());
            }
        }
    }
}

/// What an operation makes of values.
pub fn apply(
    inputs: &[Arc<Variable>],
    operation: impl FnOnce(&mut Tape<f32>, &[Var]) -> Result<Var>,
) -> Result<Arc<Variable>> {
    let mut tape = Tape::new();
    let put = |input: &Arc<Variable>| match input.needs_gradient {
        true => tape.parameter(input.value()),
        false => tape.constant(input.value()),
    };
    let vars: Vec<Var> = inputs.iter().map(put).collect();
    let output = operation(&mut tape, &vars)?;
    let value = tape.value(output)?.clone();
    if !tape.needs_gradient(&[output])? {
        return Ok(Variable::constant(value));
    }
    let rule = Operation { tape, inputs: vars, output };
    Ok(Variable::made(value, inputs.to_vec(), rule))
}

/// Walks back from `output`, with `seed` as its gradient, or 1 if it is a single value.
pub fn backward(output: &Arc<Variable>, seed: Option<Tensor<f32>>) -> Result<()> {
    if !output.needs_gradient {
        return Err(Error::Tape {
            problem: "no parameter leads to this value",
            hint: "make tensors that are to be trained with requires_grad=True, or call a network",
        });
    }
    let shape = output.value().shape().to_vec();
    let seed = match seed {
        Some(seed) if seed.shape() == shape => seed,
        Some(seed) => {
            let expected = format!("{shape:?}, like the tensor");
            return Err(Error::shape("backward", "gradient", expected, seed.shape()));
        }
        None if shape.iter().product::<usize>() == 1 => Tensor::full(&shape, 1.0),
        None => {
            let problem = format!(
                "it starts at a single value, but this tensor has the shape {shape:?}; reduce it \
                 by sum() or mean(), or give a gradient"
            );
            return Err(Error::argument("backward", problem));
        }
    };
    // The newest first: when a value's turn comes, all that was made of it has had its own.
    let mut gradients = HashMap::from([(output.id, (seed, output.clone()))]);
    let mut order = BinaryHeap::from([output.id]);
    while let Some(id) = order.pop() {
        let Some((gradient, variable)) = gradients.remove(&id) else { continue };
        if variable.is_leaf {
            add(&mut locked(&variable.gradient), gradient);
            continue;
        }
        let made = locked(&variable.made).take();
        let Made { inputs, rule } = made.ok_or(Error::Tape {
            problem: "backward already went through this value",
            hint: "compute it again, from the network or the parameters on",
        })?;
        drop(variable);
        for (input, gradient) in inputs.into_iter().zip(rule.back(gradient)?) {
            let (true, Some(gradient)) = (input.needs_gradient, gradient) else { continue };
            match gradients.get_mut(&input.id) {
                Some((sum, _)) => add_to(sum, &gradient),
                None => {
                    order.push(input.id);
                    gradients.insert(input.id, (gradient, input));
                }
            }
        }
    }
    Ok(())
}

fn add(sum: &mut Option<Tensor<f32>>, gradient: Tensor<f32>) {
    match sum {
        Some(sum) => add_to(sum, &gradient),
        None => *sum = Some(gradient),
    }
}

fn add_to(sum: &mut Tensor<f32>, gradient: &Tensor<f32>) {
    sum.as_mut_slice().iter_mut().zip(gradient.as_slice()).for_each(|(sum, value)| *sum += value);
}
