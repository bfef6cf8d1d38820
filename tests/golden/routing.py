"""Golden values of the start of a routed zoo, restated with PyTorch.

    python -m venv .venv
    .venv/bin/pip install torch
    .venv/bin/python tests/golden/routing.py

Writes routing.json beside this script (made with PyTorch 2.15.0), all in double precision. The ridge
classifiers are solved by the larger matrix, and the refinement is differentiated by PyTorch, not by
the formulas of the crate.

    cases: descriptors, the sources' features, and labels; the map that the expectation finds
           (of descriptors as they are), the map after the refinement, and the mean cross-entropy of
           samples that were left out, of the features that are routed hard then
    fold:  two small networks, images, the source of each, and the features of each image by its
           source, whose norms have the statistics of the images routed to it
"""

import json
import pathlib

import torch
import torch.nn.functional as F
from torch import nn

torch.set_default_dtype(torch.float64)
torch.manual_seed(0)

RIDGE, TEMPERATURE = 1e-2, 6.0


def standardised(f):
    std = f.std(0, unbiased=False)
    return (f - f.mean(0)) * torch.where(std > 1e-6, 1 / std.clamp_min(1e-9), torch.zeros_like(std))


def varied(f):
    return int((f.std(0, unbiased=False) > 1e-6).sum())


def left_out(f, y):
    """What a ridge classifier says of each sample by all others."""
    x = standardised(f)
    gram = x @ x.T + 100 * varied(f)
    gram = gram + RIDGE * (varied(f) + 1) * torch.eye(len(f))
    inverse = torch.linalg.inv(gram)
    return y - (inverse @ y) / inverse.diag()[:, None]


def weighted_left_out(f, y, weights):
    root = weights.clamp_min(0.02).sqrt()[:, None]
    x = torch.cat([standardised(f), 10 * varied(f) ** 0.5 * torch.ones(len(f), 1)], 1) * root
    gram = x @ x.T + RIDGE * (varied(f) + 1) * torch.eye(len(f))
    inverse = torch.linalg.inv(gram)
    y = y * root
    return (y - (inverse @ y) / inverse.diag()[:, None]) / root


def regression(phi, z, penalty):
    """Ridge regression on the descriptor: what it says of those left out, and its coefficients."""
    mean, std = phi.mean(0), phi.std(0, unbiased=False)
    x = torch.cat([(phi - mean) / std, torch.ones(len(phi), 1)], 1)
    square = x.T @ x
    square[range(phi.shape[1]), range(phi.shape[1])] += penalty * len(phi)
    coefficients = torch.linalg.solve(square, x.T @ z)
    hat = x @ torch.linalg.solve(square, x.T)
    h = hat.diag()[:, None]
    weight = coefficients[:-1].T / std
    return (hat @ z - h * z) / (1 - h), weight, coefficients[-1] - weight @ mean


def expected(features, labels, y, phi, penalty, rounds=30):
    q = torch.full((len(labels), len(features)), 1 / len(features))
    for t in range(rounds):
        losses = [
            F.cross_entropy(
                TEMPERATURE * weighted_left_out(f, y, q[:, i] / q[:, i].mean()), labels, reduction="none"
            )
            for i, f in enumerate(features)
        ]
        likely = -torch.stack(losses, 1)
        likely = likely - likely.mean(1, keepdim=True)
        z, weight, bias = regression(phi, likely, penalty)
        std = z.std()
        q = torch.softmax(3 * min(1, (t + 1) / 18) * z / std, 1)
    return weight / std, bias / std


def refined(weight, bias, features, labels, y, phi, steps=100):
    mean, std = phi.mean(0), phi.std(0, unbiased=False)
    x = (phi - mean) / std
    v = (weight * std).clone().requires_grad_()
    c = (bias + weight @ mean).clone().requires_grad_()
    first = v.detach().clone()
    optimizer = torch.optim.Adam([v, c], lr=0.05)
    stacked = torch.stack(features, 1)
    for _ in range(steps):
        scores = x @ v.T + c
        q = torch.softmax(scores, 1)
        f = torch.einsum("nm,nmd->nd", q, stacked)
        loss = F.cross_entropy(TEMPERATURE * left_out(f, y), labels)
        entropy = -(q * torch.log_softmax(scores, 1)).sum(1).mean()
        loss = loss + 1e-3 * ((v - first) ** 2).sum() + 0.1 * entropy
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    v, c = v.detach(), c.detach()
    weight = v / std
    return weight, c - weight @ mean


def judged(f, labels, y):
    outputs = left_out(f, y)
    factors = torch.logspace(0, 3, 20001)
    return min(F.cross_entropy(factor * outputs, labels).item() for factor in factors)


class Source(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)
        self.conv2, self.bn2 = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4)
        for norm in (self.bn1, self.bn2):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias)
            norm.momentum = 1.0

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))).mean((2, 3))


cases = []
# More samples than features, and fewer.
for n, d, m, channels in [(40, 6, 3, 4), (24, 30, 2, 3)]:
    labels = torch.arange(n) % 3
    condition = torch.randint(0, m, (n,))
    phi = torch.randn(n, channels)
    phi[torch.arange(n), condition % channels] += 1.5
    y = F.one_hot(labels, 3).double()
    features = []
    for i in range(m):
        f = torch.randn(n, d)
        f[:, :3] += 2 * y * (condition == i)[:, None]
        features.append(f)
    weight, bias = expected(features, labels, y, phi, 0.3)
    better, offset = refined(6 * weight, 6 * bias, features, labels, y, phi)
    routes = (phi @ better.T + offset).argmax(1)
    hard = torch.stack(features)[routes, torch.arange(n)]
    cases.append(
        dict(
            labels=labels.tolist(), descriptors=phi.tolist(), features=[f.tolist() for f in features],
            expected=dict(weight=weight.tolist(), bias=bias.tolist()),
            refined=dict(weight=better.tolist(), bias=offset.tolist()),
            routes=routes.tolist(), loss=judged(hard, labels, y),
        )
    )

sources = [Source(), Source()]
images = torch.randn(20, 1, 6, 6)
routes = torch.tensor([0, 1, 1, 0, 1] * 4)
features = torch.empty(20, 4)
states = []
with torch.no_grad():
    for i, source in enumerate(sources):
        states.append({name: value.tolist() for name, value in source.state_dict().items()})
        source.train()
        source(images[routes == i])
        source.eval()
        features[routes == i] = source(images[routes == i])
fold = dict(sources=states, images=images.tolist(), routes=routes.tolist(), features=features.tolist())

path = pathlib.Path(__file__).resolve().parent / "routing.json"
path.write_text(json.dumps(dict(cases=cases, fold=fold)))
print(path, path.stat().st_size)
