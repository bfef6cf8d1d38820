//! Declares the tensors of a network, layer by layer.

use super::gate::GateAverage;
use super::{BatchNorm, Conv, Design, Form, Gate, Id, Linear, Mix, Mixing, Role, Routes};
use crate::kernel::{Window, reduce};
use crate::{Error, Result};
use std::collections::HashSet;

/// A tensor of a network: everything but its values.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub name: String,
    pub shape: Vec<usize>,
    pub role: Role,
    pub start: Start,
    pub inherits: Inherits,
}

/// What a tensor starts with that inherits nothing.
#[derive(Clone, Debug)]
pub(super) enum Start {
    /// Drawn from N(0, std^2).
    Normal(f64),
    /// Drawn evenly from -bound to bound.
    Uniform(f64),
    /// The same everywhere.
    Constant(f64),
    /// These values.
    Values(Vec<f64>),
    /// Of shape `[m, O, O]`: an identity for each source.
    Identities,
}

/// What becomes of the sources' tensors of the same name.
#[derive(Clone, Debug)]
pub(super) enum Inherits {
    /// There are none.
    Nothing,
    /// They are stacked, `[m, ...]`.
    Stack,
    /// That of one source, under its own name.
    One {
        /// The source.
        source: usize,
        /// The name that it has there.
        name: String,
    },
    /// Their mean, by these shares or by equal ones.
    Mean(Option<Vec<f64>>),
    /// As [`Inherits::Mean`], if statistics are inherited at all.
    Statistics(Option<Vec<f64>>),
    /// Their mean, if the head is inherited at all.
    Head,
}

/// What kernels start with that come from no source.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Initial {
    /// Kaiming normal by fan-out (He et al., 2015), as in torchvision's ResNet; biases are 0.
    #[default]
    KaimingFanOut,
    /// Normal with this standard deviation; biases are 0.
    Normal(f64),
    /// Uniform to 1 / sqrt(fan-in), biases too, as PyTorch initialises its layers.
    UniformFanIn,
}

/// Declares the tensors of a network in one of its forms.
///
/// An [`Architecture`](super::Architecture) asks it for layers, one after the other. Where their
/// values come from is of no concern here: see [`Values`](super::Values).
pub struct Builder<'a> {
    design: &'a Design,
    form: &'a Form,
    sources: usize,
    initial: Initial,
    names: HashSet<String>,
    pub(super) declared: Vec<Declared>,
    pub(super) convolutions: Vec<Conv>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(design: &'a Design, form: &'a Form, sources: usize) -> Self {
        let (names, initial) = (HashSet::new(), Initial::default());
        let (declared, convolutions) = (vec![], vec![]);
        Self { design, form, sources, initial, names, declared, convolutions }
    }

    /// Channels of an image.
    pub fn channels(&self) -> usize {
        self.design.channels
    }

    /// Outputs, such as classes.
    pub fn outputs(&self) -> usize {
        self.design.outputs
    }

    /// What the kernels of the layers that follow start with.
    pub fn initial(&mut self, initial: Initial) {
        self.initial = initial;
    }

    /// A convolution without bias from `shape` = `[O, C / groups, kh, kw]`.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn conv(&mut self, name: &str, shape: [usize; 4], window: Window) -> Result<Conv> {
        self.convolution(name, shape, &shape, window, false)
    }

    /// As [`Builder::conv`], with a bias.
    ///
    /// # Errors
    /// As [`Builder::conv`].
    pub fn conv_with_bias(
        &mut self,
        name: &str,
        shape: [usize; 4],
        window: Window,
    ) -> Result<Conv> {
        self.convolution(name, shape, &shape, window, true)
    }

    /// As [`Builder::conv`], padded as TensorFlow's `SAME`, whatever the window's padding: the output
    /// has `ceil(H / stride)` rows, and of the zeros that this takes the odd one is at the end. So
    /// the padding depends on the image; with even sizes and stride 2 it is not the same on both
    /// sides.
    ///
    /// # Errors
    /// As [`Builder::conv`].
    pub fn conv_same(&mut self, name: &str, shape: [usize; 4], window: Window) -> Result<Conv> {
        let window = Window { padding: [0, 0], ..window };
        let mut conv = self.conv(name, shape, window)?;
        conv.is_same = true;
        // The one that was just noted down.
        self.convolutions.last_mut().into_iter().for_each(|noted| noted.is_same = true);
        Ok(conv)
    }

    /// A fully connected layer over a map `[N, C, H, W]`, from `shape` = `[O, C, H, W]`: a
    /// convolution as large as the map, with a bias, whose output is `[N, O, 1, 1]`. Its weight is
    /// stored as `[O, C H W]`, as PyTorch's `Linear` over the flattened map has it.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn fully_connected(&mut self, name: &str, shape: [usize; 4]) -> Result<Conv> {
        let [outputs, inputs, height, width] = shape;
        let columns = [inputs, height, width].iter().try_fold(1usize, |n, &k| n.checked_mul(k));
        let columns = columns.ok_or_else(|| self.too_large(name, &shape))?;
        self.convolution(name, shape, &[outputs, columns], Window::default(), true)
    }

    fn convolution(
        &mut self,
        name: &str,
        shape: [usize; 4],
        stored: &[usize],
        window: Window,
        has_bias: bool,
    ) -> Result<Conv> {
        let [outputs, inputs, kh, kw] = shape;
        let is_head = self.is_head(name);
        let (start, start_of_bias) = self.starts(shape);
        let (is_matrix, is_same) = (stored.len() == 2, false);
        if let (Form::Routed, false) = (self.form, is_head) {
            let routes = self.routes(name, stored, start, has_bias)?;
            let weight = routes.kernels[0];
            let (bias, mix, routes, name) = (None, None, Some(routes), name.to_owned());
            let conv = Conv {
                weight,
                bias,
                shape,
                window,
                is_same,
                mix,
                routes,
                is_head,
                is_matrix,
                name,
            };
            self.convolutions.push(conv.clone());
            return Ok(conv);
        }
        let (role, inherits) = self.backbone(is_head);
        let stack: &[usize] = match inherits {
            Inherits::Stack => &[self.sources],
            _ => &[],
        };
        let stacked = [stack, stored].concat();
        let key = format!("{name}.weight");
        let weight = self.declare(key, role, &stacked, start, inherits.clone())?;
        let mut mix = None;
        if let (Some(mixing), false) = (self.form.mixing(), is_head) {
            let mut alignment = None;
            if mixing.aligned.applies(self.design.architecture(), name, kh * kw) {
                let shape = [self.sources, outputs, outputs];
                let key = format!("{name}.alignment");
                let (role, start) = (Role::Alignment, Start::Identities);
                alignment = Some(self.declare(key, role, &shape, start, Inherits::Nothing)?);
            }
            let lite = matches!(self.form, Form::Lite(_))
                && !(mixing.shortcuts_per_sample && self.design.architecture().is_shortcut(name));
            let gate = self.gate(name, inputs * window.groups, mixing, lite)?;
            mix = Some(Mix { alignment, gate, lite });
        }
        let mut bias = None;
        if has_bias {
            let stacked = [stack, &[outputs]].concat();
            let key = format!("{name}.bias");
            bias = Some(self.declare(key, role, &stacked, start_of_bias, inherits)?);
        }
        let (routes, name) = (None, name.to_owned());
        let conv =
            Conv { weight, bias, shape, window, is_same, mix, routes, is_head, is_matrix, name };
        self.convolutions.push(conv.clone());
        Ok(conv)
    }

    /// The kernels and biases of all sources. Each has a bias, which takes up what its batch norm
    /// adds.
    fn routes(
        &mut self,
        name: &str,
        stored: &[usize],
        start: Start,
        has_bias: bool,
    ) -> Result<Routes> {
        let (mut kernels, mut biases) = (vec![], vec![]);
        for source in 0..self.sources {
            let inherits = |part: &str| Inherits::One { source, name: format!("{name}.{part}") };
            let key = |part: &str| format!("{name}.sources.{source}.{part}");
            let of_kernel = inherits("weight");
            kernels.push(self.declare(
                key("weight"),
                Role::Backbone,
                stored,
                start.clone(),
                of_kernel,
            )?);
            let of_bias = if has_bias { inherits("bias") } else { Inherits::Nothing };
            let none = Start::Constant(0.0);
            biases.push(self.declare(key("bias"), Role::Backbone, &stored[..1], none, of_bias)?);
        }
        Ok(Routes { kernels, biases })
    }

    /// A tensor of zeros that is kept, but not trained.
    pub(super) fn buffer(&mut self, name: String, shape: &[usize]) -> Result<Id> {
        self.declare(name, Role::Buffer, shape, Start::Constant(0.0), Inherits::Nothing)
    }

    pub(super) fn declared_name(&self, id: Id) -> &str {
        &self.declared[id.0].name
    }

    /// Sources of the network.
    pub(super) fn sources(&self) -> usize {
        self.sources
    }

    /// Whether a layer belongs to the head.
    fn is_head(&self, layer: &str) -> bool {
        let key = format!("{layer}.");
        self.design.architecture().head().iter().any(|head| key.starts_with(head))
    }

    /// What a kernel of `shape`, and its bias, start with.
    fn starts(&self, shape: [usize; 4]) -> (Start, Start) {
        let [outputs, inputs, kh, kw] = shape.map(|size| size as f64);
        match self.initial {
            Initial::KaimingFanOut => {
                (Start::Normal((2.0 / (outputs * kh * kw)).sqrt()), Start::Constant(0.0))
            }
            Initial::Normal(std) => (Start::Normal(std), Start::Constant(0.0)),
            Initial::UniformFanIn => {
                let bound = 1.0 / (inputs * kh * kw).sqrt();
                (Start::Uniform(bound), Start::Uniform(bound))
            }
        }
    }

    /// What kernels are to training, and what becomes of those of the sources.
    fn backbone(&self, is_head: bool) -> (Role, Inherits) {
        match (is_head, self.form) {
            (true, _) => (Role::Head, Inherits::Head),
            (false, Form::Plain) => (Role::Backbone, Inherits::Mean(None)),
            (false, Form::Zoo(_) | Form::Lite(_) | Form::Routed) => {
                (Role::Backbone, Inherits::Stack)
            }
        }
    }

    fn gate(&mut self, name: &str, channels: usize, mixing: &Mixing, lite: bool) -> Result<Gate> {
        let (m, hidden) = (self.sources, channels / 4 + 1);
        let kaiming = |fan_out: usize| Start::Normal((2.0 / fan_out as f64).sqrt());
        let mut declare = |part: &str, role, shape: &[usize], start| {
            self.declare(format!("{name}.gate.{part}"), role, shape, start, Inherits::Nothing)
        };
        let average = if lite {
            let zero = Start::Constant(0.0);
            Some(GateAverage {
                sum: declare("average.sum", Role::Buffer, &[m], zero.clone())?,
                weight: declare("average.weight", Role::Buffer, &[], zero)?,
            })
        } else {
            None
        };
        let reduce = declare("reduce.weight", Role::Gate, &[hidden, channels], kaiming(hidden))?;
        let start = match mixing.prior {
            Some(_) => Start::Constant(0.0),
            None => kaiming(m),
        };
        let expand = declare("expand.weight", Role::Gate, &[m, hidden], start)?;
        let start = mixing.prior.clone().map_or(Start::Constant(0.0), Start::Values);
        let bias = declare("expand.bias", Role::Gate, &[m], start)?;
        let (function, name) = (mixing.function, name.to_owned());
        Ok(Gate { reduce, expand, bias, function, average, name })
    }

    /// A batch norm: of several sources their mean, weighted by the prior's shares if there is one.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn batch_norm(&mut self, name: &str, channels: usize) -> Result<BatchNorm> {
        let shares = self.form.mixing().and_then(|mixing| mixing.prior.clone());
        let shares = shares.map(|mut shares| {
            reduce::softmax_row(&mut shares);
            shares
        });
        let is_head = self.is_head(name);
        let mut declare = |part: &str, role, start: f64, inherits| {
            let inherits = if is_head { Inherits::Head } else { inherits };
            let (key, start) = (format!("{name}.{part}"), Start::Constant(start));
            self.declare(key, role, &[channels], start, inherits)
        };
        let role = if is_head { Role::Head } else { Role::Backbone };
        let mean = Inherits::Mean(shares.clone());
        let statistics = Inherits::Statistics(shares);
        Ok(BatchNorm {
            weight: declare("weight", role, 1.0, mean.clone())?,
            bias: declare("bias", role, 0.0, mean)?,
            running_mean: declare("running_mean", Role::Buffer, 0.0, statistics.clone())?,
            running_variance: declare("running_var", Role::Buffer, 1.0, statistics)?,
            momentum: BatchNorm::MOMENTUM,
            epsilon: BatchNorm::EPSILON,
        })
    }

    /// A layer of the head, from `features` to `outputs`: weights from N(0, 0.01^2), a bias of 0; noisy, if
    /// the [`Design`] says so.
    ///
    /// # Errors
    /// If the name is taken, or is not one of the head's: what stands before is a
    /// [`Builder::fully_connected`] layer, so that it is mixed like a convolution.
    pub fn linear(&mut self, name: &str, features: usize, outputs: usize) -> Result<Linear> {
        const STD: f64 = 0.01;
        if !self.is_head(name) {
            let head = self.design.architecture().head().join(", ");
            let problem = format!(
                "a linear layer is of the head, whose names begin with {head}; {name} is not: \
                 make it by fully_connected, so that it is mixed like a convolution"
            );
            return Err(Error::argument("Builder::linear", problem));
        }
        let (shape, head, noise) = ([outputs, features], Role::Head, self.design.noise);
        let mut declare = |part: &str, shape: &[usize], start| {
            self.declare(format!("{name}.{part}"), head, shape, start, Inherits::Head)
        };
        let weight = declare("weight", &shape, Start::Normal(STD))?;
        let bias = declare("bias", &[outputs], Start::Constant(0.0))?;
        let sigmas = noise.map(|noise| -> Result<_> {
            // As in Fortunato et al. (2018).
            let sigma = || Start::Constant(noise / (features as f64).sqrt());
            let of_weight = declare("weight_sigma", &shape, sigma())?;
            Ok([of_weight, declare("bias_sigma", &[outputs], sigma())?])
        });
        let sigmas = sigmas.transpose()?;
        Ok(Linear { weight, bias, sigmas, shape, name: name.to_owned() })
    }

    fn declare(
        &mut self,
        name: String,
        role: Role,
        shape: &[usize],
        start: Start,
        inherits: Inherits,
    ) -> Result<Id> {
        if !self.names.insert(name.clone()) {
            return Err(Error::argument("Builder", format!("two tensors named {name}")));
        }
        let id = Id(self.declared.len());
        self.declared.push(Declared { name, shape: shape.to_vec(), role, start, inherits });
        Ok(id)
    }

    fn too_large(&self, name: &str, shape: &[usize]) -> Error {
        Error::argument("build", format!("{name} of {shape:?} would exceed the address space"))
    }
}
