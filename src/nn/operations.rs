//! The operations that a network is made of, apart from who carries them out.

use super::{BatchNorm, Conv, Linear};
use crate::Result;
use crate::kernel::{Divisor, Epilogue, Interpolation, Window};

/// What goes from one operation to the next: images, features or outputs of a batch. Nodes are
/// numbered in the order in which operations make them; the network's input is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node(pub(super) usize);

impl Node {
    /// The network's input.
    pub const INPUT: Self = Self(0);

    /// The node of that number, for who carries out operations.
    pub fn from_index(index: usize) -> Self {
        Self(index)
    }

    /// The number.
    pub fn index(self) -> usize {
        self.0
    }
}

/// Who carries out a network's operations: a [`Pass`](super::Pass) computes them on its tape, the
/// writer of ONNX models notes them down, tracing finds out what belongs together.
///
/// A network says once what it is, by calling these one after the other; whatever else must know
/// its structure is one more implementation, and cannot differ from what is computed. Every
/// implementation numbers its nodes in the same way: each call makes one.
///
/// # Errors
/// Each operation, if its operands do not fit, or if this implementation does not know it.
pub trait Operations {
    /// A convolution, see [`Conv`].
    fn conv(&mut self, conv: &Conv, x: Node) -> Result<Node>;

    /// A batch norm, see [`BatchNorm`], and what follows on it.
    fn batch_norm(&mut self, norm: &BatchNorm, x: Node, then: Epilogue<Node>) -> Result<Node>;

    /// A linear layer, see [`Linear`], of features `[N, D]`.
    fn linear(&mut self, linear: &Linear, x: Node) -> Result<Node>;

    /// `max(x, 0)`.
    fn relu(&mut self, x: Node) -> Result<Node>;

    /// `min(max(x, 0), 6)`.
    fn relu6(&mut self, x: Node) -> Result<Node>;

    /// The sum of several of one shape, in their order.
    fn sum(&mut self, parts: &[Node]) -> Result<Node>;

    /// The channels of several one after the other.
    fn concat(&mut self, parts: &[Node]) -> Result<Node>;

    /// `x` at the height and width of `like`.
    fn upsample(&mut self, x: Node, like: Node, interpolation: Interpolation) -> Result<Node>;

    /// The largest value under each window of `size` `[kh, kw]`.
    fn max_pool(&mut self, x: Node, size: [usize; 2], window: Window) -> Result<Node>;

    /// The mean under each window of `size` `[kh, kw]`.
    fn avg_pool(
        &mut self,
        x: Node,
        size: [usize; 2],
        window: Window,
        divisor: Divisor,
    ) -> Result<Node>;

    /// The values of a sample `[N, C, H, W]` in a row, `[N, C H W]`.
    fn flatten(&mut self, x: Node) -> Result<Node>;

    /// The mean of each channel, `[N, C]`.
    fn global_mean_pool(&mut self, x: Node) -> Result<Node>;

    /// The operations that follow belong to the part of this name.
    fn enter(&mut self, _name: &str) {}
}
