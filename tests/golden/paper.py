"""Golden losses of fifty steps by the recipe of the authors' released code, by PyTorch on the CPU.

    python -m venv .venv
    .venv/bin/pip install torch numpy safetensors
    .venv/bin/python tests/golden/paper.py

Writes paper.safetensors beside this script (made with PyTorch 2.15.0). The recipe: lite, gates by
sigmoid, alignment of the stem and of the 3x3 kernels of stages 3 and 4, none of 1x1 kernels,
shortcuts gated per sample, batch norms of the sources' mean with statistics reset, a fresh head that
learns ten times as fast; SGD, rate 0.01, Nesterov momentum 0.9, weight decay 5e-4. The network is a
ResNet of four stages of one bottleneck, four channels wide. Everything is computed in double precision
and written in single. The batch is the recipe's and each class has a pattern of its own, below noise: of
16 images of noise alone, PyTorch's own losses in single and in double precision are 1e-3 apart after 8
steps and 0.03 after 10; so they are 1.3e-4 apart at most.

    images, labels           samples; image i of step s is sample (5 s + 7 i) mod 60
    source0.NAME             the sources' checkpoints
    start.NAME               what no source holds: alignment, gates, head
    losses                   of each step
"""

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from steps import CHANNELS, CLASSES, DECAY, HERE, SOURCES, Block, ZooConv, convolution, draw, role
from torch import nn

STEPS, SAMPLES, BATCH, HEAD_RATIO = 50, 60, 48, 10.0


class Network(nn.Module):
    WIDTH = 4

    def __init__(self, form):
        super().__init__()
        width = self.WIDTH
        self.conv1 = convolution(CHANNELS, width, 7, 2, form)
        self.bn1 = nn.BatchNorm2d(width)
        entering = width
        for stage in range(4):
            block = Block(entering, width << stage, 1 if stage == 0 else 2, True, form)
            setattr(self, f"layer{stage + 1}", nn.Sequential(block))
            entering = 4 * width << stage
        self.fc = nn.Linear(entering, CLASSES)
        for name, module in self.named_modules():
            if not isinstance(module, ZooConv):
                continue
            module.lite = ".downsample." not in name
            if not name.startswith(("conv1", "layer3", "layer4")):
                module.alignment = None

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean(dim=(2, 3)))


def source():
    """A checkpoint as if it had been trained: nothing in it is 0 or 1."""
    state = {}
    for name, tensor in Network(None).state_dict().items():
        if tensor.dim() == 4:
            state[name] = draw(*tensor.shape, deviation=tensor[0].numel() ** -0.5)
        elif tensor.dim() == 1 and name.endswith(("running_var", "weight")):
            state[name] = (0.5 + draw(*tensor.shape, deviation=0.3).abs()).float().double()
        elif not name.endswith("num_batches_tracked"):
            state[name] = draw(*tensor.shape, deviation=0.3)
    return state


def main():
    torch.manual_seed(1)
    sources = [source() for _ in range(SOURCES)]
    network = Network(dict(lite=True, gate="sigmoid"))
    start, state = {}, network.state_dict()
    for name, tensor in state.items():
        if role(name) == "alignment":
            start[name] = torch.eye(tensor.shape[-1]).repeat(SOURCES, 1, 1)
        elif role(name) == "head":
            start[name] = draw(*tensor.shape, deviation=0.01) * (tensor.dim() > 1)
        elif role(name) == "gate":
            # Kaiming normal of the fan out, as the release has it; no bias.
            start[name] = draw(*tensor.shape, deviation=(2 / tensor.shape[0]) ** 0.5) * (tensor.dim() > 1)
        elif not name.endswith(("num_batches_tracked", "running_mean", "running_var")):
            every = torch.stack([source[name] for source in sources])
            state[name] = every if every.dim() == 5 else every.mean(dim=0)
    network.load_state_dict(state | start)

    labels = torch.arange(SAMPLES) % CLASSES
    patterns = F.interpolate(draw(CLASSES, CHANNELS, 4, 4), size=(29, 25), mode="bilinear")
    images = (2 * (patterns[labels] + draw(SAMPLES, CHANNELS, 29, 25))).half().double()

    network.train()
    head = [p for name, p in network.named_parameters() if role(name) == "head"]
    others = [p for name, p in network.named_parameters() if role(name) != "head"]
    groups = [dict(params=others), dict(params=head, lr=0.01 * HEAD_RATIO)]
    rule = torch.optim.SGD(groups, lr=0.01, momentum=0.9, nesterov=True, weight_decay=DECAY)
    losses = []
    for step in range(STEPS):
        rule.zero_grad()
        batch = (5 * step + 7 * torch.arange(BATCH)) % SAMPLES
        loss = F.cross_entropy(network(images[batch]), labels[batch])
        loss.backward()
        rule.step()
        losses.append(loss.detach())
    print([round(loss.item(), 4) for loss in losses])
    tensors = {"images": images, "labels": labels, "losses": torch.stack(losses)}
    for i, of_source in enumerate(sources):
        tensors |= {f"source{i}.{name}": tensor for name, tensor in of_source.items()}
    tensors |= {f"start.{name}": tensor for name, tensor in start.items()}
    tensors = {name: t.detach().float().contiguous().clone() for name, t in tensors.items()}
    tensors["images"] = tensors["images"].half()
    save_file(tensors, HERE / "paper.safetensors")


if __name__ == "__main__":
    main()
