"""What is run, and how: each work as a process of its own, one side after the other."""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

NAMES = {"ours": "ours", "torch": "PyTorch", "candle": "candle"}
PARTS = {
    "memory": "what the memory gives, for the floors",
    "gemm": "matrix products",
    "conv": "plain convolutions, forward and backward, candle's too",
    "upsample": "maps enlarged by bilinear interpolation, forward and backward",
    "layer": "single layers of a zoo, forward and backward",
    "step": "a training step of a ResNet-50, batch 8",
    "batch32": "the same of a zoo, batch 32",
    "small": "a training step of a ResNet-18 on small images",
    "infer": "evaluation of a ResNet-50",
    "networks": "a training step of other networks, batch 8 (needs torchvision)",
    "landmarks": "a training step and evaluation of an HRNet-W18 on small and larger images",
    "growth": "that small step with more and more sources, on one thread and two",
}


class Work(NamedTuple):
    """One line of `zoo-tuning bench`, which is also one of pytorch.py."""

    parts: tuple[str, ...]  # those that need it
    arguments: str
    candle: bool = False
    most_runs: int | None = None  # of what takes long


def step(depth, size, batch, kind="zoo", m=5, threads=2, runs=1):
    return (f"step --depth {depth} --size {size} --batch {batch} --kind {kind} --m {m}"
            f" --threads {threads} --runs {runs}")


def infer(batch, kind):
    return f"infer --depth 50 --size 224 --batch {batch} --kind {kind} --m 5 --threads 2 --runs 3"


# The works by the names that the bars know them by.
GEMM = {threads: f"gemm --threads {threads} --runs 9" for threads in (1, 2)}
MEMORY = {threads: f"memory --threads {threads} --runs 5" for threads in (1, 2)}
CONV = "conv --batch 8 --threads 2 --runs 7"
UPSAMPLE = "upsample --batch 8 --threads 2 --runs 9"
LAYER = {kind: f"layer --kind {kind} --batch 8 --m 5 --threads 2 --runs 3" for kind in ("zoo", "lite")}
# A step's first run does not count, and the runs of each process are as many as time allows.
STEP = {kind: step(50, 224, 8, kind, runs=2 if kind == "single" else 1) for kind in ("single", "zoo", "lite")}
BATCH32 = step(50, 224, 32)
INFER = {(kind, batch): infer(batch, kind) for kind, batch in (("zoo", 8), ("single", 8), ("single", 1))}
NETWORKS = {
    name: f"step --architecture {name} --size 224 --batch 8 --kind single --threads 2 --runs 2"
    for name in ("wide_resnet50_2", "resnet101", "resnext50_32x4d", "efficientnet_lite0")
}
LANDMARKS = {
    kind: f"step --architecture hrnet_w18 --size 64 --batch 16 --kind {kind} --m 5 --threads 2 --runs 2"
    for kind in ("single", "zoo", "lite")
}
LANDMARKS_INFER = "infer --architecture hrnet_w18 --size 256 --batch 1 --kind single --threads 2 --runs 3"
SOURCES, THREADS = (1, 2, 5, 10), (1, 2)
GROWTH = {(m, threads): step(18, 64, 16, m=m, threads=threads) for threads in THREADS for m in SOURCES}
SMALL = GROWTH[5, 2]

WORKS = [
    *(Work(("memory",), arguments) for arguments in MEMORY.values()),
    *(Work(("gemm",), arguments) for arguments in GEMM.values()),
    Work(("conv",), CONV, candle=True),
    Work(("upsample",), UPSAMPLE),
    *(Work(("layer",), arguments) for arguments in LAYER.values()),
    *(Work(("step",), arguments) for arguments in STEP.values()),
    Work(("batch32",), BATCH32, most_runs=2),
    *(Work(("infer",), arguments) for arguments in INFER.values()),
    *(Work(("networks",), arguments) for arguments in NETWORKS.values()),
    *(Work(("landmarks",), arguments) for arguments in LANDMARKS.values()),
    Work(("landmarks",), LANDMARKS_INFER),
    Work(("small", "growth"), SMALL),
    *(Work(("growth",), work, most_runs=3) for work in GROWTH.values() if work != SMALL),
]


class Figures:
    """Every number that was printed: by side, work, item (a size or a shape), key and run."""

    def __init__(self):
        self.rows = {}  # (side, work, item) -> run -> the printed line
        self.others = []  # share of the processors that other programs took, for each process

    def add(self, side, work, run, row):
        item = next((json.dumps(row[key]) for key in ("gemm", "conv", "upsample", "layer", "memory") if key in row), "")
        self.rows.setdefault((side, work, item), {})[run] = row

    def items(self, work):
        """The sizes or shapes of a work, as its lines name them, in their order."""
        found = [item for _, of, item in self.rows if of == work]
        return [json.loads(item) for item in dict.fromkeys(found)]

    def series(self, side, work, key, item=None):
        """The values of a key by run; empty where it was not measured."""
        rows = self.rows.get((side, work, "" if item is None else json.dumps(item)), {})
        return {run: row[key] for run, row in rows.items() if row.get(key) is not None}


def measure(figures, works, programs, runs):
    """Fills `figures`, pass after pass over all works, so that what the machine does meanwhile
    meets every work. An interrupt ends it; what was measured stays."""
    total = sum(min(runs, work.most_runs or runs) for work in works)
    done, begun = 0, time.monotonic()
    try:
        for run in range(runs):
            for work in works:
                if run >= (work.most_runs or runs):
                    continue
                done += 1
                sides = [side for side in ("torch", "ours") if side in programs]
                if run % 2:
                    sides.reverse()  # neither always comes first
                if work.candle and "candle" in programs:
                    sides.append("candle")
                for side in sides:
                    minutes, seconds = divmod(int(time.monotonic() - begun), 60)
                    say(f"{minutes:3d}:{seconds:02d}  {done:3d}/{total}  {NAMES[side]:<8}{work.arguments} ...")
                    rows, others = process(programs[side](work.arguments))
                    figures.others.append(others)
                    for row in rows:
                        figures.add(side, work.arguments, run, row | {"taken_by_others": round(others, 3)})
    except KeyboardInterrupt:
        say("interrupted: this is what there is")


def process(command):
    """The lines of JSON that a program prints, and how much of the machine others had meanwhile."""
    busy, own = busy_seconds(), own_seconds()
    begun = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=os.environ | {"RAYON_NUM_THREADS": "2"})
    elapsed = time.monotonic() - begun
    others = (busy_seconds() - busy) - (own_seconds() - own)
    if done.returncode:
        say(f"  failed ({done.returncode}): {' '.join(command)}\n{done.stderr[-2000:]}")
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return rows, max(0.0, others / (elapsed * (os.cpu_count() or 1)))


def busy_seconds():
    """Of all processors, by all programs, since the machine started."""
    with open("/proc/stat") as file:
        user, nice, system, _idle, _wait, interrupts, soft, stolen = map(int, file.readline().split()[1:9])
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")


def own_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def say(text):
    print(text, file=sys.stderr, flush=True)


# Series: values by run. Whatever is computed from two of them, is so run by run.


def divided(above, below):
    return {run: above[run] / below[run] for run in above if below.get(run)}


def geometric(many):
    """The geometric mean of several series, of the runs that all have."""
    runs = set.intersection(*(set(series) for series in many)) if many else set()
    return {run: statistics.geometric_mean(series[run] for series in many) for run in sorted(runs)}


def middle(series):
    return statistics.median(series.values()) if series else None
