"""Golden values of ten steps of each rule of the optimizers, by PyTorch on the CPU.

    python -m venv .venv
    .venv/bin/pip install torch numpy
    .venv/bin/python tests/golden/optimizers.py

Writes optimizers.json beside this script (made with PyTorch 2.15.0). Two parameters of different
learning rates and weight decays are drawn to targets that are new in every step: the loss of a step
is mse(weight, weight target) + mse(bias, bias target). Everything is computed in double precision.

    start, targets    the parameters, and what they are drawn to, step by step
    rates             of each step; the bias has twice as much
    decays            of the weight, of the bias
    cases             the rule with its options, the largest norm of the gradients (null: they are
                      not clipped), and, step by step, their norms before and the parameters after
"""

import json
import pathlib

import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).resolve().parent
SHAPES, STEPS, RATIO, DECAYS = [[7], [2, 3]], 10, 2.0, [0.1, 0.02]
RATES = [0.05] * 6 + [0.005] * 4

BETAS = dict(betas=(0.9, 0.999), eps=1e-8)
OTHERS = dict(betas=(0.8, 0.95), eps=1e-3)
CASES = [
    ("sgd", dict(momentum=0.0, nesterov=False)),
    ("sgd", dict(momentum=0.9, nesterov=False)),
    ("sgd", dict(momentum=0.9, nesterov=True)),
    ("adam", BETAS),
    ("adam", OTHERS),
    ("adamw", BETAS),
    ("adamw", OTHERS),
    *[
        ("rmsprop", dict(alpha=alpha, eps=eps, momentum=momentum, centered=centered))
        for alpha, eps in [(0.99, 1e-8), (0.8, 1e-2)]
        for momentum in [0.0, 0.9]
        for centered in [False, True]
    ],
]
RULES = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
}

torch.set_default_dtype(torch.float64)
torch.manual_seed(0)


def draw(shape):
    """Numbers of four digits, so that the file need not hold more of them."""
    return torch.randn(shape).mul(1e4).round().div(1e4)


def written(tensor):
    return [float(f"{value:.12g}") for value in tensor.detach().flatten().tolist()]


def run(rule, options, largest, start, targets):
    parameters = [value.clone().requires_grad_() for value in start]
    groups = [dict(params=[p], weight_decay=decay) for p, decay in zip(parameters, DECAYS)]
    optimizer = RULES[rule](groups, lr=1.0, **options)
    norms, after = [], []
    for rate, of_step in zip(RATES, targets):
        for group, ratio in zip(optimizer.param_groups, [1.0, RATIO]):
            group["lr"] = rate * ratio
        optimizer.zero_grad()
        sum(F.mse_loss(p, target) for p, target in zip(parameters, of_step)).backward()
        limit = float("inf") if largest is None else largest
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, limit))
        optimizer.step()
        after.append([written(p) for p in parameters])
    options = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
    norms = written(torch.stack(norms))
    return dict(rule=rule, options=options, largest=largest, norms=norms, after=after)


def main():
    start = [draw(shape) for shape in SHAPES]
    targets = [[draw(shape) for shape in SHAPES] for _ in range(STEPS)]
    cases = [run(*case, None, start, targets) for case in CASES]
    # Among the norms, some are larger and some smaller.
    cases += [run(*case, 1.2, start, targets) for case in [CASES[2], CASES[5], CASES[7]]]
    for case in cases[-3:]:
        print(case["rule"], case["norms"])
    golden = dict(
        shapes=SHAPES,
        start=[written(value) for value in start],
        targets=[[written(value) for value in of_step] for of_step in targets],
        rates=RATES,
        ratio=RATIO,
        decays=DECAYS,
    )
    # A line for each case.
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    head = json.dumps(golden, separators=(",", ":"))[:-1]
    (HERE / "optimizers.json").write_text(f'{head},"cases":[\n{lines}\n]}}\n')


main()
