//! Tensors: a shape and, in row-major order, the values.
//!
//! A [`Tensor`] is cheap to clone: clones share their values until one of them
//! is written to. The values are owned, or they lie in a memory-mapped file: used
//! in place if they are of the right type there, and otherwise converted when they
//! are first looked at, tensor by tensor.
//!
//! Arrays of [`ndarray`] go in and come out, whatever their number of axes:
//!
//! ```
//! use zoo_tuning::ndarray::{Ix2, array};
//! use zoo_tuning::tensor::Tensor;
//!
//! # fn main() -> zoo_tuning::Result<()> {
//! let tensor = Tensor::from(array![[1.0f32, 2.0], [3.0, 4.0]]); // takes the values over
//! assert_eq!(tensor.view::<Ix2>()?.column(1).sum(), 6.0); // looks at them
//! let array = tensor.into_array::<Ix2>()?; // takes them out again; nothing was copied
//! # assert_eq!(array, array![[1.0, 2.0], [3.0, 4.0]]);
//! # Ok(())
//! # }
//! ```
//!
//! A tensor is not itself an array, because its values need not be a vector of this process:
//! they may lie in a mapped file that is never read as a whole, or in the memory of a device;
//! and a vector that is dropped goes to a pool ([`mod@buffer`]) rather than to the system, so
//! that the next step of training finds it there. Sharing and copying on write are the same for
//! all of them. What a tensor gives up for that are strides: its values are always in row-major
//! order, without gaps, and every kernel can rely on it.

mod array;
pub mod buffer;
mod device;
mod element;
#[cfg(any(feature = "opencl", feature = "train"))]
pub(crate) mod kept;
#[cfg(feature = "opencl")]
pub mod opencl;
#[cfg(feature = "opencl")]
mod resident;
mod state;
mod vector;

use buffer::Buffer;
pub use device::Device;
pub use element::Element;
pub use state::State;
pub use vector::{Portable, Vector};

use crate::zoo::TensorView;
use crate::{Error, Result};
use std::sync::{Arc, OnceLock};

/// An n-dimensional array of `T` in row-major order.
#[derive(Clone, Debug)]
pub struct Tensor<T> {
    shape: Vec<usize>,
    storage: Storage<T>,
}

#[derive(Clone, Debug)]
enum Storage<T> {
    Owned(Arc<Buffer<T>>),
    /// Invariant: `view.as_slice::<T>()` is `Some`.
    Mapped(TensorView),
    /// Half precision, say, or not in row-major order.
    Converted(Arc<Converted<T>>),
    /// Somebody else's. Invariant: as many as the shape says.
    Lent(Arc<dyn Lender<T>>),
    /// In the memory of a device.
    #[cfg(feature = "opencl")]
    Resident(Arc<resident::Resident<T>>),
}

/// Who owns values that a tensor uses where they are, such as an array of another language.
pub trait Lender<T>: std::fmt::Debug + Send + Sync {
    /// The values in row-major order: as many as ever, for as long as the lender lives.
    fn values(&self) -> &[T];
}

/// Values of a file that have to be converted.
#[derive(Debug)]
struct Converted<T> {
    /// Invariant: `view.converts()`.
    view: TensorView,
    /// Once they were looked at.
    values: OnceLock<Vec<T>>,
}

impl<T: Element> Converted<T> {
    fn as_slice(&self) -> &[T] {
        self.values.get_or_init(|| {
            let values = self.view.to_vec();
            values.unwrap_or_else(|error| panic!("there should be memory for a tensor: {error}"))
        })
    }
}

impl<T: Element> Tensor<T> {
    /// A tensor of the given shape over `values` in row-major order.
    ///
    /// # Errors
    /// If the number of values is not the product of the shape.
    pub fn new(shape: &[usize], values: Vec<T>) -> Result<Self> {
        if product(shape) != Some(values.len()) {
            return Err(Error::argument(
                "Tensor::new",
                format!("{} values do not fill the shape {shape:?}", values.len()),
            ));
        }
        Ok(Self::owned(shape.to_vec(), values))
    }

    /// A tensor whose size is known to fit: for kernels, which made both.
    pub(crate) fn owned(shape: Vec<usize>, values: Vec<T>) -> Self {
        debug_assert_eq!(product(&shape), Some(values.len()));
        Self { shape, storage: Storage::Owned(Arc::new(values.into())) }
    }

    /// A tensor of one value and shape `[]`.
    pub fn scalar(value: T) -> Self {
        Self::owned(vec![], vec![value])
    }

    /// A tensor filled with `value`.
    ///
    /// # Panics
    /// If the shape exceeds the address space, like a vector of that capacity.
    pub fn full(shape: &[usize], value: T) -> Self {
        Self::owned(shape.to_vec(), buffer::filled(capacity(shape), value))
    }

    /// A tensor of zeros.
    ///
    /// # Panics
    /// Like [`Tensor::full`].
    pub fn zeros(shape: &[usize]) -> Self {
        Self::full(shape, T::zero())
    }

    /// A tensor whose values `f` makes one after the other, in row-major order.
    ///
    /// # Panics
    /// Like [`Tensor::full`].
    pub fn from_fn(shape: &[usize], f: impl FnMut() -> T) -> Self {
        let mut values = buffer::take(capacity(shape));
        values.fill_with(f);
        Self::owned(shape.to_vec(), values)
    }

    /// Values drawn from the normal distribution with mean 0.
    ///
    /// By the polar form of Box and Muller (Marsaglia and Bray, 1964).
    ///
    /// # Panics
    /// Like [`Tensor::full`].
    pub fn normal(shape: &[usize], std: f64, rng: &mut fastrand::Rng) -> Self {
        let mut spare = None;
        Self::from_fn(shape, || {
            let z = spare.take().unwrap_or_else(|| {
                loop {
                    let (u, v) = (2.0 * rng.f64() - 1.0, 2.0 * rng.f64() - 1.0);
                    let s = u * u + v * v;
                    if s > 0.0 && s < 1.0 {
                        let scale = (-2.0 * s.ln() / s).sqrt();
                        spare = Some(v * scale);
                        break u * scale;
                    }
                }
            });
            T::from_f64(std * z)
        })
    }

    /// The tensor of a checkpoint: used in place where its type and alignment
    /// permit, converted when its values are first looked at otherwise. Only what the file
    /// holds deflated is read here.
    ///
    /// # Errors
    /// If its type has no values of type `T`, they are deflated and damaged, or there is no room
    /// for them.
    pub fn mapped(view: &TensorView) -> Result<Self> {
        let shape = view.shape();
        if product(shape).is_none() || !view.converts() {
            return Self::new(shape, view.to_vec::<T>()?);
        }
        let storage = if view.as_slice::<T>().is_some() {
            Storage::Mapped(view.clone())
        } else {
            // What can never have room is an error here, and not a panic later.
            Vec::<T>::new().try_reserve_exact(view.len()).map_err(|error| {
                let problem = format!("{} values: {error}", view.len());
                Error::format_of(view.path(), view.name(), problem)
            })?;
            Storage::Converted(Arc::new(Converted { view: view.clone(), values: OnceLock::new() }))
        };
        Ok(Self { shape: shape.to_vec(), storage })
    }

    /// A tensor over values that are somebody else's; they are copied when the tensor is written to.
    ///
    /// # Errors
    /// If the number of values is not the product of the shape.
    pub fn lent(shape: &[usize], lender: Arc<dyn Lender<T>>) -> Result<Self> {
        let found = lender.values().len();
        if product(shape) != Some(found) {
            let problem = format!("{found} values do not fill the shape {shape:?}");
            return Err(Error::argument("Tensor::lent", problem));
        }
        Ok(Self { shape: shape.to_vec(), storage: Storage::Lent(lender) })
    }

    /// Tensors of one shape behind each other, `[m, ...]`.
    ///
    /// # Errors
    /// If there is none, or their shapes differ.
    pub fn stack(tensors: &[&Self]) -> Result<Self> {
        let first = Self::alike("stack", tensors)?;
        let mut values = buffer::take(tensors.len() * first.len());
        values.clear();
        for tensor in tensors {
            tensor.append_to(&mut values)?;
        }
        Ok(Self::owned([&[tensors.len()], first.shape()].concat(), values))
    }

    /// `sum_i shares[i] tensors[i]`, for tensors of one shape; with shares `1 / m`, their mean.
    ///
    /// # Errors
    /// If there is none, their shapes differ, or there is not one share for each.
    pub fn weighted_sum(tensors: &[&Self], shares: &[f64]) -> Result<Self> {
        let first = Self::alike("weighted_sum", tensors)?;
        if shares.len() != tensors.len() {
            let problem = format!("{} shares for {} tensors", shares.len(), tensors.len());
            return Err(Error::argument("weighted_sum", problem));
        }
        let mut sum = Self::zeros(first.shape());
        let values = sum.as_mut_slice();
        let mut copy = Vec::new();
        for (tensor, &share) in tensors.iter().zip(shares) {
            copy.clear();
            tensor.append_to(&mut copy)?;
            let share = T::from_f64(share);
            values.iter_mut().zip(&copy).for_each(|(sum, &v)| *sum += share * v);
        }
        Ok(sum)
    }

    /// Appends the values to `values`. Of a tensor that lies in a file neither the converted
    /// values nor the pages of the file are kept in memory, so that a whole zoo can be copied
    /// while there is room for one tensor more.
    fn append_to(&self, values: &mut Vec<T>) -> Result<()> {
        match &self.storage {
            Storage::Converted(converted) if converted.values.get().is_none() => {
                converted.view.append_to(values)?;
                converted.view.release();
            }
            Storage::Mapped(view) => {
                values.extend_from_slice(self.as_slice());
                view.release();
            }
            _ => values.extend_from_slice(self.as_slice()),
        }
        Ok(())
    }

    fn alike<'a>(operation: &'static str, tensors: &[&'a Self]) -> Result<&'a Self> {
        let Some((first, others)) = tensors.split_first() else {
            return Err(Error::argument(operation, "no tensors"));
        };
        match others.iter().find(|other| other.shape() != first.shape()) {
            None => Ok(first),
            Some(other) => {
                let expected = format!("{:?}, like the first", first.shape());
                Err(Error::shape(operation, "another tensor", expected, other.shape()))
            }
        }
    }

    /// Whether the values are used where they lie, in a mapped file.
    pub fn is_mapped(&self) -> bool {
        matches!(self.storage, Storage::Mapped(_))
    }

    /// Whether the values are somebody else's, see [`Tensor::lent`].
    pub fn is_lent(&self) -> bool {
        matches!(self.storage, Storage::Lent(_))
    }

    /// Where the values are. A file that they lie in is the [`Device::Cpu`]'s.
    pub fn device(&self) -> Device {
        match &self.storage {
            #[cfg(feature = "opencl")]
            Storage::Resident(resident) => Device::OpenCl(resident.device().clone()),
            _ => Device::Cpu,
        }
    }

    /// The same values on a device; nothing is copied if they are there, or lie in a file that the
    /// device can use in place: one that has the host's memory, if the values begin where it wants
    /// them to.
    ///
    /// # Errors
    /// If there is no room for them, the device has no numbers of this type, or is lost.
    pub fn to(&self, device: &Device) -> Result<Self> {
        if self.device() == *device {
            return Ok(self.clone());
        }
        match device {
            Device::Cpu => {
                let mut values = buffer::take(self.len());
                self.read(&mut values)?;
                Ok(Self::owned(self.shape.clone(), values))
            }
            #[cfg(feature = "opencl")]
            Device::OpenCl(device) => self.upload(device),
        }
    }

    /// Zeros of the shape of this tensor, where it is.
    ///
    /// # Errors
    /// If there is no room for them there.
    pub fn zeros_like(&self) -> Result<Self> {
        match &self.storage {
            #[cfg(feature = "opencl")]
            Storage::Resident(resident) => {
                let memory = resident.device().zeros::<T>(self.len())?;
                Ok(Self::resident(self.shape.clone(), memory))
            }
            _ => Ok(Self::zeros(&self.shape)),
        }
    }

    /// Writes the values to `values`, which are as many.
    fn read(&self, values: &mut [T]) -> Result<()> {
        match &self.storage {
            #[cfg(feature = "opencl")]
            Storage::Resident(resident) => resident.read(values),
            _ => {
                values.copy_from_slice(self.as_slice());
                Ok(())
            }
        }
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        // Without a look at the values, and without overflow: it was checked.
        self.shape.iter().product()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values in row-major order. Those on a device are brought home once, and kept until the
    /// tensor is written to.
    ///
    /// # Panics
    /// If the device that they are on is lost; [`Tensor::to`] has an error for that.
    pub fn as_slice(&self) -> &[T] {
        match &self.storage {
            Storage::Owned(values) => values,
            Storage::Mapped(view) => view.as_slice().unwrap_or_default(),
            Storage::Converted(converted) => converted.as_slice(),
            Storage::Lent(lender) => lender.values(),
            #[cfg(feature = "opencl")]
            Storage::Resident(resident) => resident.as_slice(self.len()),
        }
    }

    /// The values, to be written to. They are copied first if they are shared
    /// with another tensor or lie in a file, and brought home if they are on a device.
    ///
    /// # Panics
    /// As [`Tensor::as_slice`].
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        if !matches!(self.storage, Storage::Owned(_)) {
            self.storage = Storage::Owned(Arc::new(buffer::copy(self.as_slice()).into()));
        }
        match &mut self.storage {
            Storage::Owned(values) => Arc::<Buffer<T>>::make_mut(values),
            _ => unreachable!("made owned above"),
        }
    }

    /// The values; copied only if they are shared, lie in a file or on a device.
    ///
    /// # Panics
    /// As [`Tensor::as_slice`].
    pub fn into_vec(self) -> Vec<T> {
        match self.storage {
            Storage::Owned(values) => Arc::unwrap_or_clone(values).into_vec(),
            _ => buffer::copy(self.as_slice()),
        }
    }

    /// The same values in another shape; nothing is copied.
    ///
    /// # Errors
    /// If the two shapes hold different numbers of values.
    pub fn reshape(mut self, shape: &[usize]) -> Result<Self> {
        if product(shape) != Some(self.len()) {
            return Err(Error::shape(
                "reshape",
                "input",
                format!("as many values as {shape:?}"),
                &self.shape,
            ));
        }
        self.shape = shape.to_vec();
        Ok(self)
    }

    /// The same values in another precision.
    pub fn cast<U: Element>(&self) -> Tensor<U> {
        let mut values = buffer::take(self.len());
        values.iter_mut().zip(self.as_slice()).for_each(|(to, v)| *to = U::from_f64(v.widen()));
        Tensor::owned(self.shape.clone(), values)
    }

    /// The shape as an array of `D` sizes.
    ///
    /// # Errors
    /// If the tensor does not have `D` dimensions; `operation`, `tensor` and
    /// `expected` (such as `[N, C, H, W]`) go into the message.
    pub fn dims<const D: usize>(
        &self,
        operation: &'static str,
        tensor: &str,
        expected: &str,
    ) -> Result<[usize; D]> {
        self.shape
            .as_slice()
            .try_into()
            .map_err(|_| Error::shape(operation, tensor, expected, &self.shape))
    }

    /// The value of a tensor that holds exactly one.
    ///
    /// # Errors
    /// If it holds none or several, or is on a device that is lost.
    pub fn item(&self) -> Result<T> {
        if self.len() != 1 {
            return Err(Error::shape("item", "tensor", "of one value", &self.shape));
        }
        let mut value = [T::zero()];
        self.read(&mut value)?;
        Ok(value[0])
    }

    /// The largest difference between values of two tensors of one shape, relative to the largest
    /// value of this one; NaN if either holds one, so that a fault does not pass for agreement.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn relative_difference(&self, other: &Self) -> Result<f64> {
        Self::alike("relative_difference", &[self, other])?;
        // `max` would lose a NaN.
        let larger = |worst: f64, v: f64| if v > worst || v.is_nan() { v } else { worst };
        let values = self.as_slice().iter().map(|v| v.widen().abs());
        let differences = self
            .as_slice()
            .iter()
            .zip(other.as_slice())
            .map(|(a, b)| (a.widen() - b.widen()).abs());
        let (largest, worst) = (values.fold(0.0, larger), differences.fold(0.0, larger));
        Ok(if worst == 0.0 { 0.0 } else { worst / largest })
    }

    /// Whether every value is finite.
    pub fn is_finite(&self) -> bool {
        self.as_slice().iter().all(|v| v.is_finite())
    }
}

/// The number of values of a shape, unless they exceed the address space.
///
/// Empty axes are left out of that question: where it is answered, the product of any
/// of the sizes can be computed without a check.
pub(crate) fn product(shape: &[usize]) -> Option<usize> {
    const MOST: usize = isize::MAX as usize / size_of::<f64>();
    let mut sizes = shape.iter().filter(|&&size| size > 0);
    let product = sizes.try_fold(1usize, |product, &size| product.checked_mul(size))?;
    (product <= MOST).then_some(if shape.contains(&0) { 0 } else { product })
}

/// The number of values to allocate.
fn capacity(shape: &[usize]) -> usize {
    product(shape).unwrap_or_else(|| panic!("the shape {shape:?} exceeds the address space"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::Dtype;

    #[test]
    fn a_clone_shares_until_it_is_written_to() {
        let a = Tensor::<f32>::zeros(&[2, 3]);
        let mut b = a.clone();
        assert_eq!(a.as_slice().as_ptr(), b.as_slice().as_ptr());
        b.as_mut_slice()[4] = 1.0;
        assert_eq!(a.as_slice(), [0.0; 6]);
        assert_eq!(b.as_slice()[4], 1.0);
    }

    #[test]
    fn lent_values_are_used_in_place_until_they_are_written_to() {
        #[derive(Debug)]
        struct Own(Vec<f32>);
        impl Lender<f32> for Own {
            fn values(&self) -> &[f32] {
                &self.0
            }
        }
        let own = Arc::new(Own(vec![1.0, 2.0]));
        let mut tensor = Tensor::lent(&[2, 1], own.clone()).unwrap();
        assert_eq!((tensor.as_slice().as_ptr(), tensor.is_lent()), (own.0.as_ptr(), true));
        let clone = tensor.clone();
        tensor.as_mut_slice()[0] = 5.0;
        assert_eq!((tensor.as_slice(), clone.as_slice()), (&[5.0, 2.0][..], &[1.0, 2.0][..]));
        assert_eq!((tensor.is_lent(), clone.is_lent(), &own.0[..]), (false, true, &[1.0, 2.0][..]));
        assert!(Tensor::lent(&[3], own).is_err());
    }

    #[test]
    fn half_precision_is_converted_when_it_is_looked_at_and_not_before() {
        let bytes = [0x00, 0x3c, 0x00, 0xc0]; // 1 and -2
        let file = crate::zoo::fixture::checkpoint(&[("t", Dtype::F16, &[2], &bytes)]);
        let mut half = Tensor::<f32>::mapped(file.get("t").unwrap()).unwrap();
        let is_converted = |tensor: &Tensor<f32>| match &tensor.storage {
            Storage::Converted(converted) => converted.values.get().is_some(),
            _ => unreachable!("the file holds another type"),
        };
        let stack = Tensor::stack(&[&half, &half]).unwrap();
        assert_eq!(stack.as_slice(), [1.0, -2.0, 1.0, -2.0]);
        let mean = Tensor::weighted_sum(&[&half, &half], &[0.5, 0.5]).unwrap();
        assert_eq!(mean.as_slice(), [1.0, -2.0]);
        assert_eq!((half.len(), half.is_mapped()), (2, false));
        assert!(!is_converted(&half), "a copy of the whole keeps nothing");
        let clone = half.clone();
        assert_eq!(half.as_slice(), [1.0, -2.0]);
        assert!(is_converted(&clone), "clones share what was converted");
        half.as_mut_slice()[0] = 5.0;
        assert_eq!((half.as_slice(), clone.as_slice()), (&[5.0, -2.0][..], &[1.0, -2.0][..]));
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        assert!(Tensor::new(&[2, 2], vec![1.0f32; 3]).is_err());
        assert!(Tensor::new(&[usize::MAX, 2], vec![1.0f32; 3]).is_err());
        assert!(Tensor::<f32>::zeros(&[2, 2]).reshape(&[3]).is_err());
    }

    #[test]
    fn an_empty_tensor_has_sizes_that_can_be_multiplied() {
        let sizes = [0, usize::MAX, 2];
        assert!(Tensor::<f32>::new(&sizes, vec![]).is_err());
        assert!(Tensor::<f32>::new(&[0, usize::MAX, usize::MAX], vec![]).is_err());
        assert!(Tensor::<f32>::zeros(&[0, 3]).reshape(&sizes).is_err());
        let empty = Tensor::<f32>::zeros(&[3, 0, 1 << 40]);
        assert_eq!((empty.len(), empty.view::<ndarray::Ix3>().unwrap().len()), (0, 0));
    }

    #[test]
    fn normal_values_have_the_asked_mean_and_std() {
        let mut rng = fastrand::Rng::with_seed(1);
        let t = Tensor::<f64>::normal(&[20_000], 2.0, &mut rng);
        let mean = t.as_slice().iter().sum::<f64>() / 2e4;
        let variance = t.as_slice().iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 2e4;
        // Standard errors: 0.014 for the mean, 0.04 for the variance.
        assert!(mean.abs() < 0.05 && (variance - 4.0).abs() < 0.15, "{mean} {variance}");
    }
}
