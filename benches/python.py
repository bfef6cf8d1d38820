"""Called by python.sh: python python.py STEPS_OF_RUST WHEEL REPEATS"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import zoo_tuning as zt

THREADS = len(os.sched_getaffinity(0))
SOURCES = [f"data/zoo/{name}.safetensors" for name in ["as_is", "rotated", "inverted", "edges"]]
#: Name, files, batch, side of an image, steps at once.
NETWORKS = [("resnet_small", SOURCES, 64, 16, 10), ("resnet18", [], 8, 112, 2)]


class Rust:
    """The same steps in a process of its own, which waits while Python's are timed."""

    def __init__(self, program, network, files, batch, size):
        arguments = [program, network, str(batch), str(size), str(THREADS), *files]
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def seconds(self, count):
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Python:
    def __init__(self, network, files, batch, size):
        if files:
            self.network = zt.open_zoo(files, network).network("lite", classes=10)
        else:
            self.network = zt.new_network(network, classes=10)
        channels = self.network.input["channels"]
        self.images = np.full((batch, channels, size, size), 0.5, np.float32)
        self.labels = np.arange(batch) % 10
        self.optimizer = zt.Optimizer(self.network, learning_rate=1e-4)

    def seconds(self, count):
        begun = time.perf_counter()
        for _ in range(count):
            loss = zt.cross_entropy(self.network(self.images), self.labels)
            loss.backward()
            self.optimizer.step()
        return time.perf_counter() - begun


def steps(program, repeats):
    for name, files, batch, size, count in NETWORKS:
        rust = Rust(program, name, files, batch, size)
        python = Python(name, files, batch, size)
        rust.seconds(count), python.seconds(count)
        pairs = []
        for repeat in range(repeats):
            # Each goes first in turn.
            order = [rust, python] if repeat % 2 else [python, rust]
            times = {id(one): one.seconds(count) / count for one in order}
            pairs.append((times[id(rust)], times[id(python)]))
        rust.end()
        of_rust, of_python = (min(times) for times in zip(*pairs))
        ratios = [python / rust for rust, python in pairs]
        form = f"lite zoo of {len(files)}" if files else "plain"
        print(
            f"step of {name} ({form}), batch {batch}, {size}x{size}, {THREADS} threads: "
            f"Rust {1e3 * of_rust:.2f} ms, Python {1e3 * of_python:.2f} ms (fastest); "
            f"Python / Rust {of_python / of_rust:.3f} of the fastest, "
            f"{statistics.median(ratios):.3f} median of {repeats} pairs"
        )


def imports(repeats):
    code = "import time; t = time.perf_counter(); import zoo_tuning; print(time.perf_counter() - t)"
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
        for _ in range(repeats)
    ]
    print(f"import: {1e3 * statistics.median(times):.1f} ms, {1e3 * max(times):.1f} at most")


program, wheel, repeats = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
zt.set_threads(THREADS)
print(f"wheel: {wheel.stat().st_size / 1e6:.2f} MB")
imports(repeats)
steps(program, repeats)
