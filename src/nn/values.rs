//! Where the values of a network come from.

use super::builder::{Declared, Inherits, Start};
use super::{Form, Parameters};
use crate::tensor::{Element, State, Tensor, product};
use crate::{Error, Result};

/// Where a network's values come from.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a, T> {
    /// They are drawn: a network from scratch, or one to be measured.
    Drawn {
        /// What they follow from.
        seed: u64,
    },
    /// Of one source, or of several that meet; what they do not hold is drawn.
    Sources {
        /// The sources, under the network's names.
        sources: &'a [State<T>],
        /// What drawn values follow from.
        seed: u64,
        /// What the head starts with.
        head: Head,
        /// What running statistics start with.
        statistics: Statistics,
    },
    /// A network that was saved: nothing is drawn, and no values are copied.
    Saved(&'a State<T>),
}

/// What the head starts with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Head {
    /// Weights from N(0, 0.01^2), no bias; what the sources hold is dropped.
    #[default]
    Fresh,
    /// The source's own.
    Kept,
}

/// What running statistics of batch norms start with, where several sources meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Statistics {
    /// Mean 0, variance 1, as in the authors' released code.
    #[default]
    Reset,
    /// The mean of the sources' statistics.
    Mean,
}

impl<'a, T: Element> Values<'a, T> {
    /// Drawn values.
    pub fn drawn(seed: u64) -> Self {
        Self::Drawn { seed }
    }

    /// Those of sources, with a fresh head.
    pub fn sources(sources: &'a [State<T>], seed: u64) -> Self {
        let (head, statistics) = (Head::default(), Statistics::default());
        Self::Sources { sources, seed, head, statistics }
    }

    /// The same; what the head starts with, if there are sources.
    pub fn head(mut self, chosen: Head) -> Self {
        if let Self::Sources { head, .. } = &mut self {
            *head = chosen;
        }
        self
    }

    /// The same; what running statistics start with, if there are sources.
    pub fn statistics(mut self, chosen: Statistics) -> Self {
        if let Self::Sources { statistics, .. } = &mut self {
            *statistics = chosen;
        }
        self
    }

    /// An error if there are not as many sources as a network of that form has.
    pub(super) fn check(&self, form: &Form, count: usize) -> Result<()> {
        let refuse = |problem: String| Err(Error::argument("Network::new", problem));
        if let Self::Sources { sources, .. } = self {
            if sources.is_empty() {
                return refuse("a zoo needs one source at least".to_owned());
            }
            if *form != Form::Plain && sources.len() != count {
                return refuse(format!("{} sources for a zoo of {count}", sources.len()));
            }
        }
        if *form == Form::Routed {
            // Each source has tensors of its own, of which there are as many as the file says.
            let most = match self {
                Self::Saved(state) => state.tensors.len(),
                _ => usize::MAX,
            };
            if count == 0 || count > most {
                return refuse(format!("a routed network of {count} sources, of {most} tensors"));
            }
        }
        let prior = form.mixing().and_then(|mixing| mixing.prior.as_ref());
        if let Some(prior) = prior.filter(|prior| prior.len() != count) {
            return refuse(format!("a prior of {} for {count} sources", prior.len()));
        }
        if let Some(bias) = prior.into_iter().flatten().find(|bias| !bias.is_finite()) {
            return refuse(format!("a prior should be finite, but holds {bias}"));
        }
        Ok(())
    }

    /// Values for all that was declared, one after the other: what is drawn depends on that order.
    pub(super) fn fill(&self, declared: Vec<Declared>) -> Result<Parameters<T>> {
        let seed = match self {
            Self::Drawn { seed } | Self::Sources { seed, .. } => *seed,
            Self::Saved(_) => 0,
        };
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut parameters = Parameters::default();
        for tensor in declared {
            let value = match self {
                Self::Saved(state) => of_shape(state, &tensor.name, &tensor.shape)?.clone(),
                _ if product(&tensor.shape).is_none() => {
                    let Declared { name, shape, .. } = tensor;
                    let problem = format!("{name} of {shape:?} would exceed the address space");
                    return Err(Error::argument("build", problem));
                }
                _ => match self.inherited(&tensor)? {
                    Some(value) => value,
                    None => tensor.start.draw(&tensor.shape, &mut rng)?,
                },
            };
            parameters.add(&tensor.name, tensor.role, value)?;
        }
        Ok(parameters)
    }

    /// What a tensor inherits, if it does.
    fn inherited(&self, tensor: &Declared) -> Result<Option<Tensor<T>>> {
        let &Self::Sources { sources, head, statistics, .. } = self else { return Ok(None) };
        let Declared { name, shape, .. } = tensor;
        let each = |shape: &[usize]| -> Result<Vec<&'a Tensor<T>>> {
            sources.iter().map(|source| of_shape(source, name, shape)).collect()
        };
        let mean = |shares: Option<&[f64]>| {
            let tensors = each(shape)?;
            // The one source's own stays where it is.
            if let [one] = tensors[..] {
                return Ok(Some(one.clone()));
            }
            let equal = vec![1.0 / tensors.len() as f64; tensors.len()];
            Tensor::weighted_sum(&tensors, shares.unwrap_or(&equal)).map(Some)
        };
        match &tensor.inherits {
            Inherits::Nothing => Ok(None),
            Inherits::One { source, name } => {
                let Some(source) = sources.get(*source) else { return Ok(None) };
                of_shape(source, name, shape).cloned().map(Some)
            }
            Inherits::Stack => Tensor::stack(&each(&shape[1..])?).map(Some),
            Inherits::Mean(shares) => mean(shares.as_deref()),
            Inherits::Statistics(_) if statistics == Statistics::Reset && sources.len() > 1 => {
                Ok(None)
            }
            Inherits::Statistics(shares) => mean(shares.as_deref()),
            Inherits::Head if head == Head::Kept => mean(None),
            Inherits::Head => Ok(None),
        }
    }
}

impl Start {
    /// A tensor of that shape.
    fn draw<T: Element>(&self, shape: &[usize], rng: &mut fastrand::Rng) -> Result<Tensor<T>> {
        Ok(match self {
            Self::Normal(std) => Tensor::normal(shape, *std, rng),
            Self::Uniform(bound) => {
                Tensor::from_fn(shape, || T::from_f64((2.0 * rng.f64() - 1.0) * bound))
            }
            Self::Constant(value) => Tensor::full(shape, T::from_f64(*value)),
            Self::Values(values) => {
                Tensor::new(shape, values.iter().map(|&v| T::from_f64(v)).collect())?
            }
            Self::Identities => {
                let mut values = Tensor::zeros(shape);
                let outputs = shape.last().copied().unwrap_or(0);
                for matrix in values.as_mut_slice().chunks_mut((outputs * outputs).max(1)) {
                    matrix.iter_mut().step_by(outputs + 1).for_each(|v| *v = T::one());
                }
                values
            }
        })
    }
}

fn of_shape<'a, T: Element>(
    state: &'a State<T>,
    key: &str,
    shape: &[usize],
) -> Result<&'a Tensor<T>> {
    let tensor = state.get(key)?;
    if tensor.shape() == shape {
        return Ok(tensor);
    }
    let tensor_name = format!("{key} of {}", state.origin);
    Err(Error::shape("build", tensor_name, format!("{shape:?}"), tensor.shape()))
}
