"""What TensorBoard reads in the event files of a folder, against its expected.json.

    python tests/tensorboard/check.py FOLDER
"""

import importlib.metadata
import json
import pathlib
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def single(value):
    """The bits of the nearest number in single precision."""
    return struct.pack("<f", float(value))


folder = pathlib.Path(sys.argv[1])
expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
# 0: all events, rather than a sample of them.
found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
found.Reload()

problems, values = [], 0
tags = found.Tags()
for kind, key in (("scalars", "scalars"), ("texts", "tensors")):
    if sorted(tags[key]) != sorted(expected[kind]):
        problems.append(f"{kind}: {tags[key]}")
for tag, points in expected["scalars"].items():
    read = [(event.step, single(event.value)) for event in found.Scalars(tag)]
    wanted = [(step, single(value)) for step, value in points]
    values += len(read)
    if read != wanted:
        wrong = [pair for pair in zip(read, wanted) if pair[0] != pair[1]][:3]
        problems.append(f"{tag[:20]}: {len(read)} values of {len(wanted)}, {wrong}")
    times = [event.wall_time for event in found.Scalars(tag)]
    if times != sorted(times) or not times[0] > 1.7e9:
        problems.append(f"{tag[:20]}: times {times[:3]}")
for tag, texts in expected["texts"].items():
    read = [[e.step, e.tensor_proto.string_val[0].decode("utf-8")] for e in found.Tensors(tag)]
    values += len(read)
    if read != texts:
        problems.append(f"{tag}: {read}")
    if found.SummaryMetadata(tag).plugin_data.plugin_name != "text":
        problems.append(f"{tag} is shown as {found.SummaryMetadata(tag)}")

for problem in problems:
    print(problem, file=sys.stderr)
print(f"TensorBoard {importlib.metadata.version('tensorboard')}: {values} values compared")
sys.exit(bool(problems))
