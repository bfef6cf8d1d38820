//! Where a network's values come from, and in which form its convolutions are.

use super::gate::GateAverage;
use super::{BatchNorm, Conv, Gate, Id, Linear, Mix, Parameters, Role};
use crate::kernel::{Window, reduce};
use crate::ops::GateFunction;
use crate::tensor::{Element, State, Tensor, product};
use crate::zoo::Expected;
use crate::{Error, Result};

/// The form of a network's convolutions.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Form {
    /// One kernel, as in any network. Of several sources it is the plain mean.
    #[default]
    Plain,
    /// Zoo-Tuning: a kernel for each sample, aggregated from the sources.
    Zoo(Mixing),
    /// Lite Zoo-Tuning: a kernel for each batch; collapses into a plain network.
    Lite(Mixing),
}

impl Form {
    /// `plain`, `zoo` or `lite`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Zoo(_) => "zoo",
            Self::Lite(_) => "lite",
        }
    }

    /// How sources are mixed, if they are.
    pub fn mixing(&self) -> Option<&Mixing> {
        match self {
            Self::Plain => None,
            Self::Zoo(mixing) | Self::Lite(mixing) => Some(mixing),
        }
    }
}

/// How the sources of a zoo are mixed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mixing {
    /// What makes weights of the gate's scores.
    pub function: GateFunction,
    /// Which kernels are aligned.
    pub aligned: Aligned,
    /// What the biases of all gates start with, one for each source; see [`crate::start`].
    /// The last linear layer starts with zero weights then, so that every sample begins with
    /// the same gate, and batch norms start with the mean of the sources weighted by the
    /// softmax of the prior. `None` starts as the released code does: drawn weights, no bias.
    pub prior: Option<Vec<f64>>,
    /// In lite, gate the shortcuts' convolutions per sample nevertheless, as the authors'
    /// released code does; such a network does not collapse.
    pub shortcuts_per_sample: bool,
}

/// Which kernels are aligned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aligned {
    /// The first convolution.
    pub stem: bool,
    /// Those of stage 1, 2, ...; stages beyond the list are not aligned.
    pub stages: Vec<bool>,
    /// Kernels of one tap too.
    pub pointwise: bool,
}

impl Default for Aligned {
    /// As the authors' released code: the stem, stages 3 and 4, never 1x1 kernels.
    fn default() -> Self {
        Self { stem: true, stages: vec![false, false, true, true], pointwise: false }
    }
}

impl Aligned {
    /// Nothing is aligned.
    pub fn nowhere() -> Self {
        Self { stem: false, stages: vec![], pointwise: false }
    }

    /// Every kernel of more than one tap is aligned, in up to eight stages.
    pub fn everywhere() -> Self {
        Self { stem: true, stages: vec![true; 8], pointwise: false }
    }

    /// Whether a kernel of so many taps at that place is aligned.
    pub(crate) fn applies(&self, place: Place, taps: usize) -> bool {
        (taps > 1 || self.pointwise)
            && match place {
                Place::Stem => self.stem,
                Place::Stage(stage) | Place::Shortcut(stage) => {
                    self.stages.get(stage).copied().unwrap_or(false)
                }
            }
    }
}

/// Where in a network a convolution stands; stages are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The first convolution.
    Stem,
    /// On the main path of a stage.
    Stage(usize),
    /// On the shortcut that begins a stage.
    Shortcut(usize),
}

/// What the classifier starts with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Head {
    /// Weights from N(0, 0.01), no bias; what the sources hold is dropped.
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

/// Makes the parameters of a network, layer by layer.
pub struct Builder<'a, T> {
    parameters: Parameters<T>,
    sources: &'a [State<T>],
    /// Where all values are taken from as they are, if so.
    saved: Option<&'a State<T>>,
    /// Where the names and shapes of tensors are put, if no values are wanted.
    outline: Option<&'a mut Vec<Expected>>,
    /// Sources of a zoo that does not start from any.
    count: usize,
    form: Form,
    head: Head,
    statistics: Statistics,
    rng: fastrand::Rng,
}

impl<'a, T: Element> Builder<'a, T> {
    /// Of a plain network with drawn values.
    pub fn fresh(seed: u64) -> Self {
        Self {
            parameters: Parameters::default(),
            sources: &[],
            saved: None,
            outline: None,
            count: 1,
            form: Form::Plain,
            head: Head::Fresh,
            statistics: Statistics::Reset,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// Of a network of that form with drawn values, as if from `count` sources: to be
    /// measured.
    pub fn drawn(form: Form, count: usize, seed: u64) -> Self {
        Self { count: count.max(1), form, ..Self::fresh(seed) }
    }

    /// Of a plain network without values, for the sake of its tensors' names and shapes, which
    /// are added to `outline`.
    pub(super) fn outlined(outline: &'a mut Vec<Expected>) -> Self {
        Self { outline: Some(outline), ..Self::fresh(0) }
    }

    /// Of a network of that form, of `count` sources, that was saved as `state`: nothing is
    /// drawn, and no values are copied.
    pub fn saved(state: &'a State<T>, form: Form, count: usize) -> Self {
        Self { saved: Some(state), ..Self::drawn(form, count, 0) }
    }

    /// Of a network that starts from `sources`; `seed` draws what they do not hold.
    ///
    /// # Errors
    /// If there is none, or a prior has not one finite value for each.
    pub fn from_sources(sources: &'a [State<T>], form: Form, seed: u64) -> Result<Self> {
        if sources.is_empty() {
            return Err(Error::argument(
                "Builder::from_sources",
                "a zoo needs one source at least",
            ));
        }
        let prior = form.mixing().and_then(|mixing| mixing.prior.as_ref());
        if let Some(prior) = prior.filter(|prior| prior.len() != sources.len()) {
            let problem = format!("a prior of {} for {} sources", prior.len(), sources.len());
            return Err(Error::argument("Builder::from_sources", problem));
        }
        if let Some(bias) = prior.into_iter().flatten().find(|bias| !bias.is_finite()) {
            let problem = format!("a prior should be finite, but holds {bias}");
            return Err(Error::argument("Builder::from_sources", problem));
        }
        Ok(Self { sources, form, ..Self::fresh(seed) })
    }

    /// What the classifier starts with.
    pub fn head(mut self, head: Head) -> Self {
        self.head = head;
        self
    }

    /// What running statistics start with.
    pub fn statistics(mut self, statistics: Statistics) -> Self {
        self.statistics = statistics;
        self
    }

    /// How many sources there are.
    pub fn source_count(&self) -> usize {
        if self.sources.is_empty() { self.count } else { self.sources.len() }
    }

    /// The parameters made so far.
    pub fn finish(self) -> Parameters<T> {
        self.parameters
    }

    /// A convolution without bias from `shape` = `[O, C / groups, kh, kw]`; drawn values are
    /// Kaiming normal by fan-out (He et al., 2015), as in torchvision's ResNet.
    ///
    /// # Errors
    /// If a source has no tensor `name.weight` of this shape, or the name is taken.
    pub fn conv(
        &mut self,
        name: &str,
        shape: [usize; 4],
        window: Window,
        place: Place,
    ) -> Result<Conv> {
        let [outputs, inputs, kh, kw] = shape;
        let deviation = (2.0 / (outputs * kh * kw) as f64).sqrt();
        let weight = self.of_all_sources(&format!("{name}.weight"), &shape, deviation)?;
        let (mixing, sources) = (self.form.mixing().cloned(), self.source_count());
        let mut mix = None;
        if let Some(mixing) = mixing {
            let mut alignment = None;
            if mixing.aligned.applies(place, kh * kw) {
                let shape = [sources, outputs, outputs];
                let key = format!("{name}.alignment");
                let start = |_: &mut Self| Ok(identities(sources, outputs));
                alignment = Some(self.add(&key, Role::Alignment, &shape, start)?);
            }
            let lite = matches!(self.form, Form::Lite(_))
                && !(mixing.shortcuts_per_sample && matches!(place, Place::Shortcut(_)));
            let gate = self.gate(name, inputs * window.groups, &mixing, lite)?;
            mix = Some(Mix { alignment, gate, lite });
        }
        Ok(Conv { weight, bias: None, window, mix, name: name.to_owned() })
    }

    /// As [`Builder::conv`], with a bias, which begins as zeros where there is no source.
    ///
    /// # Errors
    /// As [`Builder::conv`], of `name.bias` `[O]` too.
    pub fn conv_with_bias(
        &mut self,
        name: &str,
        shape: [usize; 4],
        window: Window,
        place: Place,
    ) -> Result<Conv> {
        let conv = self.conv(name, shape, window, place)?;
        let bias = self.of_all_sources(&format!("{name}.bias"), &shape[..1], 0.0)?;
        Ok(Conv { bias: Some(bias), ..conv })
    }

    /// A tensor of the backbone: stacked `[m, ...]` in a zoo, averaged in a plain network.
    fn of_all_sources(&mut self, key: &str, shape: &[usize], deviation: f64) -> Result<Id> {
        if self.form == Form::Plain {
            return self.add(key, Role::Backbone, shape, |b| {
                b.averaged(key, shape, None, |rng| Tensor::normal(shape, deviation, rng))
            });
        }
        let stack = [&[self.source_count()], shape].concat();
        self.add(key, Role::Backbone, &stack, |b| b.stacked(key, shape, deviation))
    }

    fn gate(&mut self, name: &str, channels: usize, mixing: &Mixing, lite: bool) -> Result<Gate> {
        let (sources, hidden) = (self.source_count(), channels / 4 + 1);
        let kaiming = |fan_out: usize| (2.0 / fan_out as f64).sqrt();
        let key = |part: &str| format!("{name}.gate.{part}");
        let average = if lite {
            let start = |_: &mut Self| Ok(Tensor::zeros(&[sources]));
            Some(GateAverage {
                sum: self.add(&key("average.sum"), Role::Buffer, &[sources], start)?,
                weight: self.add(&key("average.weight"), Role::Buffer, &[], |_| {
                    Ok(Tensor::scalar(T::zero()))
                })?,
            })
        } else {
            None
        };
        let shape = [hidden, channels];
        let reduce = self.add(&key("reduce.weight"), Role::Gate, &shape, |b| {
            Ok(Tensor::normal(&shape, kaiming(hidden), &mut b.rng))
        })?;
        let shape = [sources, hidden];
        let expand = self.add(&key("expand.weight"), Role::Gate, &shape, |b| {
            Ok(match mixing.prior {
                Some(_) => Tensor::zeros(&shape),
                None => Tensor::normal(&shape, kaiming(sources), &mut b.rng),
            })
        })?;
        let bias = self.add(&key("expand.bias"), Role::Gate, &[sources], |_| {
            let zeros = vec![0.0; sources];
            let bias = mixing.prior.as_ref().unwrap_or(&zeros);
            Tensor::new(&[sources], bias.iter().map(|&b| T::from_f64(b)).collect())
        })?;
        let (function, name) = (mixing.function, name.to_owned());
        Ok(Gate { reduce, expand, bias, function, average, name })
    }

    /// A batch norm of the mean of the sources, weighted by the prior's shares if there is one.
    ///
    /// # Errors
    /// If a source has no such tensors, or the name is taken.
    pub fn batch_norm(&mut self, name: &str, channels: usize) -> Result<BatchNorm> {
        let reset = self.statistics == Statistics::Reset && self.sources.len() > 1;
        let prior = self.form.mixing().and_then(|mixing| mixing.prior.clone());
        let prior = prior.map(|mut shares| {
            reduce::softmax_row(&mut shares);
            shares
        });
        let mut add = |part: &str, role, value: f64, known: bool| -> Result<Id> {
            let key = format!("{name}.{part}");
            let start = |_: &mut fastrand::Rng| Tensor::full(&[channels], T::from_f64(value));
            self.add(&key, role, &[channels], |b| match known {
                true => b.averaged(&key, &[channels], prior.as_deref(), start),
                false => Ok(start(&mut b.rng)),
            })
        };
        Ok(BatchNorm {
            weight: add("weight", Role::Backbone, 1.0, true)?,
            bias: add("bias", Role::Backbone, 0.0, true)?,
            running_mean: add("running_mean", Role::Buffer, 0.0, !reset)?,
            running_variance: add("running_var", Role::Buffer, 1.0, !reset)?,
        })
    }

    /// A classifier of `features` into `classes`.
    ///
    /// # Errors
    /// If it is to be kept and a source has no such tensors, or the name is taken.
    pub fn linear(&mut self, name: &str, features: usize, classes: usize) -> Result<Linear> {
        const DEVIATION: f64 = 0.01;
        let (weight_key, bias_key) = (format!("{name}.weight"), format!("{name}.bias"));
        let shape = [classes, features];
        let drawn = |rng: &mut fastrand::Rng| Tensor::normal(&shape, DEVIATION, rng);
        let weight = self.add(&weight_key, Role::Head, &shape, |b| match b.head {
            Head::Fresh => Ok(drawn(&mut b.rng)),
            Head::Kept => b.averaged(&weight_key, &shape, None, drawn),
        })?;
        let zeros = |_: &mut fastrand::Rng| Tensor::zeros(&[classes]);
        let bias = self.add(&bias_key, Role::Head, &[classes], |b| match b.head {
            Head::Fresh => Ok(zeros(&mut b.rng)),
            Head::Kept => b.averaged(&bias_key, &[classes], None, zeros),
        })?;
        Ok(Linear { weight, bias: Some(bias) })
    }

    /// A tensor of that shape: the saved one, or what `start` makes.
    fn add(
        &mut self,
        key: &str,
        role: Role,
        shape: &[usize],
        start: impl FnOnce(&mut Self) -> Result<Tensor<T>>,
    ) -> Result<Id> {
        if let Some(outline) = &mut self.outline {
            outline.push((key.to_owned(), shape.to_vec()));
            return self.parameters.add(key, role, Tensor::scalar(T::zero()));
        }
        let value = match self.saved {
            Some(state) => of_shape(state, key, shape)?.clone(),
            None if product(shape).is_none() => {
                let problem = format!("{key} of {shape:?} would exceed the address space");
                return Err(Error::argument("build", problem));
            }
            None => start(self)?,
        };
        self.parameters.add(key, role, value)
    }

    /// The kernels of all sources, `[m, ...]`.
    fn stacked(&mut self, key: &str, shape: &[usize], deviation: f64) -> Result<Tensor<T>> {
        if self.sources.is_empty() {
            let shape = [&[self.count], shape].concat();
            return Ok(Tensor::normal(&shape, deviation, &mut self.rng));
        }
        Tensor::stack(&self.of_each_source(key, shape)?)
    }

    /// The mean of the sources, the one source itself (in place), or `drawn`.
    fn averaged(
        &mut self,
        key: &str,
        shape: &[usize],
        shares: Option<&[f64]>,
        drawn: impl FnOnce(&mut fastrand::Rng) -> Tensor<T>,
    ) -> Result<Tensor<T>> {
        if self.sources.is_empty() {
            return Ok(drawn(&mut self.rng));
        }
        let tensors = self.of_each_source(key, shape)?;
        if let [one] = tensors[..] {
            return Ok(one.clone());
        }
        let equal = vec![1.0 / tensors.len() as f64; tensors.len()];
        Tensor::weighted_sum(&tensors, shares.unwrap_or(&equal))
    }

    fn of_each_source(&self, key: &str, shape: &[usize]) -> Result<Vec<&'a Tensor<T>>> {
        self.sources.iter().map(|source| of_shape(source, key, shape)).collect()
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

/// `[m, O, O]`: the identity for each source.
fn identities<T: Element>(sources: usize, outputs: usize) -> Tensor<T> {
    let mut values = vec![T::zero(); sources * outputs * outputs];
    for matrix in values.chunks_mut(outputs * outputs) {
        matrix.iter_mut().step_by(outputs + 1).for_each(|v| *v = T::one());
    }
    Tensor::owned(vec![sources, outputs, outputs], values)
}
