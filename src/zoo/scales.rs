//! Weights of 8 bits, and the scales beside them.
//!
//! | scales | of | the weight is |
//! |---|---|---|
//! | `X_scale_inv`, `X_scale` | `X` of 8 bits | `X` times the scale |
//! | `L.SCB` | `L.weight` of I8, by bitsandbytes | `L.weight` times the scale, by 127 |
//!
//! A scale is one number, one for each output (the first axis), or, of a matrix, one for each block
//! of 128 x 128. Values are multiplied in `f32`, as the programs that wrote them do.

use super::checkpoint::Checkpoint;
use super::dtype::Dtype;
use super::view::TensorView;
use crate::{Error, Result};
use std::collections::HashMap;

/// Height and width of a block.
const BLOCK: usize = 128;

/// What a tensor of that name is the scale of, if such a name stands for a scale.
fn weight_of(name: &str) -> Option<(String, f32)> {
    let before = |ending: &str| name.strip_suffix(ending).map(str::to_owned);
    if let Some(layer) = name.strip_suffix("SCB").filter(|rest| rest.ends_with('.')) {
        return Some((format!("{layer}weight"), 1.0 / 127.0));
    }
    Some((before("_scale_inv").or_else(|| before("_scale"))?, 1.0))
}

impl Checkpoint {
    /// The weight that a tensor of the file is the scale of, and what its values are multiplied with
    /// themselves.
    fn scaled_by(&self, scale: &TensorView) -> Option<(&TensorView, f32)> {
        let (weight, factor) = weight_of(scale.name())?;
        let weight = self.find(&weight)?;
        let is_8_bits = matches!(weight.dtype(), Dtype::I8 | Dtype::F8E4M3 | Dtype::F8E5M2);
        is_8_bits.then_some((weight, factor))
    }

    /// Whether a tensor of the file is the scale of another.
    pub(super) fn is_scale(&self, view: &TensorView) -> bool {
        self.scaled_by(view).is_some()
    }

    /// The same with every weight of 8 bits that has scales, and a name that is wanted, as the F32
    /// that it stands for.
    ///
    /// # Errors
    /// If scales do not fit, or values cannot be read.
    pub(super) fn with_scales(mut self, is_wanted: impl Fn(&str) -> bool) -> Result<Self> {
        let mut made = HashMap::new();
        for scale in &self {
            if let Some((weight, factor)) = self.scaled_by(scale)
                && is_wanted(weight.name())
            {
                let values = scaled(weight, scale, factor)?;
                made.insert(weight.name().to_owned(), weight.remade(&values)?);
            }
        }
        self.map_tensors(|old| made.get(old.name()).cloned());
        Ok(self)
    }
}

/// The values of `weight` times those of `scale` and `factor`.
fn scaled(weight: &TensorView, scale: &TensorView, factor: f32) -> Result<Vec<f32>> {
    let (mut values, scales) = (weight.to_vec::<f32>()?, scale.to_vec::<f32>()?);
    let outputs = weight.shape().first().copied().unwrap_or(1).max(1);
    let row = (values.len() / outputs).max(1);
    let columns = row.div_ceil(BLOCK);
    let is_matrix = weight.shape().len() == 2;
    let blocks = [outputs.div_ceil(BLOCK), columns];
    let place = |at: usize| match scales.len() {
        1 => Some(0),
        count if count == outputs && scale.shape() != blocks => Some(at / row),
        _ if is_matrix && scale.shape() == blocks => {
            Some(at / row / BLOCK * columns + at % row / BLOCK)
        }
        _ => None,
    };
    for (at, value) in values.iter_mut().enumerate() {
        let scale = place(at).map(|place| scales[place]).ok_or_else(|| {
            let problem = format!(
                "scales {:?} of {} {:?} are neither one, nor one for each output, nor one for each \
                 block of {BLOCK} x {BLOCK} of a matrix",
                scale.shape(),
                weight.name(),
                weight.shape()
            );
            Error::format_of(scale.path(), scale.name(), problem)
        })?;
        *value *= scale * factor;
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::super::{Naming, fixture};
    use super::*;

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    /// The weight `a.weight` `[O, C]` of these bytes behind its scale, which the network does not
    /// have.
    fn read(
        dtype: Dtype,
        shape: &[usize],
        bytes: &[u8],
        scale: (&str, &[usize], &[f32]),
    ) -> Result<Vec<f32>> {
        let scales = floats(scale.2);
        let file = fixture::checkpoint(&[
            ("a.weight", dtype, shape, bytes),
            (scale.0, Dtype::F32, scale.1, &scales),
        ]);
        let network = [("a.weight".to_owned(), shape.to_vec())];
        let fit = super::super::Fit::new(&file, &Naming::default(), &network);
        assert_eq!((fit.found, fit.unexpected.len()), (1, 0), "{fit}");
        let read = Naming::default().network(file, &network)?;
        assert_eq!(read.len(), 1);
        read.get("a.weight")?.to_vec()
    }

    #[test]
    fn weights_of_8_bits_are_read_with_their_scales() {
        // 1.5 and -2 in E4M3: sign, 4 bits of exponent with bias 7, 3 bits of mantissa.
        let bytes = [0b0011_1100, 0b1100_0000];
        let one = ("a.weight_scale_inv", &[1][..], &[0.25][..]);
        assert_eq!(read(Dtype::F8E4M3, &[2, 1], &bytes, one).unwrap(), [0.375, -0.5]);
        let rows = ("a.weight_scale", &[2, 1][..], &[1.0, 3.0][..]);
        assert_eq!(read(Dtype::F8E4M3, &[2, 1], &bytes, rows).unwrap(), [1.5, -6.0]);
        let rows = ("a.SCB", &[2][..], &[127.0, 254.0][..]);
        assert_eq!(read(Dtype::I8, &[2, 1], &[5, 0xff], rows).unwrap(), [5.0, -2.0]);
    }

    #[test]
    fn blocks_of_a_matrix_have_scales_of_their_own() {
        let blocks = ("a.weight_scale_inv", &[2, 2][..], &[1.0, 2.0, 3.0, 4.0][..]);
        let values = read(Dtype::I8, &[130, 129], &[1; 130 * 129], blocks).unwrap();
        assert_eq!((values[0], values[128]), (1.0, 2.0));
        assert_eq!((values[128 * 129], values[129 * 129 + 128]), (3.0, 4.0));
    }

    #[test]
    fn scales_that_fit_nothing_are_refused_by_name() {
        let odd = ("a.weight_scale_inv", &[3][..], &[1.0; 3][..]);
        let error = read(Dtype::I8, &[2, 1], &[1; 2], odd).unwrap_err().to_string();
        assert!(error.contains("a.weight_scale_inv") && error.contains("[3]"), "{error}");
    }

    #[test]
    fn a_weight_of_more_bits_keeps_what_only_looks_like_its_scale() {
        let ones = floats(&[1.0]);
        let file = fixture::checkpoint(&[
            ("a.weight", Dtype::F32, &[1], &ones),
            ("a.weight_scale", Dtype::F32, &[1], &ones),
        ]);
        assert!(!file.iter().any(|view| file.is_scale(view)));
    }

    #[test]
    fn five_thousand_damaged_files_of_scaled_weights_in_any_order_are_read_or_refused() {
        let scales = floats(&[0.5, 0.25]);
        let tensors: [(&str, Dtype, &[usize], &[u8]); 4] = [
            ("a.weight", Dtype::I8, &[2, 1, 2, 1], &[1, 2, 3, 4]),
            ("a.SCB", Dtype::F32, &[2], &scales),
            ("b.weight", Dtype::F8E4M3, &[2, 2], &[5, 6, 7, 8]),
            ("b.weight_scale_inv", Dtype::F32, &[1, 2], &scales),
        ];
        let (whole, folder) = (fixture::safetensors(&tensors), tempfile::tempdir().unwrap());
        let network = ["a.weight", "b.weight"].map(|name| (name.to_owned(), vec![2, 2]));
        let (path, mut rng) = (folder.path().join("a.safetensors"), fastrand::Rng::with_seed(1));
        for _ in 0..5000 {
            let mut bytes = whole.clone();
            for _ in 0..rng.usize(1..4) {
                // In the header above all, whose length stands before it.
                let at = rng.usize(8..bytes.len());
                bytes[at] =
                    if rng.bool() { rng.u8(..) } else { rng.choice(*b"0123456789,[]FI8").unwrap() };
            }
            std::fs::write(&path, &bytes).unwrap();
            let Ok(file) = Checkpoint::open(&path) else { continue };
            let file = file.with_axes(crate::zoo::Axes::HwioIo);
            drop(Naming::default().network(file, &network));
        }
    }
}
