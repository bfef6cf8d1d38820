//! What a pickle's instructions leave behind: values that refer to each other by
//! number, and calls that nobody makes.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// The number of a value of one pickle.
///
/// That values hold numbers and not each other has three uses: the same value
/// may stand in many places at no cost; a value may contain itself; and to drop
/// them all is to drop one array, however deep they are nested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u32);

impl Id {
    /// The number as the index of an array.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Bytes of the input, or what was decoded from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// In the input.
    At(Range<usize>),
    /// Decoded: a string of protocol 0 that had escapes in it.
    Owned(Box<[u8]>),
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// A whole number that is no `i64`, in two's complement, lower byte first.
    Long(Range<usize>),
    /// The same in decimal.
    Digits(Range<usize>),
    Float(f64),
    /// Text, of the input unless it had escapes in it. It is checked to be UTF-8 once, and not
    /// again wherever it is used.
    Text(Cow<'a, str>),
    /// The `str` of Python 2: text, or bytes, as whoever reads it thinks fit.
    String(Chunk),
    Bytes(Chunk),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Set(Vec<Id>),
    /// Keys and values in the order they were put in, the same key perhaps twice.
    Dict(Vec<(Id, Id)>),
    /// The name of a class or function; nobody looks it up.
    Global {
        module: Id,
        name: Id,
    },
    /// What a call would have made.
    Call(Box<Call>),
    /// What the program that loads the pickle knows by this name: a storage.
    Persistent(Id),
}

impl Value<'_> {
    /// What a message calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a truth value",
            Self::Int(_) | Self::Long(_) | Self::Digits(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Text(_) | Self::String(_) => "a text",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "a list",
            Self::Tuple(_) => "a tuple",
            Self::Set(_) => "a set",
            Self::Dict(_) => "a dict",
            Self::Global { .. } => "a global",
            Self::Call(_) => "the result of a call",
            Self::Persistent(_) => "a persistent object",
        }
    }
}

/// A call that was asked for and not made.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The class or function: a `Global`, or another call's result.
    pub callable: Id,
    /// The arguments: a `Tuple`.
    pub arguments: Id,
    /// Arguments by name, if any: a `Dict`.
    pub keywords: Option<Id>,
    /// What was appended to the result.
    pub items: Vec<Id>,
    /// What was put into the result by key.
    pub entries: Vec<(Id, Id)>,
    /// The state it was given, usually a dict of its attributes.
    pub state: Option<Id>,
}

/// The values of one pickle.
#[derive(Clone, Debug)]
pub struct Pickle<'a> {
    pub(super) input: &'a [u8],
    pub(super) values: Vec<Value<'a>>,
    pub(super) root: Id,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl<'a> Pickle<'a> {
    /// The value that the pickle is of.
    pub fn root(&self) -> Id {
        self.root
    }

    /// Where in the input the pickle begins.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Where in the input the pickle ends.
    pub fn end(&self) -> usize {
        self.end
    }

    /// The value of this number.
    pub fn value(&self, id: Id) -> &Value<'a> {
        &self.values[id.index()]
    }

    /// Every value, also those that were made and thrown away.
    pub fn values(&self) -> impl Iterator<Item = (Id, &Value<'a>)> {
        // `Values::push` made sure that the numbers suffice.
        (0..).map(Id).zip(&self.values)
    }

    /// The bytes of a chunk.
    pub fn chunk<'s>(&'s self, chunk: &'s Chunk) -> &'s [u8] {
        match chunk {
            Chunk::At(range) => &self.input[range.clone()],
            Chunk::Owned(bytes) => bytes,
        }
    }

    /// A text, also one of Python 2 if it is UTF-8, and no longer than the names are that such
    /// texts are used for: each use checks it again.
    pub fn text(&self, id: Id) -> Option<&str> {
        const LONGEST: usize = 4096;
        match self.value(id) {
            Value::Text(text) => Some(text),
            Value::String(chunk) => {
                let bytes = self.chunk(chunk);
                if bytes.len() > LONGEST { None } else { std::str::from_utf8(bytes).ok() }
            }
            _ => None,
        }
    }

    /// Whether the value is None.
    pub fn is_none(&self, id: Id) -> bool {
        matches!(self.value(id), Value::None)
    }

    /// A whole number; of truth values 1 and 0, as in the language.
    pub fn int(&self, id: Id) -> Option<i64> {
        match *self.value(id) {
            Value::Int(value) => Some(value),
            Value::Bool(value) => Some(value.into()),
            _ => None,
        }
    }

    /// The items of a list or a tuple.
    pub fn items(&self, id: Id) -> Option<&[Id]> {
        match self.value(id) {
            Value::List(items) | Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// Module and name of a global.
    pub fn global(&self, id: Id) -> Option<(&str, &str)> {
        match *self.value(id) {
            Value::Global { module, name } => Some((self.text(module)?, self.text(name)?)),
            _ => None,
        }
    }

    /// A call.
    pub fn call(&self, id: Id) -> Option<&Call> {
        match self.value(id) {
            Value::Call(call) => Some(call),
            _ => None,
        }
    }

    /// The value in a few words, as the language would print it: what is deep or
    /// long is left out, so that no pickle can make the text long.
    pub fn describe(&self, id: Id) -> String {
        let mut text = String::new();
        // A `String` takes whatever is written to it.
        let _ = self.print(&mut text, id, 3);
        text
    }

    fn print(&self, to: &mut String, id: Id, depth: usize) -> fmt::Result {
        use fmt::Write;
        if depth == 0 || to.len() > 200 {
            return to.write_str("...");
        }
        match self.value(id) {
            Value::None => to.write_str("None"),
            Value::Bool(value) => to.write_str(if *value { "True" } else { "False" }),
            Value::Int(value) => write!(to, "{value}"),
            Value::Long(range) => write!(to, "<whole number of {} bytes>", range.len()),
            Value::Digits(range) => write!(to, "<whole number of {} digits>", range.len()),
            Value::Float(value) => write!(to, "{value:?}"),
            Value::Text(_) | Value::String(_) => {
                let bytes = match self.value(id) {
                    Value::Text(text) => text.as_bytes(),
                    Value::String(chunk) => self.chunk(chunk),
                    _ => &[],
                };
                // A character that is cut in two is no worse than the rest left out.
                let short = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]);
                write!(to, "{short:?}{}", if bytes.len() > 80 { "..." } else { "" })
            }
            Value::Bytes(chunk) => write!(to, "<{} bytes>", self.chunk(chunk).len()),
            Value::List(items) => self.print_items(to, ["[", "]"], items, depth),
            Value::Tuple(items) => {
                let close = if items.len() == 1 { ",)" } else { ")" };
                self.print_items(to, ["(", close], items, depth)
            }
            Value::Set(items) => self.print_items(to, ["{", "}"], items, depth),
            Value::Dict(entries) => {
                to.write_str("{")?;
                for (i, (key, value)) in entries.iter().take(4).enumerate() {
                    to.write_str(if i == 0 { "" } else { ", " })?;
                    self.print(to, *key, depth - 1)?;
                    to.write_str(": ")?;
                    self.print(to, *value, depth - 1)?;
                }
                to.write_str(if entries.len() > 4 { ", ...}" } else { "}" })
            }
            Value::Global { module, name } => {
                for (part, after) in [(module, "."), (name, "")] {
                    let part = self.text(*part).unwrap_or_default();
                    to.extend(part.chars().take(80).flat_map(char::escape_default));
                    to.write_str(if part.chars().nth(80).is_some() { "..." } else { after })?;
                }
                Ok(())
            }
            Value::Call(call) => {
                self.print(to, call.callable, depth - 1)?;
                let arguments = self.items(call.arguments).unwrap_or_default();
                self.print_items(to, ["(", ")"], arguments, depth)
            }
            Value::Persistent(name) => {
                to.write_str("<persistent ")?;
                self.print(to, *name, depth - 1)?;
                to.write_str(">")
            }
        }
    }

    fn print_items(
        &self,
        to: &mut String,
        [open, close]: [&str; 2],
        items: &[Id],
        depth: usize,
    ) -> fmt::Result {
        to.push_str(open);
        for (i, item) in items.iter().take(8).enumerate() {
            to.push_str(if i == 0 { "" } else { ", " });
            self.print(to, *item, depth - 1)?;
        }
        to.push_str(if items.len() > 8 { ", ..." } else { "" });
        to.push_str(close);
        Ok(())
    }
}

/// The values while they are being made.
#[derive(Default)]
pub(super) struct Values<'a>(pub(super) Vec<Value<'a>>);

impl<'a> Values<'a> {
    /// Adds a value, unless there are more than can be numbered.
    pub(super) fn push(&mut self, value: Value<'a>) -> Option<Id> {
        let id = Id(u32::try_from(self.0.len()).ok().filter(|&id| id < u32::MAX)?);
        self.0.push(value);
        Some(id)
    }
}
