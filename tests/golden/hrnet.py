"""Golden values of high-resolution networks (HRNet), by PyTorch on the CPU.

    python -m venv .venv
    .venv/bin/pip install torch numpy
    .venv/bin/python tests/golden/hrnet.py            # writes hrnet.json and hrnet.pth beside this script
    .venv/bin/python tests/golden/hrnet.py hrnet_w18  # lists names and shapes of 68 landmarks

The network is written from its description (Wang et al., 2020) with the names of its authors'
programs. In hrnet.json (made with PyTorch 2.15.0):

    names       of each network the tensors and parameters, and a hash of the list of names and shapes
    runs        of narrow networks, computed in double precision from values that drawn.py makes: what
                they answer to images; losses and what is left of three steps of SGD on the mean
                squared error of their maps; of each tensor its norm, and its product with drawn values

hrnet.pth is a whole module within nn.DataParallel, pickled as the authors' program does, with drawn
values; its members are deflated, which makes it small.
"""

import io
import json
import sys
import zipfile
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(__file__).resolve().parent
RATE, MOMENTUM, DECAY, STEPS = 0.01, 0.9, 5e-4, 3


def plain(inputs, outputs, taps, stride, aligned):
    return nn.Conv2d(inputs, outputs, taps, stride, taps // 2, bias=False)


class Basic(nn.Module):
    def __init__(self, make, inputs, outputs, aligned):
        super().__init__()
        self.conv1, self.bn1 = make.conv(inputs, outputs, 3, 1, aligned), make.norm(outputs)
        self.conv2, self.bn2 = make.conv(outputs, outputs, 3, 1, aligned), make.norm(outputs)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + x)


class Bottleneck(nn.Module):
    def __init__(self, make, inputs, inner):
        super().__init__()
        outputs = 4 * inner
        self.conv1, self.bn1 = make.conv(inputs, inner, 1, 1, False), make.norm(inner)
        self.conv2, self.bn2 = make.conv(inner, inner, 3, 1, False), make.norm(inner)
        self.conv3, self.bn3 = make.conv(inner, outputs, 1, 1, False), make.norm(outputs)
        self.downsample = None
        if inputs != outputs:
            self.downsample = nn.Sequential(make.conv(inputs, outputs, 1, 1, False), make.norm(outputs))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        beside = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn3(self.conv3(y)) + beside)


class Module(nn.Module):
    """Blocks on each branch, then each branch is the sum of what all say to it."""

    def __init__(self, make, channels, blocks, outputs, aligned):
        super().__init__()
        self.mode = make.mode
        self.branches = nn.ModuleList(
            nn.Sequential(*(Basic(make, c, c, aligned) for _ in range(blocks))) for c in channels)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self.fusion(make, channels, i, j, aligned) for j in range(len(channels)))
            for i in range(outputs))

    def fusion(self, make, channels, i, j, aligned):
        if i == j:
            return None
        if j > i:
            conv = make.conv(channels[j], channels[i], 1, 1, aligned)
            return nn.Sequential(conv, make.norm(channels[i]))
        steps = []
        for k in range(i - j):
            last = k == i - j - 1
            outputs = channels[i] if last else channels[j]
            step = [make.conv(channels[j], outputs, 3, 2, aligned), make.norm(outputs)]
            steps.append(nn.Sequential(*step, *([] if last else [nn.ReLU()])))
        return nn.Sequential(*steps)

    def forward(self, branches):
        x = [blocks(branch) for blocks, branch in zip(self.branches, branches)]
        found = []
        for i, layers in enumerate(self.fuse_layers):
            total = 0
            for j, layer in enumerate(layers):
                y = x[j] if layer is None else layer(x[j])
                total = total + (resized(y, x[i], self.mode) if j > i else y)
            found.append(F.relu(total))
        return found


def resized(x, like, mode):
    options = {"align_corners": False} if mode == "bilinear" else {}
    return F.interpolate(x, size=like.shape[2:], mode=mode, **options)


class Make:
    """How convolutions and norms are made."""

    def __init__(self, conv, momentum, mode):
        self.conv, self.momentum, self.mode = conv, momentum, mode

    def norm(self, channels):
        return nn.BatchNorm2d(channels, momentum=self.momentum)


class HRNet(nn.Module):
    """`head` is landmarks, pose or (inner, features) of a classifier; `conv` makes a convolution from
    its inputs, outputs, taps and stride, and whether a zoo aligns it."""

    def __init__(self, width, blocks, modules, first, head="landmarks", stem=64, channels=3, outputs=68,
                 mode=None, conv=plain):
        super().__init__()
        is_landmarks = head == "landmarks"
        mode = mode or ("bilinear" if is_landmarks else "nearest")
        make = Make(conv, 0.01 if is_landmarks else 0.1, mode)
        self.mode, self.kind = mode, head
        self.conv1, self.bn1 = conv(channels, stem, 3, 2, True), make.norm(stem)
        self.conv2, self.bn2 = conv(stem, stem, 3, 2, True), make.norm(stem)
        count, inner = first
        self.layer1 = nn.Sequential(
            *(Bottleneck(make, 4 * inner if i else stem, inner) for i in range(count)))
        widths, last = [width], 4 * inner
        for stage, modules in enumerate(modules, 2):
            aligned = stage > 2
            step = lambda inputs, outputs, stride: nn.Sequential(
                conv(inputs, outputs, 3, stride, aligned), make.norm(outputs), nn.ReLU())
            transition = [None] * (stage - 1) + [nn.Sequential(step(last, 2 * widths[-1], 2))]
            if stage == 2 and last != width:
                transition[0] = step(last, width, 1)
            widths.append(2 * widths[-1])
            last = widths[-1]
            setattr(self, f"transition{stage - 1}", nn.ModuleList(transition))
            rows = [stage] * modules
            if stage == 4 and head == "pose":
                rows[-1] = 1
            setattr(self, f"stage{stage}", nn.Sequential(
                *(Module(make, list(widths), blocks, count, aligned) for count in rows)))
        if is_landmarks:
            total = sum(widths)
            self.head = nn.Sequential(
                nn.Conv2d(total, total, 1), make.norm(total), nn.ReLU(), nn.Conv2d(total, outputs, 1))
        elif head == "pose":
            self.final_layer = nn.Conv2d(width, outputs, 1)
        else:
            inner, features = head
            wide = [4 * inner << i for i in range(4)]
            self.incre_modules = nn.ModuleList(
                nn.Sequential(Bottleneck(make, c, w // 4)) for c, w in zip(widths, wide))
            self.downsamp_modules = nn.ModuleList(
                nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), make.norm(b), nn.ReLU())
                for a, b in zip(wide, wide[1:]))
            self.final_layer = nn.Sequential(
                nn.Conv2d(wide[-1], features, 1), make.norm(features), nn.ReLU())
            self.classifier = nn.Linear(features, outputs)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        branches = [self.layer1(x)]
        for stage in (2, 3, 4):
            transition = getattr(self, f"transition{stage - 1}")
            last = branches[-1]
            if transition[0] is not None:
                branches[0] = transition[0](last)
            branches.append(transition[-1](last))
            branches = getattr(self, f"stage{stage}")(branches)
        if self.kind == "landmarks":
            all = [branches[0], *(resized(x, branches[0], self.mode) for x in branches[1:])]
            return self.head(torch.cat(all, 1))
        if self.kind == "pose":
            return self.final_layer(branches[0])
        y = self.incre_modules[0](branches[0])
        for i, down in enumerate(self.downsamp_modules):
            y = self.incre_modules[i + 1](branches[i + 1]) + down(y)
        return self.classifier(self.final_layer(y).mean((2, 3)))


LARGE = {"modules": [1, 4, 3], "blocks": 4, "first": [4, 64]}
NETWORKS = {
    "hrnet_w18": LARGE | {"width": 18},
    "hrnet_w18_small_v1": {"width": 16, "blocks": 2, "modules": [1, 1, 1], "first": [1, 32]},
    "hrnet_w18_small_v2": {"width": 18, "blocks": 2, "modules": [1, 3, 2], "first": [2, 64]},
    "hrnet_w32": LARGE | {"width": 32},
    "hrnet_w48": LARGE | {"width": 48},
    "hrnet_small": {"width": 8, "blocks": 2, "modules": [1, 1, 1], "first": [1, 16], "stem": 16},
    "hrnet_w18_c": LARGE | {"width": 18, "head": (32, 2048)},
    "hrnet_w32_pose": LARGE | {"width": 32, "head": "pose"},
    "hrnet_w48_pose": LARGE | {"width": 48, "head": "pose"},
}
# That the tests compute with.
NARROW = {"width": 3, "blocks": 1, "modules": [1, 2, 1], "first": [2, 2], "stem": 4, "outputs": 3}
NARROWEST = {"width": 1, "blocks": 1, "modules": [1, 1, 1], "first": [1, 1], "stem": 2, "outputs": 3}
RUNS = [
    *({"head": "landmarks", "mode": mode, "size": size, "batch": batch, "steps": STEPS}
      for mode in ("bilinear", "nearest") for size, batch in ((64, 3), (100, 2), (256, 1))),
    {"head": "pose", "mode": "nearest", "size": 64, "batch": 2, "steps": 0},
    {"head": (2, 16), "mode": "nearest", "size": 64, "batch": 2, "steps": 0},
    {"head": (2, 16), "mode": "bilinear", "size": 100, "batch": 2, "steps": 0},
]


def kept(network):
    """Names and tensors of the network, without the counters of batches."""
    return [(key, t) for key, t in network.state_dict().items() if not key.endswith("num_batches_tracked")]


def listing(network):
    return "".join(f"{key} {list(tensor.shape)}\n" for key, tensor in kept(network))


def hashed(text):
    """FNV-1a of 64 bits."""
    found = 0xCBF29CE484222325
    for byte in text.encode():
        found = (found ^ byte) * 0x100000001B3 % 2**64
    return f"{found:016x}"


def rounded(tensor):
    return [float(f"{v:.9g}") for v in tensor.detach().flatten().tolist()]


def few(tensor):
    """At most some hundred values, evenly."""
    return rounded(tensor.flatten()[:: tensor.numel() // 200 + 1])


def filled(network):
    """The network with the values that follow from the names of its tensors."""
    from drawn import value

    with torch.no_grad():
        for key, tensor in kept(network):
            tensor.copy_(torch.from_numpy(value(key, tuple(tensor.shape))))
    return network


def pickle(network, path):
    """Saves a whole module, its archive deflated."""
    saved = io.BytesIO()
    torch.save(network, saved)
    with zipfile.ZipFile(saved) as stored, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as deflated:
        for member in stored.namelist():
            # Always of the same time.
            deflated.writestr(zipfile.ZipInfo(member), stored.read(member), zipfile.ZIP_DEFLATED)


def computed(head, mode, size, batch, steps):
    from drawn import drawn

    tensor = lambda name, shape: torch.from_numpy(drawn(name, tuple(shape)))
    network = filled(HRNet(**NARROW, head=head, mode=mode).double().eval())
    with torch.no_grad():
        images = tensor("images", (batch, 3, size, size))
        answers = network(images)
    found = {"head": head, "mode": mode, "size": size, "batch": batch, "answers": few(answers)}
    if steps == 0:
        return found
    # Biases before a norm have no gradient, which a rule that divides by its size would make one of.
    rule = torch.optim.SGD(network.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=DECAY, nesterov=True)
    network.train()
    targets, losses = tensor("targets", answers.shape), []
    for _ in range(steps):
        rule.zero_grad()
        loss = F.mse_loss(network(images), targets)
        loss.backward()
        rule.step()
        losses.append(loss)
    norms = torch.stack([t.norm() for _, t in kept(network)])
    products = torch.stack([(t * tensor(key, t.shape)).sum() for key, t in kept(network)])
    with torch.no_grad():
        after = network.eval()(images)
    return found | {
        "losses": rounded(torch.stack(losses)), "norms": rounded(norms), "products": rounded(products),
        "after": few(after)}


def main():
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        with torch.device("meta"):
            print(listing(HRNet(**NETWORKS[sys.argv[1]])), end="")
        return
    names = {}
    for name, options in NETWORKS.items():
        with torch.device("meta"):
            network = HRNet(**options)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        names[name] = {
            "tensors": len(kept(network)), "parameters": parameters, "hash": hashed(listing(network))}
    runs = [computed(**run) for run in RUNS]
    pickle(nn.DataParallel(filled(HRNet(**NARROWEST))), HERE / "hrnet.pth")
    (HERE / "hrnet.json").write_text(json.dumps({"names": names, "runs": runs}) + "\n")


if __name__ == "__main__":
    main()
