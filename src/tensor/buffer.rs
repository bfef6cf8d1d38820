//! Memory for the values of tensors.

use super::Element;

/// A buffer of `len` values, whatever they are: for results that are written as a whole.
pub fn take<T: Element>(len: usize) -> Vec<T> {
    zeros(len)
}

/// A buffer of `len` zeros: for results that are added up.
pub fn zeros<T: Element>(len: usize) -> Vec<T> {
    vec![T::zero(); len]
}
