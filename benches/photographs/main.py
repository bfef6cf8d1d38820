"""Measures both sides on the photographs that photographs.sh has made; see there.

Each measurement is a process of its own, the sides in turn. Time of a process is from its start to its
end, so PyTorch's import is in it; `within` is what PyTorch's side takes without. Memory is the resident
peak of ours, and of PyTorch's, with its loader's workers, the largest sum of proportional set sizes
that was seen: what processes share counts once. `processor` is the time of all cores that a side took,
which other programs change least.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
# Of what takes time: ours over PyTorch's at most.
BARS = {"load training": 0.5, "load evaluation": 0.5, "eval": 0.9, "predict": 0.9, "train": 0.5, "train, MiB": 1 / 3}
SOURCES, SOME = 3, 500
MAKE_NETWORKS = """
import sys, torch, torchvision
for seed in range(3):
    torch.manual_seed(seed)
    torch.save(torchvision.models.resnet18().state_dict(), f"{sys.argv[1]}/resnet18_{seed}.pth")
torch.save(torchvision.models.resnet50(num_classes=10).state_dict(), f"{sys.argv[1]}/resnet50.pth")
"""


def make(folder, python):
    """Networks of random weights, which take the time of others; 500 photographs."""
    if not (folder / "resnet50.pth").exists():
        subprocess.run([python, "-c", MAKE_NETWORKS, folder], check=True)
    if not (folder / "some").exists():
        files = sorted((folder / "all").rglob("*.jpg"))
        for file in random.Random(0).sample(files, SOME):
            link = folder / "some" / file.parent.name / file.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file)


def tree(pid):
    """A process and those that it has started."""
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from tree(int(child))


def proportional_size(pid):
    """The proportional set size in MiB; of a process that is gone, nothing."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def busy_seconds():
    """Of all processors, by all programs, since the machine started; stolen time too."""
    user, nice, system, _idle, _wait, interrupts, soft, stolen = map(
        int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")


def process(command):
    """What a process took, and the lines of JSON that it printed."""
    others, begun = busy_seconds(), time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        running = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
        peak = pid = 0
        while not pid:
            peak = max(peak, sum(map(proportional_size, tree(running.pid))))
            time.sleep(0.5)
            pid, status, usage = os.wait4(running.pid, os.WNOHANG)
        seconds = time.perf_counter() - begun
        output.seek(0)
        lines = output.read().splitlines()
    if status:
        sys.exit(f"failed ({os.waitstatus_to_exitcode(status)}): {' '.join(map(str, command))}")
    own = usage.ru_utime + usage.ru_stime
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    return {
        "seconds": seconds,
        "processor_seconds": own,
        "peak_mib": max(usage.ru_maxrss / 1024, peak),
        "others": max(0, busy_seconds() - others - own) / (seconds * os.cpu_count()),
        "rows": rows,
    }


def works(folder, options):
    """Of each work the command of each side."""
    ours, theirs = [options.ours], [options.torch, HERE / "vision.py"]
    every, some, threads = folder / "all", folder / "some", ["--threads", "2"]
    resnet50 = folder / "resnet50.pth"
    sources = [folder / f"resnet18_{seed}.pth" for seed in range(SOURCES)]
    run, epochs = folder / "run", ["--epochs", str(options.epochs)]
    trained = some if options.quick else every
    yield "load", {
        "ours": [*ours, "bench", "load", "--data", every, "--batch", "32", "--runs", "1", *threads],
        "torch": [*theirs, "load", "--data", every, "--runs", "1"],
    }
    yield "eval", {
        "ours": [*ours, "eval", resnet50, "--data", some, "--batch", "32", *threads],
        "torch": [*theirs, "eval", "--weights", resnet50, "--data", some],
        "predict": [*ours, "predict", resnet50, some, "--batch", "32", "--csv", *threads],
    }
    yield "train", {
        "ours": [*ours, "train", "--zoo", *sources, "--data", trained, "--form", "zoo", "--augmentation", "crop",
                 "--batch", "32", "--out", run, *epochs, *threads],
        "torch": [*theirs, "train", "--weights", *sources, "--data", trained, "--out", folder / "theirs.pth", *epochs],
    }


def series(work, side, found):
    """Named seconds, and mebibytes, of one process."""
    name = "predict" if side == "predict" else work
    values = {f"{name}, processor": found["processor_seconds"], f"{name}, MiB": found["peak_mib"]}
    if work == "load":
        return {f"load {row['load']}": row["seconds"] for row in found["rows"]} | values
    values = {name: found["seconds"]} | values
    if side == "torch":
        values[f"{name}, within"] = found["rows"][-1]["seconds"]
    return values


def show(figures, others):
    """A line for each time or memory that both sides have."""
    print(f"other programs took {100 * statistics.median(others):.1f} % of the machine, {100 * max(others):.1f} % at most")
    print(f"{'':<20}{'ours':>12}{'PyTorch':>12}{'ratio':>9}{'of runs':>15}{'bar':>11}")
    for name, ours in (figures.get("ours", {}) | figures.get("predict", {})).items():
        of_torch = name.replace("predict", "eval")
        for what in (of_torch, f"{of_torch}, within"):
            theirs = figures.get("torch", {}).get(what, [])
            ratios = [our / their for our, their in zip(ours, theirs)]
            if not ratios:
                continue
            unit = "MiB" if "MiB" in name else "s"
            ratio, label = statistics.median(ratios), what.replace(of_torch, name)
            bar = BARS.get(label)
            verdict = f"<= {bar:.2f}  {'met' if ratio <= bar else 'MISSED'}" if bar else ""
            print(f"{label:<20}{statistics.median(ours):>8.1f} {unit:<3}{statistics.median(theirs):>8.1f} {unit:<3}"
                  f"{ratio:>9.3f}{min(ratios):>8.3f}..{max(ratios):.3f}  {verdict}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--torch", required=True)
    parser.add_argument("--only", default="load,eval,train")
    parser.add_argument("--sides", default="ours,torch,predict", help="the others are left out")
    parser.add_argument("--runs", type=int, default=3, help="of train, one")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="each once; train for an epoch on 500")
    options = parser.parse_args()
    if options.quick:
        options.runs = options.epochs = 1
    folder = options.folder
    make(folder, options.torch)
    figures, others, every = {}, [], []
    for work, commands in works(folder, options):
        if work not in options.only.split(","):
            continue
        for run in range(1 if work == "train" else options.runs):
            sides = [side for side in commands if side in options.sides.split(",")]
            for side in sides[::-1] if run % 2 else sides:
                shutil.rmtree(folder / "run", ignore_errors=True)
                found = process(commands[side])
                every.append({"work": work, "side": side, "run": run} | found)
                others.append(found["others"])
                values = series(work, side, found)
                for name, value in values.items():
                    figures.setdefault(side, {}).setdefault(name, []).append(value)
                told = ", ".join(f"{name} {value:.2f}" for name, value in values.items())
                print(f"{side:<8}{told}, others {100 * found['others']:.0f} %", file=sys.stderr, flush=True)
    show(figures, others)
    (folder / "photographs.json").write_text(json.dumps(every, indent=1))


if __name__ == "__main__":
    main()
