//! The machine that follows a pickle's instructions and does nothing.

use super::argument::{self, Argument, Whole, decimal, shown, unsigned};
use super::memo::Memo;
use super::opcode::Opcode;
use super::value::{Call, Chunk, Id, Pickle, Value, Values};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// The newest protocol there is.
const NEWEST: u8 = 5;

/// Why a pickle cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Of the instruction, in bytes from the beginning of the input.
    pub offset: usize,
    /// Its name, if it has one.
    pub opcode: Option<&'static str>,
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {} of the pickle", self.offset)?;
        if let Some(opcode) = self.opcode {
            write!(f, ", {opcode}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl<'a> Pickle<'a> {
    /// Reads the pickle that begins at `start` of the input and ends where it
    /// says; what follows it is not looked at.
    pub fn read(input: &'a [u8], start: usize) -> Result<Self, Problem> {
        let mut machine = Machine::new(input);
        let (mut at, mut offset, mut opcode) = (start, start, None);
        let mut run = || {
            loop {
                (offset, opcode) = (at, None);
                let byte = *input.get(at).ok_or("the pickle ends without STOP: is it cut off?")?;
                let known = Opcode::of(byte).ok_or_else(|| format!("{byte:#04x} is no opcode"))?;
                opcode = Some(known.name());
                let (argument, end) = argument::take(input, at + 1, known.form())?;
                at = end;
                if known == Opcode::Stop {
                    return machine.pop();
                }
                machine.step(known, argument, at)?;
            }
        };
        match run() {
            Ok(root) => Ok(Self { input, values: machine.values.0, root, start, end: at }),
            Err(problem) => Err(Problem { offset, opcode, problem }),
        }
    }
}

/// The state between two instructions.
struct Machine<'a> {
    input: &'a [u8],
    values: Values<'a>,
    stack: Vec<Id>,
    /// Heights of the stack: what lies above the last belongs to a tuple, list
    /// or dict that is being collected.
    marks: Vec<usize>,
    memo: Memo,
    /// Values of which one is enough, since nothing changes them.
    none: Id,
    truth: [Id; 2],
    empty: Id,
}

impl<'a> Machine<'a> {
    fn new(input: &'a [u8]) -> Self {
        let mut values = Values::default();
        let mut push = |value| values.push(value).expect("the first values have numbers");
        let none = push(Value::None);
        let truth = [push(Value::Bool(false)), push(Value::Bool(true))];
        let empty = push(Value::Tuple(Vec::new()));
        let (stack, marks, memo) = (Vec::new(), Vec::new(), Memo::default());
        Self { input, values, stack, marks, memo, none, truth, empty }
    }

    /// Follows one instruction; `end` is where the next begins.
    fn step(
        &mut self,
        opcode: Opcode,
        (first, second): Argument,
        end: usize,
    ) -> Result<(), String> {
        let input = self.input;
        let bytes = &input[first.clone()];
        match opcode {
            Opcode::Proto if bytes[0] > NEWEST => {
                return Err(format!("protocol {} is not known: the newest is {NEWEST}", bytes[0]));
            }
            Opcode::Proto | Opcode::Stop => {}
            Opcode::Frame => {
                let (length, left) = (unsigned(bytes), input.len() - end);
                if length > left as u64 {
                    return Err(format!("a frame of {length} bytes, but {left} are left"));
                }
            }

            Opcode::None => self.stack.push(self.none),
            Opcode::NewFalse => self.stack.push(self.truth[0]),
            Opcode::NewTrue => self.stack.push(self.truth[1]),
            Opcode::BinInt1 | Opcode::BinInt2 => self.push(Value::Int(unsigned(bytes) as i64))?,
            Opcode::BinInt => self.push(Value::Int((unsigned(bytes) as u32 as i32).into()))?,
            Opcode::Long1 | Opcode::Long4 => {
                let whole = argument::binary(bytes);
                self.push_whole(whole, Value::Long(first))?;
            }
            Opcode::Int | Opcode::Long => self.push_whole(decimal(bytes)?, Value::Digits(first))?,
            Opcode::BinFloat => {
                self.push(Value::Float(f64::from_bits(unsigned(bytes).swap_bytes())))?;
            }
            Opcode::Float => self.push(Value::Float(argument::float(bytes)?))?,

            Opcode::BinUnicode | Opcode::ShortBinUnicode | Opcode::BinUnicode8 => {
                let text = self.text(first)?;
                self.push(text)?;
            }
            Opcode::Unicode => self.push(Value::Text(argument::unescaped(bytes)?))?,
            Opcode::BinString | Opcode::ShortBinString => {
                self.push(Value::String(Chunk::At(first)))?;
            }
            Opcode::String => self.push(Value::String(argument::quoted(input, first)?))?,
            Opcode::BinBytes | Opcode::ShortBinBytes | Opcode::BinBytes8 | Opcode::ByteArray8 => {
                self.push(Value::Bytes(Chunk::At(first)))?
            }

            Opcode::Mark => self.marks.push(self.stack.len()),
            Opcode::Pop => match self.marks.last() {
                Some(&mark) if mark == self.stack.len() => drop(self.marks.pop()),
                _ => drop(self.pop()?),
            },
            Opcode::PopMark => drop(self.above_mark()?),
            Opcode::Dup => self.stack.push(self.top()?),
            Opcode::BinGet | Opcode::LongBinGet => self.recall(unsigned(bytes))?,
            Opcode::Get => self.recall(argument::index(bytes)?)?,
            Opcode::BinPut | Opcode::LongBinPut => self.memorize(unsigned(bytes))?,
            Opcode::Put => self.memorize(argument::index(bytes)?)?,
            Opcode::Memoize => self.memorize(self.memo.len())?,

            Opcode::EmptyTuple => self.stack.push(self.empty),
            Opcode::Tuple1 => self.push_tuple(1)?,
            Opcode::Tuple2 => self.push_tuple(2)?,
            Opcode::Tuple3 => self.push_tuple(3)?,
            Opcode::Tuple => {
                let items = self.above_mark()?;
                self.push(Value::Tuple(items))?;
            }
            Opcode::EmptyList => self.push(Value::List(Vec::new()))?,
            Opcode::List => {
                let items = self.above_mark()?;
                self.push(Value::List(items))?;
            }
            Opcode::EmptySet => self.push(Value::Set(Vec::new()))?,
            Opcode::FrozenSet => {
                let items = self.above_mark()?;
                self.push(Value::Set(items))?;
            }
            Opcode::EmptyDict => self.push(Value::Dict(Vec::new()))?,
            Opcode::Dict => {
                let items = self.above_mark()?;
                self.push(Value::Dict(pairs(&items)?))?;
            }
            Opcode::Append => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            Opcode::Appends => {
                let items = self.above_mark()?;
                self.append(&items)?;
            }
            Opcode::AddItems => {
                let items = self.above_mark()?;
                match self.top_value()? {
                    Value::Set(set) => set.extend(items),
                    Value::Call(call) => call.items.extend(items),
                    other => return Err(unexpected("a set", other)),
                }
            }
            Opcode::SetItem => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(&[key, value])?;
            }
            Opcode::SetItems => {
                let items = self.above_mark()?;
                self.insert(&items)?;
            }

            Opcode::Global => {
                let (module, name) = (self.text(first)?, self.text(second)?);
                self.push_global(module, name)?;
            }
            Opcode::StackGlobal => {
                let (name, module) = (self.pop()?, self.pop()?);
                for part in [module, name] {
                    if !matches!(self.value(part), Value::Text(_)) {
                        return Err(unexpected("a text that names it", self.value(part)));
                    }
                }
                self.push(Value::Global { module, name })?;
            }
            Opcode::Reduce | Opcode::NewObj => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                self.push_call(callable, arguments, None)?;
            }
            Opcode::NewObjEx => {
                let (keywords, arguments) = (self.pop()?, self.pop()?);
                let callable = self.pop()?;
                if !matches!(self.value(keywords), Value::Dict(_)) {
                    return Err(unexpected("a dict of named arguments", self.value(keywords)));
                }
                self.push_call(callable, arguments, Some(keywords))?;
            }
            Opcode::Obj => {
                let mut items = self.above_mark()?;
                if items.is_empty() {
                    return Err("expected a class above the mark, found nothing".to_owned());
                }
                let callable = items.remove(0);
                let arguments = self.add(Value::Tuple(items))?;
                self.push_call(callable, arguments, None)?;
            }
            Opcode::Inst => {
                let items = self.above_mark()?;
                let (module, name) = (self.text(first)?, self.text(second)?);
                self.push_global(module, name)?;
                let (callable, arguments) = (self.pop()?, self.add(Value::Tuple(items))?);
                self.push_call(callable, arguments, None)?;
            }
            Opcode::Build => {
                let state = self.pop()?;
                match self.top_value()? {
                    Value::Call(call) if call.state.is_some() => {
                        return Err("the object was given its state already".to_owned());
                    }
                    Value::Call(call) => call.state = Some(state),
                    other => return Err(unexpected("the result of a call", other)),
                }
            }
            Opcode::PersId => {
                let name = self.text(first)?;
                let name = self.add(name)?;
                self.push(Value::Persistent(name))?;
            }
            Opcode::BinPersId => {
                let name = self.pop()?;
                self.push(Value::Persistent(name))?;
            }

            Opcode::Ext1 | Opcode::Ext2 | Opcode::Ext4 => {
                return Err("the number of a class in a registry that only the program which \
                            wrote the file has"
                    .to_owned());
            }
            Opcode::NextBuffer | Opcode::ReadonlyBuffer => {
                return Err("the bytes lie outside of the file; write it without buffer_callback"
                    .to_owned());
            }
        }
        Ok(())
    }

    fn value(&self, id: Id) -> &Value<'a> {
        &self.values.0[id.index()]
    }

    fn add(&mut self, value: Value<'a>) -> Result<Id, String> {
        self.values.push(value).ok_or_else(|| "more values than can be numbered".to_owned())
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), String> {
        let id = self.add(value)?;
        self.stack.push(id);
        Ok(())
    }

    fn push_whole(&mut self, whole: Whole, large: Value<'a>) -> Result<(), String> {
        match whole {
            Whole::Small(value) => self.push(Value::Int(value)),
            Whole::Large => self.push(large),
            Whole::Bool(value) => {
                self.stack.push(self.truth[usize::from(value)]);
                Ok(())
            }
        }
    }

    fn push_tuple(&mut self, length: usize) -> Result<(), String> {
        self.require(length)?;
        let items = self.above(self.stack.len() - length);
        self.push(Value::Tuple(items))
    }

    fn push_global(&mut self, module: Value<'a>, name: Value<'a>) -> Result<(), String> {
        let (module, name) = (self.add(module)?, self.add(name)?);
        self.push(Value::Global { module, name })
    }

    /// Notes the call.
    fn push_call(
        &mut self,
        callable: Id,
        arguments: Id,
        keywords: Option<Id>,
    ) -> Result<(), String> {
        let found = self.value(callable);
        // Of a class with its source code beside it, PyTorch makes a persistent object.
        if !matches!(found, Value::Global { .. } | Value::Call(_) | Value::Persistent(_)) {
            return Err(unexpected("something to call", found));
        }
        if !matches!(self.value(arguments), Value::Tuple(_)) {
            return Err(unexpected("a tuple of arguments", self.value(arguments)));
        }
        let (items, entries, state) = (Vec::new(), Vec::new(), None);
        self.push(Value::Call(Box::new(Call {
            callable,
            arguments,
            keywords,
            items,
            entries,
            state,
        })))
    }

    /// A text in the input, which must be UTF-8.
    fn text(&self, range: Range<usize>) -> Result<Value<'a>, String> {
        let bytes = &self.input[range.clone()];
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::Text(Cow::Borrowed(text))),
            Err(error) => Err(format!("the text {} is not UTF-8: {error}", shown(bytes))),
        }
    }

    /// Makes sure that so many values lie above the last mark.
    fn require(&self, count: usize) -> Result<(), String> {
        let found = self.stack.len() - self.marks.last().unwrap_or(&0);
        if found < count {
            let since = if self.marks.is_empty() { "" } else { " above the mark" };
            return Err(format!("needs {count} values on the stack, but {found} are there{since}"));
        }
        Ok(())
    }

    fn top(&self) -> Result<Id, String> {
        self.require(1)?;
        Ok(self.stack[self.stack.len() - 1])
    }

    fn top_value(&mut self) -> Result<&mut Value<'a>, String> {
        let top = self.top()?;
        Ok(&mut self.values.0[top.index()])
    }

    fn pop(&mut self) -> Result<Id, String> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// Takes what lies above the last mark, and the mark.
    fn above_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("needs a MARK, but there is none")?;
        Ok(self.above(mark))
    }

    /// Takes what lies above this height, in an array of just its size: one that
    /// were split off could keep the room that the stack ever had.
    fn above(&mut self, height: usize) -> Vec<Id> {
        self.stack.drain(height..).collect()
    }

    fn recall(&mut self, index: u64) -> Result<(), String> {
        let id = self.memo.get(index).ok_or_else(|| format!("the memo has no entry {index}"))?;
        self.stack.push(id);
        Ok(())
    }

    fn memorize(&mut self, index: u64) -> Result<(), String> {
        self.memo.insert(index, self.top()?);
        Ok(())
    }

    fn append(&mut self, items: &[Id]) -> Result<(), String> {
        match self.top_value()? {
            Value::List(list) => list.extend(items),
            Value::Call(call) => call.items.extend(items),
            other => return Err(unexpected("a list", other)),
        }
        Ok(())
    }

    fn insert(&mut self, items: &[Id]) -> Result<(), String> {
        let pairs = pairs(items)?;
        match self.top_value()? {
            Value::Dict(dict) => dict.extend(pairs),
            Value::Call(call) => call.entries.extend(pairs),
            other => return Err(unexpected("a dict", other)),
        }
        Ok(())
    }
}

/// Keys and values that lay on the stack one after the other.
fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, String> {
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(format!("{} keys and values: the last key has no value", items.len()));
    }
    Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
}

fn unexpected(expected: &str, found: &Value<'_>) -> String {
    format!("expected {expected}, found {}", found.kind())
}
