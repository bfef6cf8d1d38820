"""Runs the comparison of compare.sh, which says how to start it."""

import argparse
import json
import os
import subprocess
import sys

import report
from bars import bars
from measure import PARTS, WORKS, Figures, measure, say

HERE = os.path.dirname(os.path.abspath(__file__))


def options():
    parts = "\n".join(f"  {name:<9}{what}" for name, what in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="benches/compare.sh", description="Ours beside PyTorch and candle.",
        epilog=f"parts:\n{parts}", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PARTS", default=",".join(PARTS), help="some of the parts below, with commas")
    parser.add_argument("--runs", type=int, default=5, help="how often each side is run (default 5; long ones less)")
    parser.add_argument("--quick", action="store_true", help="once: to see that it works")
    parser.add_argument("--json", metavar="FILE", help="all figures (default: FOLDER/compare.json)")
    parser.add_argument("--svg", metavar="FILE", help="the plot of the growth (default: FOLDER/growth.svg)")
    for name in ("--folder", "--ours", "--torch", "--candle"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    chosen.only = set(chosen.only.split(","))
    if unknown := chosen.only - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    return chosen


def main():
    chosen = options()
    programs = {"ours": lambda work: [chosen.ours, "bench", *work.split(), "--json"]}
    if chosen.torch:
        programs["torch"] = lambda work: [chosen.torch, os.path.join(HERE, "pytorch.py"), *work.split()]
    if chosen.candle:
        programs["candle"] = lambda work: [chosen.candle, "1"]
    works = [work for work in WORKS if chosen.only & set(work.parts)]
    figures = Figures()
    measure(figures, works, programs, 1 if chosen.quick else chosen.runs)

    where = report.machine(chosen.torch, chosen.candle, figures.others)
    found = bars(figures)
    print(report.of_machine(where))
    print(report.tables(figures, found, chosen.only))
    path = chosen.json or os.path.join(chosen.folder, "compare.json")
    with open(path, "w") as file:
        json.dump(report.for_programs(figures, found, chosen.only, where), file, indent=1)
    say(f"all figures: {path}")
    if "growth" in chosen.only and chosen.torch:
        svg = chosen.svg or os.path.join(chosen.folder, "growth.svg")
        environment = os.environ | {"PYTHONPATH": os.path.join(chosen.folder, "plot")}
        done = subprocess.run([chosen.torch, os.path.join(HERE, "plot.py"), path, svg], env=environment)
        say(f"plot: {svg}" if done.returncode == 0 else "there is no plot")


if __name__ == "__main__":
    sys.exit(main())
