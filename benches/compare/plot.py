"""The growth of a step with the number of sources: plot.py COMPARISON.json PLOT.svg"""

import json
import sys

import matplotlib

matplotlib.use("svg")
# Text stays text, and the same figures give the same file.
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "growth", "font.family": "sans-serif"})
from matplotlib import pyplot

with open(sys.argv[1]) as file:
    growth = json.load(file)["growth"]
figure, axes = pyplot.subplots(figsize=(6.4, 3.8), layout="constrained")
for side, name, colour in (("torch", "PyTorch", "tab:orange"), ("ours", "zoo-tuning", "tab:blue")):
    for threads, style in (("1", "--"), ("2", "-")):
        points = [(int(m), seconds) for m, seconds in growth[threads]["seconds"][side].items() if seconds]
        if points:
            label = f"{name}, {threads} thread{'s' if threads != '1' else ''}"
            axes.plot(*zip(*points), style, color=colour, marker="o", markersize=4, label=label)
axes.set(xlabel="sources", ylabel="seconds", title="A training step of a ResNet-18 zoo, 64x64, batch 16")
axes.set_xlim(left=0)
axes.set_ylim(bottom=0)
axes.grid(alpha=0.3)
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
figure.savefig(sys.argv[2], metadata={"Date": None})
