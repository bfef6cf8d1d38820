"""A layer of a zoo with biases, restated in PyTorch: biases are aligned and mixed as kernels are.

    python tests/golden/biased_layer.py

Writes biased_layer.json beside this script: tensors by the names that a network has for them, the
output, a seed gradient `dy`, and the gradients of sum(dy * output), all in double precision.
"""

import json
import pathlib

import torch
import torch.nn.functional as F

torch.manual_seed(7)
N, C, O, K, M = 3, 5, 4, 3, 2


def draw(*shape):
    return (torch.round(torch.randn(shape, dtype=torch.float64) * 256) / 256).requires_grad_()


tensors = {
    "x": draw(N, C, 6, 7),
    "conv.weight": draw(M, O, C, K, K),
    "conv.alignment": draw(M, O, O),
    "conv.gate.reduce.weight": draw(C // 4 + 1, C),
    "conv.gate.expand.weight": draw(M, C // 4 + 1),
    "conv.gate.expand.bias": draw(M),
    "conv.bias": draw(M, O),
}
x, weight, alignment, reduce, expand, expand_bias, bias = tensors.values()
gate = F.softmax(F.relu(x.mean(dim=(2, 3)) @ reduce.T) @ expand.T + expand_bias, dim=1)
kernels = torch.einsum("iop,ipckl->iockl", alignment, weight)
biases = torch.einsum("iop,ip->io", alignment, bias)
outputs = [
    F.conv2d(
        x[n : n + 1],
        torch.einsum("i,iockl->ockl", gate[n], kernels),
        torch.einsum("i,io->o", gate[n], biases),
        stride=2,
        padding=1,
    )
    for n in range(N)
]
y = torch.cat(outputs)
dy = draw(*y.shape).detach()
gradients = torch.autograd.grad(y, list(tensors.values()), dy)


def plain(tensor):
    return {"shape": list(tensor.shape), "values": tensor.detach().flatten().tolist()}


found = {
    "tensors": {name: plain(tensor) for name, tensor in tensors.items()},
    "y": plain(y),
    "dy": plain(dy),
    "gradients": {name: plain(gradient) for name, gradient in zip(tensors, gradients)},
}
path = pathlib.Path(__file__).resolve().with_suffix(".json")
path.write_text(json.dumps(found, separators=(",", ":")) + "\n")
