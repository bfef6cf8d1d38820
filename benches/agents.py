"""How fast PyTorch learns: agents of the presets `minatar` and `data-efficient-rainbow`, without a game.

    python benches/agents.py minatar STEPS TRAIN_EVERY [THREADS]
    python benches/agents.py rainbow STEPS TRAIN_EVERY [THREADS]

Networks (convnet_minatar; convnet_rainbow with a noisy head), the replay in bytes, the batch of 32, the copy of
the network, Adam and, of the second, distributions, double and dueling values are those of `zoo-tuning rl train`.
A frame is drawn at random instead of played, which costs less than a game, and transitions are drawn all alike.
Prints steps a second.
"""

import copy
import math
import sys
import time

import numpy
import torch
import torch.nn.functional as F
from torch import nn

agent, steps, train_every = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(int(sys.argv[4]) if len(sys.argv) > 4 else 1)
torch.manual_seed(1)
rng = numpy.random.default_rng(1)
is_rainbow = agent == "rainbow"
ACTIONS, ATOMS = 6, 51


class NoisyLinear(nn.Module):
    """Fortunato et al. (2018), factorised; the noise is drawn anew in every pass."""

    def __init__(self, features, outputs):
        super().__init__()
        self.mean = nn.Linear(features, outputs)
        sigma = 0.1 / math.sqrt(features)
        self.weight_sigma = nn.Parameter(torch.full((outputs, features), sigma))
        self.bias_sigma = nn.Parameter(torch.full((outputs,), sigma))

    def forward(self, x):
        def noise(count):
            z = torch.randn(count)
            return z.sign() * z.abs().sqrt()

        f, e = noise(x.shape[1]), noise(len(self.bias_sigma))
        return self.mean(x) + e * F.linear(x * f, self.weight_sigma, self.bias_sigma)


class Dueling(nn.Module):
    def forward(self, x):
        x = x.view(len(x), 1 + ACTIONS, ATOMS)
        value, advantages = x[:, :1], x[:, 1:]
        return value + advantages - advantages.mean(1, keepdim=True)


if is_rainbow:
    shape, stack, places = (1, 84, 84), 4, 20_000
    network = nn.Sequential(
        nn.Conv2d(4, 32, 5, 5), nn.ReLU(), nn.Conv2d(32, 64, 5, 5), nn.ReLU(), nn.Flatten(),
        nn.Linear(576, 512), nn.ReLU(), NoisyLinear(512, (1 + ACTIONS) * ATOMS), Dueling(),
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, eps=1.5e-4)
else:
    shape, stack, places = (8, 10, 10), 1, 100_000
    network = nn.Sequential(
        nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, 6)
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=2.5e-4, eps=3.125e-4)
support = torch.linspace(-10, 10, ATOMS)
target = copy.deepcopy(network)
frames = numpy.zeros((places, *shape), numpy.uint8)
actions = numpy.zeros(places, numpy.int64)
rewards = numpy.zeros(places, numpy.float32)
ends = numpy.zeros(places, numpy.float32)
drawn = rng.integers(0, 2, (512, *shape), numpy.uint8) * 255


def states(at):
    """The stacked frames up to each slot, as values of 0 to 1."""
    found = frames[at[:, None] + numpy.arange(1 - stack, 1)]
    found = torch.from_numpy(found).float().div_(255)
    return found.view(len(at), stack * shape[0], *shape[1:])


def values(outputs):
    return (outputs.softmax(2) * support).sum(2) if is_rainbow else outputs


def projected(probabilities, reward, discount):
    """The distribution of `reward + discount z` over the atoms."""
    step = support[1] - support[0]
    place = ((reward[:, None] + discount[:, None] * support).clamp(-10, 10) + 10) / step
    low = place.floor().long().clamp(0, ATOMS - 2)
    share = place - low
    out = torch.zeros_like(probabilities)
    out.scatter_add_(1, low, probabilities * (1 - share))
    return out.scatter_add_(1, low + 1, probabilities * share)


warm = 1000
begun = None
every = torch.arange(32)
for step in range(warm + steps):
    if step == warm:
        begun = time.perf_counter()
    place = step % places
    frames[place] = drawn[step % 512]
    with torch.no_grad():
        # Nearly all actions are the network's, as after the first tenth of a training.
        state = states(numpy.array([max(place, stack - 1)]))
        actions[place] = int(values(network(state)).argmax())
    rewards[place], ends[place] = step % 7 == 0, step % 100 == 99
    if step < warm or step % train_every:
        continue
    ahead = 20 if is_rainbow else 1
    at = rng.integers(stack, min(step, places) - ahead, 32)
    batch, after = states(at), states(at + ahead)
    reward = torch.from_numpy(rewards[at])
    discount = 0.99**ahead * (1 - torch.from_numpy(ends[at]))
    taken = torch.from_numpy(actions[at])
    with torch.no_grad():
        next_values = target(after)
        if is_rainbow:
            best = values(network(after)).argmax(1)
            y = projected(next_values.softmax(2)[every, best], reward, discount)
        else:
            y = reward + discount * next_values.max(1).values
    chosen = network(batch)[every, taken]
    loss = F.cross_entropy(chosen, y) if is_rainbow else F.huber_loss(chosen, y)
    optimizer.zero_grad()
    loss.backward()
    if is_rainbow:
        nn.utils.clip_grad_norm_(network.parameters(), 10.0)
    optimizer.step()
    if step % (2000 if is_rainbow else 1000) == 0:
        target.load_state_dict(network.state_dict())
print(f"{steps / (time.perf_counter() - begun):.0f}")
