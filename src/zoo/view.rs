//! One tensor of a checkpoint, where it lies in the file.

use super::dtype::Dtype;
use super::mapping::{Mapping, Plain, in_place};
use super::narrow;
use crate::{Error, Result};
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A named tensor in a mapped file. To clone it copies no values; the file stays
/// mapped while any view of it is left.
#[derive(Clone)]
pub struct TensorView {
    mapping: Arc<Mapping>,
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Invariant: within the file, and as long as type and shape say.
    range: Range<usize>,
}

impl TensorView {
    /// A tensor in the given bytes of a file. What every format's reader must be
    /// sure of is checked here.
    pub(super) fn new(
        mapping: &Arc<Mapping>,
        name: impl Into<String>,
        dtype: Dtype,
        shape: Vec<usize>,
        range: Range<usize>,
    ) -> Result<Self> {
        let view = Self { mapping: mapping.clone(), name: name.into(), dtype, shape, range };
        let Some(needed) = dtype.bytes_of(&view.shape) else {
            return Err(view.problem(format!(
                "shape {:?} of {dtype} cannot be addressed in whole bytes",
                view.shape
            )));
        };
        let Some(bytes) = view.mapping.bytes().get(view.range.clone()) else {
            return Err(view.problem(format!(
                "bytes {:?} are not in the file, which has {}",
                view.range,
                view.mapping.bytes().len()
            )));
        };
        if bytes.len() != needed {
            return Err(view.problem(format!(
                "shape {:?} of {dtype} needs {needed} bytes, but has {}",
                view.shape,
                bytes.len()
            )));
        }
        Ok(view)
    }

    /// The name in the checkpoint.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file it lies in.
    pub fn path(&self) -> &Path {
        self.mapping.path()
    }

    /// The type of its numbers.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes as they are in the file: little-endian, row-major.
    pub fn bytes(&self) -> &[u8] {
        &self.mapping.bytes()[self.range.clone()]
    }

    /// The values in the file itself, if they are of type `T`, aligned for it, and
    /// in this machine's order of bytes.
    pub fn as_slice<T: Plain>(&self) -> Option<&[T]> {
        if T::DTYPE == self.dtype { in_place(self.bytes()) } else { None }
    }

    /// The values, copied: rounded to `T` from every floating-point and integer type
    /// (64-bit integers by way of `f64`); of truth values, 1 and 0.
    ///
    /// # Errors
    /// If the type is complex, or of 8 bits or less and not one of `F8_E5M2` and
    /// `F8_E4M3`; or if there is not the memory.
    pub fn to_vec<T: Plain>(&self) -> Result<Vec<T>> {
        let mut values = Vec::new();
        self.append_to(&mut values)?;
        Ok(values)
    }

    /// Appends the values to `values`, converted as by [`Self::to_vec`].
    ///
    /// # Errors
    /// As [`Self::to_vec`]; nothing is appended then.
    pub fn append_to<T: Plain>(&self, values: &mut Vec<T>) -> Result<()> {
        // A sparse file of a few bytes may hold more values than there is memory.
        values
            .try_reserve_exact(self.len())
            .map_err(|error| self.problem(format!("{} values: {error}", self.len())))?;
        if let Some(slice) = self.as_slice() {
            values.extend_from_slice(slice);
            return Ok(());
        }
        let bytes = self.bytes();
        match self.dtype {
            Dtype::F64 => convert(bytes, values, |b| T::of_f64(f64::from_le_bytes(b))),
            Dtype::F32 => convert(bytes, values, |b| T::of_f32(f32::from_le_bytes(b))),
            Dtype::F16 => convert(bytes, values, |b| T::of_f32(narrow::f16(u16::from_le_bytes(b)))),
            Dtype::Bf16 => {
                convert(bytes, values, |b| T::of_f32(narrow::bf16(u16::from_le_bytes(b))));
            }
            Dtype::F8E5M2 => convert(bytes, values, |[b]| T::of_f32(narrow::f8_e5m2(b))),
            Dtype::F8E4M3 => convert(bytes, values, |[b]| T::of_f32(narrow::f8_e4m3(b))),
            Dtype::I64 => convert(bytes, values, |b| T::of_f64(i64::from_le_bytes(b) as f64)),
            Dtype::U64 => convert(bytes, values, |b| T::of_f64(u64::from_le_bytes(b) as f64)),
            Dtype::I32 => convert(bytes, values, |b| T::of_f64(i32::from_le_bytes(b).into())),
            Dtype::U32 => convert(bytes, values, |b| T::of_f64(u32::from_le_bytes(b).into())),
            Dtype::I16 => convert(bytes, values, |b| T::of_f32(i16::from_le_bytes(b).into())),
            Dtype::U16 => convert(bytes, values, |b| T::of_f32(u16::from_le_bytes(b).into())),
            Dtype::I8 => convert(bytes, values, |b| T::of_f32(i8::from_le_bytes(b).into())),
            Dtype::U8 => convert(bytes, values, |[b]| T::of_f32(b.into())),
            Dtype::Bool => convert(bytes, values, |[b]| T::of_f32(u8::from(b != 0).into())),
            Dtype::F4
            | Dtype::F6E2M3
            | Dtype::F6E3M2
            | Dtype::F8E8M0
            | Dtype::F8E4M3Fnuz
            | Dtype::F8E5M2Fnuz
            | Dtype::C64 => {
                return Err(self.problem(format!(
                    "values of type {} cannot be read; save the tensor as F32, F16 or BF16",
                    self.dtype
                )));
            }
        }
        Ok(())
    }

    fn problem(&self, problem: impl Into<String>) -> Error {
        Error::format_of(self.path(), &self.name, problem)
    }
}

/// Appends what `of` makes of every `N` bytes.
fn convert<const N: usize, T>(bytes: &[u8], values: &mut Vec<T>, of: impl Fn([u8; N]) -> T) {
    values.extend(bytes.as_chunks().0.iter().map(|chunk| of(*chunk)));
}

impl fmt::Debug for TensorView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, dtype, shape, range, .. } = self;
        write!(f, "{name}: {dtype} {shape:?}, bytes {range:?} of {}", self.path().display())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    /// A view of one tensor of the given bytes, `skip` bytes into its file.
    fn view(dtype: Dtype, shape: &[usize], skip: usize, bytes: &[u8]) -> TensorView {
        let path = fixture::file(&[&vec![0; skip], bytes, &[0]].concat());
        let mapping = Arc::new(Mapping::open(&path).unwrap());
        TensorView::new(&mapping, "t", dtype, shape.to_vec(), skip..skip + bytes.len()).unwrap()
    }

    #[test]
    fn every_number_type_is_converted() {
        let cases: [(Dtype, &[u8], f64); 15] = [
            (Dtype::F64, &(-1.25f64).to_le_bytes(), -1.25),
            (Dtype::F32, &1.5f32.to_le_bytes(), 1.5),
            (Dtype::F16, &[0x00, 0xc0], -2.0),
            (Dtype::Bf16, &[0x80, 0x3f], 1.0),
            (Dtype::F8E5M2, &[0x3c], 1.0),
            (Dtype::F8E4M3, &[0x38], 1.0),
            (Dtype::I64, &i64::MIN.to_le_bytes(), -(2f64.powi(63))),
            (Dtype::U64, &(1u64 << 63).to_le_bytes(), 2f64.powi(63)),
            (Dtype::I32, &(-7i32).to_le_bytes(), -7.0),
            (Dtype::U32, &(1u32 << 31).to_le_bytes(), 2f64.powi(31)),
            (Dtype::I16, &(-300i16).to_le_bytes(), -300.0),
            (Dtype::U16, &65_535u16.to_le_bytes(), 65_535.0),
            (Dtype::I8, &[0x80], -128.0),
            (Dtype::U8, &[0xff], 255.0),
            (Dtype::Bool, &[1], 1.0),
        ];
        for (dtype, bytes, expected) in cases {
            let view = view(dtype, &[1], 3, bytes);
            assert_eq!(view.to_vec::<f64>().unwrap(), [expected], "{dtype}");
            assert_eq!(view.to_vec::<f32>().unwrap(), [expected as f32], "{dtype}");
        }
    }

    #[test]
    fn a_type_without_a_conversion_is_an_error_that_names_it() {
        for dtype in Dtype::ALL {
            let readable = view(dtype, &[4], 0, &vec![0; dtype.bits() / 2]).to_vec::<f32>();
            match readable {
                Ok(values) => assert_eq!(values, [0.0; 4]),
                Err(error) => assert!(error.to_string().contains(dtype.name()), "{error}"),
            }
        }
    }

    #[test]
    fn values_are_used_in_place_or_read_one_by_one_with_the_same_result() {
        // The last is a signalling NaN, which arithmetic would change.
        let bits = [1u32, 0x3f80_0000, 0x7f80_0001];
        let bytes: Vec<u8> = bits.iter().flat_map(|b| b.to_le_bytes()).collect();
        for skip in 0..8 {
            let view = view(Dtype::F32, &[3], skip, &bytes);
            assert_eq!(
                view.as_slice::<f32>().is_some(),
                skip.is_multiple_of(4) && cfg!(target_endian = "little")
            );
            assert!(view.as_slice::<f64>().is_none());
            let read = view.to_vec::<f32>().unwrap();
            assert_eq!(read.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), bits);
        }
    }

    #[test]
    fn a_view_outlives_what_it_came_from_and_describes_itself() {
        let clone = view(Dtype::U8, &[], 2, &[9]).clone();
        assert_eq!(clone.bytes(), [9]);
        assert_eq!((clone.len(), clone.is_empty()), (1, false));
        assert!(format!("{clone:?}").starts_with("t: U8 [], bytes 2..3 of "));
    }

    #[test]
    fn a_view_that_does_not_fit_its_file_is_refused() {
        let path = fixture::file(&[0; 8]);
        let mapping = Arc::new(Mapping::open(&path).unwrap());
        let new = |dtype, shape: &[usize], range| {
            TensorView::new(&mapping, "t", dtype, shape.to_vec(), range)
        };
        assert!(new(Dtype::F32, &[2], 0..8).is_ok());
        assert!(new(Dtype::F32, &[0], 8..8).is_ok_and(|view| view.is_empty()));
        assert!(new(Dtype::F32, &[2], 4..12).is_err());
        assert!(new(Dtype::F32, &[2], 0..4).is_err());
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = 4..0;
        assert!(new(Dtype::F32, &[1], reversed).is_err());
        assert!(new(Dtype::F32, &[usize::MAX, usize::MAX], 0..8).is_err());
    }
}
