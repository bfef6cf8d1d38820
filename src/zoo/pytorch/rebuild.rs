//! What the values of a pickle mean: which call is which tensor, what is a dict.

use super::super::bytes::Bytes;
use super::super::dtype::Dtype;
use super::super::pickle::{Call, Chunk, Id, Pickle, Value};
use super::known::{Known, known};
use super::storage::{Element, Persistent, Persistents, StridedView, size};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};

/// What a value is to whoever looks for tensors.
#[derive(Debug)]
pub(super) enum Meaning {
    Tensor(StridedView),
    /// Values by name.
    Entries(Vec<(Key, Id)>),
    /// A number or a text, or several that belong together.
    Text(String),
    /// Something with numbers in it that is not read; what it is.
    Unread(String),
    Nothing,
}

/// The last part of a value's name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key {
    Of(Id),
    Index(usize),
}

/// Calls whose first argument is what they are, within each other; writers need two.
const LONGEST_CHAIN: usize = 8;

/// Dimensions of a tensor; PyTorch and NumPy have no more.
pub(super) const MOST_DIMENSIONS: usize = 64;

/// Characters of a text beside the tensors.
const LONGEST_TEXT: usize = 1000;

/// A text that is not too long to be shown.
pub(super) fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The values of a pickle and all that they may refer to.
pub(super) struct Objects<'p> {
    pub pickle: &'p Pickle<'p>,
    /// The bytes that the pickle's chunks are ranges of.
    input: Bytes,
    persistents: Persistents,
    /// Bytes that had to be decoded, by the value that they are.
    decoded: HashMap<Id, Bytes>,
    /// Values looked at since it was last asked.
    looked_at: Cell<usize>,
}

impl<'p> Objects<'p> {
    pub fn new(pickle: &'p Pickle<'p>, input: Bytes, persistents: Persistents) -> Self {
        Self { pickle, input, persistents, decoded: HashMap::new(), looked_at: Cell::new(0) }
    }

    /// How many values were looked at to find the meaning of the last.
    pub fn looked_at(&self) -> usize {
        self.looked_at.take()
    }

    fn look_at(&self, values: usize) {
        self.looked_at.set(self.looked_at.get().saturating_add(values));
    }

    /// The meaning of a value.
    pub fn meaning(&mut self, id: Id) -> Result<Meaning, String> {
        let (pickle, mut id) = (self.pickle, id);
        for _ in 0..LONGEST_CHAIN {
            let call = match pickle.value(id) {
                Value::Call(call) => call,
                Value::Persistent(_) => match self.persistents.get(&id) {
                    Some(Persistent::Same(same)) => {
                        id = *same;
                        continue;
                    }
                    Some(Persistent::Tensor(part)) => return Ok(Meaning::Tensor(part.clone())),
                    Some(Persistent::Storage(_)) => {
                        return Ok(Meaning::Unread("a storage without a tensor".to_owned()));
                    }
                    None => return Err(format!("{} is unknown", pickle.describe(id))),
                },
                _ => return Ok(self.plain(id)),
            };
            let mut arguments = pickle.items(call.arguments).unwrap_or_default();
            let mut means = self.known(call.callable);
            if means == Some(Known::Subclass) {
                let [function, _class, inner, ..] = *arguments else {
                    return Err(self.unexpected(id, "function, class and arguments"));
                };
                means = self.known(function);
                arguments = pickle.items(inner).unwrap_or_default();
            }
            match means {
                Some(Known::First) => match arguments.first() {
                    Some(first) => id = *first,
                    None => return Err(self.unexpected(id, "an argument")),
                },
                Some(Known::Tensor { flags }) => {
                    return self.tensor(id, arguments, flags, None).map(Meaning::Tensor);
                }
                Some(Known::TypedTensor) => {
                    let dtype = arguments.get(6).and_then(|&dtype| self.dtype(dtype));
                    let dtype = dtype.ok_or_else(|| self.unexpected(id, "a type at its end"))?;
                    return self.tensor(id, arguments, 7, Some(dtype)).map(Meaning::Tensor);
                }
                Some(Known::Unread(what)) => return Ok(Meaning::Unread(what.to_owned())),
                Some(Known::Array) => return self.array(call),
                Some(Known::ArrayOfBytes) => return self.array_of_bytes(arguments),
                Some(Known::ArrayScalar) => return self.array_scalar(arguments),
                Some(Known::Mapping) => return self.mapping(call, arguments),
                Some(Known::Sequence) => {
                    let first = arguments.first().map(|&first| self.elements(first));
                    let items = [first.unwrap_or_default(), &call.items].concat();
                    return Ok(self.sequence(id, &items));
                }
                Some(Known::Namespace) => {
                    let state = call.state.map(|state| self.entries_of(state));
                    return Ok(Meaning::Entries(state.unwrap_or_default()));
                }
                Some(Known::Encode) => return Ok(Meaning::Nothing),
                Some(Known::Harmless) if call.state.is_none() => {
                    return Ok(Meaning::Text(pickle.describe(id)));
                }
                Some(Known::Harmless | Known::Subclass) | None => return Ok(self.object(id, call)),
            }
        }
        Err(format!("is wrapped in more than {LONGEST_CHAIN} calls"))
    }

    /// What a known function does.
    fn known(&self, callable: Id) -> Option<Known> {
        self.pickle.global(callable).and_then(|(module, name)| known(module, name))
    }

    fn unexpected(&self, id: Id, expected: &str) -> String {
        format!("expected {expected}, found {}", self.pickle.describe(id))
    }

    /// A type of numbers such as `torch.float32`.
    fn dtype(&self, id: Id) -> Option<Element> {
        self.pickle.global(id).and_then(|(module, name)| Element::named(module, name))
    }

    /// A value that is no call.
    fn plain(&self, id: Id) -> Meaning {
        match self.pickle.value(id) {
            Value::Dict(_) => Meaning::Entries(self.entries_of(id)),
            Value::List(items) | Value::Tuple(items) | Value::Set(items) => {
                self.sequence(id, items)
            }
            Value::Text(_) | Value::String(_) => match self.pickle.text(id) {
                Some(text) => Meaning::Text(short(text)),
                None => Meaning::Nothing,
            },
            // That it is there is told by the list of what is foreign.
            Value::Global { .. } if self.known(id).is_none() => Meaning::Nothing,
            Value::Bytes(_) => Meaning::Nothing,
            _ => Meaning::Text(self.pickle.describe(id)),
        }
    }

    /// The items of a list, tuple or set.
    fn elements(&self, id: Id) -> &'p [Id] {
        match self.pickle.value(id) {
            Value::List(items) | Value::Tuple(items) | Value::Set(items) => {
                self.look_at(items.len());
                items
            }
            _ => &[],
        }
    }

    /// Items that are numbers and texts are told as one.
    fn sequence(&self, id: Id, items: &[Id]) -> Meaning {
        let is_plain = |id: &Id| {
            !matches!(
                self.pickle.value(*id),
                Value::List(_)
                    | Value::Tuple(_)
                    | Value::Set(_)
                    | Value::Dict(_)
                    | Value::Call(_)
                    | Value::Persistent(_)
            )
        };
        self.look_at(items.len());
        if items.iter().all(is_plain) {
            return Meaning::Text(self.pickle.describe(id));
        }
        Meaning::Entries(items.iter().enumerate().map(|(i, &item)| (Key::Index(i), item)).collect())
    }

    fn entries_of(&self, id: Id) -> Vec<(Key, Id)> {
        let Value::Dict(entries) = self.pickle.value(id) else { return Vec::new() };
        self.look_at(entries.len());
        entries.iter().map(|&(key, value)| (Key::Of(key), value)).collect()
    }

    /// A dict that a call makes: of a dict or of pairs, and of what was put in afterwards.
    fn mapping(&self, call: &'p Call, arguments: &[Id]) -> Result<Meaning, String> {
        let mut entries = Vec::new();
        for &argument in arguments {
            entries.extend(self.entries_of(argument));
            for &pair in self.elements(argument) {
                let [key, value] = *self.elements(pair) else {
                    return Err(self.unexpected(pair, "a key and a value"));
                };
                entries.push((Key::Of(key), value));
            }
        }
        self.look_at(call.entries.len());
        entries.extend(call.entries.iter().map(|&(key, value)| (Key::Of(key), value)));
        Ok(Meaning::Entries(entries))
    }

    /// An object of a class that is not known: a module is what its attributes say, and a dict
    /// or list of whatever class is one.
    fn object(&self, id: Id, call: &'p Call) -> Meaning {
        if let Some(Value::Dict(state)) = call.state.map(|state| self.pickle.value(state)) {
            self.look_at(state.len());
            if let Some(entries) = self.module(state) {
                return Meaning::Entries(entries);
            }
            let class = self.pickle.global(call.callable);
            if class.is_some_and(|(module, _)| module.starts_with("__torch__")) {
                return Meaning::Entries(self.scripted(state));
            }
        }
        if !call.entries.is_empty() {
            let entries = call.entries.iter().map(|&(key, value)| (Key::Of(key), value));
            return Meaning::Entries(entries.collect());
        }
        if call.items.is_empty() { Meaning::Nothing } else { self.sequence(id, &call.items) }
    }

    /// What `state_dict()` of a module with these attributes has: its parameters, then its
    /// buffers, then those of its modules.
    fn module(&self, state: &[(Id, Id)]) -> Option<Vec<(Key, Id)>> {
        let attribute = |name: &str| {
            let found = state.iter().find(|(key, _)| self.pickle.text(*key) == Some(name));
            found.map(|(_, value)| *value)
        };
        let groups = [attribute("_parameters")?, attribute("_buffers")?, attribute("_modules")?];
        let hidden: HashSet<&str> = attribute("_non_persistent_buffers_set")
            .map(|set| self.set(set))
            .unwrap_or_default()
            .iter()
            .filter_map(|&name| self.pickle.text(name))
            .collect();
        let mut entries = Vec::new();
        for (group, place) in groups.into_iter().enumerate() {
            let members = match self.pickle.value(place) {
                Value::Call(call) if self.known(call.callable) == Some(Known::Mapping) => {
                    let arguments = self.pickle.items(call.arguments).unwrap_or_default();
                    match self.mapping(call, arguments) {
                        Ok(Meaning::Entries(entries)) => entries,
                        _ => Vec::new(),
                    }
                }
                _ => self.entries_of(place),
            };
            entries.extend(members.into_iter().filter(|&(key, value)| {
                let name = if let Key::Of(key) = key { self.pickle.text(key) } else { None };
                let is_hidden = group == 1 && name.is_some_and(|name| hidden.contains(name));
                !is_hidden && !self.pickle.is_none(value)
            }));
        }
        Some(entries)
    }

    /// The items of a set, also of one that a call makes.
    fn set(&self, id: Id) -> &'p [Id] {
        match self.pickle.value(id) {
            Value::Call(call) if self.known(call.callable) == Some(Known::Sequence) => {
                let arguments = self.pickle.items(call.arguments).unwrap_or_default();
                arguments.first().map(|&first| self.elements(first)).unwrap_or_default()
            }
            _ => self.elements(id),
        }
    }

    /// The attributes of a TorchScript module that may be tensors or modules. Which of the
    /// tensors are parameters only its code says.
    fn scripted(&self, state: &[(Id, Id)]) -> Vec<(Key, Id)> {
        let of_interest =
            |id| matches!(self.pickle.value(id), Value::Call(_) | Value::Persistent(_));
        state
            .iter()
            .filter(|(_, value)| of_interest(*value))
            .map(|&(key, value)| (Key::Of(key), value))
            .collect()
    }

    /// The tensor of `_rebuild_tensor(storage, offset, shape, strides, ...)`.
    fn tensor(
        &self,
        id: Id,
        arguments: &[Id],
        flags: usize,
        element: Option<Element>,
    ) -> Result<StridedView, String> {
        let [storage, offset, shape, strides, ..] = *arguments else {
            return Err(self.unexpected(id, "storage, offset, shape and strides"));
        };
        if let Some(&flags) = arguments.get(flags) {
            self.check_flags(flags)?;
        }
        let mut storage = match self.persistents.get(&storage) {
            Some(Persistent::Storage(storage)) => storage.clone(),
            _ => return Err(self.unexpected(storage, "a storage of the file")),
        };
        storage.element = match element.unwrap_or(storage.element) {
            Element::Untyped => Element::Of(Dtype::U8),
            element => element,
        };
        let offset = size(self.pickle, offset)
            .ok_or_else(|| self.unexpected(offset, "an offset that is not negative"))?;
        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
        Ok(StridedView { storage, offset, shape, strides })
    }

    /// Flags say that the values in the file are not yet those of the tensor. PyTorch takes a
    /// flag that is there for set, whatever its value.
    fn check_flags(&self, flags: Id) -> Result<(), String> {
        match self.entries_of(flags).into_iter().find_map(|(key, _)| match key {
            Key::Of(key) => Some(key),
            Key::Index(_) => None,
        }) {
            None => Ok(()),
            Some(key) => Err(format!(
                "has the flag {}: its values are to be changed when they are read; save it after \
                 .resolve_conj().resolve_neg().clone()",
                self.pickle.describe(key)
            )),
        }
    }

    /// A shape, or strides.
    pub(super) fn sizes(&self, id: Id) -> Result<Vec<usize>, String> {
        let items = match self.pickle.value(id) {
            Value::List(items) | Value::Tuple(items) => items,
            Value::Call(_) => self.set(id),
            _ => return Err(self.unexpected(id, "sizes")),
        };
        if items.len() > MOST_DIMENSIONS {
            let found = items.len();
            return Err(format!("{found} dimensions are more than the {MOST_DIMENSIONS} allowed"));
        }
        items
            .iter()
            .map(|&item| size(self.pickle, item))
            .collect::<Option<_>>()
            .ok_or_else(|| self.unexpected(id, "sizes that are not negative"))
    }

    /// The bytes that a value is: those of the file, or decoded from them, once for each value.
    pub(super) fn bytes(&mut self, id: Id) -> Result<Option<Bytes>, String> {
        if let Some(bytes) = self.decoded.get(&id) {
            return Ok(Some(bytes.clone()));
        }
        let pickle = self.pickle;
        let decoded = match pickle.value(id) {
            Value::Bytes(Chunk::At(range)) | Value::String(Chunk::At(range)) => {
                return Ok(self.input.slice(range.clone()));
            }
            Value::Bytes(Chunk::Owned(bytes)) | Value::String(Chunk::Owned(bytes)) => {
                bytes.to_vec()
            }
            Value::Call(call) => match (self.known(call.callable), pickle.items(call.arguments)) {
                (Some(Known::Encode), Some(&[text, ref encoding @ ..])) => {
                    let encoding = encoding.first().and_then(|&encoding| pickle.text(encoding));
                    let text = pickle.text(text);
                    let (Some(text), Some("latin1" | "latin-1")) = (text, encoding) else {
                        return Err(self.unexpected(id, "a text and latin1"));
                    };
                    let bytes = text.chars().map(|c| u8::try_from(c).ok()).collect::<Option<_>>();
                    bytes.ok_or("the text has characters that are no bytes")?
                }
                // What Python 3 writes for no bytes at all.
                (Some(Known::Harmless), Some([])) => Vec::new(),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let bytes = self.input.made_beside(decoded);
        self.decoded.insert(id, bytes.clone());
        Ok(Some(bytes))
    }
}
