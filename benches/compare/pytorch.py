"""PyTorch's side of compare.sh: the work, the options and the keys of `zoo-tuning bench`.

    python pytorch.py gemm | conv | upsample | layer | step | infer | memory [--kind zoo|lite|single] ...
"""

import argparse
import json
import resource
import statistics
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

# Input and output channels, taps, height and width, stride, groups.
CONVOLUTIONS = Path(__file__).parents[2] / "src/cli/convolutions.json"
# Layers of a ResNet-50, all of stride 1 and of one group.
LAYERS = [
    (64, 64, 3, 56), (128, 128, 3, 28), (256, 256, 3, 14), (512, 512, 3, 7), (1024, 256, 1, 14),
    (512, 2048, 1, 7),
]
# Channels, height and width, and how many times larger they become.
MAPS = [(64, 28, 2), (64, 14, 4), (64, 7, 8)]


class ZooConv2d(nn.Module):
    """A convolution of a zoo, as one writes it in PyTorch: all aligned kernels, then the kernel
    of each sample, then one convolution with the batch folded into groups."""

    def __init__(self, sources, inputs, outputs, taps, stride, aligned, lite):
        super().__init__()
        self.outputs, self.stride, self.padding, self.lite = outputs, stride, taps // 2, lite
        deviation = (2 / (inputs * taps**2)) ** 0.5
        self.weight = nn.Parameter(torch.randn(sources, outputs, inputs, taps, taps) * deviation)
        self.alignment = None
        if aligned and taps > 1:
            self.alignment = nn.Parameter(torch.eye(outputs).repeat(sources, 1, 1))
        hidden = inputs // 4 + 1
        self.reduce, self.expand = nn.Linear(inputs, hidden, bias=False), nn.Linear(hidden, sources)
        self.register_buffer("average", torch.full((sources,), 1 / sources))

    def forward(self, x):
        gate = torch.sigmoid(self.expand(torch.relu(self.reduce(x.mean((2, 3))))))
        weight = self.weight
        if self.alignment is not None:
            weight = torch.bmm(self.alignment, weight.flatten(2)).view_as(weight)
        if self.lite:
            kernel = torch.einsum("m,moikl->oikl", self.of_batch(gate), weight)
            return F.conv2d(x, kernel, stride=self.stride, padding=self.padding)
        n = x.shape[0]
        kernels = torch.einsum("nm,moikl->noikl", gate, weight).flatten(0, 1)
        folded = x.reshape(1, -1, *x.shape[2:])
        y = F.conv2d(folded, kernels, stride=self.stride, padding=self.padding, groups=n)
        return y.view(n, self.outputs, *y.shape[2:])

    def of_batch(self, gate):
        if not self.training:
            return self.average
        gate = gate.mean(0)
        self.average = 0.9 * self.average + 0.1 * gate.detach()
        return gate


class Block(nn.Module):
    """A residual block: `layers` of (inputs, outputs, taps, stride), and a shortcut."""

    def __init__(self, conv, layers, aligned):
        super().__init__()
        self.main = nn.Sequential()
        for i, (inputs, outputs, taps, stride) in enumerate(layers):
            self.main.extend([nn.ReLU()] if i else [])
            self.main.extend([conv(inputs, outputs, taps, stride, aligned), nn.BatchNorm2d(outputs)])
        inputs, outputs = layers[0][0], layers[-1][1]
        stride = max(layer[3] for layer in layers)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                conv(inputs, outputs, 1, stride, aligned), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return torch.relu(self.main(x) + self.shortcut(x))


def resnet(depth, conv, classes=100):
    """A ResNet for images; aligned are, as in the authors' code, the first convolution and the
    last two stages."""
    layers = [conv(3, 64, 7, 2, True), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    counts = {18: [2, 2, 2, 2], 34: [3, 4, 6, 3], 50: [3, 4, 6, 3]}[depth]
    inputs = 64
    for stage, count in enumerate(counts):
        for block in range(count):
            middle, stride = 64 << stage, 2 if stage and not block else 1
            if depth == 50:
                outputs = 4 * middle
                shape = [(inputs, middle, 1, 1), (middle, middle, 3, stride), (middle, outputs, 1, 1)]
            else:
                outputs = middle
                shape = [(inputs, middle, 3, stride), (middle, middle, 3, 1)]
            layers.append(Block(conv, shape, stage >= 2))
            inputs = outputs
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes)]
    return nn.Sequential(*layers, *head)


def maker(options):
    """What makes a convolution of that kind."""
    if options.kind == "single":
        return lambda inputs, outputs, taps, stride, _: nn.Conv2d(
            inputs, outputs, taps, stride, taps // 2, bias=False)
    return lambda *shape: ZooConv2d(options.m, *shape, options.kind == "lite")


def gemm(options):
    for n in options.n:
        a, b = torch.randn(n, n), torch.randn(n, n)
        seconds = median(3, options.runs or 9, lambda: a @ b)
        report(gemm=n, gflops=round(2 * n**3 / seconds / 1e9, 1))


def conv(options):
    for sizes in json.loads(CONVOLUTIONS.read_text()):
        inputs, outputs, taps, side, stride, groups = sizes
        x = torch.randn(options.batch, inputs, side, side, requires_grad=True)
        weight = torch.randn(outputs, inputs // groups, taps, taps, requires_grad=True)
        forward = lambda: F.conv2d(x, weight, stride=stride, padding=taps // 2, groups=groups)
        y = forward()
        operations = 2 * y.numel() * inputs // groups * taps**2
        seconds, both = passes(forward, [x, weight], y, (2, options.runs or 7))
        report(
            conv=sizes if groups > 1 else sizes[:5], batch=options.batch,
            fwd_ms=round(1e3 * seconds, 2), fwd_gflops=round(operations / seconds / 1e9, 1),
            fwdbwd_ms=round(1e3 * both, 2), fwdbwd_gflops=round(3 * operations / both / 1e9, 1))


def upsample(options):
    for sizes in MAPS:
        channels, side, times = sizes
        x = torch.randn(options.batch, channels, side, side, requires_grad=True)
        forward = lambda: F.interpolate(x, scale_factor=times, mode="bilinear", align_corners=False)
        seconds, both = passes(forward, [x], forward(), (2, options.runs or 9))
        report(
            upsample=sizes, batch=options.batch, fwd_ms=round(1e3 * seconds, 3),
            fwdbwd_ms=round(1e3 * both, 3))


def layer(options):
    for sizes in LAYERS:
        inputs, outputs, taps, side = sizes
        module = maker(options)(inputs, outputs, taps, 1, True)
        x = torch.randn(options.batch, inputs, side, side, requires_grad=True)
        forward = lambda: module(x)
        leaves = [x, *module.parameters()]
        seconds, both = passes(forward, leaves, forward(), (1, options.runs or 5))
        report(
            layer=sizes, kind=options.kind, m=options.m, batch=options.batch,
            fwd_ms=round(1e3 * seconds, 2), fwdbwd_ms=round(1e3 * both, 2))


def passes(forward, leaves, y, times):
    """Seconds of a forward pass, and of one with a backward pass."""
    dy = torch.randn_like(y)
    with torch.no_grad():
        seconds = median(*times, forward)

    def both():
        for leaf in leaves:
            leaf.grad = None
        forward().backward(dy)

    return seconds, median(*times, both)


class Inverted(nn.Module):
    """A block of EfficientNet-Lite."""

    def __init__(self, inputs, expansion, outputs, taps, stride):
        super().__init__()
        inner = inputs * expansion
        self.main = nn.Sequential(
            *(normed(inputs, inner, 1, 1) if expansion > 1 else []),
            *normed(inner, inner, taps, stride, inner), *normed(inner, outputs, 1, 1)[:-1])
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return self.main(x) + x if self.is_residual else self.main(x)


def normed(inputs, outputs, taps, stride, groups=1):
    conv = nn.Conv2d(inputs, outputs, taps, stride, taps // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs, 1e-3, 0.01), nn.ReLU6(inplace=True)]


def efficientnet_lite0(num_classes):
    """Padded alike on both sides, which costs what TensorFlow's padding costs, or less."""
    layers, inputs = normed(3, 32, 3, 2), 32
    for count, taps, first, expansion, outputs in (
        (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80),
        (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
    ):
        for stride in [first] + [1] * (count - 1):
            layers.append(Inverted(inputs, expansion, outputs, taps, stride))
            inputs = outputs
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, num_classes)]
    return nn.Sequential(*layers, *normed(inputs, 1280, 1, 1), *head)


def named(name, conv):
    """A network by our name of it, torchvision's where it has one; those of torchvision are plain."""
    if name.startswith("hrnet"):
        # The one that the golden values are of.
        sys.path.insert(0, str(Path(__file__).parents[2] / "tests/golden"))
        from hrnet import NETWORKS, HRNet

        return HRNet(**NETWORKS[name], outputs=100, conv=conv)
    if name == "efficientnet_lite0":
        return efficientnet_lite0(100)
    import torchvision

    return getattr(torchvision.models, name)(weights=None, num_classes=100)


def network(options):
    if options.architecture:
        model = named(options.architecture, maker(options))
    else:
        model = resnet(options.depth, maker(options))
    images = torch.randn(options.batch, 3, options.size, options.size)
    labels = torch.randint(0, 100, (options.batch,))

    def lost(answers):
        """Of classes the cross-entropy, of maps their squared error."""
        if answers.dim() == 4:
            return F.mse_loss(answers, torch.zeros_like(answers))
        return F.cross_entropy(answers, labels)

    if options.what == "infer":
        model.eval()
        with torch.no_grad():
            seconds = median(1, options.runs or 3, lambda: model(images))
    else:
        optimizer = torch.optim.SGD(
            model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4, nesterov=True)

        def step():
            optimizer.zero_grad()
            lost(model(images)).backward()
            optimizer.step()

        seconds = median(1, options.runs or 3, step)
    report(
        what=options.what, architecture=options.architecture, depth=options.depth, kind=options.kind, m=options.m,
        batch=options.batch, size=options.size, seconds=round(seconds, 5),
        images_per_s=round(options.batch / seconds, 2),
        peak_mib=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def memory(options):
    values = 1 << 25  # 128 MiB each, beyond any cache
    a, b, c = torch.full((values,), 1.0), torch.full((values,), 2.0), torch.zeros(values)
    runs = options.runs or 5
    for what, arrays, work in (
        ("copy", 2, lambda: c.copy_(a)), ("add", 3, lambda: torch.add(a, b, out=c)),
    ):
        report(memory=what, gb_per_s=round(arrays * 4 * values / median(1, runs, work) / 1e9, 1))


def median(warmup, runs, work):
    """The median of `runs` times in seconds, after some runs that do not count."""
    # A graphics card works on while Python goes on.
    wait = torch.cuda.synchronize if torch.get_default_device().type == "cuda" else lambda: None
    for _ in range(warmup):
        work()
    wait()
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        work()
        wait()
        times.append(time.perf_counter() - begun)
    return statistics.median_high(times)


def report(**row):
    print(json.dumps(row), flush=True)


def main():
    works = {
        "gemm": gemm, "conv": conv, "upsample": upsample, "layer": layer, "step": network,
        "infer": network, "memory": memory,
    }
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=works)
    parser.add_argument("--kind", choices=["zoo", "lite", "single"], default="zoo")
    parser.add_argument("--depth", type=int, choices=[18, 34, 50], default=50)
    parser.add_argument("--architecture", help="a plain network of torchvision, efficientnet_lite0, or an HRNet of any kind")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--m", type=int, default=5)
    parser.add_argument("--runs", type=int)
    parser.add_argument("--n", type=int, nargs="+", default=[256, 512, 1024, 2048])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cpu, or cuda, in f32 without TF32")
    options = parser.parse_args()
    if options.architecture and options.kind != "single" and not options.architecture.startswith("hrnet"):
        parser.error("only an HRNet is of other kinds than --kind single")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    torch.set_default_device(options.device)
    if options.device == "cuda":
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
    works[options.what](options)


if __name__ == "__main__":
    main()
