"""Makes the PyTorch files that tests/files/pytorch.rs reads, and what PyTorch finds in them.

    python tests/formats/make_pytorch.py

It writes tests/formats/*.pt, *.pkl and *.tar, and pytorch.json beside them: of every file the
names of its tensors in order, with type, shape and the bytes in row-major order as PyTorch or
NumPy has them. The values are small numbers that are made without a generator of random ones,
so that the files are the same each time, but for what PyTorch numbers by addresses.
"""

import collections
import io
import json
import pathlib
import pickle
import struct
import tarfile
import zipfile

import numpy
import torch

HERE = pathlib.Path(__file__).resolve().parent
EXPECTED = {}

TYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float8_e5m2: "F8_E5M2", torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2fnuz: "F8_E5M2FNUZ", torch.float8_e4m3fnuz: "F8_E4M3FNUZ",
    torch.float8_e8m0fnu: "F8_E8M0",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8",
    torch.bool: "BOOL", torch.complex64: "C64",
}
NUMPY_TYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32",
    "int16": "I16", "int8": "I8", "uint64": "U64", "uint32": "U32", "uint16": "U16",
    "uint8": "U8", "bool": "BOOL", "complex64": "C64",
}
# What the files of before 1.6 have a class of storages for.
OLD_TYPES = [t for t in TYPES if t not in (torch.uint16, torch.uint32, torch.uint64)
             and "float8" not in str(t)]


def described(value):
    """Type, shape and bytes of a tensor or an array."""
    if isinstance(value, torch.Tensor):
        value = value.detach().resolve_conj()
        contiguous = value.clone(memory_format=torch.contiguous_format)
        raw = bytes(contiguous.untyped_storage()) if value.numel() else b""
        return {"dtype": TYPES[value.dtype], "shape": list(value.shape), "bytes": raw.hex()}
    return {"dtype": NUMPY_TYPES[value.dtype.name], "shape": list(value.shape),
            "bytes": numpy.ascontiguousarray(value).tobytes().hex()}


def walked(value, name=""):
    """The tensors in dicts and lists with their names."""
    if isinstance(value, (torch.Tensor, numpy.ndarray)):
        yield name, described(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from walked(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from walked(item, f"{name}.{i}" if name else str(i))


def expect(file, value, **metadata):
    # A tensor alone is called as the file.
    stem = pathlib.Path(file).stem
    tensors = [{"name": name or stem, **tensor} for name, tensor in walked(value)]
    EXPECTED[file] = {"tensors": tensors, "metadata": metadata}


def both(name, value, **metadata):
    """Saves in the format of today and in that of before 1.6."""
    torch.save(value, HERE / f"{name}.pt")
    expect(f"{name}.pt", torch.load(HERE / f"{name}.pt", weights_only=False), **metadata)
    old(name, value, **metadata)


def old(name, value, **metadata):
    file = HERE / f"{name}_legacy.pt"
    torch.save(value, file, _use_new_zipfile_serialization=False)
    expect(file.name, torch.load(file, weights_only=False), **metadata)


def ramp(*shape, dtype=torch.float32):
    count = int(numpy.prod(shape))
    return (torch.arange(count, dtype=torch.float64) * 0.37 - 1.5).reshape(shape).to(dtype)


def every_type(types):
    of_all = {}
    for dtype in types:
        name = str(dtype).removeprefix("torch.")
        values = torch.tensor([0, 1, 2, 3, 60, 127], dtype=torch.float64)
        if dtype.is_complex:
            of_all[name] = torch.complex(values.float(), -values.float())
        elif dtype == torch.bool:
            of_all[name] = values.remainder(2).to(dtype)
        elif dtype == torch.float8_e8m0fnu:
            of_all[name] = torch.tensor([1, 2, 4, 8], dtype=torch.float64).float().to(dtype)
        else:
            of_all[name] = values.to(torch.float32).to(dtype).reshape(2, 3)
    of_all["extremes"] = torch.tensor([-2**63, 2**63 - 1])
    of_all["not_a_number"] = torch.tensor([float("nan"), float("inf"), -0.0])
    return of_all


def strided():
    base = ramp(4, 6)
    return {
        "base": base,
        "transposed": base.t(),
        "rows": base[1:3],
        "columns": base[:, 1:5:2],
        "reversed_axes": ramp(2, 3, 4).permute(2, 1, 0),
        "expanded": ramp(3, 1).expand(3, 5),
        "scalar_of_it": base[2, 3],
        "empty_of_it": base[4:],
        "channels_last": ramp(2, 3, 2, 2).to(memory_format=torch.channels_last),
        "half": ramp(3, 2, dtype=torch.float16).t(),
        "diagonal": base[:4, :4].diagonal(),
        "zero_sized": torch.zeros(0, 3),
        "scalar": torch.tensor(7.5),
    }


class Block(torch.nn.Module):
    """A module with everything that a state dict has and has not."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(2, 3, 1)
        self.norm = torch.nn.BatchNorm2d(3)
        self.tied = self.conv
        self.scale = torch.nn.Parameter(ramp(3))
        self.register_parameter("absent", None)
        self.register_buffer("kept", ramp(2))
        self.register_buffer("dropped", ramp(2), persistent=False)
        self.plain = ramp(2)
        self.layers = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())

    def forward(self, x):
        return x


class Inner(torch.nn.Module):
    def __init__(self, size: int):
        super().__init__()
        self.weight = torch.nn.Parameter(ramp(size, 2).t())
        self.register_buffer("mean", ramp(size))

    def forward(self, x):
        return x @ self.weight + self.mean


class Scripted(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = torch.nn.Parameter(ramp(3))
        self.first = Inner(3)
        self.factor = 2.0

    def forward(self, x):
        return self.first(x) * self.factor + self.bias


def filled(module):
    """The same values each time."""
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            parameter.copy_(ramp(*parameter.shape) + i)
    return module


def arrays():
    return collections.OrderedDict(
        weight=numpy.arange(6, dtype="f4").reshape(2, 3),
        columns=numpy.asfortranarray(numpy.arange(6, dtype="f8").reshape(2, 3)),
        axes=numpy.arange(24, dtype="f4").reshape(2, 3, 4).transpose(1, 0, 2),
        half=numpy.arange(4, dtype="f2"),
        steps=numpy.array(9, dtype="i8"),
        bytes=numpy.array([0, 10, 39, 92, 128, 255], dtype="u1"),
        flags=numpy.array([True, False]),
        none=numpy.zeros((0, 2), dtype="f4"),
    )


def rezipped(source, file, method):
    """The same members, packed by another program."""
    with zipfile.ZipFile(HERE / source) as old_zip, zipfile.ZipFile(HERE / file, "w", method) as new:
        for info in old_zip.infolist():
            member = zipfile.ZipInfo(info.filename, (1980, 1, 1, 0, 0, 0))
            new.writestr(member, old_zip.read(info), method)
    EXPECTED[file] = EXPECTED[source]


def tar(file):
    """What `torch.save` of version 0.1.9 would write: no program that does is left, but
    `torch.load` still reads it, and says here what is in it."""
    storages = {11: ramp(12), 12: torch.arange(4)}
    tensors = [(21, 11, (3, 4), (4, 1), 0), (22, 11, (2, 3), (1, 2), 2), (23, 12, (4,), (1,), 0),
               (24, 13, (5,), (1,), 0)]
    classes = {11: torch.FloatStorage, 12: torch.LongStorage}

    body = io.BytesIO()
    pickle.dump(len(storages), body, protocol=2)
    for key, values in storages.items():
        pickle.dump((key, "cpu", classes[key]), body, protocol=2)
        body.write(struct.pack("<q", values.numel()) + bytes(values.untyped_storage()))
    pickle.dump([(13, 11, 4, 5)], body, protocol=2)
    members = {"storages": body.getvalue()}

    body = io.BytesIO()
    pickle.dump(len(tensors), body, protocol=2)
    for key, storage, size, stride, offset in tensors:
        pickle.dump((key, storage, torch.FloatTensor), body, protocol=2)
        body.write(struct.pack(f"<i4x{2 * len(size) + 1}q", len(size), *size, *stride, offset))
    members["tensors"] = body.getvalue()

    class Named(pickle.Pickler):
        def persistent_id(self, value):
            # Complex numbers stand for the tensors of these keys.
            return str(int(value.real)) if isinstance(value, complex) else None

    body = io.BytesIO()
    names = ["whole", "part", "steps", "view"]
    state = collections.OrderedDict((n, complex(t[0])) for n, t in zip(names, tensors))
    Named(body, protocol=2).dump({"state_dict": state, "epoch": 4})
    members["pickle"] = body.getvalue()
    members["sys_info"] = pickle.dumps({"protocol_version": 1000, "little_endian": True}, protocol=2)
    with tarfile.open(HERE / file, "w:", format=tarfile.PAX_FORMAT) as archive:
        for name in ["sys_info", "pickle", "tensors", "storages"]:
            member = tarfile.TarInfo(name)
            member.size = len(members[name])
            archive.addfile(member, io.BytesIO(members[name]))
    expect(file, torch.load(HERE / file, weights_only=False), epoch="4")


def state_of(file, module):
    """A whole module has the names of its state dict, in that order."""
    tensors = [{"name": n, **described(t)} for n, t in module.state_dict().items()]
    EXPECTED[file] = {"tensors": tensors, "metadata": {}}


def main():
    torch.save(every_type(TYPES), HERE / "types.pt")
    expect("types.pt", torch.load(HERE / "types.pt"))
    old("types", every_type(OLD_TYPES))
    both("strided", strided())
    for file in ["types", "strided"]:
        rezipped(f"{file}.pt", f"{file}_deflated.pt", zipfile.ZIP_DEFLATED)

    block = filled(Block())
    state = block.state_dict()
    optimizer = torch.optim.SGD(block.parameters(), lr=0.1, momentum=0.9)
    training = {
        "epoch": 3, "arch": "block", "best": 0.75, "done": False, "next": None,
        "state_dict": collections.OrderedDict((f"module.{k}", v) for k, v in state.items()),
        "optimizer": optimizer.state_dict(),
        "parameters": [torch.nn.Parameter(ramp(2)), torch.nn.Parameter(ramp(1), False)],
        7: torch.Size([2, 3]), "accuracy": numpy.float32(0.5), "steps": numpy.int64(-3),
        "device": torch.device("cpu"), "array": numpy.arange(3, dtype="f4"),
    }
    told = {"epoch": "3", "arch": "block", "best": "0.75", "done": "False", "next": "None",
            "accuracy": "0.5", "steps": "-3", "optimizer.param_groups.0.lr": "0.1"}
    both("training", training, **told)
    both("alone", ramp(2, 2))
    both("list", [ramp(2), {"a": ramp(1), "b": (ramp(3), 5)}], **{"1.b.1": "5"})

    torch.save(block, HERE / "module.pt")
    state_of("module.pt", block)
    # Beside each class of a module the old format keeps its source, of which two words do here.
    torch.serialization.get_source_lines_and_file = lambda kind: (["class Source"], 1, "file.py")
    torch.save(block, HERE / "module_legacy.pt", _use_new_zipfile_serialization=False)
    state_of("module_legacy.pt", block)
    scripted = filled(Scripted())
    torch.jit.script(scripted).save(HERE / "script.pt")
    state_of("script.pt", scripted)

    for protocol in range(6):
        file = HERE / f"arrays_{protocol}.pkl"
        file.write_bytes(pickle.dumps({"model": arrays(), "epoch": 2}, protocol=protocol))
        expect(file.name, {"model": arrays()}, epoch="2")

    unread = {
        "kept": ramp(2),
        "sparse": torch.eye(2).to_sparse(),
        "quantised": torch.quantize_per_tensor(ramp(4), 0.1, 0, torch.qint8),
        "meta": torch.empty(3, device="meta"),
        "double": torch.zeros(2, dtype=torch.complex128),
    }
    torch.save(unread, HERE / "unread.pt")
    expect("unread.pt", {"kept": unread["kept"]},
           sparse="a sparse tensor, which is not read",
           quantised="a quantised tensor, which is not read",
           meta="a tensor without values, which is not read",
           double="a tensor of complex128, which is not read")
    torch.save({"c": torch.complex(ramp(2), ramp(2)).conj()}, HERE / "conjugated.pt")
    tar("oldest.tar")

    # A pickle that would run a command. It is written as bytes and never loaded.
    tensor = zipfile.ZipFile(HERE / "alone.pt").read("alone/data.pkl")
    command = b"cposix\nsystem\n(S'echo this should never run'\ntR0"
    with zipfile.ZipFile(HERE / "hostile.pt", "w") as new:
        with zipfile.ZipFile(HERE / "alone.pt") as good:
            for info in good.infolist():
                body = tensor[:2] + command + tensor[2:] if info.filename.endswith(".pkl") \
                    else good.read(info)
                new.writestr(zipfile.ZipInfo(info.filename, (1980, 1, 1, 0, 0, 0)), body)
    [tensor] = EXPECTED["alone.pt"]["tensors"]
    EXPECTED["hostile.pt"] = {"tensors": [{**tensor, "name": "hostile"}], "metadata": {}}

    (HERE / "pytorch.json").write_text(json.dumps(EXPECTED, indent=None, separators=(",", ":")))


if __name__ == "__main__":
    main()
