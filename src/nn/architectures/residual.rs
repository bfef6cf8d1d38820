//! The residual block of several networks, with torchvision's names.

use super::normed::{Normed, normed};
use crate::Result;
use crate::kernel::{Epilogue, Window};
use crate::nn::{Builder, Node, Operations};

/// Channels that enter a block, those in its middle and those that leave it, its stride, and the groups
/// of its middle convolution.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub entering: usize,
    pub inner: usize,
    pub leaving: usize,
    pub stride: usize,
    pub groups: usize,
}

/// A residual block: `y = relu(path(x) + shortcut(x))`.
pub(super) struct Residual {
    name: String,
    path: Vec<Normed>,
    shortcut: Option<Normed>,
}

impl Residual {
    /// Two 3x3 convolutions.
    pub fn basic(
        b: &mut Builder,
        name: String,
        [entering, leaving]: [usize; 2],
        stride: usize,
    ) -> Result<Self> {
        let path = [(leaving, entering, 3, stride, 1), (leaving, leaving, 3, 1, 1)];
        Self::new(b, name, &path)
    }

    /// 1x1 to reduce, 3x3, 1x1 to expand.
    pub fn bottleneck(b: &mut Builder, name: String, sizes: Sizes) -> Result<Self> {
        let Sizes { entering, inner, leaving, stride, groups } = sizes;
        let path = [
            (inner, entering, 1, 1, 1),
            (inner, inner, 3, stride, groups),
            (leaving, inner, 1, 1, 1),
        ];
        Self::new(b, name, &path)
    }

    /// Output channels, input channels, taps, stride, groups of each convolution on the path.
    fn new(
        b: &mut Builder,
        name: String,
        sizes: &[(usize, usize, usize, usize, usize)],
    ) -> Result<Self> {
        let mut path = Vec::new();
        for (i, &(outputs, inputs, taps, stride, groups)) in sizes.iter().enumerate() {
            let window = Window { groups, ..Window::square(stride, taps / 2) };
            let conv = format!("{name}.conv{}", i + 1);
            let conv = b.conv(&conv, [outputs, inputs / groups, taps, taps], window)?;
            path.push((conv, b.batch_norm(&format!("{name}.bn{}", i + 1), outputs)?));
        }
        let stride = sizes.iter().map(|size| size.3).product();
        let (entering, leaving) = (sizes[0].1, sizes[sizes.len() - 1].0);
        let mut shortcut = None;
        if (entering, 1) != (leaving, stride) {
            let conv = format!("{name}.downsample.0");
            let conv = b.conv(&conv, [leaving, entering, 1, 1], Window::square(stride, 0))?;
            shortcut = Some((conv, b.batch_norm(&format!("{name}.downsample.1"), leaving)?));
        }
        Ok(Self { name, path, shortcut })
    }

    /// The same, all norms with that weight of the newest batch.
    pub fn with_momentum(mut self, momentum: f64) -> Self {
        for (_, norm) in self.path.iter_mut().chain(&mut self.shortcut) {
            norm.momentum = momentum;
        }
        self
    }

    pub fn output(&self, o: &mut dyn Operations, x: Node) -> Result<Node> {
        let mut y = x;
        for (i, (conv, norm)) in self.path.iter().enumerate() {
            y = o.conv(conv, y)?;
            if i + 1 < self.path.len() {
                y = o.batch_norm(norm, y, Epilogue::Relu)?;
            } else {
                let shortcut = self.beside(o, x)?;
                o.enter(&self.name);
                y = o.batch_norm(norm, y, Epilogue::AddRelu(shortcut))?;
            }
        }
        Ok(y)
    }

    /// What is added to the path.
    fn beside(&self, o: &mut dyn Operations, x: Node) -> Result<Node> {
        let Some(shortcut) = &self.shortcut else { return Ok(x) };
        normed(o, shortcut, x, Epilogue::Nothing)
    }
}
