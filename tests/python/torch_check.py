"""The module beside torch, in one script; torch is not installed for it (5 GB):

    ZOO_TORCH=/path/to/python bash benches/python.sh 1

Memory is shared both ways; a network of torch, saved by it, has the same logits here; a state dict of here
is taken by torch; a zoo's logits are those of torch's own arithmetic over the same sources.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
import zoo_tuning as zt
from torch import nn
from torch.nn import functional as F

torch.manual_seed(1)


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        for stage, (inputs, outputs, stride) in enumerate(
            [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)], 1
        ):
            blocks = nn.Sequential(Block(inputs, outputs, stride), Block(outputs, outputs, 1))
            setattr(self, f"layer{stage}", blocks)
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def drawn():
    """A network whose running statistics are of some images, and not the first ones."""
    network = ResNet18().train()
    with torch.no_grad():
        network(torch.randn(16, 3, 64, 64))
    return network.eval()


def apart(a, b):
    a, b = np.asarray(a), np.asarray(b)
    return float(np.abs(a - b).max() / np.abs(b).max())


def shares_memory():
    for tensor in [torch.arange(6.0).reshape(2, 3), torch.zeros(3)]:
        ours = zt.Tensor(tensor)
        tensor[0] = 42.0
        assert ours.numpy().reshape(-1)[0] == 42.0
    ours = zt.Tensor([[1.0, 2.0]])
    theirs = torch.from_dlpack(ours)
    theirs[0, 1] = 5.0
    assert ours.numpy()[0, 1] == 5.0
    for other in [torch.arange(4), torch.arange(4.0)[::2], torch.zeros(2, dtype=torch.float64)]:
        np.testing.assert_array_equal(zt.Tensor(other).numpy(), other.numpy())
    np.testing.assert_allclose(
        zt.cross_entropy(torch.eye(3), torch.tensor([0, 1, 2])).item(),
        F.cross_entropy(torch.eye(3), torch.tensor([0, 1, 2])).item(),
        rtol=1e-6,
    )
    print("memory is shared by __dlpack__ both ways")


def same_network(folder, images):
    theirs = drawn()
    torch.save(theirs.state_dict(), folder / "resnet18.pth")
    ours = zt.open_network(folder / "resnet18.pth")
    with torch.no_grad():
        expected = theirs(images).numpy()
    print(f"logits of {ours.architecture}, a file of torch: {apart(ours.logits(images), expected):.1e} apart")
    assert apart(ours.logits(images), expected) < 1e-4


def same_zoo(folder, images):
    """A collapsed zoo in torch; and before, the zoo's kernels as torch aggregates them."""
    files = []
    for number in range(3):
        files.append(folder / f"source_{number}.pth")
        torch.save(drawn().state_dict(), files[-1])
    lite = zt.open_zoo(files).network("lite", classes=10, scores=[0.2, 0.9, 0.3])
    optimizer = zt.Optimizer(lite, learning_rate=1e-3)
    for _ in range(3):
        zt.cross_entropy(lite(images), torch.arange(len(images)) % 10).backward()
        optimizer.step()
    gates = {layer: gate[0] for layer, gate in lite.gates(images).items()}
    values = {name: torch.from_dlpack(t) for name, t in lite.state_dict().items()}
    theirs, found, aligned = ResNet18().eval(), {}, 0
    for name in theirs.state_dict():
        layer = name.removesuffix(".weight")
        if layer in gates:
            kernels = values[name]
            if f"{layer}.alignment" in values:
                aligned += 1
                kernels = torch.einsum("mop,mpchw->mochw", values[f"{layer}.alignment"], kernels)
            found[name] = torch.einsum("m,mochw->ochw", torch.from_numpy(gates[layer]), kernels)
        elif not name.endswith("num_batches_tracked"):
            found[name] = values[name]
    assert aligned > 0, "some kernels are aligned"
    theirs.load_state_dict(found, strict=False)
    with torch.no_grad():
        expected = theirs(images).numpy()
    print(f"logits of a lite zoo of three, aggregated by torch: {apart(lite.logits(images), expected):.1e} apart")
    assert apart(lite.logits(images), expected) < 1e-4
    plain = lite.collapse()
    state = {name: torch.from_dlpack(t) for name, t in plain.state_dict().items()}
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing)
    with torch.no_grad():
        found = theirs(images).numpy()
    print(f"logits of the collapsed one, its state dict in torch: {apart(plain.logits(images), found):.1e} apart")
    assert apart(plain.logits(images), found) < 1e-4


shares_memory()
with tempfile.TemporaryDirectory() as name:
    images = torch.randn(6, 3, 64, 64)
    same_network(Path(name), images)
    same_zoo(Path(name), images)
