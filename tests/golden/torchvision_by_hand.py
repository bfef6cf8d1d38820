"""Writes torchvision's ResNets with drawn weights, and what they compute, to a folder, for
examples/against_torchvision.rs; the files are too large to be kept here.

    python -m venv .venv
    .venv/bin/pip install torch torchvision numpy safetensors
    .venv/bin/python tests/golden/torchvision_by_hand.py FOLDER

Made with PyTorch 2.15.0 and torchvision 0.29.2.
"""

import pathlib
import sys

import torch
import torchvision
from safetensors.torch import save_file

folder = pathlib.Path(sys.argv[1])
torch.manual_seed(0)

for name in ("resnet18", "resnet34", "resnet50"):
    network = torchvision.models.get_model(name, weights=None)
    images = torch.randn(4, 3, 97, 64)
    with torch.no_grad():
        # Batch norms that do something, with the statistics of these images.
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.3)
        network.train()
        for _ in range(30):
            network(images)
        save_file(network.state_dict(), folder / f"{name}.safetensors")
        # The reference is double precision's.
        network.double().eval()
        evaluation = network(images.double()).float()
        training = network.train()(images.double()).float()
    golden = {"images": images, "evaluation": evaluation, "training": training}
    save_file(golden, folder / f"{name}.logits.safetensors")
