//! Residual networks (He et al., 2016), with torchvision's names.

use super::{BatchNorm, Builder, Conv, Linear, Network, Operations, Parameters, Pass, Place};
use crate::kernel::{Then, Window};
use crate::tape::Var;
use crate::tensor::Element;
use crate::zoo::Expected;
use crate::{Error, Result};

/// The kind of a residual network's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1 to reduce, 3x3, 1x1 to four times as many channels.
    Bottleneck,
}

impl Block {
    fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }

    /// How many convolutions are on the path of a block.
    pub(crate) fn convolutions(self) -> usize {
        match self {
            Self::Basic => 2,
            Self::Bottleneck => 3,
        }
    }
}

/// What a residual network begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stem {
    /// 7x7 with stride 2, then max pooling with stride 2.
    Imagenet,
    /// 3x3 with stride 1, for small images.
    Small,
}

impl Stem {
    /// Height and width of its kernels.
    pub(crate) fn taps(self) -> usize {
        match self {
            Self::Imagenet => 7,
            Self::Small => 3,
        }
    }
}

/// The sizes of a residual network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Architecture {
    /// Its name, one of [`Architecture::NAMES`].
    pub name: &'static str,
    /// Kind of the blocks.
    pub block: Block,
    /// Blocks of each stage.
    pub depths: Vec<usize>,
    /// Channels of the first stage inside its blocks; each stage doubles them.
    pub width: usize,
    /// What it begins with.
    pub stem: Stem,
    /// Channels of an image.
    pub channels: usize,
    /// Classes.
    pub classes: usize,
}

impl Architecture {
    /// All names.
    pub const NAMES: [&'static str; 4] = ["resnet18", "resnet34", "resnet50", "resnet_small"];

    /// The architecture of that name for images of `channels` channels.
    ///
    /// # Errors
    /// If there is none of that name, or no channel or class.
    pub fn named(name: &str, channels: usize, classes: usize) -> Result<Self> {
        use Block::{Basic, Bottleneck};
        let known = Self::NAMES.into_iter().find(|known| *known == name).ok_or_else(|| {
            let names = Self::NAMES.join(", ");
            Error::config("architecture", format!("there is no {name}; there are {names}"))
        })?;
        if channels == 0 || classes == 0 {
            let problem = format!("{channels} channels and {classes} classes; both need one");
            return Err(Error::config("architecture", problem));
        }
        let (block, depths, width, stem) = match known {
            "resnet18" => (Basic, vec![2, 2, 2, 2], 64, Stem::Imagenet),
            "resnet34" => (Basic, vec![3, 4, 6, 3], 64, Stem::Imagenet),
            "resnet50" => (Bottleneck, vec![3, 4, 6, 3], 64, Stem::Imagenet),
            "resnet_small" => (Basic, vec![1, 1, 1], 16, Stem::Small),
            _ => unreachable!("it is one of the names"),
        };
        Ok(Self { name: known, block, depths, width, stem, channels, classes })
    }

    /// The tensors of a plain network, with their shapes.
    ///
    /// # Errors
    /// If a size is out of range.
    pub fn tensors(&self) -> Result<Vec<Expected>> {
        let mut tensors = Vec::new();
        Resnet::<f32>::new(self, Builder::outlined(&mut tensors))?;
        Ok(tensors)
    }

    /// An error if there is no network of these sizes.
    fn check(&self) -> Result<()> {
        const MOST_STAGES: usize = 8;
        const MOST_CHANNELS: usize = 1 << 16;
        let stages = self.depths.len();
        let sizes = [self.width, self.channels, self.classes];
        let problem = if !(1..=MOST_STAGES).contains(&stages) || self.depths.contains(&0) {
            format!("1 to {MOST_STAGES} stages of at least one block, not {:?}", self.depths)
        } else if sizes.contains(&0) {
            format!("width, channels and classes should be at least 1, not {sizes:?}")
        } else if self.width > MOST_CHANNELS {
            format!("a width of {} exceeds {MOST_CHANNELS}", self.width)
        } else {
            return Ok(());
        };
        Err(Error::argument("Resnet::new", problem))
    }

    /// Channels that leave stage `stage`, counted from 0.
    fn stage_channels(&self, stage: usize) -> usize {
        (self.width << stage) * self.block.expansion()
    }

    /// Length of the feature vector before the classifier.
    pub fn features(&self) -> usize {
        self.stage_channels(self.depths.len().saturating_sub(1))
    }

    /// Blocks as (stage, number within it).
    fn blocks(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.depths
            .iter()
            .enumerate()
            .flat_map(|(stage, &depth)| (0..depth).map(move |i| (stage, i)))
    }

    /// The names of the blocks.
    pub(crate) fn block_names(&self) -> Vec<String> {
        self.blocks().map(|(stage, number)| block_name(stage, number)).collect()
    }

    /// Channels that enter a block, and its stride.
    fn entry(&self, stage: usize, number: usize) -> (usize, usize) {
        match (stage, number) {
            (0, 0) => (self.width, 1),
            (_, 0) => (self.stage_channels(stage - 1), 2),
            _ => (self.stage_channels(stage), 1),
        }
    }

    fn has_shortcut(&self, stage: usize, number: usize) -> bool {
        self.entry(stage, number) != (self.stage_channels(stage), 1)
    }

    /// The sets of channels that must keep one order among themselves: the residual stream
    /// of each stage, and the inside of each block.
    pub fn channel_groups(&self) -> Vec<ChannelGroup> {
        let mut groups: Vec<ChannelGroup> = Vec::new();
        let mut stream = ChannelGroup::of(["conv1"]).producer("conv1", "bn1");
        for (stage, number) in self.blocks() {
            let block = block_name(stage, number);
            let last = self.block.convolutions();
            stream.consumers.push(format!("{block}.conv1.weight"));
            if self.has_shortcut(stage, number) {
                stream.consumers.push(format!("{block}.downsample.0.weight"));
                groups.push(stream);
                stream = ChannelGroup::of([])
                    .producer(&format!("{block}.downsample.0"), &format!("{block}.downsample.1"));
            }
            stream = stream.producer(&format!("{block}.conv{last}"), &format!("{block}.bn{last}"));
            stream.activations.push(block.clone());
            for inner in 1..last {
                let conv = format!("{block}.conv{inner}");
                let mut group = ChannelGroup::of([conv.as_str()])
                    .producer(&conv, &format!("{block}.bn{inner}"));
                group.consumers.push(format!("{block}.conv{}.weight", inner + 1));
                groups.push(group);
            }
        }
        stream.consumers.push("fc.weight".to_owned());
        groups.push(stream);
        groups
    }
}

/// Stages are counted from 1 there, and blocks from 0.
fn block_name(stage: usize, number: usize) -> String {
    format!("layer{}.{number}", stage + 1)
}

/// Channels that must keep one order among themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelGroup {
    /// Names under which a pass observes these channels, `[N, C, H, W]`.
    pub activations: Vec<String>,
    /// Tensors whose first axis these channels are.
    pub producers: Vec<String>,
    /// Tensors whose second axis these channels are.
    pub consumers: Vec<String>,
}

impl ChannelGroup {
    fn of<const N: usize>(activations: [&str; N]) -> Self {
        let activations = activations.map(str::to_owned).to_vec();
        Self { activations, producers: vec![], consumers: vec![] }
    }

    fn producer(mut self, conv: &str, norm: &str) -> Self {
        self.producers.push(format!("{conv}.weight"));
        for part in ["weight", "bias", "running_mean", "running_var"] {
            self.producers.push(format!("{norm}.{part}"));
        }
        self
    }
}

/// A residual network; its convolutions are plain, zoo or lite, as the builder's form says.
pub struct Resnet<T> {
    architecture: Architecture,
    parameters: Parameters<T>,
    stem: (Conv, BatchNorm),
    blocks: Vec<Residual>,
    head: Linear,
}

/// A residual block: `y = relu(path(x) + shortcut(x))`.
struct Residual {
    name: String,
    path: Vec<(Conv, BatchNorm)>,
    shortcut: Option<(Conv, BatchNorm)>,
}

impl<T: Element> Resnet<T> {
    /// The network of that architecture with the builder's values.
    ///
    /// # Errors
    /// If a source lacks a tensor or has it in another shape, or a size of the architecture
    /// is out of range.
    pub fn new(architecture: &Architecture, mut builder: Builder<T>) -> Result<Self> {
        architecture.check()?;
        let Architecture { block, width, stem, channels, classes, .. } = *architecture;
        let b = &mut builder;
        let taps = stem.taps();
        let window = match stem {
            Stem::Imagenet => Window::square(2, 3),
            Stem::Small => Window::square(1, 1),
        };
        let conv = b.conv("conv1", [width, channels, taps, taps], window, Place::Stem)?;
        let stem = (conv, b.batch_norm("bn1", width)?);
        let mut blocks = Vec::new();
        for (stage, number) in architecture.blocks() {
            let name = block_name(stage, number);
            let (entering, stride) = architecture.entry(stage, number);
            let (inner, leaving) = (width << stage, architecture.stage_channels(stage));
            // Output channels, input channels, taps, stride of each convolution on the path.
            let sizes: &[_] = match block {
                Block::Basic => &[(leaving, entering, 3, stride), (leaving, leaving, 3, 1)],
                Block::Bottleneck => {
                    &[(inner, entering, 1, 1), (inner, inner, 3, stride), (leaving, inner, 1, 1)]
                }
            };
            let mut path = Vec::new();
            for (i, &(o, c, taps, stride)) in sizes.iter().enumerate() {
                let window = Window::square(stride, taps / 2);
                let conv = format!("{name}.conv{}", i + 1);
                let conv = b.conv(&conv, [o, c, taps, taps], window, Place::Stage(stage))?;
                path.push((conv, b.batch_norm(&format!("{name}.bn{}", i + 1), o)?));
            }
            let mut shortcut = None;
            if architecture.has_shortcut(stage, number) {
                let window = Window::square(stride, 0);
                let conv = format!("{name}.downsample.0");
                let shape = [leaving, entering, 1, 1];
                let conv = b.conv(&conv, shape, window, Place::Shortcut(stage))?;
                shortcut = Some((conv, b.batch_norm(&format!("{name}.downsample.1"), leaving)?));
            }
            blocks.push(Residual { name, path, shortcut });
        }
        let head = b.linear("fc", architecture.features(), classes)?;
        let architecture = architecture.clone();
        Ok(Self { architecture, parameters: builder.finish(), stem, blocks, head })
    }

    /// The architecture.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// All convolutions in the order of the forward pass, a block's shortcut last.
    pub fn convolutions(&self) -> impl Iterator<Item = &Conv> {
        std::iter::once(&self.stem.0).chain(
            self.blocks.iter().flat_map(|b| b.path.iter().chain(&b.shortcut).map(|(conv, _)| conv)),
        )
    }

    /// The features before the classifier, `[N, D]`, of images `x` `[N, C, H, W]`.
    ///
    /// # Errors
    /// If the images have other channels or are too small.
    pub fn features<O: Operations>(&self, o: &mut O, x: O::Value) -> Result<O::Value> {
        let (conv, norm) = &self.stem;
        let y = o.conv(conv, x)?;
        let mut x = o.batch_norm(norm, y, Then::Relu)?;
        o.observe(conv.name(), &x);
        if self.architecture.stem == Stem::Imagenet {
            x = o.max_pool(x, [3, 3], Window::square(2, 1))?;
        }
        for block in &self.blocks {
            x = block.outputs(o, x)?;
            o.observe(&block.name, &x);
            o.release(&x);
        }
        o.enter("features");
        o.global_mean_pool(x)
    }

    /// The logits `[N, classes]` of images `x` `[N, C, H, W]`, by whatever carries out the
    /// operations: what [`Network::forward`] is for a [`Pass`].
    ///
    /// # Errors
    /// As [`Resnet::features`].
    pub fn logits<O: Operations>(&self, o: &mut O, x: O::Value) -> Result<O::Value> {
        let features = self.features(o, x)?;
        o.enter("fc");
        o.linear(&self.head, features)
    }
}

impl<T: Element> Network<T> for Resnet<T> {
    /// The logits `[N, classes]` of images `x` `[N, C, H, W]`.
    fn forward(&self, pass: &mut Pass<T>, x: Var) -> Result<Var> {
        self.logits(pass, x)
    }

    fn parameters(&self) -> &Parameters<T> {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut Parameters<T> {
        &mut self.parameters
    }
}

impl Residual {
    fn outputs<O: Operations>(&self, o: &mut O, x: O::Value) -> Result<O::Value> {
        let mut y = x.clone();
        for (i, (conv, norm)) in self.path.iter().enumerate() {
            y = o.conv(conv, y)?;
            if i + 1 < self.path.len() {
                y = o.batch_norm(norm, y, Then::Relu)?;
                o.observe(conv.name(), &y);
            } else {
                let shortcut = self.beside(o, x.clone())?;
                o.enter(&self.name);
                y = o.batch_norm(norm, y, Then::AddRelu(shortcut))?;
            }
        }
        Ok(y)
    }

    /// What is added to the path.
    fn beside<O: Operations>(&self, o: &mut O, x: O::Value) -> Result<O::Value> {
        let Some((conv, norm)) = &self.shortcut else { return Ok(x) };
        let y = o.conv(conv, x)?;
        o.batch_norm(norm, y, Then::Nothing)
    }
}
