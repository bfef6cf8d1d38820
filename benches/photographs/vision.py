"""PyTorch's side of photographs.sh, as one writes it with torchvision.

    python vision.py load | eval | train --data DIR [--weights FILE...] [--out FILE] [--epochs N]

Prints one line of JSON for each measurement. `seconds` leaves the start of Python and the import of
PyTorch out.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
import torchvision
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset
from torchvision import transforms
from torchvision.datasets import ImageFolder

sys.path.append(str(Path(__file__).parents[1] / "compare"))
from pytorch import ZooConv2d, resnet  # noqa: E402

SIZE, RESIZE, WORKERS = 224, 256, 2
NORMALISE = [transforms.ToTensor(), transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
TRANSFORMS = {
    "training": transforms.Compose(
        [transforms.RandomResizedCrop(SIZE), transforms.RandomHorizontalFlip(), *NORMALISE]),
    "evaluation": transforms.Compose([transforms.Resize(RESIZE), transforms.CenterCrop(SIZE), *NORMALISE]),
}


def loader(dataset, batch, shuffle=False):
    return DataLoader(dataset, batch, shuffle, num_workers=WORKERS, persistent_workers=True)


def report(begun, count, **row):
    seconds = time.perf_counter() - begun
    print(json.dumps(row | {"seconds": round(seconds, 4), "images_per_s": round(count / seconds, 1)}), flush=True)


def load(options):
    for name, transform in TRANSFORMS.items():
        dataset = ImageFolder(options.data, transform)
        batches = loader(dataset, options.batch, name == "training")
        for _ in range(options.runs):
            begun = time.perf_counter()
            for _ in batches:
                pass
            report(begun, len(dataset), load=name, batch=options.batch)


@torch.inference_mode()
def accuracy(model, batches):
    model.eval()
    right = [model(images).softmax(1).argmax(1).eq(labels) for images, labels in batches]
    return torch.cat(right).double().mean().item()


def evaluate(options):
    begun = time.perf_counter()
    state = torch.load(options.weights[0], weights_only=True)
    model = torchvision.models.resnet50(num_classes=len(state["fc.bias"]))
    model.load_state_dict(state)
    dataset = ImageFolder(options.data, TRANSFORMS["evaluation"])
    found = accuracy(model, loader(dataset, options.batch))
    report(begun, len(dataset), accuracy=found, batch=options.batch)


def zoo_of(paths, classes):
    """A ResNet-18 whose convolutions hold those of all files."""
    model = resnet(18, lambda *shape: ZooConv2d(len(paths), *shape, False), classes)
    sources = [torch.load(path, weights_only=True) for path in paths]
    # In both, a block's own layers come before its shortcut.
    kernels = [name for name, value in sources[0].items() if value.dim() == 4]
    layers = [layer for layer in model.modules() if isinstance(layer, ZooConv2d)]
    with torch.no_grad():
        for name, layer in zip(kernels, layers, strict=True):
            layer.weight.copy_(torch.stack([source[name] for source in sources]))
    return model


def train(options):
    begun = time.perf_counter()
    sets = {name: ImageFolder(options.data, transform) for name, transform in TRANSFORMS.items()}
    order = torch.randperm(len(sets["training"]), generator=torch.Generator().manual_seed(1)).tolist()
    held_out = len(order) // 10
    training = Subset(sets["training"], order[held_out:])
    batches = loader(training, options.batch, shuffle=True)
    validation = loader(Subset(sets["evaluation"], order[:held_out]), 64)
    model = zoo_of(options.weights, len(sets["training"].classes))
    steps = options.epochs * len(batches)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    report(begun, len(training), start=True)
    whole = begun
    for epoch in range(options.epochs):
        begun = time.perf_counter()
        model.train()
        for images, labels in batches:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            schedule.step()
        report(begun, len(training), epoch=epoch, loss=loss.item())
        begun = time.perf_counter()
        report(begun, held_out, epoch=epoch, validation=accuracy(model, validation))
        torch.save(model.state_dict(), options.out)
    report(whole, len(training) * options.epochs, epochs=options.epochs)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["load", "eval", "train"])
    parser.add_argument("--data")
    parser.add_argument("--weights", nargs="+")
    parser.add_argument("--out")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(0)
    {"load": load, "eval": evaluate, "train": train}[options.what](options)


if __name__ == "__main__":
    main()
