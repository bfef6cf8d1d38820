//! Passes in which every value stands alone.

use super::ELEMENTWISE;
use super::plan::Plan;
use crate::kernel::engine::Elementwise;
use crate::tensor::opencl::OpenCl;
use crate::tensor::{Element, Tensor};
use crate::{Error, Result};
use std::sync::Arc;

impl<T: Element> Elementwise<T> for Arc<OpenCl> {
    fn add(&self, a: &Tensor<T>, b: &Tensor<T>) -> Result<Tensor<T>> {
        zip(self, "add", a, b)
    }

    /// Four terms at a time.
    fn sum(&self, parts: &[&Tensor<T>]) -> Result<Tensor<T>> {
        let [first, others @ ..] = parts else {
            let problem = "there is nothing to sum up";
            return Err(Error::device(self.properties(), "run sum", problem));
        };
        let y = self.take::<T>(first.len())?;
        let mut sum = first.memory(self)?;
        // Also where there is nothing to be added, for a copy.
        let mut rest = others;
        loop {
            let (three, behind) = rest.split_at(rest.len().min(3));
            let mut launch = Plan::launch::<T>(self, ELEMENTWISE, "sum").memory(sum);
            for i in 0..3 {
                launch = launch.memory(three.get(i).map_or(Ok(sum), |part| part.memory(self))?);
            }
            launch
                .int(three.len())
                .memory(&y)
                .long(first.len())
                .run(Plan::of::<T>(self).runs(first.len(), 1))?;
            (sum, rest) = (&y, behind);
            if rest.is_empty() {
                break;
            }
        }
        Ok(Tensor::resident(first.shape().to_vec(), y))
    }

    fn add_to(&self, sum: &mut Tensor<T>, values: &Tensor<T>) -> Result<()> {
        let len = sum.len();
        let sum = sum.memory_mut(self)?;
        Plan::launch::<T>(self, ELEMENTWISE, "add")
            .memory(sum)
            .memory(values.memory(self)?)
            .memory(sum)
            .long(len)
            .run(Plan::of::<T>(self).runs(len, 1))
    }

    fn blend(&self, factors: [T; 2], x: &Tensor<T>, y: &Tensor<T>) -> Result<Tensor<T>> {
        let mixed = self.take::<T>(x.len())?;
        Plan::launch::<T>(self, ELEMENTWISE, "blend")
            .real(factors[0])
            .memory(x.memory(self)?)
            .real(factors[1])
            .memory(y.memory(self)?)
            .memory(&mixed)
            .long(x.len())
            .run(Plan::of::<T>(self).runs(x.len(), 1))?;
        Ok(Tensor::resident(x.shape().to_vec(), mixed))
    }

    fn scale_in_place(&self, x: &mut Tensor<T>, factor: T) -> Result<()> {
        let len = x.len();
        let x = x.memory_mut(self)?;
        Plan::launch::<T>(self, ELEMENTWISE, "scale")
            .memory(x)
            .real(factor)
            .memory(x)
            .long(len)
            .run(Plan::of::<T>(self).runs(len, 1))
    }

    fn mul(&self, a: &Tensor<T>, b: &Tensor<T>) -> Result<Tensor<T>> {
        zip(self, "mul", a, b)
    }

    fn scale(&self, x: &Tensor<T>, factor: T) -> Result<Tensor<T>> {
        with_number(self, "scale", x, factor)
    }

    fn quotient(&self, x: &Tensor<T>, divisor: T) -> Result<Tensor<T>> {
        with_number(self, "quotient", x, divisor)
    }

    fn relu(&self, x: &Tensor<T>) -> Result<Tensor<T>> {
        map(self, "relu", x)
    }

    fn relu_gradient(&self, dy: Tensor<T>, y: &Tensor<T>) -> Result<Tensor<T>> {
        gradient(self, "relu_gradient", dy, y)
    }

    fn exp(&self, x: &Tensor<T>) -> Result<Tensor<T>> {
        map(self, "exponential", x)
    }

    fn log(&self, x: &Tensor<T>) -> Result<Tensor<T>> {
        map(self, "logarithm", x)
    }

    fn log_gradient(&self, dy: Tensor<T>, x: &Tensor<T>) -> Result<Tensor<T>> {
        gradient(self, "log_gradient", dy, x)
    }

    fn relu6(&self, x: &Tensor<T>) -> Result<Tensor<T>> {
        map(self, "relu6", x)
    }

    fn relu6_gradient(&self, dy: Tensor<T>, y: &Tensor<T>) -> Result<Tensor<T>> {
        gradient(self, "relu6_gradient", dy, y)
    }

    fn sigmoid(&self, x: &Tensor<T>) -> Result<Tensor<T>> {
        map(self, "sigmoid", x)
    }

    fn sigmoid_gradient(&self, dy: Tensor<T>, y: &Tensor<T>) -> Result<Tensor<T>> {
        gradient(self, "sigmoid_gradient", dy, y)
    }
}

/// `y = kernel(x)`.
fn map<T: Element>(device: &Arc<OpenCl>, kernel: &'static str, x: &Tensor<T>) -> Result<Tensor<T>> {
    let y = device.take::<T>(x.len())?;
    Plan::launch::<T>(device, ELEMENTWISE, kernel)
        .memory(x.memory(device)?)
        .memory(&y)
        .long(x.len())
        .run(Plan::of::<T>(device).runs(x.len(), 1))?;
    Ok(Tensor::resident(x.shape().to_vec(), y))
}

/// `y = kernel(x, number)`.
fn with_number<T: Element>(
    device: &Arc<OpenCl>,
    kernel: &'static str,
    x: &Tensor<T>,
    number: T,
) -> Result<Tensor<T>> {
    let y = device.take::<T>(x.len())?;
    Plan::launch::<T>(device, ELEMENTWISE, kernel)
        .memory(x.memory(device)?)
        .real(number)
        .memory(&y)
        .long(x.len())
        .run(Plan::of::<T>(device).runs(x.len(), 1))?;
    Ok(Tensor::resident(x.shape().to_vec(), y))
}

/// `y = kernel(a, b)`.
fn zip<T: Element>(
    device: &Arc<OpenCl>,
    kernel: &'static str,
    a: &Tensor<T>,
    b: &Tensor<T>,
) -> Result<Tensor<T>> {
    let y = device.take::<T>(a.len())?;
    Plan::launch::<T>(device, ELEMENTWISE, kernel)
        .memory(a.memory(device)?)
        .memory(b.memory(device)?)
        .memory(&y)
        .long(a.len())
        .run(Plan::of::<T>(device).runs(a.len(), 1))?;
    Ok(Tensor::resident(a.shape().to_vec(), y))
}

/// `dx = kernel(dy, y)`, in the place of `dy`.
fn gradient<T: Element>(
    device: &Arc<OpenCl>,
    kernel: &'static str,
    mut dy: Tensor<T>,
    y: &Tensor<T>,
) -> Result<Tensor<T>> {
    let dx = dy.memory_mut(device)?;
    Plan::launch::<T>(device, ELEMENTWISE, kernel)
        .memory(dx)
        .memory(y.memory(device)?)
        .memory(dx)
        .long(y.len())
        .run(Plan::of::<T>(device).runs(y.len(), 1))?;
    Ok(dy)
}
