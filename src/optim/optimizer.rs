//! Stochastic gradient descent with momentum, Adam, AdamW, and RMSProp.

use crate::kernel::update::{Adam, Moments, RmsProp, Sgd};
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
    /// AdamW (Loshchilov and Hutter, 2019): Adam whose weight decay is none of the gradient's, but
    /// `w -= lr decay w`.
    AdamW {
        /// As Adam's.
        betas: [f64; 2],
        /// As Adam's.
        epsilon: f64,
    },
    /// RMSProp (Tieleman and Hinton, 2012), in PyTorch's form: a gradient is divided by the root
    /// of the mean square, `s = g / (sqrt(v) + epsilon)`; weight decay is added to the gradient
    /// first.
    RmsProp {
        /// Decay of the mean square `v`.
        alpha: f64,
        /// Added to the root.
        epsilon: f64,
        /// With more than 0, a velocity `u = momentum u + s` takes the place of `s`.
        momentum: f64,
        /// Whether the square of the gradients' mean is taken off `v`, which leaves their variance
        /// (Graves, 2013). Where rounding would make it negative, it is 0.
        centred: bool,
    },
}

impl Rule {
    /// As in the paper: Nesterov momentum of 0.9.
    pub const SGD: Self = Self::Sgd { momentum: 0.9, nesterov: true };
    /// As in PyTorch.
    pub const ADAM: Self = Self::Adam { betas: [0.9, 0.999], epsilon: 1e-8 };
    /// As in PyTorch.
    pub const ADAM_W: Self = Self::AdamW { betas: [0.9, 0.999], epsilon: 1e-8 };
    /// As in PyTorch.
    pub const RMS_PROP: Self =
        Self::RmsProp { alpha: 0.99, epsilon: 1e-8, momentum: 0.0, centred: false };

    /// The names of the moments that are kept of a parameter.
    fn moments(self) -> &'static [&'static str] {
        match self {
            Self::Sgd { .. } => &["velocity"],
            Self::Adam { .. } | Self::AdamW { .. } => &["mean", "square"],
            Self::RmsProp { momentum, centred, .. } => match (centred, momentum > 0.0) {
                (false, false) => &["square"],
                (true, false) => &["square", "mean"],
                (false, true) => &["square", "velocity"],
                (true, true) => &["square", "mean", "velocity"],
            },
        }
    }
}

/// What is particular to one group of parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// The learning rate, as a multiple of the schedule's; 0 freezes the group.
    pub lr_scale: f64,
    /// Weight decay: `g += decay w`, or in AdamW `w -= lr decay w`.
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
        let group = Group { lr_scale: 1.0, decay };
        Self { backbone: group, alignment: group, gate: group, head: group }
    }

    fn of(&self, role: Role) -> Group {
        match role {
            Role::Backbone => self.backbone,
            Role::Alignment => self.alignment,
            Role::Gate => self.gate,
            Role::Head => self.head,
            Role::Buffer => Group { lr_scale: 0.0, decay: 0.0 },
        }
    }
}

/// Updates parameters by their gradients.
pub struct Optimizer<T> {
    rule: Rule,
    groups: Groups,
    /// By parameter: a multiple of the learning rate, beside that of its group; 1 if there is none.
    lr_scales: Vec<f64>,
    /// By parameter: as many as the rule has names for, in that order.
    moments: BTreeMap<usize, Vec<Tensor<T>>>,
    steps: u64,
}

impl<T: Element> Optimizer<T> {
    /// The parameters that stay as they are.
    pub fn frozen(&self, parameters: &Parameters<T>) -> Vec<Id> {
        let is_frozen = |&id: &Id| {
            parameters.role(id) != Role::Buffer && self.group(parameters, id).lr_scale <= 0.0
        };
        parameters.ids().filter(is_frozen).collect()
    }

    /// The settings of a parameter.
    fn group(&self, parameters: &Parameters<T>, id: Id) -> Group {
        let group = self.groups.of(parameters.role(id));
        let own = self.lr_scales.get(id.index()).copied().unwrap_or(1.0);
        Group { lr_scale: group.lr_scale * own, ..group }
    }

    /// The same, with a multiple of the learning rate for each parameter, beside that of its group; 0
    /// freezes it.
    pub fn with_lr_scales(self, lr_scales: Vec<f64>) -> Self {
        Self { lr_scales, ..self }
    }

    /// An optimizer that has not seen a gradient yet.
    pub fn new(rule: Rule, groups: Groups) -> Self {
        Self { rule, groups, lr_scales: vec![], moments: BTreeMap::new(), steps: 0 }
    }

    /// One step with this learning rate, of all parameters that have a gradient; then
    /// gives the buffers their new values.
    ///
    /// # Errors
    /// If a parameter and its gradient are not in one place, or what computes there fails.
    pub fn step(
        &mut self,
        parameters: &mut Parameters<T>,
        mut step: Step<T>,
        learning_rate: f64,
    ) -> Result<()> {
        self.steps += 1;
        for id in parameters.ids() {
            let group = self.group(parameters, id);
            if let Some(gradient) = step.gradient(id).filter(|_| group.lr_scale > 0.0) {
                let w = parameters.value_mut(id);
                self.update(id, w, gradient, learning_rate * group.lr_scale, group.decay)?;
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
        let names = self.rule.moments();
        let moments = match self.moments.entry(id.index()) {
            Entry::Occupied(entry) => entry.into_mut(),
            // Not clones, which would share their values and be copied at once.
            Entry::Vacant(entry) => {
                entry.insert(names.iter().map(|_| w.zeros_like()).collect::<Result<_>>()?)
            }
        };
        let number = T::from_f64;
        match (self.rule, moments.as_mut_slice()) {
            (Rule::Sgd { momentum, nesterov }, [v]) => {
                let [rate, decay, momentum] = [rate, decay, momentum].map(number);
                engine.sgd(w, g, v, Sgd { rate, decay, momentum, nesterov })
            }
            (Rule::Adam { betas, epsilon } | Rule::AdamW { betas, epsilon }, [m, v]) => {
                let is_decoupled = matches!(self.rule, Rule::AdamW { .. });
                let (decay, keep) =
                    if is_decoupled { (0.0, 1.0 - rate * decay) } else { (decay, 1.0) };
                let correction = betas.map(|beta| 1.0 - beta.powf(self.steps as f64));
                let settings = Adam {
                    rate: number(rate / correction[0]),
                    decay: number(decay),
                    keep: number(keep),
                    betas: betas.map(number),
                    rest: betas.map(|beta| number(1.0 - beta)),
                    root: number(1.0 / correction[1].sqrt()),
                    epsilon: number(epsilon),
                };
                engine.adam(w, g, [m, v], settings)
            }
            (Rule::RmsProp { alpha, epsilon, momentum, centred }, [square, others @ ..]) => {
                let (mean, velocity) = others.split_at_mut(usize::from(centred));
                let (mean, velocity) = (mean.first_mut(), velocity.first_mut());
                let settings = RmsProp {
                    rate: number(rate),
                    decay: number(decay),
                    alpha: number(alpha),
                    rest: number(1.0 - alpha),
                    epsilon: number(epsilon),
                    momentum: number(momentum),
                };
                engine.rms_prop(w, g, Moments { square, mean, velocity }, settings)
            }
            _ => unreachable!("there are as many moments as the rule has"),
        }
    }

    /// The moments, as `name.velocity` of SGD, `name.mean` and `name.square` of Adam and AdamW, and
    /// what RMSProp has of these; no values are copied.
    pub fn state(&self, parameters: &Parameters<T>) -> State<T> {
        let mut state = State::new("the optimizer");
        for (&index, moments) in &self.moments {
            let name = parameters.name(Id::from_index(index));
            for (moment, values) in self.rule.moments().iter().zip(moments) {
                state.insert(format!("{name}.{moment}"), values.clone());
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
    /// If a moment belongs to no parameter, is of another shape, or those of a parameter are not
    /// the rule's. Nothing is changed then.
    pub fn load(&mut self, parameters: &Parameters<T>, state: &State<T>, steps: u64) -> Result<()> {
        let names = self.rule.moments();
        let mut moments: BTreeMap<usize, Vec<Tensor<T>>> = BTreeMap::new();
        for key in state.tensors.keys() {
            let (name, moment) = key.rsplit_once('.').unwrap_or((key, ""));
            let id = parameters.find(name)?;
            if !names.contains(&moment) {
                let problem = format!("the rule has no moment {key}; was it changed?");
                return Err(Error::argument("resume", problem));
            }
            let Entry::Vacant(entry) = moments.entry(id.index()) else { continue };
            let mut all = Vec::new();
            for moment in names {
                let key = format!("{name}.{moment}");
                let values = state.get(&key)?;
                if values.shape() != parameters.value(id).shape() {
                    let expected =
                        format!("{:?}, like its parameter", parameters.value(id).shape());
                    return Err(Error::shape("resume", key, expected, values.shape()));
                }
                all.push(values.clone());
            }
            entry.insert(all);
        }
        (self.moments, self.steps) = (moments, steps);
        Ok(())
    }
}
