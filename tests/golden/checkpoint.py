"""Writes checkpoint.safetensors: a tensor of every number type that is read, and
beside each, as NAME.f64, its values as PyTorch converts them.

    python checkpoint.py [STRIDE]

Made with torch 2.15.0 and safetensors 0.8.0. Of the 16-bit types every 251st
pattern of bits is taken; STRIDE 1 takes them all.
"""

import sys

import torch
from safetensors.torch import save_file

stride = int(sys.argv[1]) if len(sys.argv) > 1 else 251
patterns16 = torch.arange(-(1 << 15), 1 << 15, stride, dtype=torch.int16)
patterns8 = torch.arange(256, dtype=torch.uint8)

tensors = {
    "f64": torch.tensor([[1.1, -0.0], [float("inf"), float("nan")]], dtype=torch.float64),
    "f32": torch.tensor([[1.1, -0.0, 1e-45], [float("-inf"), float("nan"), 3.4e38]]),
    "f16": patterns16.view(torch.float16),
    "bf16": patterns16.view(torch.bfloat16),
    "f8_e5m2": patterns8.view(torch.float8_e5m2),
    "f8_e4m3": patterns8.view(torch.float8_e4m3fn),
    "i64": torch.tensor([-(1 << 63), (1 << 53) + 1, 7]),
    "i32": torch.tensor([-(1 << 31), (1 << 31) - 1], dtype=torch.int32),
    "i16": torch.tensor([-(1 << 15), (1 << 15) - 1], dtype=torch.int16),
    "i8": torch.tensor([-128, 127], dtype=torch.int8),
    "u64": torch.tensor([(1 << 63) + 4097, 7], dtype=torch.uint64),
    "u32": torch.tensor([(1 << 32) - 1], dtype=torch.uint32),
    "u16": torch.tensor([(1 << 16) - 1], dtype=torch.uint16),
    "u8": torch.tensor([255], dtype=torch.uint8),
    "bool": torch.tensor([True, False]),
    "scalar \u00fc \"quoted\"": torch.tensor(2.5),
    "empty": torch.zeros(3, 0, 2),
}
tensors |= {name + ".f64": t.to(torch.float64) for name, t in tensors.items()}
# Two tensors in one memory would be refused.
tensors = {name: t.clone() for name, t in tensors.items()}
save_file(tensors, "checkpoint.safetensors", metadata={"format": "pt"})
