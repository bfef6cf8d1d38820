"""Writes the small valid files that the mutations of tests/fuzz begin with.

    python tests/fuzz/corpus.py

Needs NumPy only. Every array of a number type holds 0, 1, 2, ... in row-major order, so that a
test can tell whether it is read as NumPy wrote it. The files of PyTorch are those of
tests/formats.
"""

import json
import pathlib
import struct

import numpy as np

FOLDER = pathlib.Path(__file__).parent / "corpus"
TYPES = ["b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "c8"]


def count(shape, dtype="f4"):
    return np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)


def write_npy():
    np.save(FOLDER / "scalar.npy", count(()))
    np.save(FOLDER / "fortran.npy", np.asfortranarray(count((2, 3, 4), "f8")))
    np.save(FOLDER / "empty.npy", count((3, 0)))
    with open(FOLDER / "version3.npy", "wb") as file:
        np.lib.format.write_array(file, count((5,), "f2"), version=(3, 0))
    with open(FOLDER / "version2.npy", "wb") as file:
        np.lib.format.write_array(file, count((2, 2), "i8"), version=(2, 0))


def write_npz():
    np.savez(FOLDER / "types.npz", **{code: count((2,), code) for code in TYPES})
    arrays = {"conv.weight": count((4, 3, 2, 2)), "F": np.asfortranarray(count((3, 5)))}
    np.savez_compressed(FOLDER / "deflated.npz", **arrays)


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, array in tensors.items():
        start, data = len(data), data + array.tobytes()
        code = {"f4": "F32", "i8": "I64", "u1": "U8"}[array.dtype.str[1:]]
        header[name] = {
            "dtype": code,
            "shape": list(array.shape),
            "data_offsets": [start, len(data)],
        }
    text = json.dumps({"__metadata__": {"format": "np"}, **header}).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_index():
    parts = {
        "model-1.safetensors": {"a.weight": count((2, 3)), "a.bias": count((3,), "i8")},
        "model-2.safetensors": {"b.weight": count((3, 2)), "b.steps": count((), "i8")},
    }
    weight_map = {}
    for file, tensors in parts.items():
        write_safetensors(FOLDER / file, tensors)
        weight_map.update({name: file for name in tensors})
    index = {"metadata": {"total_size": 80}, "weight_map": weight_map}
    (FOLDER / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))
    # Files of two formats.
    index = {"weight_map": {"conv.weight": "deflated.npz", "scalar": "scalar.npy"}}
    (FOLDER / "mixed.index.json").write_text(json.dumps(index))


FOLDER.mkdir(exist_ok=True)
write_npy()
write_npz()
write_index()
