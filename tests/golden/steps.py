"""Golden values of three training steps of small residual networks, by PyTorch on the CPU.

    python -m venv .venv
    .venv/bin/pip install torch numpy safetensors
    .venv/bin/python tests/golden/steps.py

Writes steps.safetensors beside this script (made with PyTorch 2.15.0). The per-sample
convolution is computed as the method's authors do, by folding the batch into the groups of
one convolution. Everything is computed in double precision and written in single; what the
networks start with is rounded to single precision first.

    images, labels, unseen         the batch that is trained on, and one that is not
    ARCHITECTURE.source0.NAME      the sources' checkpoints
    ARCHITECTURE.start.NAME        what no source holds: alignment, gates, head
    VARIANT.losses                 of each step
    VARIANT.logits                 of `unseen`, in evaluation, after the last step
    VARIANT.end.NAME               parameters and buffers after the last step
"""

import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent
SOURCES, CHANNELS, CLASSES, SMOOTHING, DECAY = 3, 3, 5, 0.1, 5e-4
# The learning rate falls before the last step; momentum must not notice.
RATES = {"sgd": [0.05, 0.05, 0.005], "adam": [0.002, 0.002, 0.0002]}
# Multiples of the rate.
RATIOS = {"backbone": 1.0, "alignment": 2.0, "gate": 5.0, "head": 10.0}

torch.set_default_dtype(torch.float64)
torch.use_deterministic_algorithms(True)
torch.manual_seed(0)


def draw(*shape, deviation=1.0):
    return (torch.randn(shape) * deviation).float().double()


class Gate(nn.Module):
    """Squeeze, two linear layers, softmax or sigmoid."""

    def __init__(self, channels, function):
        super().__init__()
        self.squeeze = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Linear(channels, channels // 4 + 1, bias=False)
        self.expand = nn.Linear(channels // 4 + 1, SOURCES)
        self.function = function

    def forward(self, x):
        scores = self.expand(F.relu(self.reduce(self.squeeze(x).flatten(1))))
        return torch.softmax(scores, dim=1) if self.function == "softmax" else torch.sigmoid(scores)


class ZooConv(nn.Module):
    """A convolution whose kernel is aggregated from those of the sources."""

    def __init__(self, inputs, outputs, size, stride, padding, form):
        super().__init__()
        self.stride, self.padding, self.lite = stride, padding, form["lite"]
        self.weight = nn.Parameter(torch.empty(SOURCES, outputs, inputs, size, size))
        self.alignment = nn.Parameter(torch.empty(SOURCES, outputs, outputs)) if size > 1 else None
        self.gate = Gate(inputs, form["gate"])
        self.means = []

    def aligned(self):
        """Each kernel `[O, C, k, k]` as an image of O channels, `C` by `k * k` pixels."""
        if self.alignment is None:
            return self.weight
        mixed = []
        for kernel, transform in zip(self.weight, self.alignment):
            image = kernel.flatten(2).unsqueeze(0)
            mixed.append(F.conv2d(image, transform[:, :, None, None]).view_as(kernel))
        return torch.stack(mixed)

    def average(self):
        """The moving average of the batches' mean gates, with bias correction."""
        count = len(self.means)
        total = sum(0.1 * 0.9 ** (count - 1 - t) * mean for t, mean in enumerate(self.means))
        return total, torch.tensor(1 - 0.9**count)

    def forward(self, x):
        samples, channels, height, width = x.shape
        experts = self.aligned()
        _, outputs, _, kh, kw = experts.shape
        if self.lite:
            if self.training:
                gate = self.gate(x).mean(dim=0)
                self.means.append(gate.detach().clone())
            else:
                total, weight = self.average()
                gate = total / weight
            kernel = torch.tensordot(gate, experts, dims=1)
            return F.conv2d(x, kernel, stride=self.stride, padding=self.padding)
        kernels = torch.mm(self.gate(x), experts.view(SOURCES, -1))
        kernels = kernels.view(samples * outputs, channels, kh, kw)
        folded = x.reshape(1, samples * channels, height, width)
        y = F.conv2d(folded, kernels, stride=self.stride, padding=self.padding, groups=samples)
        return y.view(samples, outputs, y.size(-2), y.size(-1))


def convolution(inputs, outputs, size, stride, form):
    if form is None:
        return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return ZooConv(inputs, outputs, size, stride, size // 2, form)


class Block(nn.Module):
    """A basic block, or a bottleneck of expansion 4 with the stride in its middle."""

    def __init__(self, entering, width, stride, bottleneck, form):
        super().__init__()
        leaving = 4 * width if bottleneck else width
        if bottleneck:
            sizes = [(entering, width, 1, 1), (width, width, 3, stride), (width, leaving, 1, 1)]
        else:
            sizes = [(entering, width, 3, stride), (width, width, 3, 1)]
        self.count = len(sizes)
        for i, (c, o, size, step) in enumerate(sizes, start=1):
            setattr(self, f"conv{i}", convolution(c, o, size, step, form))
            setattr(self, f"bn{i}", nn.BatchNorm2d(o))
        self.downsample = None
        if stride != 1 or entering != leaving:
            conv = convolution(entering, leaving, 1, stride, form)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(leaving))

    def forward(self, x):
        y = x
        for i in range(1, self.count + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            y = F.relu(y) if i < self.count else y
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Resnet(nn.Module):
    """Two stages of one block. `basic`: blocks of 4 and 8 channels after a 3x3 convolution;
    `bottleneck`: blocks of 16 and 32 channels after the 7x7 stem and its pooling."""

    WIDTH = 4

    def __init__(self, architecture, form):
        super().__init__()
        self.deep = architecture == "bottleneck"
        expansion = 4 if self.deep else 1
        stem = (7, 2) if self.deep else (3, 1)
        self.conv1 = convolution(CHANNELS, self.WIDTH, *stem, form)
        self.bn1 = nn.BatchNorm2d(self.WIDTH)
        first = Block(self.WIDTH, self.WIDTH, 1, self.deep, form)
        second = Block(expansion * self.WIDTH, 2 * self.WIDTH, 2, self.deep, form)
        self.layer1, self.layer2 = nn.Sequential(first), nn.Sequential(second)
        self.fc = nn.Linear(2 * expansion * self.WIDTH, CLASSES)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        if self.deep:
            x = F.max_pool2d(x, 3, stride=2, padding=1)
        x = self.layer2(self.layer1(x))
        return self.fc(x.mean(dim=(2, 3)))


def role(name):
    if name.startswith("fc."):
        return "head"
    if ".gate." in name:
        return "gate"
    return "alignment" if name.endswith(".alignment") else "backbone"


def drawn_source(architecture):
    """A checkpoint as if it had been trained: nothing in it is 0 or 1."""
    state = {}
    for name, tensor in Resnet(architecture, None).state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if tensor.dim() == 4:
            state[name] = draw(*tensor.shape, deviation=tensor[0].numel() ** -0.5)
        elif name.endswith("running_var") or (name.endswith("weight") and tensor.dim() == 1):
            state[name] = (0.5 + draw(*tensor.shape, deviation=0.3).abs()).float().double()
        else:
            state[name] = draw(*tensor.shape, deviation=0.3)
    return state


def drawn_start(architecture):
    """Alignment near the identity, gates, and a head that is not too small."""
    state = {}
    form = dict(lite=False, gate="softmax")
    for name, tensor in Resnet(architecture, form).state_dict().items():
        if role(name) == "alignment":
            near = torch.eye(tensor.shape[-1]) + draw(*tensor.shape, deviation=0.1)
            state[name] = near.float().double()
        elif role(name) == "gate":
            state[name] = draw(*tensor.shape, deviation=0.7)
        elif role(name) == "head":
            state[name] = draw(*tensor.shape, deviation=0.3)
    return state


def started(architecture, form, sources, start):
    """The network of the sources: kernels side by side, batch norms of the mean, statistics
    reset. A plain network is its first source, with its statistics and the drawn head."""
    network = Resnet(architecture, form)
    state = {}
    for name, tensor in network.state_dict().items():
        if name in start:
            state[name] = start[name]
        elif name.endswith(("num_batches_tracked", "running_mean", "running_var")):
            known = form is None and name in sources[0]
            state[name] = sources[0][name].clone() if known else tensor
        elif form is None:
            state[name] = sources[0][name]
        else:
            every = torch.stack([source[name] for source in sources])
            state[name] = every if every.dim() == 5 else every.mean(dim=0)
    network.load_state_dict(state)
    return network


def finished(network):
    """Parameters and buffers, the gates' averages among them."""
    state = {}
    for name, tensor in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            state[name] = tensor
    for name, module in network.named_modules():
        if isinstance(module, ZooConv) and module.lite:
            state[f"{name}.gate.average.sum"], state[f"{name}.gate.average.weight"] = module.average()
    return state


def train(network, optimizer, images, labels):
    network.train()
    by_role = {key: [] for key in RATIOS}
    for name, parameter in network.named_parameters():
        by_role[role(name)].append(parameter)
    groups = [dict(params=by_role[key], ratio=RATIOS[key]) for key in RATIOS if by_role[key]]
    if optimizer == "sgd":
        rule = torch.optim.SGD(groups, lr=1.0, momentum=0.9, nesterov=True, weight_decay=DECAY)
    else:
        rule = torch.optim.Adam(groups, lr=1.0, betas=(0.9, 0.999), eps=1e-8, weight_decay=DECAY)
    losses = []
    for rate in RATES[optimizer]:
        for group in rule.param_groups:
            group["lr"] = rate * group["ratio"]
        rule.zero_grad()
        loss = F.cross_entropy(network(images), labels, label_smoothing=SMOOTHING)
        loss.backward()
        rule.step()
        losses.append(loss.detach())
    return torch.stack(losses)


VARIANTS = {
    "zoo_softmax": ("basic", dict(lite=False, gate="softmax"), "sgd"),
    "zoo_sigmoid": ("basic", dict(lite=False, gate="sigmoid"), "sgd"),
    "lite_softmax": ("basic", dict(lite=True, gate="softmax"), "sgd"),
    "lite_sigmoid": ("basic", dict(lite=True, gate="sigmoid"), "sgd"),
    "zoo_adam": ("basic", dict(lite=False, gate="softmax"), "adam"),
    "lite_adam": ("basic", dict(lite=True, gate="sigmoid"), "adam"),
    "plain": ("basic", None, "sgd"),
    "zoo_bottleneck": ("bottleneck", dict(lite=False, gate="softmax"), "sgd"),
    "lite_bottleneck": ("bottleneck", dict(lite=True, gate="softmax"), "sgd"),
}


def main():
    images, unseen = draw(8, CHANNELS, 17, 15), draw(3, CHANNELS, 17, 15)
    labels = torch.tensor([0, 3, 1, 4, 2, 2, 0, 4])
    tensors = {"images": images, "labels": labels, "unseen": unseen}
    drawn = {}
    for architecture in ("basic", "bottleneck"):
        sources = [drawn_source(architecture) for _ in range(SOURCES)]
        start = drawn_start(architecture)
        drawn[architecture] = sources, start
        for i, source in enumerate(sources):
            tensors |= {f"{architecture}.source{i}.{name}": t for name, t in source.items()}
        tensors |= {f"{architecture}.start.{name}": t for name, t in start.items()}
    for variant, (architecture, form, optimizer) in VARIANTS.items():
        network = started(architecture, form, *drawn[architecture])
        tensors[f"{variant}.losses"] = train(network, optimizer, images, labels)
        print(variant, tensors[f"{variant}.losses"].tolist())
        network.eval()
        with torch.no_grad():
            tensors[f"{variant}.logits"] = network(unseen)
        tensors |= {f"{variant}.end.{name}": t for name, t in finished(network).items()}
    tensors = {name: t.detach().float().contiguous().clone() for name, t in tensors.items()}
    save_file(tensors, HERE / "steps.safetensors")


if __name__ == "__main__":
    main()
