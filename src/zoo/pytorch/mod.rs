//! PyTorch's own files: what `torch.save` wrote, in each of its three formats, and pickles of
//! NumPy arrays. Nothing in them is run.
//!
//! All of them have two parts: a pickle, which says what there is, and the *storages*, flat
//! arrays of numbers. A tensor is a view of a storage: an offset, a shape, and a stride for each
//! axis. Number `[i, j]` of a tensor is number `offset + i * strides[0] + j * strides[1]` of its
//! storage, so that a matrix and its transpose are the same storage with the strides exchanged,
//! and a batch of one row repeated has a stride of 0. `torch.save` writes a storage whole and
//! once, however many tensors view it, and however little of it they view.
//!
//! How a pickle works, and why this one cannot do anything, is the page of [`pickle`](super::pickle).
//!
//! # Since PyTorch 1.6: a zip archive
//!
//! `torch.save({"w": torch.tensor([1.0, 2.0])}, "example.pt")` with PyTorch 2.15. Everything is
//! in one folder, called after the file or `archive`:
//!
//! ```text
//! example/data.pkl               the pickle
//! example/.format_version        "1"
//! example/.storage_alignment     "64"
//! example/byteorder              "little"; absent before PyTorch 2.1
//! example/data/0                 the storage "0", and so on
//! example/version                "3" and a line feed; the version of the archive's format
//! example/.data/serialization_id a fingerprint
//! ```
//!
//! Members are stored, not deflated, and storages begin at multiples of 64 bytes, so that the
//! file can be mapped and used in place. A zip archive has no alignment, but a member's header
//! may end in fields for other programs. PyTorch writes one with the name `FB` that is as long
//! as needed:
//!
//! ```text
//! 0256   50 4b 03 04 00 00 08 08    a member's header: PK 3 4; flag 8, sizes follow the member
//!        00 00 ... 00 00            method 0, stored; no checksum and no sizes yet
//!        0e 00 3e 00                14 bytes of name, 62 of further fields
//!        'example/data/0'           the name
//!        46 42 3a 00 5a 5a 5a ...   FB, 58 bytes of Z
//! 02c0   00 00 80 3f 00 00 00 40    1.0 and 2.0: 0x2c0 is 11 * 64
//! 02c8   50 4b 07 08 76 a5 3f 2e    behind the member: PK 7 8, its checksum,
//!        08 00 00 00 08 00 00 00    and twice its size, deflated and not
//! ...
//!        50 4b 01 02 ...            the directory: one record for each member, with its sizes
//!        50 4b 05 06 ...            its end, before which is one of 64 bits: PK 6 6, PK 6 7
//! ```
//!
//! So the directory says how long a member is, and only its own header where it begins.
//!
//! In the pickle, a storage is a persistent object of the name
//!
//! ```text
//! ('storage', torch.FloatStorage, '0', 'cpu', 2)
//!             the type of number  key  device  how many numbers
//! ```
//!
//! and a tensor is what a function would make of it:
//!
//! ```text
//! torch._utils._rebuild_tensor_v2(storage, 0, (2,), (1,), False, OrderedDict())
//!                                 offset, shape, strides, requires_grad, hooks
//! ```
//!
//! Types that are younger than the classes of storages (the unsigned ones and those of 8 bits
//! with a fraction) have a `torch.storage.UntypedStorage`, which counts bytes, and
//! `_rebuild_tensor_v3` with the type, `torch.float8_e5m2` say, after the hooks. A parameter is
//! `_rebuild_parameter(tensor, requires_grad, hooks)`. A subclass of a tensor is
//! `_rebuild_from_type_v2(function, class, arguments, attributes)`.
//!
//! A TorchScript archive is the same with the code of its classes beside it.
//!
//! # From 0.1.10 to 1.5: five pickles, then the storages
//!
//! The same dict, `torch.save(..., _use_new_zipfile_serialization=False)`. Pickles say where
//! they end, and so need nothing between them:
//!
//! ```text
//! 0000   80 02 8a 0a 6c fc 9c 46 f9 20 6a a8 50 19 2e   the number 0x1950a86a20f9469cfc6c
//! 000f   80 02 4d e9 03 2e                              1001, the version of the format
//! 0015   80 02 7d 71 00 28 ... 2e                       {'protocol_version': 1001,
//!                                                        'little_endian': True,
//!                                                        'type_sizes': {'short': 2, ...}}
//! 0089   80 02 7d 71 00 58 01 00 00 00 77 ... 2e        {'w': <tensor>}
//! 0139   80 02 5d 71 00 58 0e 00 00 00 '94249880532416' ['94249880532416']: the keys of the
//!        71 01 61 2e                                    storages, in the order that follows
//! 0155   02 00 00 00 00 00 00 00                        the first storage: two numbers
//! 015d   00 00 80 3f 00 00 00 40                        1.0 and 2.0
//! ```
//!
//! The storages say how many numbers they have, but not of what size; that is in the names by
//! which the pickle calls them. These have a sixth part, None or, in files of 2017, `(key,
//! offset, count)`: the storage is a part of another. A module in the pickle has its class as a
//! persistent object: `('module', class, file, source code)`. Nothing is aligned, so that most
//! tensors cannot be used in place as numbers and are converted when they are looked at.
//!
//! # Before 0.1.10: a tar archive
//!
//! ```text
//! sys_info   a pickle: {'protocol_version': 1000, 'little_endian': True, ...}
//! pickle     a pickle in which tensors and storages are persistent objects, called by number
//! storages   a pickle of their count; then of each a pickle (key, device, class), the count of
//!            its numbers in 8 bytes, and the numbers; then a pickle of a list of parts:
//!            (key, key of the whole, offset, count)
//! tensors    a pickle of their count; then of each a pickle (key, key of its storage, class),
//!            and in 8 bytes each: how many axes, the shape, the strides, the offset
//! ```
//!
//! # Bare pickles
//!
//! Detectron's models are pickles of `{"blobs": {name: array}}`, Detectron2's of `{"model": ...}`.
//! An array is a call too, and its numbers are in the pickle:
//!
//! ```text
//! numpy._core.multiarray._reconstruct(numpy.ndarray, (0,), b'b')   an array without a shape, and
//! BUILD (1, (2, 3), numpy.dtype('f4', ...), False, <bytes>)        its state: the version, the
//!                                                  shape, the type, in Fortran's order or not
//! ```
//!
//! From protocol 3 on the bytes lie in the pickle as they are, and are used in place. Protocol 2
//! has no bytes, but texts: `_codecs.encode('...', 'latin1')`, which are decoded when they are
//! looked at.
//!
//! # What is read
//!
//! Tensors of all types that `Dtype` lists, with any strides; arrays in either order of axes;
//! in dicts, lists, tuples and subclasses of them, nested, under their keys joined by
//! dots. What holds no numbers to train with -- `epoch`, `arch`, the learning rate -- is text
//! beside the tensors. Whole modules and scripts have the names of their `state_dict()`; of a
//! script, whose archive does not say which tensors are parameters, all tensors are there, and
//! in the order of its attributes.
//!
//! A tensor that is all that a file holds is called as the file. Deflated members, which other
//! programs write, are inflated whenever they are used.
//!
//! # What is not
//!
//! Named and left out: tensors that are sparse, quantised, nested, or without values (on the
//! meta device); complex numbers of 128 bits; arrays of objects and texts. Other objects, and
//! functions that are no part of the formats, are listed as [`Foreign`](super::Foreign), with
//! the arguments of the first calls.
//!
//! Refused, for the file is damaged or made to deceive: storages that are not there or have
//! another length than is said; tensors that reach outside of their storage; negative sizes,
//! and shapes that cannot be counted; two tensors of one name; a stride of 0 that makes very
//! much of very little. Refused, for the values would be others than PyTorch's: big-endian
//! files, and tensors with the flag of a conjugation or a sign that is still to be applied.
//!
//! # What it costs
//!
//! To open a file is to read its pickle and the archive's directory; storages are not touched.
//! Containers are walked with a list of what is left, no recursion, at most 100 deep, which
//! also ends those that contain themselves. A pickle may have one container in very many
//! places; all names together may have 32 bytes for each of its own, and 64 kB. A deflated pickle
//! may be 20 times the size of the file, and 1 MB.

mod known;
pub(super) mod legacy;
mod numpy;
mod rebuild;
mod storage;
pub(super) mod tar;
#[cfg(test)]
mod tests;
mod walk;
pub(super) mod zip;

/// The attribute of a state dict that holds its texts, a dict from texts to texts. PyTorch keeps
/// its own `_metadata` in the same way; [`crate::export::write_pytorch`] writes it.
pub(crate) const ATTRIBUTE: &str = "zoo_tuning";
