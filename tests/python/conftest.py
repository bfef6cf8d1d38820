"""What tests share: the repository's sources, its digits, networks made of both."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zoo_tuning as zt

DATA = Path(__file__).resolve().parents[2] / "data"
FILES = [DATA / f"zoo/{name}.safetensors" for name in ["as_is", "rotated", "inverted", "edges"]]
DIGITS = DATA / "digits/digits.csv.gz"


Array = npt.NDArray[Any]


def read_digits() -> tuple[Array, Array]:
    """Images `[1797, 1, 16, 16]`, 0 for paper to 1 for ink, and their classes."""
    with gzip.open(DIGITS, "rt") as file:
        rows = np.array([[int(field) for field in row] for row in csv.reader(file)])
    images = rows[:, :64].reshape(-1, 1, 8, 8).astype(np.float32) / 16
    return np.repeat(np.repeat(images, 2, axis=2), 2, axis=3), rows[:, 64]


@pytest.fixture(scope="session")
def digits() -> tuple[Array, Array]:
    return read_digits()


@pytest.fixture(scope="session")
def batch(digits: tuple[Array, Array]) -> tuple[Array, Array]:
    """Sixty-four digits, normalised as the sources expect them, and their classes."""
    images, labels = digits
    return 2 * images[:64] - 1, labels[:64]


@pytest.fixture(scope="session")
def zoo() -> zt.Zoo:
    return zt.open_zoo(FILES)


@pytest.fixture
def lite(zoo: zt.Zoo) -> zt.Network:
    return zoo.network("lite", classes=10, seed=3)
