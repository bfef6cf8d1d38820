//! An array of a MAT-file, and the arrays in it.
//!
//! ```text
//! an array    flags and class, dimensions, name, then by its class:
//! numbers     the values, column by column
//! text        the characters
//! cells       an array for each
//! structs     bytes of a name, the names of the fields, an array for each field of each struct
//! ```

use super::element::{Element, Elements, named};
use std::fmt;

/// Cells in cells, at most: those who annotate pictures need two.
const DEEPEST: usize = 16;

const CELLS: u32 = 1;
const STRUCTS: u32 = 2;
const TEXT: u32 = 4;
const OPAQUE: u32 = 17;

/// What an array holds, whatever its dimensions; values stand column by column.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Array {
    /// Numbers of every class; integers of 64 bits are rounded to what `f64` has.
    Numbers(Vec<f64>),
    /// A row of characters.
    Text(String),
    /// Arrays of any kind.
    Cells(Vec<Array>),
    /// A value for each of the fields, struct by struct.
    Structs { fields: Vec<String>, values: Vec<Array> },
}

impl fmt::Display for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbers(values) if values.len() == 1 => write!(f, "{}", values[0]),
            Self::Numbers(values) => write!(f, "{} numbers", values.len()),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Cells(cells) => write!(f, "{} cells", cells.len()),
            Self::Structs { fields, .. } => write!(f, "structs of {}", fields.join(", ")),
        }
    }
}

/// What stands before the values of an array.
pub(super) struct Header {
    class: u32,
    is_complex: bool,
    /// Values, structs or cells in it.
    count: usize,
    /// The first dimension.
    rows: f64,
    pub(super) name: String,
}

impl Header {
    /// Takes the header from the elements of an array.
    pub(super) fn read(elements: &mut Elements) -> Result<Self, String> {
        let flags = elements.next("the flags of an array")?;
        let order = elements.order;
        let Some((&flags, _)) = flags.bytes.split_first_chunk::<4>().filter(|_| flags.kind == 6)
        else {
            let (kind, count) = (named(flags.kind), flags.bytes.len());
            return Err(format!("expected the flags of an array, found {kind} of {count} bytes"));
        };
        let flags = order.u32(flags);
        let (class, is_complex) = (flags & 0xff, flags & 0x800 != 0);
        // An opaque object has no dimensions.
        let (count, rows) = match class {
            OPAQUE => (0, 0.0),
            _ => count(&elements.next("dimensions")?)?,
        };
        let name = name(elements.next("the name of an array")?.bytes);
        Ok(Self { class, is_complex, count, rows, name })
    }

    /// The values behind the header, in `depth` other arrays.
    pub(super) fn array(self, mut elements: Elements, depth: usize) -> Result<Array, String> {
        match self.class {
            CELLS => Ok(Array::Cells(inner(&mut elements, self.count, depth, |at| {
                format!("cell {}", at + 1)
            })?)),
            STRUCTS => {
                let fields = fields(&mut elements)?;
                let values = self.count.checked_mul(fields.len());
                let values = values.ok_or("expected structs, found more than there can be")?;
                let values = inner(&mut elements, values, depth, |at| {
                    let (struct_, field) = (at / fields.len() + 1, &fields[at % fields.len()]);
                    format!("struct {struct_}, field {field}")
                })?;
                Ok(Array::Structs { fields, values })
            }
            TEXT if self.count == 0 => Ok(Array::Text(String::new())),
            TEXT if self.rows != 1.0 => {
                Err(format!("expected a row of characters, found {} rows", self.rows))
            }
            TEXT => {
                let (text, units) = elements.next("text")?.text()?;
                let counts = [units, text.chars().count(), text.encode_utf16().count()];
                if !counts.contains(&self.count) {
                    return Err(format!("expected {} characters, found {units}", self.count));
                }
                Ok(Array::Text(text))
            }
            6..=15 if self.is_complex => {
                Err("expected real numbers, found complex ones".to_owned())
            }
            6..=15 => {
                let values = elements.next("numbers")?.numbers()?;
                if values.len() != self.count {
                    return Err(format!("expected {} numbers, found {}", self.count, values.len()));
                }
                Ok(Array::Numbers(values))
            }
            class => {
                let found = match class {
                    3 => "an object",
                    5 => "a sparse matrix",
                    16 => "a function",
                    OPAQUE => "an object of a class of MATLAB's",
                    _ => return Err(format!("expected an array, found the unknown class {class}")),
                };
                Err(format!("expected numbers, text, cells or structs, found {found}"))
            }
        }
    }
}

/// The product of the dimensions in an element, and the first of them.
fn count(dimensions: &Element) -> Result<(usize, f64), String> {
    let sizes = dimensions.numbers()?;
    let whole = |&size: &f64| (0.0..=f64::from(u32::MAX)).contains(&size).then_some(size as usize);
    let count = sizes.iter().try_fold(1usize, |count, size| count.checked_mul(whole(size)?));
    match (count, &sizes[..]) {
        (Some(count), [rows, _, ..]) => Ok((count, *rows)),
        (_, sizes) => {
            let shown = &sizes[..sizes.len().min(8)];
            Err(format!("expected the sizes of an array, found {shown:?}"))
        }
    }
}

/// A name, up to the zero byte that ends it.
fn name(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The names of a struct's fields, each in so many bytes.
fn fields(elements: &mut Elements) -> Result<Vec<String>, String> {
    let length = elements.next("the length of a field's name")?.numbers()?;
    let [length @ 1.0..=1024.0] = length[..] else {
        return Err(format!("expected the length of a field's name, found {length:.8?}"));
    };
    let names = elements.next("the names of fields")?;
    let (length, bytes) = (length as usize, names.bytes.len());
    if bytes % length != 0 {
        return Err(format!("expected names of {length} bytes each, found {bytes} bytes"));
    }
    Ok(names.bytes.chunks_exact(length).map(name).collect())
}

/// So many arrays that follow each other; `place` names one of them.
fn inner(
    elements: &mut Elements,
    count: usize,
    depth: usize,
    place: impl Fn(usize) -> String,
) -> Result<Vec<Array>, String> {
    if depth == DEEPEST {
        return Err(format!("expected at most {DEEPEST} arrays in each other, found more"));
    }
    // Each has a tag: what a damaged size says must not become memory.
    const TAG: usize = 8;
    if count > elements.rest.len() / TAG {
        let rest = elements.rest.len();
        return Err(format!("expected {count} arrays, found {rest} bytes, too few for so many"));
    }
    let mut arrays = Vec::with_capacity(count);
    for at in 0..count {
        let array = elements.next("an array").and_then(|element| read(element, depth + 1));
        arrays.push(array.map_err(|problem| format!("{}: {problem}", place(at)))?);
    }
    Ok(arrays)
}

/// The array of an element.
fn read(element: Element, depth: usize) -> Result<Array, String> {
    let mut elements = element.elements()?;
    // A field that was never set.
    if elements.rest.is_empty() {
        return Ok(Array::Numbers(vec![]));
    }
    Header::read(&mut elements)?.array(elements, depth)
}
