"""Tables of what was measured, and the same for a program."""

import os
import platform
import statistics
import subprocess
import tomllib
from datetime import datetime, timezone

import floors
from bars import text
from measure import (BATCH32, CONV, GEMM, GROWTH, INFER, LAYER, MEMORY, NAMES, SMALL, SOURCES,
                     STEP, THREADS, divided, geometric, middle)


def machine(torch, candle, others):
    """Where and with what."""

    def first(path, key):
        with open(path) as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith(key)), None)

    def said(*command):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return done.stdout.strip() if done.returncode == 0 else None

    with open("Cargo.toml", "rb") as file:
        version = tomllib.load(file)["workspace"]["package"]["version"]
    with open("benches/compare/candle/Cargo.lock", "rb") as file:
        locked = {package["name"]: package["version"] for package in tomllib.load(file)["package"]}
    return {
        "processor": first("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(first("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        "system": platform.platform(),
        "zoo-tuning": version,
        "commit": said("git", "describe", "--always", "--dirty", "--abbrev=12"),
        "rustc": said("rustc", "--version"),
        "PyTorch": torch and said(torch, "-c", "import torch; print(torch.__version__)"),
        "candle": candle and locked["candle-core"],
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        # Of the whole machine's processors, while one of the compared programs ran.
        "taken_by_others": {"median": round(statistics.median(others), 3), "most": round(max(others), 3)}
        if others else None,
    }


def short(value, unit=""):
    """Three digits or so."""
    if value is None:
        return "-"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}{' ' if unit else ''}{unit}"


def spread(series):
    """The largest less the smallest, as a part of the median."""
    if len(series) < 2:
        return None
    return (max(series.values()) - min(series.values())) / middle(series)


def percent(share):
    return "" if share is None else f"{100 * share:.0f} %"


def verdict(bar):
    """The median's, and how many of the runs agree with the bar."""
    if bar.met is None:
        return "not measured"
    holding = sum(bar.holds(ratio) for ratio in bar.ratio.values())
    return f"{'met' if bar.met else 'MISSED'} ({holding} of {len(bar.ratio)})"


def table(title, head, rows):
    """Columns as wide as they must be, but for those that nothing is known for; the first is text,
    the others end together."""
    rows = [[cell if isinstance(cell, str) else short(cell) for cell in row] for row in rows]
    known = [i == 0 or any(row[i] not in ("", "-") for row in rows) for i in range(len(head))]
    head, *rows = [[cell for cell, keep in zip(row, known) if keep] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(head, *rows)]

    def line(cells):
        first, *rest = zip(cells, widths)
        return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]).rstrip()

    return "\n".join(["", title, line(head), line(["-" * width for width in widths]), *map(line, rows)])


def of_bars(bars):
    rows = []
    for bar in bars:
        low_high = f"{short(min(bar.ratio.values()))}..{short(max(bar.ratio.values()))}" if bar.ratio else ""
        rows.append([
            bar.name, short(middle(bar.ours), bar.unit), percent(spread(bar.ours)),
            short(middle(bar.theirs), bar.unit), percent(spread(bar.theirs)), bar.beside,
            middle(bar.ratio), low_high, f"{'>=' if bar.at_least else '<='} {short(bar.bound)}", verdict(bar),
        ])
    head = ["", "ours", "spread", "theirs", "spread", "", "ratio", "of runs", "bar", ""]
    return table("The bars", head, rows)


def of_peaks(figures):
    rows = []
    for threads in GEMM:
        for name, work, key, items in (
            ("matrix product", GEMM[threads], "gflops", (256, 512, 1024, 2048)),
            ("memory", MEMORY[threads], "gb_per_s", ("copy", "add")),
        ):
            unit = "GFLOP/s" if key == "gflops" else "GB/s"
            for item in items:
                ours, torch = (figures.series(side, work, key, item) for side in ("ours", "torch"))
                if ours or torch:
                    rows.append([f"{name} {item}", str(threads), short(middle(ours), unit), percent(spread(ours)),
                                 short(middle(torch), unit), percent(spread(torch)), middle(divided(ours, torch))])
    head = ["", "threads", "ours", "spread", "PyTorch", "spread", "ratio"]
    return table("What the machine gives (the floors below take the best of either side)", head, rows)


def of_shapes(figures, work, title, floor):
    """Every shape of conv or layer, and the mean over them."""
    keys = (("fwd_ms", "forward"), ("fwdbwd_ms", "with backward"))
    sides = [side for side in ("ours", "torch", "candle") if any((side, work) == key[:2] for key in figures.rows)]
    shapes = figures.items(work)
    head, rows = [""], [[text(shape)] for shape in shapes] + [["geometric mean"]]
    for key, name in keys:
        all_series = {side: [figures.series(side, work, key, shape) for shape in shapes] for side in sides}
        for side in sides:
            head += [f"{name}, ours" if side == "ours" else NAMES[side]]
            for row, series in zip(rows, [*all_series[side], geometric(all_series[side])]):
                row += [short(middle(series), "ms")]
            if side != "ours" and "ours" in sides:
                head += ["ratio"]
                ours = [*all_series["ours"], geometric(all_series["ours"])]
                for row, mine, theirs in zip(rows, ours, [*all_series[side], geometric(all_series[side])]):
                    row += [middle(divided(mine, theirs))]
        head += ["floor"]
        for row, shape in zip(rows, shapes):
            row += [short(floor(shape, key == "fwdbwd_ms"), "ms")]
        rows[-1] += [""]
    return table(title, head, rows)


def milliseconds(figures, batch, kind, m):
    """The floor of one shape by operations or bytes, whichever takes longer."""
    rate, bandwidth = floors.rates(figures)[2]

    def floor(sizes, training):
        convs = [floors.shape(*sizes)]
        by_operations = floors.seconds(floors.operations(convs, batch, kind, m, training), rate)
        # The optimizer's five, which is no part of a layer.
        count = floors.moved(convs, batch, kind, m, training)
        if training:
            count -= 5 * floors.moved([convs[0]._replace(pixels=0, positions=0)], batch, kind, m, False)
        by_bytes = floors.seconds(count, bandwidth)
        known = [seconds for seconds in (by_operations, by_bytes) if seconds]
        return 1e3 * max(known) if known else None

    return floor


def parsed(work):
    """The options of a step or an evaluation."""
    what, *rest = work.split()
    options = {name[2:]: value for name, value in zip(rest[::2], rest[1::2])}
    return what, {name: int(value) if value.isdigit() else value for name, value in options.items()}


def floor_seconds(figures, work):
    """By operations and by bytes."""
    what, options = parsed(work)
    convs, training = floors.resnet(options["depth"], options["size"]), what == "step"
    rate, bandwidth = floors.rates(figures)[options["threads"]]
    mixed = options["batch"], options["kind"], options["m"], training
    return (floors.seconds(floors.operations(convs, *mixed), rate),
            floors.seconds(floors.moved(convs, *mixed), bandwidth))


def of_networks(figures):
    rows = []
    for work in (*STEP.values(), BATCH32, SMALL, *INFER.values()):
        what, options = parsed(work)
        (ours, torch), (mine, theirs) = (
            [figures.series(side, work, key) for side in ("ours", "torch")] for key in ("seconds", "peak_mib"))
        if ours or torch:
            name = f"{what} ResNet-{options['depth']} {options['size']}x{options['size']} batch {options['batch']} {options['kind']}"
            rows.append([
                name, str(max(len(ours), len(torch))), short(middle(ours), "s"), short(middle(torch), "s"),
                middle(divided(ours, torch)), *(short(floor, "s") for floor in floor_seconds(figures, work)),
                short(middle(mine), "MiB"), short(middle(theirs), "MiB"), middle(divided(mine, theirs))])
    head = ["", "runs", "ours", "PyTorch", "ratio", "by operations", "by bytes", "peak, ours", "PyTorch", "ratio"]
    return table("Networks of five sources or one; floors by operations and by bytes", head, rows)


def slope(points):
    """Of the line of least squares through (m, seconds)."""
    if len(points) < 2:
        return None
    return statistics.linear_regression(*zip(*points)).slope


def growth(figures):
    """By threads: seconds by side and m, and the cost of one more source beside its floors."""
    found = {}
    for threads in THREADS:
        curves = {side: {m: middle(figures.series(side, GROWTH[m, threads], "seconds")) for m in SOURCES}
                  for side in ("ours", "torch")}
        ends = [floor_seconds(figures, GROWTH[m, threads]) for m in (SOURCES[0], SOURCES[-1])]
        more = SOURCES[-1] - SOURCES[0]
        by_operations, by_bytes = ((last - first) / more if first else None for first, last in zip(*ends))
        found[threads] = {
            "seconds": curves,
            "one_more": {side: slope([(m, s) for m, s in curve.items() if s]) for side, curve in curves.items()},
            "floor": {"operations": by_operations, "bytes": by_bytes},
        }
    return found


def of_growth(figures):
    rows = []
    for threads, found in growth(figures).items():
        for side, name in (("ours", "ours"), ("torch", "PyTorch")):
            rows.append([
                name, str(threads), *(short(found["seconds"][side][m], "s") for m in SOURCES),
                short(found["one_more"][side], "s"), *(short(floor, "s") for floor in found["floor"].values())])
    for m in (5, 10):
        for side, name in (("ours", "ours"), ("torch", "PyTorch")):
            one, two = (figures.series(side, GROWTH[m, threads], "seconds") for threads in THREADS)
            if one and two:
                rows.append([f"{name}: {m} sources, one thread over two: {short(middle(divided(one, two)))}x", *[""] * 8])
    head = ["", "threads", *(f"m = {m}" for m in SOURCES), "one more", "by operations", "by bytes"]
    return table("Step of a ResNet-18 zoo, 64x64, batch 16: sources and threads", head, rows)


# On so busy a machine PyTorch's threads, which spin while they wait for each other, suffer most.
BUSY = 0.05


def of_machine(where):
    lines = [f"{key:<16}{value}" for key, value in where.items() if key != "taken_by_others"]
    if others := where["taken_by_others"]:
        lines.append(f"other programs  took {100 * others['median']:.1f} % of the machine at the median, "
                     f"{100 * others['most']:.1f} % at most")
        if others["median"] > BUSY:
            lines.append("THE MACHINE WAS BUSY: these ratios are worth little, and kind to ours")
    return "\n".join(lines)


def tables(figures, bars, parts):
    """Everything that was measured, as text."""
    bars = [bar for bar in bars if bar.part in parts]
    found = [of_bars(bars)] if bars else []
    if {"gemm", "memory"} & parts:
        found.append(of_peaks(figures))
    if "conv" in parts:
        found.append(of_shapes(figures, CONV, "Convolutions, batch 8, two threads", milliseconds(figures, 8, "single", 1)))
    for kind, work in LAYER.items():
        if "layer" in parts:
            floor = milliseconds(figures, 8, kind, 5)
            found.append(of_shapes(figures, work, f"Layers of a {kind}, five sources, batch 8, two threads", floor))
    if {"step", "batch32", "small", "infer"} & parts:
        found.append(of_networks(figures))
    if "growth" in parts:
        found.append(of_growth(figures))
    return "\n".join(found)


def for_programs(figures, bars, parts, where):
    """The same as JSON."""
    summary = lambda series: {"median": middle(series), "values": list(series.values())}
    return {
        "machine": where,
        "bars": [
            {"part": bar.part, "name": bar.name, "unit": bar.unit, "beside": bar.beside,
             "ours": summary(bar.ours), "theirs": summary(bar.theirs), "ratio": summary(bar.ratio),
             "bound": bar.bound, "at_least": bar.at_least, "met": bar.met}
            for bar in bars if bar.part in parts
        ],
        "rates": {threads: {"operations_per_s": rate, "bytes_per_s": bandwidth}
                  for threads, (rate, bandwidth) in floors.rates(figures).items()},
        "growth": growth(figures) if "growth" in parts else None,
        "figures": [{"side": side, "work": work, "runs": list(runs.values())}
                    for (side, work, _), runs in figures.rows.items()],
    }
