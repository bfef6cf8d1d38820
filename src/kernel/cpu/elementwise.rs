//! Passes in which every value stands alone.

use super::{Cpu, like};
use crate::Result;
use crate::kernel::elementwise;
use crate::kernel::engine::Elementwise;
use crate::tensor::{Element, Tensor};

impl<T: Element> Elementwise<T> for Cpu {
    fn add(&self, a: &Tensor<T>, b: &Tensor<T>) -> Result<Tensor<T>> {
        Ok(like(a, elementwise::add(a.as_slice(), b.as_slice())))
    }

    fn sum(&self, parts: &[&Tensor<T>]) -> Result<Tensor<T>> {
        let values: Vec<&[T]> = parts.iter().map(|part| part.as_slice()).collect();
        Ok(like(parts[0], elementwise::sum(&values)))
    }

    fn add_to(&self, sum: &mut Tensor<T>, values: &Tensor<T>) -> Result<()> {
        elementwise::add_to(sum.as_mut_slice(), values.as_slice());
        Ok(())
    }

    fn blend(&self, factors: [T; 2], x: &Tensor<T>, y: &Tensor<T>) -> Result<Tensor<T>> {
        Ok(like(x, elementwise::blend(factors, x.as_slice(), y.as_slice())))
    }

    fn scale_in_place(&self, x: &mut Tensor<T>, factor: T) -> Result<()> {
        elementwise::scale_in_place(x.as_mut_slice(), factor);
        Ok(())
    }

    fn mul(&self, a: &Tensor<T>, b: &Tensor<T>) -> Result<Tensor<T>> {
        Ok(like(a, elementwise::mul(a.as_slice(), b.as_slice())))
    }

    fn scale(&self, x: &Tensor<T>, factor: T) -> Result<Tensor<T>> {
        Ok(like(x, elementwise::scale(x.as_slice(), factor)))
    }

    fn quotient(&self, x: &Tensor<T>, divisor: T) -> Result<Tensor<T>> {
        Ok(like(x, elementwise::quotient(x.as_slice(), divisor)))
    }

    fn relu(&self, x: &Tensor<T>) -> Result<Tensor<T>> {
        Ok(like(x, elementwise::relu(x.as_slice())))
    }

    fn relu_gradient(&self, mut dy: Tensor<T>, y: &Tensor<T>) -> Result<Tensor<T>> {
        elementwise::relu_gradient(dy.as_mut_slice(), y.as_slice());
        Ok(dy)
    }

    fn exp(&self, x: &Tensor<T>) -> Result<Tensor<T>> {
        Ok(like(x, elementwise::exp(x.as_slice())))
    }

    fn log(&self, x: &Tensor<T>) -> Result<Tensor<T>> {
        Ok(like(x, elementwise::log(x.as_slice())))
    }

    fn log_gradient(&self, mut dy: Tensor<T>, x: &Tensor<T>) -> Result<Tensor<T>> {
        elementwise::log_gradient(dy.as_mut_slice(), x.as_slice());
        Ok(dy)
    }

    fn relu6(&self, x: &Tensor<T>) -> Result<Tensor<T>> {
        Ok(like(x, elementwise::relu6(x.as_slice())))
    }

    fn relu6_gradient(&self, mut dy: Tensor<T>, y: &Tensor<T>) -> Result<Tensor<T>> {
        elementwise::relu6_gradient(dy.as_mut_slice(), y.as_slice());
        Ok(dy)
    }

    fn sigmoid(&self, x: &Tensor<T>) -> Result<Tensor<T>> {
        Ok(like(x, elementwise::sigmoid(x.as_slice())))
    }

    fn sigmoid_gradient(&self, mut dy: Tensor<T>, y: &Tensor<T>) -> Result<Tensor<T>> {
        elementwise::sigmoid_gradient(dy.as_mut_slice(), y.as_slice());
        Ok(dy)
    }
}
