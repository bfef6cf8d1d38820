//! The ONNX format, as far as it is a checkpoint: a model's *initializers*.
//!
//! # The wire format
//!
//! An ONNX file is one message of protocol buffers. A message is fields one after the other, in
//! any order. Each begins with a *tag*, which is `8 number + type`; what a number means, and the
//! name it goes by, is known only from the format's definition:
//!
//! ```text
//! type 0   tag | varint                         integers, truth values, enumerations
//! type 1   tag | 8 bytes                        one f64
//! type 2   tag | varint n | n bytes             text, bytes, a message, packed numbers
//! type 5   tag | 4 bytes                        one f32
//! ```
//!
//! A *varint* has 7 bits of a number in each byte, the lowest first, and in the eighth bit
//! whether more bytes follow: 300 is `ac 02`. A negative number takes ten bytes. Of a field that
//! is there once, the last counts; a list is continued by each further field of its number, and
//! numbers in a list may be packed, many in one field of type 2.
//!
//! # Where a tensor is
//!
//! The tensor `fc.bias` of two zeros, in a model that holds nothing else; numbers in `<>` are
//! those of the fields. `[brackets]` are in decimal, all else is in hexadecimal:
//!
//! ```text
//! 08 08                     ir_version <1>: 8
//! 3a [25]                   graph <7>, a message of 25 bytes
//!    2a [23]                initializer <5>, one message for each tensor
//!       08 02               dims <1>, a list of varints; none for a scalar
//!       10 01               data_type <2>: 1 is float
//!       42 [7]  f c . b i a s                 name <8>
//!       4a [8]  00 00 00 00 00 00 00 00       raw_data <9>: little-endian, row-major
//! ```
//!
//! The values are in one of these places:
//!
//! | field | values of | are used |
//! |---|---|---|
//! | `raw_data` <9> | every type | in place |
//! | `float_data` <4> | F32, C64 | in place, if they are packed in one field; else copied |
//! | `double_data` <10> | F64 | likewise |
//! | `int32_data` <5> | I32, and in its low bits I16, I8, U16, U8, BOOL, F16, BF16, F8, F4 | remade |
//! | `int64_data` <7>, `uint64_data` <11> | I64; U32, U64 | remade |
//! | another file, if `data_location` <14> is 1 | every type | in place in that file |
//!
//! The other file is named by texts in `external_data` <13>: `location`, a path from the model's
//! folder, `offset` and `length` in bytes.
//!
//! # What is not read
//!
//! The graph itself: which tensor is multiplied with which does not matter to a checkpoint. The
//! names of initializers are those of the program that wrote the model, mostly the names of the
//! parameters. But an exporter that optimises the graph makes batch norms part of the
//! convolutions: their tensors are missing then, and the kernels are others, perhaps under the
//! same names. PyTorch's leaves them as they are with `torch.onnx.export(..., optimize=False)`.
//!
//! Some tensors have no place in a checkpoint: those of text, of integers of 4 or 2 bits, of
//! complex numbers of 128 bits, sparse ones, those that a `Constant` node holds, those inside of
//! branches and loops. They are passed over, and [`Checkpoint::metadata`] says so under
//! `onnx.not_read`. Beside it are the model's own texts, and `onnx.producer` and `onnx.opset`.
//!
//! Refused, with an error, is what can mean two things or leads elsewhere: names that are missing
//! or there twice, values in two places or not as many as the shape says, values that their type
//! does not have, groups and unknown types of field, and external paths out of the model's folder.
//!
//! The time and the memory to open a file are bounded by its size; of a usual model, of which all
//! values are raw, they are those of a few bytes for each tensor and node.
//!
//! [`Checkpoint::metadata`]: super::Checkpoint::metadata

mod external;
mod tensor;
#[cfg(test)]
mod tests;
mod wire;

use super::contents::Contents;
use super::format::Format;
use super::mapping::Mapping;
use crate::{Error, Result};
use external::{Entry, External};
use std::collections::BTreeMap;
use std::sync::Arc;
use tensor::Found;
use wire::Message;

/// Reads the initializers of a model.
pub(super) fn read(mapping: &Arc<Mapping>) -> Result<Contents> {
    let mut model = Model::default();
    for field in Message::whole(mapping).fields() {
        let field = field?;
        match field.number {
            2 => model.producer[0] = field.text()?.to_owned(),
            3 => model.producer[1] = field.text()?.to_owned(),
            // A second one continues the first.
            7 => model.graph(mapping, &field.message()?)?,
            8 => model.opset(&field.message()?)?,
            14 => model.text(mapping, &field.message()?)?,
            20 => model.pass_over("information for training"),
            _ => {}
        }
    }
    if !model.has_graph {
        let problem = "there is no graph in it: is it an ONNX model, and complete?";
        return Err(Error::format(mapping.path(), problem));
    }
    Ok(model.contents())
}

/// What was found of a model so far.
#[derive(Default)]
struct Model {
    has_graph: bool,
    tensors: Vec<super::TensorView>,
    metadata: BTreeMap<String, String>,
    /// Name and version of the program that wrote it.
    producer: [String; 2],
    opsets: Vec<String>,
    /// How many of what were passed over.
    not_read: BTreeMap<String, usize>,
    files: External,
    initializers: usize,
}

impl Model {
    fn graph(&mut self, mapping: &Arc<Mapping>, graph: &Message) -> Result<()> {
        self.has_graph = true;
        for field in graph.fields() {
            let field = field?;
            match field.number {
                1 => self.node(&field.message()?)?,
                5 => {
                    self.initializers += 1;
                    let message = field.message()?;
                    match tensor::read(mapping, &message, self.initializers, &mut self.files)? {
                        Found::Tensor(tensor) => self.tensors.push(tensor),
                        Found::NotRead(name) => self.pass_over(&format!("tensors of {name}")),
                    }
                }
                15 => self.pass_over("sparse tensors"),
                _ => {}
            }
        }
        Ok(())
    }

    /// Looks whether a node holds tensors of its own.
    fn node(&mut self, node: &Message) -> Result<()> {
        let mut is_constant = false;
        for field in node.fields() {
            let field = field?;
            match field.number {
                4 => is_constant = field.text()? == "Constant",
                // An attribute, which may be a graph or several.
                5 => {
                    for part in field.message()?.fields() {
                        if matches!(part?.number, 6 | 11) {
                            self.pass_over("graphs in nodes");
                        }
                    }
                }
                _ => {}
            }
        }
        if is_constant {
            self.pass_over("constants in nodes");
        }
        Ok(())
    }

    fn opset(&mut self, opset: &Message) -> Result<()> {
        let (mut domain, mut version) = ("", 0);
        for field in opset.fields() {
            let field = field?;
            match field.number {
                1 => domain = field.text()?,
                2 => version = field.varint()?,
                _ => {}
            }
        }
        self.opsets.push(match domain {
            "" | "ai.onnx" => version.to_string(),
            domain => format!("{domain} {version}"),
        });
        Ok(())
    }

    fn text(&mut self, mapping: &Mapping, entry: &Message) -> Result<()> {
        let Entry { key, value } = Entry::of(entry)?;
        if self.metadata.insert(key.to_owned(), value.to_owned()).is_some() {
            let problem = "is there more than once among the model's texts";
            return Err(Error::format_of(mapping.path(), key, problem));
        }
        Ok(())
    }

    fn pass_over(&mut self, what: &str) {
        *self.not_read.entry(what.to_owned()).or_default() += 1;
    }

    fn contents(self) -> Contents {
        let Self { tensors, mut metadata, producer, opsets, not_read, .. } = self;
        let not_read: Vec<_> =
            not_read.into_iter().map(|(what, count)| format!("{what} ({count})")).collect();
        for (key, text) in [
            ("onnx.producer", producer.join(" ").trim().to_owned()),
            ("onnx.opset", opsets.join(", ")),
            ("onnx.not_read", not_read.join(", ")),
        ] {
            metadata.remove(key);
            if !text.is_empty() {
                metadata.insert(key.to_owned(), text);
            }
        }
        Contents { format: Format::Onnx, metadata, tensors, ..Contents::default() }
    }
}
