"""Writes ONNX models with tensors of every type, and beside each, as NAME.json, the tensors as
the package `onnx` reads them, for tests/files/onnx.rs.

    python -m venv .venv
    .venv/bin/pip install onnx onnxscript numpy torch
    .venv/bin/python tests/formats/make_onnx.py

Made with onnx 1.23.2 and PyTorch 2.15.0. Of each tensor NAME.json has the type as safetensors names it, the shape,
and the bytes, little-endian and row-major, in hexadecimal.
"""

import json
import pathlib

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

folder = pathlib.Path(__file__).resolve().parent

# Name here, name there, values.
TYPES = [
    ("F64", "DOUBLE", [1.1, -0.0, float("inf"), float("nan"), 5e-324]),
    ("F32", "FLOAT", [1.1, -0.0, float("-inf"), float("nan"), 1e-45, 3.4e38]),
    ("F16", "FLOAT16", [1.0, -0.0, float("inf"), 6e-8, 65504.0, -2.5]),
    ("BF16", "BFLOAT16", [1.0, -0.0, float("-inf"), 1e-38, -2.5]),
    ("F8_E4M3", "FLOAT8E4M3FN", [1.0, -0.0, 448.0, -0.015625]),
    ("F8_E5M2", "FLOAT8E5M2", [1.0, -0.0, 57344.0, -0.25]),
    ("F8_E4M3FNUZ", "FLOAT8E4M3FNUZ", [1.0, 240.0, -0.5]),
    ("F8_E5M2FNUZ", "FLOAT8E5M2FNUZ", [1.0, 57344.0, -0.5]),
    ("F8_E8M0", "FLOAT8E8M0", [1.0, 2.0, 0.5]),
    ("F4", "FLOAT4E2M1", [0.5, -6.0, 1.5, 3.0]),
    ("I64", "INT64", [-(1 << 63), -1, 0, (1 << 53) + 1, (1 << 63) - 1]),
    ("I32", "INT32", [-(1 << 31), -1, 0, (1 << 31) - 1]),
    ("I16", "INT16", [-(1 << 15), -1, 300]),
    ("I8", "INT8", [-128, -1, 127]),
    ("U64", "UINT64", [0, 1 << 63, (1 << 64) - 1]),
    ("U32", "UINT32", [0, 300, (1 << 32) - 1]),
    ("U16", "UINT16", [0, 300, (1 << 16) - 1]),
    ("U8", "UINT8", [0, 255]),
    ("BOOL", "BOOL", [True, False, True]),
    ("C64", "COMPLEX64", [1 + 2j, -0.5j]),
]


def typed(name, kind, values, shape=None):
    return helper.make_tensor(name, getattr(TensorProto, kind), [len(values)] if shape is None else shape, values)


def values(tensor):
    """The bytes of a tensor's values, by way of what the package makes of them."""
    array = numpy_helper.to_array(tensor)
    if tensor.data_type == TensorProto.FLOAT4E2M1:
        nibbles = array.view(np.uint8).ravel() & 15
        return (nibbles[0::2] | nibbles[1::2] << 4).tobytes()
    return array.tobytes()


def raw(tensor):
    """The same tensor with its values as raw bytes."""
    copy = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    copy.raw_data = values(tensor)
    return copy


def model(tensors, nodes=(), **texts):
    graph = helper.make_graph(list(nodes), "fixture", [], [], initializer=list(tensors))
    made = helper.make_model(
        graph,
        producer_name="tests/formats/make_onnx.py",
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)],
    )
    made.ir_version = 8
    helper.set_model_props(made, texts)
    return made


def write(name, made, tensors):
    onnx.save(made, folder / f"{name}.onnx")
    described = {
        tensor.name: {
            "dtype": next((ours for ours, kind, _ in TYPES
                           if getattr(TensorProto, kind) == tensor.data_type)),
            "shape": list(tensor.dims),
            "bytes": values(tensor).hex(),
        }
        for tensor in tensors
    }
    (folder / f"{name}.json").write_text(json.dumps(described, indent=1) + "\n")


tensors = [typed(ours.lower(), kind, held) for ours, kind, held in TYPES]
tensors += [
    typed("scalar \u00fc", "FLOAT", [2.5], shape=()),
    typed("empty", "FLOAT", [], shape=[3, 0, 2]),
    typed("matrix", "INT32", range(-3, 3), shape=[2, 1, 3]),
]
write("onnx_typed", model(tensors, author="a script", empty=""), tensors)
write("onnx_raw", model(map(raw, tensors)), tensors)

# In a file beside the model.
beside = [raw(tensor) for tensor in tensors[:10]]
(folder / "onnx_external.bin").unlink(missing_ok=True)  # Otherwise it would be continued.
write("onnx_external", model(beside), beside)
onnx.save(
    model(beside),
    folder / "onnx_external.onnx",
    save_as_external_data=True,
    location="onnx_external.bin",
    size_threshold=0,
)

# What is no tensor of numbers is passed over.
kept = typed("kept", "FLOAT", [1.0, 2.0])
branch = helper.make_graph([], "branch", [], [helper.make_tensor_value_info("x", 1, [1])],
                           initializer=[typed("hidden", "FLOAT", [3.0])])
nodes = [
    helper.make_node("Constant", [], ["five"], value=typed("five", "FLOAT", [5.0])),
    helper.make_node("If", ["condition"], ["y"], then_branch=branch, else_branch=branch),
]
made = model([typed("words", "STRING", [b"a", b"b"]), kept, typed("four_bits", "INT4", [1, -8])],
             nodes)
made.graph.sparse_initializer.append(
    helper.make_sparse_tensor(typed("sparse", "FLOAT", [4.0]), typed("at", "INT64", [7]), [9])
)
write("onnx_passed_over", made, [kept])

# What PyTorch exports keeps the names of parameters and their values, if it is not to optimise the
# graph: otherwise batch norms become part of the convolutions, under the same names.
torch.manual_seed(0)
network = torch.nn.Sequential()
network.conv = torch.nn.Conv2d(1, 2, 3, bias=False)
network.bn = torch.nn.BatchNorm2d(2)
network.fc = torch.nn.Linear(4, 3)
for parameter in network.parameters():
    parameter.data.normal_()
network.bn.running_mean.normal_()
network.bn.running_var.uniform_(0.5, 2)
torch.onnx.export(
    network.eval(),
    (torch.zeros(1, 1, 6, 6),),
    folder / "onnx_pytorch.onnx",
    optimize=False,
    external_data=False,
)
made = onnx.load(folder / "onnx_pytorch.onnx")
for part in (*made.graph.node, *made.graph.value_info, *made.graph.input, *made.graph.output, made.graph):
    part.ClearField("metadata_props")  # Where in which files each is from.
onnx.save(made, folder / "onnx_pytorch.onnx")
described = {
    name: {"dtype": "F32", "shape": list(values.shape), "bytes": values.numpy().tobytes().hex()}
    for name, values in network.state_dict().items()
    if not name.endswith("num_batches_tracked")
}
(folder / "onnx_pytorch.json").write_text(json.dumps(described, indent=1) + "\n")
