"""A program that mypy reads with all its checks, and that runs: python typed.py FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import zoo_tuning as zt
from conftest import FILES, read_digits


def distillation(logits: zt.Tensor, teacher: npt.NDArray[np.float32]) -> zt.Tensor:
    return -(logits.log_softmax() * zt.Tensor(teacher).softmax()).sum(axis=1).mean()


def main(folder: Path) -> None:
    images, labels = read_digits()
    x: npt.NDArray[np.float32] = 2 * images[:32] - 1
    zoo: zt.Zoo = zt.open_zoo(FILES)
    scores: list[float] = zoo.scores(x, labels[:32])
    network = zoo.network("lite", classes=10, scores=scores, gate="softmax")
    teacher = zoo[0].network("average", classes=10).logits(x)
    optimizer = zt.Optimizer(network, rule="adamw", learning_rate=1e-3, clip_norm=1.0)
    loss = zt.cross_entropy(network(x), labels[:32]) + 0.5 * distillation(network(x), teacher)
    loss.backward()
    norm: float | None = optimizer.step()
    gates: dict[str, npt.NDArray[np.float32]] = network.gates(x)
    weight: zt.Tensor = network.state_dict()["fc.weight"]
    network.collapse().save(folder / "plain.safetensors")
    print(loss.item(), norm, len(gates), weight.shape, 1 - weight[0, :3] / 2)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
