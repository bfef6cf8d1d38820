"""How many tensors and parameters the networks of torchvision have, and what some of them compute.

    python -m venv .venv
    .venv/bin/pip install torch torchvision numpy efficientnet_lite_pytorch
    .venv/bin/python tests/golden/networks.py

Writes networks.json beside this script (made with PyTorch 2.15.0, torchvision 0.29.2,
efficientnet_lite_pytorch 0.1.0). No file holds the weights of the logits: every value follows from
the name of its tensor and its place, see drawn.py, which networks.rs does as well.
EfficientNet-Lite is padded for the size of the image at hand, as in TensorFlow.
"""

import json
import pathlib

import torch
import torchvision
from drawn import drawn, value
from efficientnet_lite_pytorch import EfficientNet

HERE = pathlib.Path(__file__).resolve().parent
OUTPUTS = 3
RESNETS = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2",
           "wide_resnet101_2", "resnext50_32x4d", "resnext101_32x8d"]
LITE = [f"efficientnet_lite{i}" for i in range(5)]
# Height and width of the images, odd and even.
COMPUTED = {"resnet18": [(33, 40)], "resnext50_32x4d": [(33, 40)],
            "efficientnet_lite0": [(64, 48), (33, 40), (47, 61)], "efficientnet_lite1": [(50, 37)],
            "efficientnet_lite2": [(36, 33)], "efficientnet_lite3": [(33, 34)],
            "efficientnet_lite4": [(32, 35)]}


def make(name, **options):
    if name in RESNETS:
        return getattr(torchvision.models, name)(weights=None, **options)
    return EfficientNet.from_name(name.replace("_", "-"), image_size=None, **options)


def main():
    found = {}
    for name in RESNETS + LITE:
        network = make(name)
        kept = [key for key in network.state_dict() if not key.endswith("num_batches_tracked")]
        parameters = sum(parameter.numel() for parameter in network.parameters())
        found[name] = {"tensors": len(kept), "parameters": parameters, "logits": []}
        if name not in COMPUTED:
            continue
        network = make(name, num_classes=OUTPUTS).double().eval()
        for key, tensor in network.state_dict().items():
            if key in kept:
                tensor.copy_(torch.from_numpy(value(key, tuple(tensor.shape))))
        for height, width in COMPUTED[name]:
            images = torch.from_numpy(drawn("images", (2, 3, height, width)))
            with torch.no_grad():
                logits = network(images).flatten().tolist()
            found[name]["logits"].append({"size": [height, width], "values": logits})
    (HERE / "networks.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
