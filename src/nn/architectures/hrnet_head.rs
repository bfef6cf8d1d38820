//! What comes of the branches of a high-resolution network.

use super::hrnet::{BRANCHES, HRNet, HRNetHead};
use super::normed::{Normed, normed};
use super::residual::{Residual, Sizes};
use crate::Result;
use crate::kernel::{Epilogue, Interpolation, Window};
use crate::nn::{Builder, Conv, Initial, Linear, Node, Operations};

/// What maps start with: N(0, 0.001^2), as in the authors' programs.
const SMALL: f64 = 0.001;

/// Layers behind the branches.
pub(super) enum Head {
    /// A 1x1 convolution over all branches at the size of the first, and one to the maps.
    Landmarks(Normed, Conv),
    /// A 1x1 convolution over the first branch.
    Pose(Conv),
    /// Wider maps of each branch, added up from the largest to the smallest.
    Classes { wider: Vec<Residual>, down: Vec<Normed>, last: Normed, classifier: Linear },
}

impl Head {
    pub fn new(network: &HRNet, b: &mut Builder) -> Result<Self> {
        match network.head {
            HRNetHead::Landmarks => Self::landmarks(network, b),
            HRNetHead::Pose => {
                b.initial(Initial::Normal(SMALL));
                let shape = [b.outputs(), network.width, 1, 1];
                Ok(Self::Pose(b.conv_with_bias("final_layer", shape, Window::default())?))
            }
            HRNetHead::Classes { inner, features } => Self::classes(network, b, inner, features),
        }
    }

    fn landmarks(network: &HRNet, b: &mut Builder) -> Result<Self> {
        b.initial(Initial::Normal(SMALL));
        let channels = (0..BRANCHES).map(|branch| network.channels(branch)).sum();
        let mixed = biased(network, b, "head", [channels, channels, 1], 1)?;
        let shape = [b.outputs(), channels, 1, 1];
        let maps = b.conv_with_bias("head.3", shape, Window::default())?;
        Ok(Self::Landmarks(mixed, maps))
    }

    fn classes(network: &HRNet, b: &mut Builder, inner: usize, features: usize) -> Result<Self> {
        let momentum = network.momentum;
        let (mut wider, mut down) = (Vec::new(), Vec::new());
        for branch in 0..BRANCHES {
            let (inner, name) = (inner << branch, format!("incre_modules.{branch}.0"));
            let (entering, leaving) = (network.channels(branch), 4 * inner);
            let sizes = Sizes { entering, inner, leaving, stride: 1, groups: 1 };
            wider.push(Residual::bottleneck(b, name, sizes)?.with_momentum(momentum));
        }
        for step in 0..BRANCHES - 1 {
            let inputs = (4 * inner) << step;
            let name = format!("downsamp_modules.{step}");
            down.push(biased(network, b, &name, [2 * inputs, inputs, 3], 2)?);
        }
        let sizes = [features, (4 * inner) << (BRANCHES - 1), 1];
        let last = biased(network, b, "final_layer", sizes, 1)?;
        let classifier = b.linear("classifier", features, b.outputs())?;
        Ok(Self::Classes { wider, down, last, classifier })
    }

    pub fn output(
        &self,
        o: &mut dyn Operations,
        branches: &[Node],
        interpolation: Interpolation,
    ) -> Result<Node> {
        match self {
            Self::Landmarks(mixed, maps) => {
                o.enter("head");
                let mut all = vec![branches[0]];
                for &branch in &branches[1..] {
                    all.push(o.upsample(branch, branches[0], interpolation)?);
                }
                let all = o.concat(&all)?;
                let y = normed(o, mixed, all, Epilogue::Relu)?;
                o.conv(maps, y)
            }
            Self::Pose(maps) => o.conv(maps, branches[0]),
            Self::Classes { wider, down, last, classifier } => {
                let mut y = wider[0].output(o, branches[0])?;
                for ((wider, down), &branch) in wider[1..].iter().zip(down).zip(&branches[1..]) {
                    let wide = wider.output(o, branch)?;
                    let smaller = normed(o, down, y, Epilogue::Relu)?;
                    y = o.sum(&[wide, smaller])?;
                }
                o.enter("features");
                let y = normed(o, last, y, Epilogue::Relu)?;
                let features = o.global_mean_pool(y)?;
                o.linear(classifier, features)
            }
        }
    }
}

/// The first two parts of an `nn.Sequential` of that name: a square convolution with a bias, from
/// output channels, input channels and taps, and its norm.
fn biased(
    network: &HRNet,
    b: &mut Builder,
    name: &str,
    [outputs, inputs, taps]: [usize; 3],
    stride: usize,
) -> Result<Normed> {
    let window = Window::square(stride, taps / 2);
    let conv = b.conv_with_bias(&format!("{name}.0"), [outputs, inputs, taps, taps], window)?;
    Ok((conv, b.batch_norm(&format!("{name}.1"), outputs)?.with_momentum(network.momentum)))
}
