//! A network's operations, computed on the tape of a pass.

use super::{BatchNorm, Conv, Linear, Node, Operations, Pass};
use crate::kernel::{Divisor, Epilogue, Interpolation, Window};
use crate::tape::Var;
use crate::tensor::Element;
use crate::{Error, Result, ops};

/// Computes one operation after the other. Where no gradient is wanted, what an operation made on
/// the way is forgotten when it is done, and its operands after their last use.
pub(super) struct Run<'p, 'a, T> {
    pass: &'p mut Pass<'a, T>,
    nodes: Vec<Var>,
    last_uses: &'p [usize],
}

impl<'p, 'a, T: Element> Run<'p, 'a, T> {
    pub fn new(pass: &'p mut Pass<'a, T>, last_uses: &'p [usize], x: Var) -> Self {
        Self { pass, nodes: vec![x], last_uses }
    }

    /// The value of that node; leaves the others in the pass, if they are kept.
    pub fn finish(self, node: Node) -> Result<Var> {
        let var = self.var(node)?;
        self.pass.leave_activations(self.nodes);
        Ok(var)
    }

    fn var(&self, node: Node) -> Result<Var> {
        self.nodes.get(node.0).copied().ok_or_else(|| {
            Error::argument("Architecture::layers", "a node belongs to another network")
        })
    }

    /// Computes the node that follows from `operands`.
    fn compute(
        &mut self,
        operands: &[Node],
        operation: impl FnOnce(&mut Pass<'a, T>, &[Var]) -> Result<Var>,
    ) -> Result<Node> {
        let vars = operands.iter().map(|&node| self.var(node)).collect::<Result<Vec<_>>>()?;
        let first = self.pass.tape().len();
        let y = operation(self.pass, &vars)?;
        self.pass.forget(first, y);
        let node = Node(self.nodes.len());
        self.nodes.push(y);
        for (operand, var) in operands.iter().zip(vars) {
            if self.last_uses.get(operand.0) == Some(&node.0) {
                self.pass.forget_one(*operand, var);
            }
        }
        Ok(node)
    }
}

impl<T: Element> Operations for Run<'_, '_, T> {
    fn conv(&mut self, conv: &Conv, x: Node) -> Result<Node> {
        self.compute(&[x], |pass, x| conv.forward(pass, x[0]))
    }

    fn batch_norm(&mut self, norm: &BatchNorm, x: Node, then: Epilogue<Node>) -> Result<Node> {
        let then_of = |residual: Option<Var>| {
            // There is a residual where `then` has one.
            then.try_map(|_| residual.ok_or_else(|| Error::argument("batch_norm", "no residual")))
        };
        let operands: Vec<Node> = [x].into_iter().chain(then.residual()).collect();
        self.compute(&operands, |pass, vars| {
            norm.forward(pass, vars[0], then_of(vars.get(1).copied())?)
        })
    }

    fn linear(&mut self, linear: &Linear, x: Node) -> Result<Node> {
        self.compute(&[x], |pass, x| linear.forward(pass, x[0]))
    }

    fn relu(&mut self, x: Node) -> Result<Node> {
        self.compute(&[x], |pass, x| ops::relu(pass.tape(), x[0]))
    }

    fn relu6(&mut self, x: Node) -> Result<Node> {
        self.compute(&[x], |pass, x| ops::relu6(pass.tape(), x[0]))
    }

    fn sum(&mut self, parts: &[Node]) -> Result<Node> {
        self.compute(parts, |pass, parts| ops::sum(pass.tape(), parts))
    }

    fn concat(&mut self, parts: &[Node]) -> Result<Node> {
        self.compute(parts, |pass, parts| ops::concat(pass.tape(), parts, 1))
    }

    fn upsample(&mut self, x: Node, like: Node, interpolation: Interpolation) -> Result<Node> {
        self.compute(&[x, like], |pass, vars| {
            let [_, _, height, width] =
                pass.value(vars[1])?.dims("upsample", "like", "[N, C, H, W]")?;
            let size = [height, width];
            match interpolation {
                Interpolation::Bilinear => ops::upsample_bilinear(pass.tape(), vars[0], size),
                Interpolation::Nearest => ops::upsample_nearest(pass.tape(), vars[0], size),
            }
        })
    }

    fn max_pool(&mut self, x: Node, size: [usize; 2], window: Window) -> Result<Node> {
        self.compute(&[x], |pass, x| ops::max_pool2d(pass.tape(), x[0], size, window))
    }

    fn avg_pool(
        &mut self,
        x: Node,
        size: [usize; 2],
        window: Window,
        divisor: Divisor,
    ) -> Result<Node> {
        self.compute(&[x], |pass, x| ops::avg_pool2d(pass.tape(), x[0], size, window, divisor))
    }

    fn flatten(&mut self, x: Node) -> Result<Node> {
        self.compute(&[x], |pass, x| ops::flatten(pass.tape(), x[0]))
    }

    fn global_mean_pool(&mut self, x: Node) -> Result<Node> {
        self.compute(&[x], |pass, x| ops::global_mean_pool(pass.tape(), x[0]))
    }

    fn enter(&mut self, name: &str) {
        self.pass.tape().enter(name);
    }
}
