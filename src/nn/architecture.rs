//! What a network is, apart from its form and its values.

use super::trace::{ChannelGroup, FirstLayer, Graph, LayerCost};
use super::{Blueprint, Builder, Form, Node, Operations, architectures};
use crate::zoo::{Expected, Layout};
use crate::{Error, Result};
use std::fmt;
use std::sync::Arc;

/// What computes a network's output from its input, one operation after the other.
pub type Layers = Box<dyn Fn(&mut dyn Operations, Node) -> Result<Node> + Send + Sync>;

/// A way to build networks: one function that declares tensors and returns what runs.
///
/// Everything else that has to be known of a network follows from that function: its tensors'
/// names and shapes, its convolutions and what they cost, which channels must keep one order, how it
/// collapses, and its ONNX graph.
///
/// ```
/// use zoo_tuning::kernel::{Epilogue, Window};
/// use zoo_tuning::nn::{Architecture, Builder, Layers};
/// use zoo_tuning::Result;
///
/// struct Tiny;
///
/// impl Architecture for Tiny {
///     fn name(&self) -> &str {
///         "tiny"
///     }
///
///     fn layers(&self, b: &mut Builder) -> Result<Layers> {
///         let conv = b.conv("conv", [8, b.channels(), 3, 3], Window::square(1, 1))?;
///         let norm = b.batch_norm("norm", 8)?;
///         let head = b.linear("fc", 8, b.outputs())?;
///         Ok(Box::new(move |o, x| {
///             let y = o.conv(&conv, x)?;
///             let y = o.batch_norm(&norm, y, Epilogue::Relu)?;
///             let y = o.global_mean_pool(y)?;
///             o.linear(&head, y)
///         }))
///     }
/// }
/// ```
pub trait Architecture: Send + Sync {
    /// The name by which files and flags ask for it, such as `resnet50`.
    fn name(&self) -> &str;

    /// Declares all tensors, in the order in which they are used, and returns what computes the
    /// output `[N, outputs]` (or maps `[N, outputs, H', W']`) of images `[N, C, H, W]`.
    ///
    /// # Errors
    /// If there is no network of these sizes.
    fn layers(&self, builder: &mut Builder) -> Result<Layers>;

    /// What the names of the head's layers begin with. A source may come without its own head, or
    /// with another task's: it is not used.
    fn head(&self) -> &[&str] {
        &["fc."]
    }

    /// The names that other libraries give to the same tensors.
    fn layouts(&self) -> &[Layout] {
        &[]
    }

    /// Why a file in the layout of that name does not hold this network, although it has its
    /// tensors: the library computes something else with them.
    fn caveat(&self, _layout: &str) -> Option<&str> {
        None
    }

    /// Which images networks in the layout of that name expect where their file does not say: entries of
    /// its metadata, such as `input_mean`.
    fn images(&self, _layout: &str) -> &[(&str, &str)] {
        &[]
    }

    /// Whether the kernels of that layer are aligned by default.
    fn is_aligned(&self, _layer: &str) -> bool {
        false
    }

    /// Whether that layer is one whose gate the authors' released code keeps per sample in lite.
    fn is_shortcut(&self, _layer: &str) -> bool {
        false
    }

    /// Height and width that images are usually resized to, and those of the middle part that the
    /// network sees.
    fn usual_sizes(&self) -> [usize; 2] {
        [256, 224]
    }
}

/// An architecture at a size: a plain network without its values.
#[derive(Clone)]
pub struct Design {
    pub(super) architecture: Arc<dyn Architecture>,
    /// Channels of an image.
    pub channels: usize,
    /// Outputs, such as classes.
    pub outputs: usize,
    /// What the noise of the head's linear layers begins with, if they are noisy; see
    /// [`ops::noisy_linear`](crate::ops::noisy_linear).
    pub noise: Option<f64>,
}

impl Design {
    /// The architecture of that name, built in or [registered](architectures::register).
    ///
    /// # Errors
    /// If there is none of that name, or no channel or output.
    pub fn named(name: &str, channels: usize, outputs: usize) -> Result<Self> {
        let architecture = architectures::named(name)?;
        if channels == 0 || outputs == 0 {
            let problem = format!("{channels} channels and {outputs} classes; both need one");
            return Err(Error::config("architecture", problem));
        }
        Ok(Self { architecture, channels, outputs, noise: None })
    }

    /// An architecture that need not be registered.
    pub fn new(architecture: impl Architecture + 'static, channels: usize, outputs: usize) -> Self {
        Self { architecture: Arc::new(architecture), channels, outputs, noise: None }
    }

    /// The same for images of other channels.
    pub fn with_channels(&self, channels: usize) -> Self {
        Self { channels, ..self.clone() }
    }

    /// The same with other outputs.
    pub fn with_outputs(&self, outputs: usize) -> Self {
        Self { outputs, ..self.clone() }
    }

    /// The same with noisy layers in the head, or without.
    pub fn with_noise(&self, noise: Option<f64>) -> Self {
        Self { noise, ..self.clone() }
    }

    /// The architecture's name.
    pub fn name(&self) -> &str {
        self.architecture.name()
    }

    /// The architecture.
    pub fn architecture(&self) -> &dyn Architecture {
        &*self.architecture
    }

    /// A network of one source.
    pub fn plain(&self) -> Blueprint {
        self.in_form(Form::Plain, 1)
    }

    /// A network of that form, of `sources` sources if the form mixes any.
    pub fn in_form(&self, form: Form, sources: usize) -> Blueprint {
        let sources = if form == Form::Plain { 1 } else { sources };
        Blueprint { design: self.clone(), form, sources }
    }

    /// The tensors of a plain network, with their shapes.
    ///
    /// # Errors
    /// If there is no network of these sizes.
    pub fn tensors(&self) -> Result<Vec<Expected>> {
        let mut builder = Builder::new(self, &Form::Plain, 1);
        // What would run is of no interest here.
        drop(self.architecture.layers(&mut builder)?);
        Ok(builder.declared.into_iter().map(|tensor| (tensor.name, tensor.shape)).collect())
    }

    /// The sets of channels that must keep one order among themselves, such as those of a stream
    /// to which blocks add; what has to keep its order, such as the outputs, is in none.
    ///
    /// # Errors
    /// As [`Design::tensors`].
    pub fn channel_groups(&self) -> Result<Vec<ChannelGroup>> {
        Ok(self.graph(None)?.channel_groups)
    }

    /// What each convolution and linear layer costs for one image of that height and width.
    ///
    /// # Errors
    /// As [`Design::tensors`]; if the image is too small.
    pub fn costs(&self, size: [usize; 2]) -> Result<Vec<LayerCost>> {
        Ok(self.graph(Some(size))?.costs)
    }

    /// The convolution that reads the image; none if something else does, or several do.
    ///
    /// # Errors
    /// As [`Design::tensors`].
    pub fn first_layer(&self) -> Result<Option<FirstLayer>> {
        Ok(self.graph(None)?.first_layer)
    }

    fn graph(&self, size: Option<[usize; 2]>) -> Result<Graph> {
        let mut builder = Builder::new(self, &Form::Plain, 1);
        let layers = self.architecture.layers(&mut builder)?;
        Graph::trace(&builder, &layers, size)
    }
}

impl PartialEq for Design {
    fn eq(&self, other: &Self) -> bool {
        let of = |design: &Self| (design.channels, design.outputs, design.noise);
        self.name() == other.name() && of(self) == of(other)
    }
}

impl fmt::Debug for Design {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({} -> {})", self.name(), self.channels, self.outputs)
    }
}
