"""Compares what the readers make of damaged files with what PyTorch and NumPy make of them.

    ZOO_FUZZ_KEEP=/dev/shm/kept ZOO_FUZZ_CASES=4000 cargo test --test fuzz every_reader
    python tests/formats/differential.py /dev/shm/kept

Needs PyTorch and NumPy, and safetensors for its files. The first command keeps every damaged file and
beside it the tensors that were read, or the error. Wherever both accept a file, every tensor
must have the same name, type, shape and bytes. What one accepts and the other refuses is counted,
with the other's reasons: neither has to be as strict as the other, but they may not differ.

PyTorch reads with weights_only=True, and pickles are loaded with a list of what they may import,
so that no damage runs anything. Each file is read in a process of its own, as some end it.
"""

import collections
import io
import json
import os
import pathlib
import pickle
import re
import resource
import signal
import sys
import types
import warnings

import numpy
import torch

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
# What a tensor alone is called: the files are read under this name.
ALONE = "case"
ALLOWED = re.compile(
    r"(numpy(\._?core)?\.multiarray\.(_reconstruct|scalar)|numpy\.(ndarray|dtype)"
    r"|collections\.OrderedDict|_codecs\.encode|torch\.\w+Storage|torch\.\w+Tensor"
    r"|torch\._utils\._rebuild_tensor(_v2)?|numpy(\._?core)?\.numeric\._frombuffer"
    r"|(__builtin__|builtins)\.(bytes|bytearray))$"
)


class Unpickler(pickle._Unpickler):
    """Without the ability to import much."""

    def find_class(self, module, name):
        if not ALLOWED.match(f"{module}.{name}"):
            raise pickle.UnpicklingError(f"{module}.{name} may not be imported")
        return super().find_class(module, name)


def load_pickle(file, **options):
    return Unpickler(file, **options).load()


RESTRICTED = types.SimpleNamespace(
    Unpickler=Unpickler, load=load_pickle, loads=lambda text: load_pickle(io.BytesIO(text)),
    __name__="pickle",
)


def load(path):
    """What the reference makes of a file."""
    if path.name.startswith("npy"):
        return numpy.load(path, allow_pickle=False)
    if path.name.startswith("npz"):
        with numpy.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    if path.name.startswith("safetensors"):
        import safetensors.torch
        return safetensors.torch.load(path.read_bytes())
    if path.name.startswith("pickle"):
        with open(path, "rb") as file:
            return load_pickle(file, encoding="latin1")
    if path.name.startswith("pytorch-tar"):
        with open(path, "rb") as file:
            return torch.serialization._legacy_load(file, "cpu", RESTRICTED, encoding="utf-8")
    return torch.load(path, weights_only=True, map_location="cpu")


def described(value):
    """Type, shape and bytes; None for what no reader here knows."""
    if isinstance(value, numpy.ndarray):
        dtype = NUMPY_TYPES.get(value.dtype.name)
        if dtype is None:
            return None
        value = value.astype(value.dtype.newbyteorder("<"))
        return dtype, list(value.shape), numpy.ascontiguousarray(value).tobytes()
    if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
        return None
    dtype = TYPES.get(value.dtype)
    if dtype is None:
        return None
    value = value.detach().resolve_conj().resolve_neg()
    value = value.clone(memory_format=torch.contiguous_format)
    raw = bytes(value.untyped_storage()) if value.numel() else b""
    return dtype, list(value.shape), raw


def walked(value, name="", depth=0):
    if depth > 200:
        raise RecursionError("containers too deep")
    if isinstance(value, (torch.Tensor, numpy.ndarray)):
        yield name or ALONE, described(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from walked(item, f"{name}.{key}" if name else str(key), depth + 1)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from walked(item, f"{name}.{i}" if name else str(i), depth + 1)


def compare(path):
    """A verdict and a reason."""
    answer = json.loads(path.with_suffix(".json").read_text())
    values = path.with_suffix(".values").read_bytes()
    ours, at = {}, 0
    for tensor in answer.get("tensors", []):
        end = at + tensor["bytes"]
        ours[tensor["name"]] = tensor["dtype"], tensor["shape"], values[at:end]
        at = end
    try:
        theirs = list(walked(load(path)))
    except BaseException as error:
        reason = re.sub(r"[0-9a-fx]*[0-9]+|'.*?'|\".*?\"", "#", f"{type(error).__name__}: {error}")
        reason = " ".join(reason.split())[:110]
        return ("both refuse", "") if "error" in answer else ("accepted here only", reason)
    if "error" in answer:
        problem = answer["error"].split(": ", 1)[-1]
        problem = re.sub(r"[0-9]+|\".*?\"", "#", problem)[-110:]
        return "refused here only", problem
    if len({name for name, _ in theirs}) != len(theirs):
        return "DIFFERENT", "two tensors of one name"
    for name, expected in theirs:
        if expected is None:
            ours.pop(name, None)
            continue
        if name not in ours:
            return "DIFFERENT", f"{name!r} is missing of {sorted(ours)[:5]}"
        own = ours.pop(name)
        if expected[0] == own[0] == "BOOL":
            # PyTorch makes a true byte 1 when it copies some tensors, and not with others.
            own = *own[:2], bytes(byte != 0 for byte in own[2])
            expected = *expected[:2], bytes(byte != 0 for byte in expected[2])
        for what, theirs_, own_ in zip(("type", "shape", "bytes"), expected, own):
            if theirs_ != own_:
                return "DIFFERENT", f"{name!r}: {what} {theirs_!r:.60} there, {own_!r:.60} here"
    if ours:
        return "DIFFERENT", f"{sorted(ours)[:5]} are here only"
    return "same", ""


def compare_apart(path):
    """The same in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.alarm(20)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 2)
        try:
            verdict = compare(path)
        except BaseException as error:
            verdict = ("NOT COMPARED", f"{type(error).__name__}: {error}"[:200])
        os.write(writing, json.dumps(verdict).encode()[:4096])
        os._exit(0)
    os.close(writing)
    text = b""
    while part := os.read(reading, 4096):
        text += part
    os.close(reading)
    _, status = os.waitpid(child, 0)
    if status == 0:
        return tuple(json.loads(text))
    answer = json.loads(path.with_suffix(".json").read_text())
    what = "both refuse" if "error" in answer else "accepted here only"
    return what, f"the reference ends by signal {status & 127}"


def main():
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    reasons = collections.defaultdict(collections.Counter)
    different = []
    for path in sorted(pathlib.Path(sys.argv[1]).rglob("*")):
        if path.suffix or not path.with_suffix(".json").exists():
            continue
        verdict, reason = compare_apart(path)
        target = path.name.rsplit("-", 2)[0]
        reasons[target, verdict][reason] += 1
        if verdict in ("DIFFERENT", "NOT COMPARED"):
            different.append(f"{path}: {verdict}: {reason}")
    for (target, verdict), counts in sorted(reasons.items()):
        print(f"{target:>15} {verdict:<20} {sum(counts.values()):>6}")
        for reason, count in counts.most_common(25 if reason_matters(verdict) else 0):
            print(f"{'':>17} {count:>5} {reason}")
    print("\n".join(different))
    sys.exit(bool(different))


def reason_matters(verdict):
    return verdict in ("accepted here only", "refused here only")


main()
