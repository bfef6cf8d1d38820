//! Residual networks (He et al., 2016), wide ones (Zagoruyko and Komodakis, 2016) and those of groups
//! (ResNeXt: Xie et al., 2017), with torchvision's names.

use super::residual::{Residual, Sizes};
use super::{Family, Members, resnet_layouts};
use crate::kernel::{Epilogue, Window};
use crate::nn::{Architecture, Builder, Layers};
use crate::zoo::Layout;
use crate::{Error, Result};
use std::sync::Arc;

pub(super) const FAMILY: Family = Family { members, specified: |_| None };

/// A residual network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResNet {
    /// Its name.
    pub name: &'static str,
    /// Kind of the blocks.
    pub block: Block,
    /// Blocks of each stage.
    pub depths: Vec<usize>,
    /// Channels of the first stage; each stage doubles them.
    pub width: usize,
    /// What it begins with.
    pub stem: Stem,
}

/// The kind of a residual network's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1 to reduce, 3x3, 1x1 to four times as many channels.
    Bottleneck,
    /// A bottleneck of another width, whose 3x3 convolution falls into groups.
    Grouped {
        /// How many.
        groups: usize,
        /// Channels of each in the first stage; each stage doubles them.
        width: usize,
    },
}

/// What a residual network begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stem {
    /// 7x7 with stride 2, then max pooling with stride 2.
    Imagenet,
    /// 3x3 with stride 1, for small images.
    Small,
}

fn members() -> Members {
    use Block::{Basic, Bottleneck, Grouped};
    let imagenet = |name, block, depths: [usize; 4]| ResNet {
        name,
        block,
        depths: depths.to_vec(),
        width: 64,
        stem: Stem::Imagenet,
    };
    let small = ResNet {
        name: "resnet_small",
        block: Basic,
        depths: vec![1, 1, 1],
        width: 16,
        stem: Stem::Small,
    };
    let wide = Grouped { groups: 1, width: 128 };
    [
        imagenet("resnet18", Basic, [2, 2, 2, 2]),
        imagenet("resnet34", Basic, [3, 4, 6, 3]),
        imagenet("resnet50", Bottleneck, [3, 4, 6, 3]),
        imagenet("resnet101", Bottleneck, [3, 4, 23, 3]),
        imagenet("resnet152", Bottleneck, [3, 8, 36, 3]),
        imagenet("wide_resnet50_2", wide, [3, 4, 6, 3]),
        imagenet("wide_resnet101_2", wide, [3, 4, 23, 3]),
        imagenet("resnext50_32x4d", Grouped { groups: 32, width: 4 }, [3, 4, 6, 3]),
        imagenet("resnext101_32x8d", Grouped { groups: 32, width: 8 }, [3, 4, 23, 3]),
        small,
    ]
    .map(|network| Arc::new(network) as Arc<dyn Architecture>)
    .into()
}

impl Architecture for ResNet {
    fn name(&self) -> &str {
        self.name
    }

    fn layers(&self, b: &mut Builder) -> Result<Layers> {
        self.check(b)?;
        let (taps, window) = match self.stem {
            Stem::Imagenet => (7, Window::square(2, 3)),
            Stem::Small => (3, Window::square(1, 1)),
        };
        let conv = b.conv("conv1", [self.width, b.channels(), taps, taps], window)?;
        let stem = (conv, b.batch_norm("bn1", self.width)?);
        let (mut blocks, mut channels) = (Vec::new(), self.width);
        for (stage, &depth) in self.depths.iter().enumerate() {
            for number in 0..depth {
                // Stages are counted from 1 in names, and blocks from 0.
                let name = format!("layer{}.{number}", stage + 1);
                let stride = if stage > 0 && number == 0 { 2 } else { 1 };
                let (groups, inner) = self.inner();
                let [inner, outer] = [inner, self.width].map(|channels| channels << stage);
                let entering = channels;
                channels = if self.block == Block::Basic { outer } else { 4 * outer };
                let sizes = Sizes { entering, inner, leaving: channels, stride, groups };
                blocks.push(match self.block {
                    Block::Basic => Residual::basic(b, name, [entering, channels], stride)?,
                    _ => Residual::bottleneck(b, name, sizes)?,
                });
            }
        }
        let head = b.linear("fc", channels, b.outputs())?;
        let pools = self.stem == Stem::Imagenet;
        Ok(Box::new(move |o, x| {
            let (conv, norm) = &stem;
            let y = o.conv(conv, x)?;
            let mut x = o.batch_norm(norm, y, Epilogue::Relu)?;
            if pools {
                x = o.max_pool(x, [3, 3], Window::square(2, 1))?;
            }
            for block in &blocks {
                x = block.output(o, x)?;
            }
            o.enter("features");
            let features = o.global_mean_pool(x)?;
            o.linear(&head, features)
        }))
    }

    fn layouts(&self) -> &[Layout] {
        resnet_layouts::LAYOUTS
    }

    fn caveat(&self, layout: &str) -> Option<&str> {
        resnet_layouts::caveat(layout)
    }

    fn images(&self, layout: &str) -> &[(&str, &str)] {
        resnet_layouts::images(layout)
    }

    /// The stem, stages 3 and 4; no convolutions of groups, whose outputs see different channels and
    /// cannot change places.
    fn is_aligned(&self, layer: &str) -> bool {
        let has_groups = self.inner().0 > 1 && layer.ends_with(".conv2");
        let is_late = layer.starts_with("layer3.") || layer.starts_with("layer4.");
        layer == "conv1" || is_late && !has_groups
    }

    fn is_shortcut(&self, layer: &str) -> bool {
        layer.ends_with(".downsample.0")
    }

    fn usual_sizes(&self) -> [usize; 2] {
        match self.stem {
            Stem::Imagenet => [256, 224],
            Stem::Small => [16, 16],
        }
    }
}

impl ResNet {
    /// An error if there is no network of these sizes.
    fn check(&self, b: &Builder) -> Result<()> {
        const MOST_STAGES: usize = 8;
        const MOST_CHANNELS: usize = 1 << 16;
        let sizes = [self.width, b.channels(), b.outputs()];
        let (groups, inner) = self.inner();
        let problem = if !(1..=MOST_STAGES).contains(&self.depths.len()) || self.depths.contains(&0)
        {
            format!("1 to {MOST_STAGES} stages of at least one block, not {:?}", self.depths)
        } else if sizes.contains(&0) {
            format!("width, channels and classes should be at least 1, not {sizes:?}")
        } else if self.width > MOST_CHANNELS {
            format!("a width of {} exceeds {MOST_CHANNELS}", self.width)
        } else if groups == 0 || !(1..=MOST_CHANNELS).contains(&inner) {
            format!("{:?} should have 1 to {MOST_CHANNELS} channels", self.block)
        } else {
            return Ok(());
        };
        Err(Error::argument("ResNet", problem))
    }

    /// Groups of a block's 3x3 convolution, and its channels in the first stage.
    fn inner(&self) -> (usize, usize) {
        match self.block {
            Block::Basic | Block::Bottleneck => (1, self.width),
            Block::Grouped { groups, width } => (groups, groups.saturating_mul(width)),
        }
    }
}
