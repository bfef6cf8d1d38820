"""Golden values of the adaptive wing loss, restated from Wang, Bo and Fuxin, 2019 (equations 3 and 4).

    python -m venv .venv
    .venv/bin/pip install mpmath
    .venv/bin/python tests/golden/adaptive_wing.py

Writes adaptive_wing.json beside this script, in the form of make.py (made with mpmath 1.4.1). PyTorch has
no such loss; slopes are differences of the restated formula, in 50 digits.
"""

import json
import pathlib
import random

import mpmath

mpmath.mp.dps = 50
OMEGA, EPSILON, THETA, ALPHA = (mpmath.mpf(text) for text in ("14", "1", "0.5", "2.1"))
random.seed(0)


def loss(a, t):
    d = abs(a - t)
    if d < THETA:
        return OMEGA * mpmath.log(1 + abs((a - t) / EPSILON) ** (ALPHA - t))
    ratio = THETA / EPSILON
    slope = OMEGA * (1 / (1 + ratio ** (ALPHA - t))) * (ALPHA - t) * ratio ** (ALPHA - t - 1) / EPSILON
    return slope * d - (THETA * slope - OMEGA * mpmath.log(1 + ratio ** (ALPHA - t)))


def draw(count, low, high):
    """Multiples of 1/256, which are the same numbers in single precision."""
    return [random.randint(int(low * 256), int(high * 256)) / 256 for _ in range(count)]


def case(shape):
    count = 1
    for side in shape:
        count *= side
    a, target, dy = draw(count, -1, 2), draw(count, 0, 1), draw(count, -2, 2)
    # The ends of the range, and a prediction that is right.
    target[0], target[1], a[2] = 0.0, 1.0, target[2]
    pairs = [(mpmath.mpf(a), mpmath.mpf(t)) for a, t in zip(a, target)]
    slopes = [mpmath.mpf(0) if a == t else mpmath.diff(lambda x: loss(x, t), a) for a, t in pairs]
    digits = lambda values: {"shape": shape, "values": [float(f"{float(v):.9g}") for v in values]}
    return {
        "attributes": {"target": target},
        "inputs": [{"shape": shape, "values": a}],
        "output": digits(loss(a, t) for a, t in pairs),
        "dy": {"shape": shape, "values": dy},
        "gradients": [digits(dy * slope for dy, slope in zip(dy, slopes))],
    }


lines = ",\n".join(json.dumps(case(shape), separators=(",", ":")) for shape in [[4, 6], [2, 3, 5, 4]])
path = pathlib.Path(__file__).resolve().parent / "adaptive_wing.json"
path.write_text(f"[\n{lines}\n]\n")
