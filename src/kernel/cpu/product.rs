//! Products of matrices, and what goes over the rows of one.

use super::Cpu;
use crate::kernel::engine::{Factor, Products};
use crate::kernel::gemm::{Matrix, par_gemm};
use crate::kernel::reduce;
use crate::tensor::{Element, Tensor, buffer, product};
use crate::{Error, Result};

impl<T: Element> Products<T> for Cpu {
    fn product(&self, a: Factor<T>, b: Factor<T>) -> Result<Tensor<T>> {
        let ([rows, _], [_, columns]) = (a.sizes()?, b.sizes()?);
        let count = product(&[rows, columns]).ok_or_else(|| {
            let problem = format!("a product of [{rows}, {columns}] exceeds the address space");
            Error::argument("product", problem)
        })?;
        let mut c = buffer::take(count);
        par_gemm(matrix(a)?, matrix(b)?, &mut c);
        Ok(Tensor::owned(vec![rows, columns], c))
    }

    fn add_to_rows(&self, mut y: Tensor<T>, bias: &Tensor<T>) -> Result<Tensor<T>> {
        let rows = y.as_mut_slice().chunks_mut(bias.len().max(1));
        rows.for_each(|y| reduce::add_scaled(y, T::one(), bias.as_slice()));
        Ok(y)
    }
}

fn matrix<'a, T: Element>(factor: Factor<'a, T>) -> Result<Matrix<'a, T>> {
    let [rows, columns] = factor.matrix.dims("product", "factor", "[rows, columns]")?;
    let matrix = Matrix::new(factor.matrix.as_slice(), rows, columns);
    Ok(if factor.is_transposed { matrix.t() } else { matrix })
}
