"""The loader of landmarks beside OpenCV: pictures read, turned, cropped, normalised, with heat maps. See crops.sh.

    python crops.py make PHOTOGRAPHS FOLDER [COUNT]    # FOLDER/*.jpg, FOLDER/points.csv
    python crops.py load FOLDER/points.csv             # what Python takes, as a line of JSON
    python crops.py compare FOLDER/points.csv PROGRAM  # both, in turn

Python's side is two processes, each of which makes every second batch with OpenCV and NumPy. A batch stays
in the process that made it: to hand it on, as a loader has to, costs that side nothing here.
"""

import csv
import json
import multiprocessing
import statistics
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np

SIZE, MAP, BATCH, POINTS, PROCESSES, RUNS = 256, 64, 16, 68, 2, 5
SCALE, ROTATION, ROTATED, FACTOR, SIGMA = 0.25, 30.0, 0.6, 1.25, 1.5
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
# Of OpenCV's time at most.
BAR = 0.5


def make(photographs, folder, count=500):
    """Parts of photographs, of 1024 x 768 pixels, in each of which is a box with 68 points at random."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    files = sorted(file for file in photographs.rglob("*.jpg") if file.stat().st_size > 200_000)
    rows = []
    for number in range(count):
        picture = cv2.imread(str(files[number % len(files)]))
        if picture.shape[0] < 768 or picture.shape[1] < 1024:
            picture = cv2.resize(picture, (1600, 1200))
        top, left = (rng.integers(picture.shape[k] - side + 1) for k, side in enumerate((768, 1024)))
        name = f"{number:04}.jpg"
        cv2.imwrite(str(folder / name), picture[top:top + 768, left:left + 1024], [cv2.IMWRITE_JPEG_QUALITY, 92])
        side = rng.uniform(200, 500)
        centre = np.array([rng.uniform(side, 1024 - side), rng.uniform(side / 2, 768 - side / 2)])
        points = centre + side * (rng.random((POINTS, 2)) - 0.5)
        # The published files' scale is in parts of 200 pixels.
        rows.append([name, side / 200, *centre, *points.ravel()])
    axes = [f"original_{point}_{axis}" for point in range(POINTS) for axis in "xy"]
    with open(folder / "points.csv", "w", newline="") as file:
        csv.writer(file).writerows([["image_name", "scale", "center_w", "center_h", *axes], *rows])


def batch(arguments):
    """One batch: images [N, 3, S, S] and maps [N, K, S / 4, S / 4]; returns how many."""
    folder, rows, seed = arguments
    rng = np.random.default_rng(seed)
    images = np.empty((len(rows), 3, SIZE, SIZE), np.float32)
    maps = np.empty((len(rows), POINTS, MAP, MAP), np.float32)
    at = np.arange(MAP, dtype=np.float32)
    for k, (name, scale, x, y, *points) in enumerate(rows):
        picture = cv2.cvtColor(cv2.imread(str(folder / name)), cv2.COLOR_BGR2RGB)
        side = 200 * scale * FACTOR * rng.uniform(1 - SCALE, 1 + SCALE)
        angle = rng.uniform(-ROTATION, ROTATION) if rng.random() < ROTATED else 0.0
        affine = cv2.getRotationMatrix2D((x, y), angle, SIZE / side)
        affine[:, 2] += SIZE / 2 - np.array([x, y])
        crop = cv2.warpAffine(picture, affine, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
        images[k] = ((crop.astype(np.float32) / 255 - MEAN) / STD).transpose(2, 0, 1)
        points = (np.array(points).reshape(POINTS, 2) @ affine[:, :2].T + affine[:, 2]) * MAP / SIZE
        # A Gaussian is a product of one for each axis.
        waves = np.exp(-(points.astype(np.float32)[:, :, None] - at) ** 2 / (2 * SIGMA**2))
        maps[k] = waves[:, 1, :, None] * waves[:, 0, None, :]
    return len(images)


def load(path):
    """Seconds for all pictures once."""
    with open(path, newline="") as file:
        rows = [[name, *map(float, values)] for name, *values in list(csv.reader(file))[1:]]
    batches = [(path.parent, rows[first:first + BATCH], first) for first in range(0, len(rows), BATCH)]
    with multiprocessing.Pool(PROCESSES, initializer=cv2.setNumThreads, initargs=(0,)) as pool:
        # The processes have started.
        pool.map(batch, batches[:PROCESSES], chunksize=1)
        begun = time.perf_counter()
        count = sum(pool.imap(batch, batches))
        seconds = time.perf_counter() - begun
    print(json.dumps({"load": "crops", "seconds": seconds, "images_per_s": count / seconds}))


def compare(path, program):
    ours = [program, "bench", "crops", "--data", path, "--size", SIZE, "--batch", BATCH, "--runs", 1, "--threads", 2]
    sides = {"ours": ours, "OpenCV": [sys.executable, __file__, "load", path]}
    seconds = {side: [] for side in sides}
    for run in range(RUNS):
        for side in list(sides)[:: -1 if run % 2 else 1]:
            done = subprocess.run(list(map(str, sides[side])), check=True, capture_output=True, text=True)
            seconds[side].append(json.loads(done.stdout.splitlines()[-1])["seconds"])
    ratios = [our / their for our, their in zip(seconds["ours"], seconds["OpenCV"])]
    ratio = statistics.median(ratios)
    for side, values in seconds.items():
        print(f"{side:<8}{statistics.median(values):.2f} s")
    verdict = "met" if ratio <= BAR else "MISSED"
    print(f"ratio {ratio:.2f}, of runs {min(ratios):.2f} to {max(ratios):.2f}; bar <= {BAR}: {verdict}")


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "make":
        make(*map(Path, arguments[:2]), *map(int, arguments[2:]))
    elif command == "load":
        load(Path(arguments[0]))
    else:
        compare(Path(arguments[0]), arguments[1])
