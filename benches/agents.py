"""How fast PyTorch learns: the agent of the preset `minatar`, on one thread, without a game.

    python benches/agents.py STEPS TRAIN_EVERY

The network (convnet_minatar), the replay in bytes, the batch of 32, the copy of the network and Adam are those
of `zoo-tuning rl train catch`; a frame is drawn at random instead of played, which costs less than a game.
Prints steps a second.
"""

import copy
import sys
import time

import numpy
import torch
import torch.nn.functional as F
from torch import nn

steps, train_every = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(1)
torch.manual_seed(1)
rng = numpy.random.default_rng(1)
network = nn.Sequential(
    nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, 6)
)
target = copy.deepcopy(network)
optimizer = torch.optim.Adam(network.parameters(), lr=2.5e-4, eps=3.125e-4)
places = 100_000
frames = numpy.zeros((places, 8, 10, 10), numpy.uint8)
actions = numpy.zeros(places, numpy.int64)
rewards = numpy.zeros(places, numpy.float32)
ends = numpy.zeros(places, numpy.float32)
drawn = rng.integers(0, 2, (512, 8, 10, 10), numpy.uint8) * 255
warm = 1000
begun = None
for step in range(warm + steps):
    if step == warm:
        begun = time.perf_counter()
    frame = drawn[step % 512]
    with torch.no_grad():
        state = torch.from_numpy(frame).float().div_(255)[None]
        # Nearly all actions are the network's, as after the first tenth of a training.
        action = int(network(state).argmax())
    place = step % places
    frames[place], actions[place], rewards[place] = frame, action, step % 7 == 0
    ends[place] = step % 100 == 99
    if step < warm or step % train_every:
        continue
    at = rng.integers(0, min(step, places) - 1, 32)
    batch = torch.from_numpy(frames[at]).float().div_(255)
    after = torch.from_numpy(frames[at + 1]).float().div_(255)
    with torch.no_grad():
        best = target(after).max(1).values
        y = torch.from_numpy(rewards[at]) + 0.99 * (1 - torch.from_numpy(ends[at])) * best
    values = network(batch).gather(1, torch.from_numpy(actions[at])[:, None])[:, 0]
    loss = F.huber_loss(values, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 1000 == 0:
        target.load_state_dict(network.state_dict())
print(f"{steps / (time.perf_counter() - begun):.0f}")
