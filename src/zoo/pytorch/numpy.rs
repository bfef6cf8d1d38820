//! Arrays of NumPy, which have their values in the pickle.
//!
//! ```text
//! protocol 2 to 4   _reconstruct(ndarray, (0,), b'b'), with the state
//!                   (1, shape, type, is it in column order, bytes)
//! protocol 5        _frombuffer(bytes, type, shape, 'C' or 'F' or 'K'[, axes])
//! one number        scalar(type, bytes)
//! the type          dtype('f4', False, True), with the state (3, '<', ...)
//! ```
//!
//! Since protocol 3, and in pickles of Python 2, the bytes stand in the file as they are. At
//! protocol 2, Python 3 writes them as a text of which each character is a byte.

use super::super::bytes::Bytes;
use super::super::dtype::Dtype;
use super::super::pickle::{Call, Id};
use super::super::view::TensorView;
use super::rebuild::{Meaning, Objects};
use super::storage::{Element, Storage, StridedView};

/// The order of an array's axes.
enum Order<'a> {
    Rows,
    Columns,
    /// Rows, and then its axes in this order.
    Axes(&'a [usize]),
}

impl Objects<'_> {
    /// The array of `_reconstruct`.
    pub(super) fn array(&mut self, call: &Call) -> Result<Meaning, String> {
        let state = call.state.and_then(|state| self.pickle.items(state)).unwrap_or_default();
        let [.., shape, dtype, columns, data] = *state else {
            return Err("expected the state of an array: shape, type, order and bytes".to_owned());
        };
        let columns = self.pickle.int(columns).is_some_and(|columns| columns != 0);
        let order = if columns { Order::Columns } else { Order::Rows };
        self.array_of(data, dtype, shape, &order)
    }

    /// The array of `_frombuffer`.
    pub(super) fn array_of_bytes(&mut self, arguments: &[Id]) -> Result<Meaning, String> {
        let [data, dtype, shape, order, ref rest @ ..] = *arguments else {
            return Err("expected bytes, type, shape and order of an array".to_owned());
        };
        let axes = rest.first().filter(|&&axes| !self.pickle.is_none(axes));
        let axes = axes.map(|&axes| self.sizes(axes)).transpose()?;
        let order = match (self.pickle.text(order), &axes) {
            (Some("C"), _) => Order::Rows,
            (Some("F"), _) => Order::Columns,
            (Some("K"), Some(axes)) => Order::Axes(axes),
            _ => return Err(format!("{} is no order of axes", self.pickle.describe(order))),
        };
        self.array_of(data, dtype, shape, &order)
    }

    fn array_of(
        &mut self,
        data: Id,
        dtype: Id,
        shape: Id,
        order: &Order<'_>,
    ) -> Result<Meaning, String> {
        let dtype = match self.array_type(dtype)? {
            Ok(dtype) => dtype,
            Err(what) => return Ok(Meaning::Unread(format!("an array of {what}"))),
        };
        let shape = self.sizes(shape)?;
        let Some(bytes) = self.bytes(data)? else {
            return Err(format!("expected bytes, found {}", self.pickle.describe(data)));
        };
        if dtype.bytes_of(&shape) != Some(bytes.len()) {
            let length = bytes.len();
            return Err(format!("shape {shape:?} of {dtype} does not fit its {length} bytes"));
        }
        let (shape, strides) = match order {
            Order::Rows => {
                let strides = row_strides(shape.iter().copied());
                (shape, strides)
            }
            Order::Columns => {
                let mut strides = row_strides(shape.iter().rev().copied());
                strides.reverse();
                (shape, strides)
            }
            Order::Axes(axes) => {
                let mut sorted = axes.to_vec();
                sorted.sort_unstable();
                if !sorted.into_iter().eq(0..shape.len()) {
                    return Err(format!("{axes:?} are not the axes of shape {shape:?}"));
                }
                let strides = row_strides(shape.iter().copied());
                (
                    axes.iter().map(|&a| shape[a]).collect(),
                    axes.iter().map(|&a| strides[a]).collect(),
                )
            }
        };
        let storage = Storage { bytes, element: Element::Of(dtype) };
        Ok(Meaning::Tensor(StridedView { storage, offset: 0, shape, strides }))
    }

    /// One number, as text.
    pub(super) fn array_scalar(&mut self, arguments: &[Id]) -> Result<Meaning, String> {
        let [dtype, data] = *arguments else {
            return Err("expected type and bytes of a number".to_owned());
        };
        match (self.array_type(dtype)?, self.bytes(data)?) {
            (Ok(dtype), Some(bytes)) => scalar(dtype, bytes).map(Meaning::Text),
            _ => Ok(Meaning::Nothing),
        }
    }

    /// The type that `numpy.dtype(code)` and its state say; if it is none of numbers, what it is.
    fn array_type(&self, id: Id) -> Result<Result<Dtype, String>, String> {
        let pickle = self.pickle;
        let call = pickle.call(id).filter(|call| {
            pickle.global(call.callable).is_some_and(|class| class == ("numpy", "dtype"))
        });
        let code = call
            .and_then(|call| pickle.items(call.arguments)?.first())
            .and_then(|&code| pickle.text(code))
            .ok_or_else(|| format!("expected a type of NumPy, found {}", pickle.describe(id)))?;
        let order = call
            .and_then(|call| pickle.items(call.state?)?.get(1))
            .and_then(|&order| pickle.text(order));
        let bare = code.trim_start_matches(['<', '|', '=', '>']);
        if code.starts_with('>') || order == Some(">") {
            return Err(format!(
                "the numbers are big-endian; save array.astype(\"<{}\")",
                bare.chars().take(8).collect::<String>()
            ));
        }
        Ok(Ok(match bare {
            "f8" => Dtype::F64,
            "f4" => Dtype::F32,
            "f2" => Dtype::F16,
            "c8" => Dtype::C64,
            "i8" => Dtype::I64,
            "i4" => Dtype::I32,
            "i2" => Dtype::I16,
            "i1" => Dtype::I8,
            "u8" => Dtype::U64,
            "u4" => Dtype::U32,
            "u2" => Dtype::U16,
            "u1" => Dtype::U8,
            "b1" => Dtype::Bool,
            other if other.starts_with('O') => return Ok(Err("objects".to_owned())),
            other => {
                return Ok(Err(format!("type {:?}", other.chars().take(20).collect::<String>())));
            }
        }))
    }
}

/// The strides of an array of these sizes without gaps, the last axis first.
fn row_strides(shape: impl DoubleEndedIterator<Item = usize>) -> Vec<usize> {
    let mut stride = 1usize;
    let mut strides: Vec<usize> = shape
        .rev()
        // Not beyond what `bytes_of` has checked already.
        .map(|size| {
            let next = stride.saturating_mul(size.max(1));
            std::mem::replace(&mut stride, next)
        })
        .collect();
    strides.reverse();
    strides
}

/// A number, as Python prints it.
fn scalar(dtype: Dtype, bytes: Bytes) -> Result<String, String> {
    let view = TensorView::new(bytes, "the number", dtype, vec![]).map_err(|e| e.to_string())?;
    let bytes = view.bytes().map_err(|e| e.to_string())?;
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(&bytes);
    let (unsigned, unused) = (u64::from_le_bytes(wide), 64 - 8 * bytes.len());
    Ok(match dtype {
        Dtype::Bool => if unsigned == 0 { "False" } else { "True" }.to_owned(),
        Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64 => unsigned.to_string(),
        Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64 => {
            (((unsigned << unused) as i64) >> unused).to_string()
        }
        Dtype::C64 => "a complex number".to_owned(),
        Dtype::F64 => view
            .to_vec::<f64>()
            .map_err(|e| e.to_string())?
            .iter()
            .map(|v| format!("{v:?}"))
            .collect(),
        _ => view
            .to_vec::<f32>()
            .map_err(|e| e.to_string())?
            .iter()
            .map(|v| format!("{v:?}"))
            .collect(),
    })
}
