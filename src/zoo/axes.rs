//! The order in which a file has the axes of its kernels.

use super::Checkpoint;

/// The order of a kernel's axes in a file. Here, as in PyTorch, it is `[O, C, kh, kw]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "train", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "train", serde(rename_all = "kebab-case"))]
pub enum Axes {
    /// `[O, C, kh, kw]`, and matrices `[O, C]`.
    #[default]
    Oihw,
    /// `[kh, kw, C, O]`, as JAX and TensorFlow have them; matrices stay as they are.
    Hwio,
    /// The same, and matrices `[C, O]`, as Flax and Keras have them.
    HwioIo,
}

impl Axes {
    /// The names, as in files and flags.
    pub const NAMES: [&str; 3] = ["oihw", "hwio", "hwio-io"];

    /// The order of that name.
    pub fn named(name: &str) -> Option<Self> {
        let at = Self::NAMES.iter().position(|known| *known == name)?;
        [Self::Oihw, Self::Hwio, Self::HwioIo].get(at).copied()
    }
}

impl Checkpoint {
    /// The same tensors, whose axes are in that order, as `[O, C, kh, kw]`. Nothing is copied.
    #[must_use]
    pub fn with_axes(mut self, axes: Axes) -> Self {
        self.map_tensors(|view| match (view.shape().len(), axes) {
            (4, Axes::Hwio | Axes::HwioIo) => view.transposed(&[3, 2, 0, 1]),
            (2, Axes::HwioIo) => view.transposed(&[1, 0]),
            _ => None,
        });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Dtype, fixture};
    use super::*;

    #[test]
    fn kernels_of_another_order_are_read_in_ours() {
        // [kh, kw, C, O] = [1, 2, 3, 2], and the number that says where each value is.
        let values: Vec<u8> = (0..12).collect();
        let file = fixture::checkpoint(&[
            ("conv", Dtype::U8, &[1, 2, 3, 2], &values),
            ("fc", Dtype::U8, &[2, 3], &values[..6]),
            ("bias", Dtype::U8, &[2], &values[..2]),
        ]);
        let hwio = file.clone().with_axes(Axes::Hwio);
        let of = |checkpoint: &Checkpoint, name: &str| {
            let view = checkpoint.get(name).unwrap();
            (view.shape().to_vec(), view.to_vec::<f32>().unwrap())
        };
        let ours = [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11].map(|v: u8| f32::from(v));
        assert_eq!(of(&hwio, "conv"), (vec![2, 3, 1, 2], ours.to_vec()));
        assert_eq!(of(&hwio, "fc"), of(&file, "fc"));
        let both = file.clone().with_axes(Axes::HwioIo);
        assert_eq!(of(&both, "fc"), (vec![3, 2], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
        assert_eq!(of(&both, "bias"), of(&file, "bias"));
        assert_eq!(of(&file.clone().with_axes(Axes::Oihw), "conv"), of(&file, "conv"));
        for (name, axes) in Axes::NAMES.into_iter().zip([Axes::Oihw, Axes::Hwio, Axes::HwioIo]) {
            assert_eq!(Axes::named(name), Some(axes));
        }
    }
}
