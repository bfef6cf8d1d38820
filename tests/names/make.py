"""Names and shapes of other libraries' networks, one a line: what tests/files/names.rs reads.

With timm 1.0.31 and transformers 5.24.0: python tests/names/make.py
Counters of batches are left out.
"""

from pathlib import Path

import timm
import torch
from transformers import ResNetConfig, ResNetForImageClassification


def write(name, network):
    tensors = [(key, list(value.shape)) for key, value in network.state_dict().items()
               if not key.endswith("num_batches_tracked")]
    text = "".join(f"{key} {shape}\n" for key, shape in tensors)
    (Path(__file__).parent / f"{name}.txt").write_text(text)


with torch.device("meta"):
    for name in ["resnet18", "resnet50d", "seresnet50", "legacy_seresnet50", "resnet50_gn",
                 "vit_tiny_patch16_224", "hrnet_w18_small"]:
        write(f"timm_{name}", timm.create_model(name))
    basic = ResNetConfig(layer_type="basic", hidden_sizes=[64, 128, 256, 512],
                         depths=[2, 2, 2, 2], num_labels=1000)
    write("transformers_resnet18", ResNetForImageClassification(basic))
    bottleneck = ResNetConfig(depths=[3, 4, 6, 3], num_labels=1000)
    write("transformers_resnet50", ResNetForImageClassification(bottleneck))
