//! Python's pickles, read without running anything.
//!
//! # What a pickle is
//!
//! A pickle is not a description of data, as JSON is, but a program for a small
//! machine that rebuilds the data. The machine has a **stack** of values, a list
//! of **marks** (heights of the stack), and a **memo** (a table of values by
//! number). Each instruction is one byte, perhaps with an argument behind it:
//!
//! | instruction | what it does |
//! |---|---|
//! | `K` 07 (BININT1) | push the number 7 |
//! | `X` 01 00 00 00 `w` (BINUNICODE) | push the text `w`: four bytes of length, lower first, then UTF-8 |
//! | `}` (EMPTY_DICT), `]`, `)` | push an empty dict, list, tuple |
//! | `s` (SETITEM) | take a value and a key, and put them into the dict that is then on top |
//! | `(` (MARK) | remember how high the stack is |
//! | `t` (TUPLE) | take all above the last mark and push it as one tuple |
//! | `u` (SETITEMS) | take all above the last mark, as keys and values, into the dict below |
//! | `q` 03 (BINPUT), `h` 03 (BINGET) | note what is on top as number 3; push number 3 again |
//! | `c` module ⏎ name ⏎ (GLOBAL) | **import** the module and push what it calls by that name |
//! | `R` (REDUCE) | take a tuple and a function, **call** it with these arguments, push the result |
//! | `b` (BUILD) | take a state and **give** it to the object on top |
//! | `Q` (BINPERSID) | take a name, and push what the *reader* knows by it |
//! | `.` (STOP) | the value on top is the result |
//!
//! Of the 68 instructions of the protocols 0 to 5, most are variants of these:
//! the same in text (protocol 0), with longer or shorter lengths, or for several
//! items at once. `opcode.rs` lists all.
//!
//! # A state dict of one tensor
//!
//! `torch.save({"w": torch.tensor([1.0, 2.0])}, file)` writes this pickle. PUTs
//! are left out on the right, for nothing here is used twice; `...` is the call's
//! function, which lies below.
//!
//! ```text
//! bytes                                   instruction             stack (top at the right)
//! 80 02                                   PROTO 2
//! 7d 71 00                                EMPTY_DICT              {}
//! 58 01 00 00 00 77 71 01                 BINUNICODE              {} 'w'
//! 63 'torch._utils' 0a                    GLOBAL
//!    '_rebuild_tensor_v2' 0a 71 02                                {} 'w' _rebuild_tensor_v2
//! 28                                      MARK                    {} 'w' ... |
//! 28                                      MARK                    {} 'w' ... | |
//! 58 07 00 00 00 'storage' 71 03          BINUNICODE              {} 'w' ... | | 'storage'
//! 63 'torch' 0a 'FloatStorage' 0a 71 04   GLOBAL                  {} 'w' ... | | 'storage' FloatStorage
//! 58 01 00 00 00 '0' 71 05                BINUNICODE              {} 'w' ... | | 'storage' FloatStorage '0'
//! 58 03 00 00 00 'cpu' 71 06              BINUNICODE              ...
//! 4b 02                                   BININT1
//! 74 71 07                                TUPLE                   {} 'w' ... | ('storage', FloatStorage, '0', 'cpu', 2)
//! 51                                      BINPERSID               {} 'w' ... | <storage 0>
//! 4b 00                                   BININT1                 {} 'w' ... | <storage 0> 0
//! 4b 02 85 71 08                          BININT1 TUPLE1          {} 'w' ... | <storage 0> 0 (2,)
//! 4b 01 85 71 09                          BININT1 TUPLE1          {} 'w' ... | <storage 0> 0 (2,) (1,)
//! 89                                      NEWFALSE                {} 'w' ... | <storage 0> 0 (2,) (1,) False
//! 63 'collections' 0a 'OrderedDict' 0a    GLOBAL                  ...
//!    71 0a
//! 29 52 71 0b                             EMPTY_TUPLE REDUCE      {} 'w' ... | <storage 0> 0 (2,) (1,) False OrderedDict()
//! 74 71 0c                                TUPLE                   {} 'w' _rebuild_tensor_v2 (<storage 0>, ..., OrderedDict())
//! 52 71 0d                                REDUCE                  {} 'w' <tensor>
//! 73                                      SETITEM                 {'w': <tensor>}
//! 2e                                      STOP
//! ```
//!
//! So a tensor is a call: `_rebuild_tensor_v2(storage, offset, shape, strides,
//! requires_grad, hooks)`. Its values are not in the pickle; the persistent
//! storage `0` is in the file beside it (see [`super::pytorch`]).
//!
//! # Why nothing runs here
//!
//! GLOBAL and REDUCE together call any function that is installed:
//! `cos⏎system⏎(S'rm -rf ~'⏎tR.` is a valid pickle. A reader that imports and
//! calls is as safe as the file is trusted.
//!
//! This machine has no functions to call. GLOBAL makes a `Value::Global`, which
//! is two texts; REDUCE, NEWOBJ, NEWOBJ_EX, OBJ and INST make a `Call`, which
//! is the numbers of the function's and the arguments' values; BUILD and what is
//! appended to a call's result are noted in it. Whoever reads the values knows a
//! short list of functions and what their calls *mean* -- that the one above is a
//! view of a storage -- and does that itself. All other calls stay what they
//! are, a note of what the file wanted, which can be shown.
//!
//! # What it costs
//!
//! Values are in one array and refer to each other by `Id`. An instruction adds
//! at most three values and moves each of them once, so time and memory are
//! proportional to the bytes read, whatever they say: a length is compared with
//! what is left before it is believed, the memo is an array only as far as its
//! entries are numbered without a gap, long texts and bytes stay in the input. A
//! value that is used a thousand times is there once, so that "a list of ten of a list of ten of
//! ..." is small here, and must stay so with whoever walks it. Nothing is
//! recursive, neither reading nor dropping: a million nested lists are a million
//! entries of an array.
//!
//! # What is refused
//!
//! With the place in the file and the instruction's name: what is no instruction
//! or is cut off; a value taken from an empty stack or from below a mark; a memo
//! entry that was never made; an item put into what is no container, a call of
//! what is no function; text that is not UTF-8; protocols after 5; EXT1, EXT2 and
//! EXT4, whose classes are numbers in a registry of the writer's; NEXT_BUFFER and
//! READONLY_BUFFER, whose bytes are not in the file.

mod argument;
mod machine;
mod memo;
pub(super) mod opcode;
#[cfg(test)]
mod tests;
mod value;

pub(super) use value::{Call, Chunk, Id, Pickle, Value};
