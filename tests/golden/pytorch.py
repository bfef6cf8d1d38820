"""Makes pytorch.pth: the tensors of checkpoint.safetensors, saved by PyTorch.

    python tests/golden/pytorch.py

Needs torch and safetensors; the file here is by torch 2.15. tests/files/save_pytorch.rs writes the same.
"""

import collections
import json
import pathlib

import torch
from safetensors.torch import load_file

folder = pathlib.Path(__file__).parent
source = folder / "checkpoint.safetensors"
with open(source, "rb") as file:
    header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
header.pop("__metadata__")
names = sorted(header, key=lambda name: header[name]["data_offsets"])
tensors = load_file(source)
state = collections.OrderedDict((name, tensors[name]) for name in names)
# Of more axes than a pickle has a short instruction for.
state["axes"] = torch.arange(24, dtype=torch.float32).reshape(1, 2, 3, 4)
torch.save(state, folder / "pytorch.pth")
