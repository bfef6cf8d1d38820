//! High-resolution networks (HRNet: Sun et al., 2019; Wang et al., 2020), with the names of their
//! authors' programs, which timm and OpenMMLab have too.

use super::normed::{Normed, normed};
use super::residual::{Residual, Sizes};
use super::{Family, Member, Members, hrnet_head::Head, hrnet_layouts};
use crate::kernel::{Epilogue, Interpolation, Window};
use crate::nn::{Architecture, Builder, Layers, Node, Operations};
use crate::zoo::Layout;
use crate::{Error, Result};
use std::sync::Arc;

pub(super) const FAMILY: Family = Family { members, specified };

/// A network of branches that keep their resolutions: the first has a quarter of the image's height
/// and width, each next one half of that and twice as many channels, and every module ends by adding
/// to each branch what all others say.
///
/// A name may end in `:bilinear` or `:nearest`, the way in which small maps become large ones: it
/// has no values, and the same file can be read as both. Without it, it is the one that networks of
/// that head were trained with.
///
/// ```
/// use zoo_tuning::nn::Design;
///
/// let design = Design::named("hrnet_w18:nearest", 3, 68)?;
/// assert_eq!(design.tensors()?, Design::named("hrnet_w18", 3, 68)?.tensors()?);
/// # Ok::<(), zoo_tuning::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct HRNet {
    /// Its name.
    pub name: String,
    /// Channels of the stem.
    pub stem: usize,
    /// Bottlenecks of the first stage.
    pub bottlenecks: usize,
    /// Channels in the middle of each; four times as many leave it.
    pub inner: usize,
    /// Channels of the first branch.
    pub width: usize,
    /// Blocks of each branch of a module.
    pub blocks: usize,
    /// Modules of the stages of two, three and four branches.
    pub modules: [usize; 3],
    /// What comes of the branches.
    pub head: HRNetHead,
    /// How small maps become large ones.
    pub interpolation: Interpolation,
    /// Weight of the newest batch in the running statistics of the norms.
    pub momentum: f64,
    /// Height and width of an image.
    pub size: usize,
}

/// What comes of the branches of an [`HRNet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HRNetHead {
    /// Heat maps of all branches at the size of the first (HRNetV2).
    Landmarks,
    /// Heat maps of the first branch alone (HRNetV1), whose last module makes no other.
    Pose,
    /// Classes, from wider maps of all branches.
    Classes {
        /// Channels in the middle of the bottleneck that widens the first branch; each next has twice
        /// as many.
        inner: usize,
        /// That go into the classifier.
        features: usize,
    },
}

/// Of the last stage.
pub(super) const BRANCHES: usize = 4;

fn networks() -> [HRNet; 9] {
    use HRNetHead::{Classes, Landmarks, Pose};
    let classes = Classes { inner: 32, features: 2048 };
    let landmarks = |name: &str, width, blocks, modules, [bottlenecks, inner]: [usize; 2]| HRNet {
        name: name.to_owned(),
        stem: 64,
        bottlenecks,
        inner,
        width,
        blocks,
        modules,
        head: Landmarks,
        interpolation: Interpolation::Bilinear,
        momentum: 0.01,
        size: 256,
    };
    // Trained with other settings than those of landmarks.
    let other = |name, width, head, size| HRNet {
        head,
        interpolation: Interpolation::Nearest,
        momentum: 0.1,
        size,
        ..landmarks(name, width, 4, [1, 4, 3], [4, 64])
    };
    [
        landmarks("hrnet_w18", 18, 4, [1, 4, 3], [4, 64]),
        landmarks("hrnet_w18_small_v1", 16, 2, [1, 1, 1], [1, 32]),
        landmarks("hrnet_w18_small_v2", 18, 2, [1, 3, 2], [2, 64]),
        landmarks("hrnet_w32", 32, 4, [1, 4, 3], [4, 64]),
        landmarks("hrnet_w48", 48, 4, [1, 4, 3], [4, 64]),
        HRNet { stem: 16, size: 96, ..landmarks("hrnet_small", 8, 2, [1, 1, 1], [1, 16]) },
        other("hrnet_w18_c", 18, classes, 224),
        other("hrnet_w32_pose", 32, Pose, 256),
        other("hrnet_w48_pose", 48, Pose, 256),
    ]
}

fn members() -> Members {
    networks().map(|network| Arc::new(network) as Arc<dyn Architecture>).into()
}

/// One whose name ends in how small maps become large ones.
fn specified(name: &str) -> Option<Result<Member>> {
    let (base, way) = name.split_once(':')?;
    let network = networks().into_iter().find(|network| network.name == base)?;
    let interpolation = match way {
        "bilinear" => Interpolation::Bilinear,
        "nearest" => Interpolation::Nearest,
        _ => {
            let problem = format!("{name}: {way:?} should be bilinear or nearest");
            return Some(Err(Error::config("architecture", problem)));
        }
    };
    // What a network does anyway is no part of its name.
    let is_usual = interpolation == network.interpolation;
    let name = if is_usual { base } else { name }.to_owned();
    Some(Ok(Arc::new(HRNet { name, interpolation, ..network })))
}

impl Architecture for HRNet {
    fn name(&self) -> &str {
        &self.name
    }

    fn layers(&self, b: &mut Builder) -> Result<Layers> {
        self.check(b)?;
        let mut stem = Vec::new();
        for (number, inputs) in [(1, b.channels()), (2, self.stem)] {
            let names = [format!("conv{number}"), format!("bn{number}")];
            stem.push(self.normed(b, names, [self.stem, inputs, 3], 2)?);
        }
        let (mut first, mut entering) = (Vec::new(), self.stem);
        for number in 0..self.bottlenecks {
            let (inner, leaving, name) = (self.inner, 4 * self.inner, format!("layer1.{number}"));
            let sizes = Sizes { entering, inner, leaving, stride: 1, groups: 1 };
            first.push(Residual::bottleneck(b, name, sizes)?.with_momentum(self.momentum));
            entering = leaving;
        }
        let mut stages = Vec::new();
        for (stage, &modules) in (2..).zip(&self.modules) {
            let fresh = Transition::new(self, b, stage, entering)?;
            let mut all = Vec::new();
            for number in 0..modules {
                let is_last = stage == BRANCHES && number + 1 == modules;
                // Nothing would read the others.
                let outputs = if is_last && self.head == HRNetHead::Pose { 1 } else { stage };
                let name = format!("stage{stage}.{number}");
                all.push(Module::new(self, b, &name, [stage, outputs])?);
            }
            stages.push((fresh, all));
            entering = self.channels(stage - 1);
        }
        let head = Head::new(self, b)?;
        let interpolation = self.interpolation;
        Ok(Box::new(move |o, mut x| {
            for stem in &stem {
                x = normed(o, stem, x, Epilogue::Relu)?;
            }
            for block in &first {
                x = block.output(o, x)?;
            }
            let mut branches = vec![x];
            for (transition, modules) in &stages {
                transition.output(o, &mut branches)?;
                for module in modules {
                    branches = module.output(o, branches, interpolation)?;
                }
            }
            head.output(o, &branches, interpolation)
        }))
    }

    fn head(&self) -> &[&str] {
        match self.head {
            HRNetHead::Landmarks => &["head."],
            HRNetHead::Pose => &["final_layer."],
            HRNetHead::Classes { .. } => &["classifier."],
        }
    }

    fn layouts(&self) -> &[Layout] {
        match self.head {
            HRNetHead::Pose => hrnet_layouts::POSE,
            HRNetHead::Landmarks | HRNetHead::Classes { .. } => hrnet_layouts::ALL,
        }
    }

    /// The stem, and stages 3 and 4 with what leads to them.
    fn is_aligned(&self, layer: &str) -> bool {
        const PARTS: [&str; 4] = ["stage3.", "stage4.", "transition2.", "transition3."];
        ["conv1", "conv2"].contains(&layer) || PARTS.iter().any(|part| layer.starts_with(part))
    }

    fn is_shortcut(&self, layer: &str) -> bool {
        layer.ends_with(".downsample.0")
    }

    fn usual_sizes(&self) -> [usize; 2] {
        match self.head {
            // An eighth is cut off, as usual.
            HRNetHead::Classes { .. } => [self.size / 7 * 8, self.size],
            HRNetHead::Landmarks | HRNetHead::Pose => [self.size; 2],
        }
    }
}

impl HRNet {
    /// Of that branch, counted from 0.
    pub(super) fn channels(&self, branch: usize) -> usize {
        self.width << branch
    }

    /// A square convolution, from output channels, input channels and taps, and its norm.
    pub(super) fn normed(
        &self,
        b: &mut Builder,
        [conv, norm]: [String; 2],
        [outputs, inputs, taps]: [usize; 3],
        stride: usize,
    ) -> Result<Normed> {
        let window = Window::square(stride, taps / 2);
        let conv = b.conv(&conv, [outputs, inputs, taps, taps], window)?;
        Ok((conv, b.batch_norm(&norm, outputs)?.with_momentum(self.momentum)))
    }

    /// The same within an `nn.Sequential` of that name.
    fn sequential(
        &self,
        b: &mut Builder,
        name: &str,
        sizes: [usize; 3],
        stride: usize,
    ) -> Result<Normed> {
        self.normed(b, [0, 1].map(|part| format!("{name}.{part}")), sizes, stride)
    }

    /// An error if there is no network of these sizes.
    fn check(&self, b: &Builder) -> Result<()> {
        const MOST_CHANNELS: usize = 1 << 12;
        const MOST_BLOCKS: usize = 64;
        let (inner, features) = match self.head {
            HRNetHead::Classes { inner, features } => (inner, features),
            HRNetHead::Landmarks | HRNetHead::Pose => (1, 1),
        };
        let widths = [self.stem, self.inner, self.width, inner, features];
        let [two, three, four] = self.modules;
        let counts = [self.bottlenecks, self.blocks, two, three, four];
        let problem = if !widths.iter().all(|width| (1..=MOST_CHANNELS).contains(width)) {
            format!("channels should be 1 to {MOST_CHANNELS}, not {widths:?}")
        } else if !counts.iter().all(|count| (1..=MOST_BLOCKS).contains(count)) {
            format!("blocks and modules should be 1 to {MOST_BLOCKS}, not {counts:?}")
        } else if b.channels() == 0 || b.outputs() == 0 {
            "an image needs a channel and the network an output".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::argument("HRNet", problem))
    }
}

/// What leads to a stage of one branch more: that branch comes from the last one, and before the
/// first such stage there is one of other channels.
struct Transition {
    first: Option<Normed>,
    fresh: Normed,
}

impl Transition {
    /// To the stage of so many branches; `entering` channels has the last one before it.
    fn new(network: &HRNet, b: &mut Builder, stage: usize, entering: usize) -> Result<Self> {
        let name = format!("transition{}", stage - 1);
        let mut first = None;
        if stage == 2 && entering != network.width {
            let sizes = [network.width, entering, 3];
            first = Some(network.sequential(b, &format!("{name}.0"), sizes, 1)?);
        }
        let sizes = [network.channels(stage - 1), entering, 3];
        let fresh = network.sequential(b, &format!("{name}.{}.0", stage - 1), sizes, 2)?;
        Ok(Self { first, fresh })
    }

    fn output(&self, o: &mut dyn Operations, branches: &mut Vec<Node>) -> Result<()> {
        let last = branches[branches.len() - 1];
        if let Some(first) = &self.first {
            branches[0] = normed(o, first, last, Epilogue::Relu)?;
        }
        branches.push(normed(o, &self.fresh, last, Epilogue::Relu)?);
        Ok(())
    }
}

/// Blocks on every branch, then what the branches say to each other.
struct Module {
    branches: Vec<Vec<Residual>>,
    /// For each output, what it takes from each branch.
    fused: Vec<Vec<Fusion>>,
    name: String,
}

/// How a branch comes to the channels and the size of another: a smaller one by a 1x1 convolution, and
/// enlarged; a larger one by 3x3 convolutions of stride 2, with rectifiers between them; its own by
/// nothing.
struct Fusion {
    layers: Vec<Normed>,
    enlarges: bool,
}

impl Module {
    fn new(
        network: &HRNet,
        b: &mut Builder,
        name: &str,
        [count, outputs]: [usize; 2],
    ) -> Result<Self> {
        let mut branches = Vec::new();
        for branch in 0..count {
            let (channels, mut blocks) = ([network.channels(branch); 2], Vec::new());
            for number in 0..network.blocks {
                let block = format!("{name}.branches.{branch}.{number}");
                let block = Residual::basic(b, block, channels, 1)?;
                blocks.push(block.with_momentum(network.momentum));
            }
            branches.push(blocks);
        }
        let name = format!("{name}.fuse_layers");
        let mut fused = Vec::new();
        for to in 0..outputs {
            let parts = (0..count).map(|from| Fusion::new(network, b, &name, [from, to]));
            fused.push(parts.collect::<Result<_>>()?);
        }
        Ok(Self { branches, fused, name })
    }

    fn output(
        &self,
        o: &mut dyn Operations,
        mut x: Vec<Node>,
        interpolation: Interpolation,
    ) -> Result<Vec<Node>> {
        for (x, blocks) in x.iter_mut().zip(&self.branches) {
            for block in blocks {
                *x = block.output(o, *x)?;
            }
        }
        let output = |(to, parts): (usize, &Vec<Fusion>)| {
            let each = parts.iter().zip(&x);
            let each = each.map(|(part, &from)| part.output(o, from, x[to], interpolation));
            let each = each.collect::<Result<Vec<_>>>()?;
            o.enter(&self.name);
            let sum = o.sum(&each)?;
            o.relu(sum)
        };
        self.fused.iter().enumerate().map(output).collect()
    }
}

impl Fusion {
    fn new(network: &HRNet, b: &mut Builder, name: &str, [from, to]: [usize; 2]) -> Result<Self> {
        let name = format!("{name}.{to}.{from}");
        let (inputs, outputs) = (network.channels(from), network.channels(to));
        let (mut layers, enlarges) = (Vec::new(), from > to);
        if enlarges {
            layers.push(network.sequential(b, &name, [outputs, inputs, 1], 1)?);
        }
        for step in from..to {
            // Only the last has the channels of where it leads.
            let outputs = if step + 1 == to { outputs } else { inputs };
            let name = format!("{name}.{}", step - from);
            layers.push(network.sequential(b, &name, [outputs, inputs, 3], 2)?);
        }
        Ok(Self { layers, enlarges })
    }

    /// What `from` says to the branch `to`.
    fn output(
        &self,
        o: &mut dyn Operations,
        from: Node,
        to: Node,
        interpolation: Interpolation,
    ) -> Result<Node> {
        let mut y = from;
        for (step, layer) in self.layers.iter().enumerate() {
            let is_last = step + 1 == self.layers.len();
            let then = if is_last { Epilogue::Nothing } else { Epilogue::Relu };
            y = normed(o, layer, y, then)?;
        }
        if self.enlarges { o.upsample(y, to, interpolation) } else { Ok(y) }
    }
}
