//! Readers of checkpoints, all memory-mapped.
#![allow(missing_docs)]
pub trait Plain: Copy + 'static {}
impl Plain for f32 {}
impl Plain for f64 {}
#[derive(Clone, Debug)]
pub struct TensorView;
impl TensorView {
    pub fn shape(&self) -> &[usize] {
        &[]
    }
    pub fn as_slice<T: Plain>(&self) -> Option<&[T]> {
        None
    }
    pub fn to_vec<T: Plain>(&self) -> crate::Result<Vec<T>> {
        Ok(vec![])
    }
}
