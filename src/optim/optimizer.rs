//! Stochastic gradient descent with momentum, and Adam.

use crate::kernel::descent::{Adam, Sgd};
use crate::nn::{Id, Parameters, Role, Step};
use crate::tensor::{Device, Element, State, Tensor};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// How a gradient changes a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// `v = momentum v + g`, then `w -= lr v`, or with Nesterov's look ahead
    /// `w -= lr (g + momentum v)` (Sutskever et al., 2013, in PyTorch's form).
    Sgd {
        /// Share of the velocity that is kept, 0 to 1.
        momentum: f64,
        /// Nesterov's form.
        nesterov: bool,
    },
    /// Adam (Kingma and Ba, 2015), weight decay added to the gradient. The moments' start at
    /// zero is corrected by the number of all steps.
    Adam {
        /// Decay of the mean of gradients and of their squares.
        betas: [f64; 2],
        /// Added to the root of the second moment.
        epsilon: f64,
    },
}

impl Rule {
    /// As in the paper: Nesterov momentum of 0.9.
    pub const SGD: Self = Self::Sgd { momentum: 0.9, nesterov: true };
    /// As in PyTorch.
    pub const ADAM: Self = Self::Adam { betas: [0.9, 0.999], epsilon: 1e-8 };
}

/// What is particular to one group of parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// The learning rate, as a multiple of the schedule's; 0 freezes the group.
    pub rate: f64,
    /// `g += decay w`.
    pub decay: f64,
}

/// The settings of each group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Groups {
    /// Kernels and batch norms.
    pub backbone: Group,
    /// Channel alignment.
    pub alignment: Group,
    /// The gates.
    pub gate: Group,
    /// The classifier.
    pub head: Group,
}

impl Groups {
    /// The same weight decay everywhere.
    pub fn uniform(decay: f64) -> Self {
        let group = Group { rate: 1.0, decay };
        Self { backbone: group, alignment: group, gate: group, head: group }
    }

    fn of(&self, role: Role) -> Group {
        match role {
            Role::Backbone => self.backbone,
            Role::Alignment => self.alignment,
            Role::Gate => self.gate,
            Role::Head => self.head,
            Role::Buffer => Group { rate: 0.0, decay: 0.0 },
        }
    }
}

/// Updates parameters by their gradients.
pub struct Optimizer<T> {
    rule: Rule,
    groups: Groups,
    /// By parameter: the velocity, or Adam's two moments.
    moments: BTreeMap<usize, Vec<Tensor<T>>>,
    steps: u64,
}

impl<T: Element> Optimizer<T> {
    /// An optimizer that has not seen a gradient yet.
    pub fn new(rule: Rule, groups: Groups) -> Self {
        Self { rule, groups, moments: BTreeMap::new(), steps: 0 }
    }

    /// One step with learning rate `rate`, of all parameters that have a gradient; then
    /// gives the buffers their new values.
    ///
    /// # Errors
    /// If a parameter and its gradient are not in one place, or what computes there fails.
    pub fn step(
        &mut self,
        parameters: &mut Parameters<T>,
        mut step: Step<T>,
        rate: f64,
    ) -> Result<()> {
        self.steps += 1;
        for id in parameters.ids() {
            let group = self.groups.of(parameters.role(id));
            if let Some(gradient) = step.gradient(id).filter(|_| group.rate > 0.0) {
                let w = parameters.value_mut(id);
                self.update(id, w, gradient, rate * group.rate, group.decay)?;
            }
        }
        step.update_buffers(parameters);
        Ok(())
    }

    fn update(
        &mut self,
        id: Id,
        w: &mut Tensor<T>,
        g: &Tensor<T>,
        rate: f64,
        decay: f64,
    ) -> Result<()> {
        let device = Device::of("optimizer", [&*w, g])?;
        let engine = device.engine();
        let count = if matches!(self.rule, Rule::Adam { .. }) { 2 } else { 1 };
        let moments = match self.moments.entry(id.index()) {
            Entry::Occupied(entry) => entry.into_mut(),
            // Not clones, which would share their values and be copied at once.
            Entry::Vacant(entry) => {
                entry.insert((0..count).map(|_| w.zeros_like()).collect::<Result<_>>()?)
            }
        };
        let number = T::from_f64;
        let decay = number(decay);
        match (self.rule, moments.as_mut_slice()) {
            (Rule::Sgd { momentum, nesterov }, [v]) => {
                let (rate, momentum) = (number(rate), number(momentum));
                let settings = Sgd { rate, decay, momentum, nesterov };
                engine.sgd(w, g, v, settings)
            }
            (Rule::Adam { betas, epsilon }, [m, v]) => {
                let correction = betas.map(|beta| 1.0 - beta.powf(self.steps as f64));
                let settings = Adam {
                    rate: number(rate / correction[0]),
                    decay,
                    betas: betas.map(number),
                    rest: betas.map(|beta| number(1.0 - beta)),
                    root: number(1.0 / correction[1].sqrt()),
                    epsilon: number(epsilon),
                };
                engine.adam(w, g, [m, v], settings)
            }
            _ => unreachable!("there are as many moments as the rule has"),
        }
    }

    /// The moments, as `name.0`, `name.1`; no values are copied.
    pub fn state(&self, parameters: &Parameters<T>) -> State<T> {
        let mut state = State::new("the optimizer");
        for (&index, moments) in &self.moments {
            let name = parameters.name(Id::from_index(index));
            for (i, moment) in moments.iter().enumerate() {
                state.insert(format!("{name}.{i}"), moment.clone());
            }
        }
        state
    }

    /// Brings the moments to where the parameters are.
    ///
    /// # Errors
    /// If there is no room for them.
    pub fn to(&mut self, device: &Device) -> Result<()> {
        for moment in self.moments.values_mut().flatten() {
            *moment = moment.to(device)?;
        }
        Ok(())
    }

    /// How many steps were made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Takes up what [`Optimizer::state`] and [`Optimizer::steps`] gave.
    ///
    /// # Errors
    /// If a moment belongs to no parameter, is of another shape, or there are more or fewer of
    /// a parameter than the rule has.
    pub fn load(&mut self, parameters: &Parameters<T>, state: &State<T>, steps: u64) -> Result<()> {
        let mut moments: BTreeMap<usize, Vec<Tensor<T>>> = BTreeMap::new();
        // Sorted by name, so that `.0` comes before `.1`.
        for (key, tensor) in &state.tensors {
            let (name, number) = key.rsplit_once('.').unwrap_or((key, ""));
            let id = parameters.find(name)?;
            if tensor.shape() != parameters.value(id).shape() {
                let expected = format!("{:?}, like its parameter", parameters.value(id).shape());
                return Err(Error::shape("resume", key, expected, tensor.shape()));
            }
            let of_parameter = moments.entry(id.index()).or_default();
            if number != of_parameter.len().to_string() {
                let problem = format!("{key} is not moment {} of {name}", of_parameter.len());
                return Err(Error::argument("resume", problem));
            }
            of_parameter.push(tensor.clone());
        }
        let count = if matches!(self.rule, Rule::Adam { .. }) { 2 } else { 1 };
        if let Some((&index, _)) = moments.iter().find(|(_, moments)| moments.len() != count) {
            let name = parameters.name(Id::from_index(index));
            let problem = format!("{name} should have {count} moments; was the rule changed?");
            return Err(Error::argument("resume", problem));
        }
        (self.moments, self.steps) = (moments, steps);
        Ok(())
    }
}
