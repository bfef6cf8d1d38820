//! The functions and classes whose calls mean something here. Everything else that a pickle
//! names is foreign.

use super::super::contents::Foreign;
use super::super::pickle::{Id, Pickle, Value};
use super::storage::Element;
use std::collections::HashMap;

/// What a call of a known function means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// A tensor: storage, offset, shape, strides; then, at this place, the flags.
    Tensor { flags: usize },
    /// The same with a type of its own, over an untyped storage.
    TypedTensor,
    /// What its first argument is: a parameter is a tensor.
    First,
    /// A function, a class, the function's arguments, attributes.
    Subclass,
    /// A tensor that is not read, and what it is called.
    Unread(&'static str),
    /// A dict, of the items that its first argument has, and those that are put into it.
    Mapping,
    /// A list, tuple or set, likewise.
    Sequence,
    /// An object that is a dict of its attributes.
    Namespace,
    /// An array, with all it has in the state.
    Array,
    /// An array: bytes, type, shape, order.
    ArrayOfBytes,
    /// A number: type, bytes.
    ArrayScalar,
    /// Bytes: a text and how each of its characters becomes one.
    Encode,
    /// Nothing that matters: a device, a type.
    Harmless,
}

/// What the function or class of this name does, if it is known.
///
/// It is a list of names, one by one, and no rule: a module's namespace also has what the
/// module imports.
pub(super) fn known(module: &str, name: &str) -> Option<Known> {
    use Known::*;
    Some(match (module, name) {
        // No Python at all: the classes of a TorchScript archive are defined in it.
        (module, _) if module == "__torch__" || module.starts_with("__torch__.") => Harmless,

        ("torch._utils", "_rebuild_tensor") => Tensor { flags: usize::MAX },
        ("torch._utils", "_rebuild_tensor_v2") => Tensor { flags: 6 },
        ("torch._utils", "_rebuild_tensor_v3") => TypedTensor,
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => First,
        ("torch._utils", "_rebuild_device_tensor_from_numpy") => First,
        ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor") => First,
        ("torch.nn.parameter", "Parameter" | "Buffer") => First,
        ("torch.autograd.variable" | "torch.autograd", "Variable") => First,
        ("torch._tensor" | "torch.tensor", "_rebuild_from_type_v2") => Subclass,
        ("torch._utils", "_rebuild_sparse_tensor") => Unread("a sparse tensor"),
        ("torch._utils", "_rebuild_sparse_csr_tensor") => Unread("a sparse tensor"),
        ("torch._utils", "_rebuild_nested_tensor") => Unread("a nested tensor"),
        ("torch._utils", "_rebuild_qtensor") => Unread("a quantised tensor"),
        ("torch._utils", "_rebuild_meta_tensor_no_storage") => Unread("a tensor without values"),
        ("torch._utils", "_rebuild_wrapper_subclass") => Unread("a wrapper around tensors"),

        ("collections", "OrderedDict" | "defaultdict" | "Counter") => Mapping,
        ("builtins" | "__builtin__", "dict") => Mapping,
        ("collections", "deque") => Sequence,
        ("builtins" | "__builtin__", "list" | "tuple" | "set" | "frozenset") => Sequence,
        ("torch", "Size") => Sequence,
        ("argparse", "Namespace") => Namespace,

        ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Array,
        ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => ArrayOfBytes,
        ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => ArrayScalar,
        ("_codecs", "encode") => Encode,
        ("builtins" | "__builtin__", "bytearray" | "bytes" | "complex" | "slice" | "range") => {
            Harmless
        }
        ("builtins" | "__builtin__", "int" | "float" | "bool" | "str" | "object" | "long") => {
            Harmless
        }
        ("numpy", "ndarray" | "dtype") => Harmless,
        ("numpy.core.memmap" | "numpy", "memmap") => Harmless,
        // Both call what they are given, which is named for itself.
        ("copyreg" | "copy_reg", "_reconstructor" | "__newobj__") => Harmless,
        ("torch", "device" | "Tensor" | "strided" | "sparse_coo") => Harmless,
        ("torch", "per_tensor_affine" | "per_channel_affine") => Harmless,
        ("torch", "contiguous_format" | "channels_last" | "preserve_format") => Harmless,
        ("torch.serialization", "_get_layout") => Harmless,
        ("torch.jit._pickle", name) if JIT_LISTS.contains(&name) => First,
        (module, name)
            if Element::of_class(module, name).is_some()
                || Element::named(module, name).is_some() =>
        {
            Harmless
        }
        _ => return None,
    })
}

/// What TorchScript makes its typed lists with: each is what its first argument is.
const JIT_LISTS: [&str; 5] =
    ["build_intlist", "build_doublelist", "build_boollist", "build_tensorlist", "restore_type_tag"];

/// The class that is called, also where it is a persistent object: old files put a class's
/// source code beside it.
fn class(pickle: &Pickle<'_>, callable: Id) -> Id {
    let Value::Persistent(name) = *pickle.value(callable) else { return callable };
    let parts = pickle.items(name).unwrap_or_default();
    parts.iter().take(2).find(|&&part| pickle.global(part).is_some()).copied().unwrap_or(callable)
}

/// How many calls of one function are told.
const CALLS: usize = 3;

/// All that the pickle names and that is not known, in the order of the file; also what is
/// made and thrown away again.
pub(super) fn foreign(pickle: &Pickle<'_>) -> Vec<Foreign> {
    let mut found: Vec<Foreign> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    let mut place = |callable: Id| {
        let name = pickle.describe(class(pickle, callable));
        *index.entry(name).or_insert_with_key(|name| {
            found.push(Foreign { name: name.clone(), count: 0, calls: Vec::new() });
            found.len() - 1
        })
    };
    let is_known =
        |id| pickle.global(id).is_some_and(|(module, name)| known(module, name).is_some());
    let mut calls = Vec::new();
    for (id, value) in pickle.values() {
        match value {
            Value::Global { .. } if !is_known(id) => drop(place(id)),
            // What calls the result of a call is never known.
            Value::Call(call) if !is_known(class(pickle, call.callable)) => {
                // A class with its source code beside it is called without arguments: its name
                // tells as much, and the code is long.
                let is_plain = class(pickle, call.callable) == call.callable;
                calls.push((place(call.callable), id, is_plain));
            }
            _ => {}
        }
    }
    for (at, id, is_plain) in calls {
        let foreign = &mut found[at];
        foreign.count += 1;
        if is_plain && foreign.calls.len() < CALLS {
            foreign.calls.push(pickle.describe(id));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_something_is_not_known() {
        for (module, name) in [
            ("os", "system"),
            ("posix", "system"),
            ("builtins", "eval"),
            ("builtins", "getattr"),
            ("__builtin__", "exec"),
            ("torch", "load"),
            ("torch.storage", "_load_from_bytes"),
            ("torch.nn.modules.module", "Module"),
            ("torch._utils", "os.system"),
            ("numpy", "load"),
            ("__torch__x", "y"),
        ] {
            assert_eq!(known(module, name), None, "{module}.{name}");
        }
    }

    #[test]
    fn what_is_foreign_is_named_with_its_calls() {
        let pickle = Pickle::read(
            b"cos\nsystem\n2(S'one'\ntR0(S'two'\ntR0ccollections\nOrderedDict\n)Rctorch\nload\n0.",
            0,
        )
        .unwrap();
        let foreign = foreign(&pickle);
        assert_eq!(foreign.len(), 2);
        assert_eq!((foreign[0].name.as_str(), foreign[0].count), ("os.system", 2));
        assert_eq!(foreign[0].calls, [r#"os.system("one")"#, r#"os.system("two")"#]);
        assert_eq!((foreign[1].name.as_str(), foreign[1].count), ("torch.load", 0));
    }
}
