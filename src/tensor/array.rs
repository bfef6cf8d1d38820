//! To `ndarray` and back, for every number of axes.

use super::{Device, Element, Tensor, capacity};
use crate::{Error, Result};
use ndarray::{Array, ArrayBase, ArrayView, Data, Dimension, IxDyn};

impl<T: Element, S: Data<Elem = T>, D: Dimension> From<ArrayBase<S, D>> for Tensor<T> {
    /// Takes over the values of an owned array in standard layout (row-major order, without
    /// gaps). Everything else is copied into that layout: views, shared arrays, slices and
    /// transposed arrays.
    ///
    /// # Panics
    /// If the array has no values and its axes exceed the address space, as in
    /// [`Tensor::full`].
    fn from(array: ArrayBase<S, D>) -> Self {
        let shape = array.shape().to_vec();
        let count = capacity(&shape);
        let array = if array.is_standard_layout() {
            array.into_owned()
        } else {
            array.as_standard_layout().into_owned()
        };
        let (values, first) = array.into_raw_vec_and_offset();
        // A slice that owns the whole: a copy of its part lets the rest go.
        let values = if values.len() == count {
            values
        } else {
            first.map_or(vec![], |first| values[first..][..count].to_vec())
        };
        Self::owned(shape, values)
    }
}

impl<T: Element> Tensor<T> {
    /// A view of the values, of a fixed number of axes (`Ix0` to `Ix6`) or of any (`IxDyn`).
    ///
    /// # Errors
    /// If the tensor has another number of axes than `D`.
    ///
    /// # Panics
    /// As [`Tensor::as_slice`].
    pub fn view<D: Dimension>(&self) -> Result<ArrayView<'_, T, D>> {
        let sizes = self.dimension::<D>("view")?;
        Ok(ArrayView::from_shape(sizes, self.as_slice())
            .unwrap_or_else(|_| unreachable!("the shape was checked when the tensor was made")))
    }

    /// The tensor as an array; values are copied only if they are shared, lie in a file or on a
    /// device.
    ///
    /// # Errors
    /// If the tensor has another number of axes than `D`, or is on a device that is lost.
    pub fn into_array<D: Dimension>(self) -> Result<Array<T, D>> {
        let sizes = self.dimension::<D>("into_array")?;
        let home = if self.device() == Device::Cpu { self } else { self.to(&Device::Cpu)? };
        Ok(Array::from_shape_vec(sizes, home.into_vec())
            .unwrap_or_else(|_| unreachable!("the shape was checked when the tensor was made")))
    }

    /// The sizes of all axes, as `ndarray` counts them.
    fn dimension<D: Dimension>(&self, operation: &'static str) -> Result<D> {
        let sizes = IxDyn(self.shape());
        D::from_dimension(&sizes).ok_or_else(|| {
            let expected = match D::NDIM {
                Some(1) => "of 1 axis".to_owned(),
                Some(axes) => format!("of {axes} axes"),
                None => "of any number of axes".to_owned(),
            };
            Error::shape(operation, "tensor", expected, self.shape())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::Dtype;
    use ndarray::{
        Array1, Array2, Array3, ArrayD, Ix0, Ix1, Ix2, Ix3, Ix4, Ix6, Zip, arr0, array, s,
    };

    #[test]
    fn an_owned_array_comes_and_goes_without_a_copy() {
        let array = Array2::from_shape_fn((300, 100), |(i, j)| (100 * i + j) as f32);
        let (expected, at) = (array.clone(), array.as_ptr());
        let tensor = Tensor::from(array);
        assert_eq!((tensor.shape(), tensor.as_slice().as_ptr()), (&[300, 100][..], at));
        let back = tensor.into_array::<Ix2>().unwrap();
        assert_eq!((back.as_ptr(), back), (at, expected));
    }

    #[test]
    fn a_shared_tensor_keeps_its_values() {
        let tensor = Tensor::from(array![1.0f64, 2.0]);
        let mut array = tensor.clone().into_array::<Ix1>().unwrap();
        array[0] = 5.0;
        assert_eq!(tensor.as_slice(), [1.0, 2.0]);
    }

    #[test]
    fn other_layouts_are_copied_into_the_standard_one() {
        let array = array![[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let transposed = [1.0, 4.0, 2.0, 5.0, 3.0, 6.0];
        assert_eq!(Tensor::from(array.t()).as_slice(), transposed);
        assert_eq!(Tensor::from(array.clone().reversed_axes()).as_slice(), transposed);
        assert_eq!(Tensor::from(array.slice(s![.., ..;-2])).as_slice(), [3.0, 1.0, 6.0, 4.0]);
        let first_axis_cut = array.clone().slice_move(s![1.., ..]);
        assert_eq!(Tensor::from(first_axis_cut).as_slice(), [4.0, 5.0, 6.0]);
        let gaps = array.clone().slice_move(s![.., 1..]);
        assert_eq!(Tensor::from(gaps).as_slice(), [2.0, 3.0, 5.0, 6.0]);
        let row_for_all = array.row(1);
        let broadcast = row_for_all.broadcast((2, 3)).unwrap();
        assert_eq!(Tensor::from(broadcast).as_slice(), [4.0, 5.0, 6.0, 4.0, 5.0, 6.0]);
        let shared = array.to_shared();
        assert_eq!(Tensor::from(shared.clone()).as_slice(), array.as_slice().unwrap());
        assert_eq!(shared, array);
    }

    #[test]
    fn every_number_of_axes() {
        let scalar = Tensor::from(arr0(3.0f32));
        assert_eq!((scalar.shape(), scalar.view::<Ix0>().unwrap()[()]), (&[][..], 3.0));
        let of_six = Tensor::from(ArrayD::<f32>::zeros(vec![1, 2, 1, 3, 1, 2]));
        assert_eq!(of_six.view::<Ix6>().unwrap().dim(), (1, 2, 1, 3, 1, 2));
        let of_seven = Tensor::<f32>::zeros(&[2; 7]);
        assert_eq!(of_seven.view::<IxDyn>().unwrap().shape(), [2; 7]);
        assert_eq!(of_seven.into_array::<IxDyn>().unwrap().len(), 128);
    }

    #[test]
    fn another_number_of_axes_is_an_error() {
        let tensor = Tensor::<f32>::zeros(&[2, 3]);
        let message = tensor.view::<Ix1>().unwrap_err().to_string();
        assert_eq!(message, "view: tensor should have shape of 1 axis, but has [2, 3]");
        let message = tensor.into_array::<Ix4>().unwrap_err().to_string();
        assert_eq!(message, "into_array: tensor should have shape of 4 axes, but has [2, 3]");
        assert!(Tensor::scalar(1.0f32).view::<Ix1>().is_err());
        assert!(Tensor::<f32>::zeros(&[2; 7]).view::<Ix6>().is_err());
    }

    #[test]
    fn axes_without_values() {
        for shape in [[0, 3, 2], [3, 0, 2], [3, 2, 0], [0, 0, 0]] {
            let tensor = Tensor::from(Array3::<f64>::zeros(shape));
            assert_eq!((tensor.shape(), tensor.len()), (&shape[..], 0));
            assert_eq!(tensor.view::<Ix3>().unwrap().shape(), shape);
            assert_eq!(tensor.into_array::<Ix3>().unwrap().shape(), shape);
        }
        let cut_to_nothing = Array1::from(vec![1.0f64; 5]).slice_move(s![5..]);
        assert!(Tensor::from(cut_to_nothing).is_empty());
        let middle_of_nothing = array![[1.0f32, 2.0], [3.0, 4.0]].slice_move(s![1..1, ..]);
        assert_eq!(Tensor::from(middle_of_nothing).shape(), [0, 2]);
    }

    #[test]
    fn values_in_a_file_are_viewed_where_they_lie_and_copied_to_be_owned() {
        let bytes: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let half = [0x00, 0x3c, 0x00, 0xc0]; // 1 and -2
        let tensors: [(&str, Dtype, &[usize], &[u8]); 2] =
            [("a", Dtype::F32, &[2, 2], &bytes), ("b", Dtype::F16, &[2], &half)];
        let file = crate::zoo::fixture::checkpoint(&tensors);
        let mapped = Tensor::<f32>::mapped(file.get("a").unwrap()).unwrap();
        assert!(mapped.is_mapped());
        assert_eq!(mapped.view::<Ix2>().unwrap().as_ptr(), mapped.as_slice().as_ptr());
        let mut own = mapped.clone().into_array::<Ix2>().unwrap();
        own[[0, 0]] = 9.0;
        assert_eq!(mapped.view::<Ix2>().unwrap(), array![[1.0, 2.0], [3.0, 4.0]]);
        let converted = Tensor::<f32>::mapped(file.get("b").unwrap()).unwrap();
        assert_eq!(converted.view::<Ix1>().unwrap(), array![1.0, -2.0]);
        assert_eq!(converted.into_array::<Ix1>().unwrap(), array![1.0, -2.0]);
    }

    #[test]
    fn what_ndarray_computes_goes_back_in() {
        let (a, b) = (Tensor::from(array![[1.0f64, 2.0]]), Tensor::from(array![[3.0, 4.0]]));
        let zip = Zip::from(a.view::<Ix2>().unwrap()).and(b.view::<Ix2>().unwrap());
        let products = Tensor::from(zip.map_collect(|a, b| a * b));
        assert_eq!(products.as_slice(), [3.0, 8.0]);
    }
}
