//! The operations that a network is made of, apart from who carries them out.

use super::{BatchNorm, Conv, Linear, Pass};
use crate::kernel::{Then, Window};
use crate::tape::Var;
use crate::tensor::Element;
use crate::{Result, ops};

/// Who carries out a network's operations: a [`Pass`] computes them on its tape, the writer of
/// ONNX models notes them down.
///
/// A network says once what it is, by calling these one after the other; whatever else must know
/// its structure is one more implementation, and cannot differ from what is computed.
///
/// # Errors
/// Each operation, if its operands do not fit, or if this implementation does not know it.
pub trait Operations {
    /// What goes from one operation to the next: images or features of a batch.
    type Value: Clone;

    /// A convolution, see [`Conv`].
    fn conv(&mut self, conv: &Conv, x: Self::Value) -> Result<Self::Value>;

    /// A batch norm, see [`BatchNorm`], and what follows on it.
    fn batch_norm(
        &mut self,
        norm: &BatchNorm,
        x: Self::Value,
        then: Then<Self::Value>,
    ) -> Result<Self::Value>;

    /// The largest value under each window of `size` `[kh, kw]`.
    fn max_pool(&mut self, x: Self::Value, size: [usize; 2], window: Window)
    -> Result<Self::Value>;

    /// The mean of each channel, `[N, C]`.
    fn global_mean_pool(&mut self, x: Self::Value) -> Result<Self::Value>;

    /// A linear layer, see [`Linear`].
    fn linear(&mut self, linear: &Linear, x: Self::Value) -> Result<Self::Value>;

    /// The operations that follow belong to the part of this name.
    fn enter(&mut self, _name: &str) {}

    /// `x` is the activation of that name, for who wants to look at it.
    fn observe(&mut self, _name: &str, _x: &Self::Value) {}

    /// Of all values so far, only `x` is used from here on.
    fn release(&mut self, _x: &Self::Value) {}
}

impl<T: Element> Operations for Pass<'_, T> {
    type Value = Var;

    fn conv(&mut self, conv: &Conv, x: Var) -> Result<Var> {
        conv.forward(self, x)
    }

    fn batch_norm(&mut self, norm: &BatchNorm, x: Var, then: Then<Var>) -> Result<Var> {
        norm.forward(self, x, then)
    }

    fn max_pool(&mut self, x: Var, size: [usize; 2], window: Window) -> Result<Var> {
        ops::max_pool2d(self.tape(), x, size, window)
    }

    fn global_mean_pool(&mut self, x: Var) -> Result<Var> {
        ops::global_mean_pool(self.tape(), x)
    }

    fn linear(&mut self, linear: &Linear, x: Var) -> Result<Var> {
        linear.forward(self, x)
    }

    fn enter(&mut self, name: &str) {
        self.tape().enter(name);
    }

    fn observe(&mut self, name: &str, x: &Var) {
        self.observe_activation(name, *x);
    }

    fn release(&mut self, x: &Var) {
        Pass::release(self, *x);
    }
}
