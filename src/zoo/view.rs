//! One tensor of a checkpoint, where it lies in the file.

use super::bytes::Bytes;
use super::dtype::Dtype;
use super::mapping::{Plain, in_place};
use super::narrow;
use crate::{Error, Result};
use std::borrow::Cow;
use std::fmt;
use std::path::Path;

/// A named tensor in a mapped file. To clone it copies no values; the file stays
/// mapped while any view of it is left.
#[derive(Clone)]
pub struct TensorView {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Bytes,
    /// The distance between neighbours on each axis, counted in numbers; `None` if the numbers
    /// lie in row-major order without gaps.
    ///
    /// Invariant: all of them lie within `bytes`, which are as many as they need.
    strides: Option<Vec<usize>>,
}

/// Bytes beyond those of its file that a tensor may have by repeating values (strides of 0):
/// enough for every scalar that was expanded along channels, and no help to a file that wants
/// to fill the memory.
const LARGEST_EXPANSION: usize = 1 << 20;

impl TensorView {
    /// A tensor of these bytes, row-major without gaps. What every format's reader must be
    /// sure of is checked here.
    pub(super) fn new(
        bytes: Bytes,
        name: impl Into<String>,
        dtype: Dtype,
        shape: Vec<usize>,
    ) -> Result<Self> {
        let view = Self { name: name.into(), dtype, shape, bytes, strides: None };
        let needed = view.needed()?;
        if view.bytes.len() != needed {
            return Err(view.problem(format!(
                "shape {:?} of {dtype} needs {needed} bytes, but has {}",
                view.shape,
                view.bytes.len()
            )));
        }
        Ok(view)
    }

    /// A tensor of some of the numbers in `bytes`: the first is the one at `offset`, and
    /// neighbours on axis `a` are `strides[a]` numbers apart.
    pub(super) fn strided(
        bytes: &Bytes,
        name: impl Into<String>,
        dtype: Dtype,
        shape: Vec<usize>,
        offset: usize,
        strides: &[usize],
    ) -> Result<Self> {
        let mut view =
            Self { name: name.into(), dtype, shape, bytes: bytes.clone(), strides: None };
        if strides.len() != view.shape.len() {
            let problem = format!("{} strides for shape {:?}", strides.len(), view.shape);
            return Err(view.problem(problem));
        }
        let needed = view.needed()?;
        let outside = |view: &Self| {
            view.problem(format!(
                "shape {:?} of {dtype} with offset {offset} and strides {strides:?} is not within \
                 the {} bytes of its storage",
                view.shape,
                bytes.len()
            ))
        };
        if needed == 0 {
            view.bytes = bytes.slice(0..0).ok_or_else(|| outside(&view))?;
            return Ok(view);
        }
        let size = dtype.bytes_of(&[1]).ok_or_else(|| {
            view.problem(format!("{dtype} packs numbers into bytes and has no strides"))
        })?;
        // From the first number to the end of the last.
        let reach = view.shape.iter().zip(strides).try_fold(1usize, |reach, (&n, &stride)| {
            (n - 1).checked_mul(stride).and_then(|extent| reach.checked_add(extent))
        });
        let part = reach
            .and_then(|reach| {
                let start = offset.checked_mul(size)?;
                bytes.slice(start..start.checked_add(reach.checked_mul(size)?)?)
            })
            .ok_or_else(|| outside(&view))?;
        view.bytes = part;
        if row_major(&view.shape, strides) {
            return Ok(view);
        }
        if needed > bytes.file_len().saturating_add(LARGEST_EXPANSION) {
            let problem = format!(
                "shape {:?} of {dtype} repeats values to {needed} bytes, many more than its file \
                 has; save it after .clone()",
                view.shape
            );
            return Err(view.problem(problem));
        }
        view.strides = Some(strides.to_vec());
        Ok(view)
    }

    /// The bytes that the type and the shape need.
    fn needed(&self) -> Result<usize> {
        let Self { dtype, shape, .. } = self;
        dtype.bytes_of(shape).ok_or_else(|| {
            self.problem(format!("shape {shape:?} of {dtype} cannot be addressed in whole bytes"))
        })
    }

    /// The same tensor under another name.
    pub(super) fn named(self, name: String) -> Self {
        Self { name, ..self }
    }

    /// The same tensor with its axes in another order: axis `a` is the one that was `order[a]`. None
    /// if its numbers are packed into bytes, or it has other axes.
    pub(super) fn transposed(&self, order: &[usize]) -> Option<Self> {
        self.dtype.bytes_of(&[1])?;
        let strides = self.strides.clone().unwrap_or_else(|| row_major_strides(&self.shape));
        let of = |all: &[usize]| -> Option<Vec<usize>> {
            order.iter().map(|&axis| all.get(axis).copied()).collect()
        };
        let (shape, strides) = (of(&self.shape)?, of(&strides)?);
        let strides = (!row_major(&shape, &strides)).then_some(strides);
        Some(Self { shape, strides, ..self.clone() })
    }

    /// A tensor of the same name and shape with these values, made of the file's.
    ///
    /// # Errors
    /// If they are not as many.
    pub(super) fn remade(&self, values: &[f32]) -> Result<Self> {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let bytes = self.bytes.made_beside(bytes);
        Self::new(bytes, &*self.name, Dtype::F32, self.shape.clone())
    }

    /// The name in the checkpoint.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file it lies in.
    pub fn path(&self) -> &Path {
        self.bytes.path()
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

    /// The number of bytes that the values have in row-major order.
    pub fn byte_len(&self) -> usize {
        match self.strides {
            None => self.bytes.len(),
            Some(_) => self.dtype.bytes_of(&self.shape).unwrap_or_default(),
        }
    }

    /// The values as bytes: little-endian, row-major. They are those of the file, unless it
    /// holds them deflated or in another order.
    ///
    /// # Errors
    /// If they are deflated, and damaged.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>> {
        let bytes = self.bytes.get()?;
        let Some(strides) = &self.strides else { return Ok(bytes) };
        let size = self.byte_len() / self.len();
        let mut values = Vec::with_capacity(self.byte_len());
        for_each_number(&self.shape, strides, |at| {
            values.extend_from_slice(&bytes[at * size..(at + 1) * size]);
        });
        Ok(Cow::Owned(values))
    }

    /// The values in the file itself, if they are of type `T`, aligned for it, in
    /// this machine's order of bytes, and in row-major order.
    pub fn as_slice<T: Plain>(&self) -> Option<&[T]> {
        if T::DTYPE != self.dtype || self.strides.is_some() {
            return None;
        }
        in_place(self.bytes.in_memory()?)
    }

    /// Whether [`Self::append_to`] can only fail for want of memory: the type has a conversion,
    /// and nothing is deflated.
    pub(crate) fn converts(&self) -> bool {
        self.bytes.in_memory().is_some() && !self.dtype.is_opaque()
    }

    /// Tells the system that the values were copied, so that their part of the file need not
    /// stay in memory.
    pub(crate) fn release(&self) {
        self.bytes.release();
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
        let bytes = &*self.bytes()?;
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

/// Whether these strides are those of row-major order without gaps; axes of one number have
/// any stride.
fn row_major(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(strides).rev().filter(|(size, _)| **size != 1).all(|(&size, &stride)| {
        let fits = stride == expected;
        expected *= size;
        fits
    })
}

/// The strides of row-major order without gaps.
fn row_major_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// Calls `f` with the place of each number, in row-major order.
fn for_each_number(shape: &[usize], strides: &[usize], mut f: impl FnMut(usize)) {
    let (mut index, mut at) = (vec![0; shape.len()], 0);
    loop {
        f(at);
        let mut axis = shape.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
}

/// Appends what `of` makes of every `N` bytes.
fn convert<const N: usize, T>(bytes: &[u8], values: &mut Vec<T>, of: impl Fn([u8; N]) -> T) {
    values.extend(bytes.as_chunks().0.iter().map(|chunk| of(*chunk)));
}

impl fmt::Debug for TensorView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, dtype, shape, bytes, strides } = self;
        write!(f, "{name}: {dtype} {shape:?}, ")?;
        if let Some(strides) = strides {
            write!(f, "strides {strides:?}, ")?;
        }
        write!(f, "{bytes:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::super::mapping::Mapping;
    use super::*;
    use std::sync::Arc;

    /// A view of one tensor of the given bytes, `skip` bytes into its file.
    fn view(dtype: Dtype, shape: &[usize], skip: usize, bytes: &[u8]) -> TensorView {
        let path = fixture::file(&[&vec![0; skip], bytes, &[0]].concat());
        let mapping = Arc::new(Mapping::open(&path).unwrap());
        let bytes = Bytes::mapped(&mapping, skip..skip + bytes.len()).unwrap();
        TensorView::new(bytes, "t", dtype, shape.to_vec()).unwrap()
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
        assert_eq!(*clone.bytes().unwrap(), [9]);
        assert_eq!((clone.len(), clone.is_empty()), (1, false));
        assert!(format!("{clone:?}").starts_with("t: U8 [], bytes 2..3 of "));
    }

    #[test]
    fn a_view_that_does_not_fit_its_file_is_refused() {
        let path = fixture::file(&[0; 8]);
        let mapping = Arc::new(Mapping::open(&path).unwrap());
        let new = |dtype, shape: &[usize], range| {
            TensorView::new(Bytes::mapped(&mapping, range)?, "t", dtype, shape.to_vec())
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

    /// The numbers 0 to 11 as `F32`, 4 bytes into a file.
    fn twelve() -> Bytes {
        let numbers = (0..12u8).flat_map(|n| f32::from(n).to_le_bytes());
        let file: Vec<u8> = [0; 4].into_iter().chain(numbers).collect();
        let mapping = Arc::new(Mapping::open(fixture::file(&file)).unwrap());
        Bytes::mapped(&mapping, 4..52).unwrap()
    }

    fn strided(shape: &[usize], offset: usize, strides: &[usize]) -> Result<TensorView> {
        TensorView::strided(&twelve(), "t", Dtype::F32, shape.to_vec(), offset, strides)
    }

    #[test]
    fn strides_are_followed_in_row_major_order() {
        let values = |shape: &[usize], offset, strides: &[usize]| {
            let view = strided(shape, offset, strides).unwrap();
            assert_eq!(
                (view.len(), view.byte_len()),
                (view.shape().iter().product(), view.len() * 4)
            );
            assert_eq!(view.bytes().unwrap().len(), view.byte_len());
            view.to_vec::<f64>().unwrap()
        };
        assert_eq!(values(&[3, 2], 0, &[1, 3]), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(values(&[2, 2], 5, &[4, 1]), [5.0, 6.0, 9.0, 10.0]);
        assert_eq!(values(&[3], 0, &[0]), [0.0; 3]);
        assert_eq!(values(&[2, 1, 2], 1, &[6, 99, 2]), [1.0, 3.0, 7.0, 9.0]);
        assert_eq!(values(&[], 11, &[]), [11.0]);
        assert!(values(&[0, 5], 40, &[7, 7]).is_empty());
    }

    #[test]
    fn row_major_numbers_are_used_in_place_whatever_their_strides_are_called() {
        for view in [strided(&[2, 3], 3, &[3, 1]), strided(&[1, 3, 1], 0, &[17, 1, 0])] {
            let view = view.unwrap();
            assert_eq!(view.as_slice::<f32>().is_some(), cfg!(target_endian = "little"));
        }
        assert!(strided(&[3, 2], 0, &[1, 3]).unwrap().as_slice::<f32>().is_none());
    }

    #[test]
    fn strides_that_leave_the_storage_are_refused() {
        let refused = |shape: &[usize], offset, strides: &[usize]| {
            strided(shape, offset, strides).unwrap_err().to_string()
        };
        assert!(refused(&[4], 9, &[1]).contains("not within the 48 bytes"));
        assert!(refused(&[2, 2], 0, &[11, 1]).contains("not within"));
        assert!(refused(&[2], usize::MAX, &[1]).contains("not within"));
        assert!(refused(&[3], 0, &[usize::MAX]).contains("not within"));
        assert!(refused(&[2], 0, &[1, 1]).contains("2 strides"));
        assert!(refused(&[1 << 40], 0, &[0]).contains("repeats values"));
        assert!(refused(&[usize::MAX, 2], 0, &[0, 0]).contains("cannot be addressed"));
    }
}
