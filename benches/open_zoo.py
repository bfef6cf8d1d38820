"""The measurements of open_zoo.sh; see there.

Prints one table for each question and writes all figures to FOLDER/open_zoo.json.
"""

import gc
import glob
import json
import math
import os
import statistics
import subprocess
import sys
import time

import numpy
import torch
import torchvision
from safetensors.torch import save_file

FOLDER, PROGRAMS = sys.argv[1], os.path.abspath(sys.argv[2])
ZOO_TUNING = os.path.join(PROGRAMS, "zoo-tuning")
LOGITS = os.path.join(PROGRAMS, "examples", "logits")
RUNS = 9
FIGURES = {}


def resnet50(seed):
    """A ResNet-50 of random weights, its running statistics too: no two tensors are alike."""
    torch.manual_seed(seed)
    return randomised(torchvision.models.resnet50())


def randomised(model):
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    return model.eval()


def make_zoo():
    """Five files as researchers have them: two of today, two in the form before zip, one of a hub."""
    os.makedirs(f"{FOLDER}/zoo", exist_ok=True)
    states = [resnet50(seed).state_dict() for seed in range(5)]
    paths = [f"{FOLDER}/zoo/{name}" for name in (
        "imagenet.pth", "moco.pth.tar", "maskrcnn.pth", "deeplab.pth", "hub.safetensors")]
    torch.save(states[0], paths[0])
    behind = lambda prefix, state: {prefix + name: value for name, value in state.items()}
    moco = {"epoch": 200, "arch": "resnet50",
            "state_dict": behind("module.encoder_q.", states[1])}
    torch.save(moco, paths[1], _use_new_zipfile_serialization=False)
    torch.save(behind("backbone.body.", states[2]), paths[2])
    torch.save(behind("backbone.", states[3]), paths[3], _use_new_zipfile_serialization=False)
    save_file(states[4], paths[4])
    return paths


# A process begins with the memory of the one that it is forked from on its account, and this one
# has all of PyTorch: programs are started by a small one.
LAUNCHER = """
import json, resource, subprocess, sys, time
begun = time.perf_counter()
output = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=True).stdout
seconds = time.perf_counter() - begun
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
json.dump([seconds, peak, output.decode()], sys.stdout)
"""


def measured(command):
    """Wall time in seconds, peak resident memory in MiB, and the output of a program."""
    launched = subprocess.run([sys.executable, "-S", "-E", "-c", LAUNCHER, *command],
                              stdout=subprocess.PIPE, check=True)
    return json.loads(launched.stdout)


def load_all(paths, mmap):
    from safetensors.torch import load_file
    begun = time.perf_counter()
    loaded = []
    for path in paths:
        if path.endswith(".safetensors"):
            loaded.append(load_file(path))
        else:
            # The form before zip cannot be mapped.
            zipped = open(path, "rb").read(2) == b"PK"
            loaded.append(torch.load(path, map_location="cpu", weights_only=True,
                                     mmap=mmap and zipped))
    return time.perf_counter() - begun


def opening(paths):
    ours, within, memory, copies, mapped = [], [], [], [], []
    for _ in range(RUNS):  # in turn, so that whatever else the machine does meets all alike
        seconds, peak, _ = measured([ZOO_TUNING, "inspect", "--as", "resnet50", *paths])
        ours.append(seconds)
        memory.append(peak)
        _, _, text = measured([ZOO_TUNING, "bench", "zoo", "--sources", *paths])
        within.append(json.loads(text)["open_ms"])
        copies.append(load_all(paths, False))
        gc.collect()
        mapped.append(load_all(paths, True))
        gc.collect()
    row = {
        "ours_ms": 1e3 * statistics.median(ours),
        "ours_ms_range": [1e3 * min(ours), 1e3 * max(ours)],
        "ours_within_ms": statistics.median(within),
        "ours_peak_mib": max(memory),
        "torch_load_ms": 1e3 * statistics.median(copies),
        "torch_load_mmap_ms": 1e3 * statistics.median(mapped),
    }
    row["ratio"] = row["torch_load_ms"] / row["ours_ms"]
    row["ratio_mmap"] = row["torch_load_mmap_ms"] / row["ours_ms"]
    row["ratio_within"] = row["torch_load_ms"] / row["ours_within_ms"]
    FIGURES["opening"] = row
    print(f"five ResNet-50 files opened as a zoo, compared with the network and listed "
          f"(median of {RUNS})")
    print(f"  inspect, from its start to its end {row['ours_ms']:8.1f} ms   "
          f"peak {max(memory):.1f} MiB resident")
    print(f"  opening alone, the first time      {row['ours_within_ms']:8.1f} ms   "
          f"in a running program, as PyTorch's")
    print(f"  torch.load                         {row['torch_load_ms']:8.1f} ms   "
          f"{row['ratio']:.1f}x inspect, {row['ratio_within']:.1f}x opening alone")
    print(f"  torch.load(mmap=True)              {row['torch_load_mmap_ms']:8.1f} ms   "
          f"{row['ratio_mmap']:.1f}x inspect")


def building(paths):
    print("the network of the zoo built from them")
    for kind in ("zoo", "lite"):
        _, peak, text = measured([ZOO_TUNING, "bench", "zoo", "--kind", kind, "--sources", *paths])
        row = json.loads(text)
        row["peak_rusage_mib"] = peak
        row["ratio"] = row["peak_mib"] / row["parameters_mib"]
        FIGURES[f"building_{kind}"] = row
        print(f"  {kind:<5} parameters {row['parameters_mib']} MiB, peak {row['peak_mib']} MiB resident, "
              f"{row['ratio']:.3f}x; opened in {row['open_ms']} ms, built in {row['build_ms']} ms")


def flattened(value, name=""):
    """The tensors of what torch.load gives, by their joined names."""
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from flattened(inner, f"{name}.{key}" if name else str(key))


def sums(value):
    return {name: math.fsum(tensor.double().flatten().tolist())
            for name, tensor in flattened(value)}


def real_files():
    print("real files: sums of all tensors against PyTorch's")
    for path in sorted(glob.glob(f"{FOLDER}/real/**/*.pth", recursive=True)):
        expected = sums(torch.load(path, map_location="cpu", weights_only=True))
        _, _, text = measured([ZOO_TUNING, "inspect", "--statistics", "--json", path])
        file = json.loads(text)["files"][0]
        found = {tensor["name"]: tensor["sum"] for tensor in file["tensors"]}
        assert found.keys() == expected.keys(), found.keys() ^ expected.keys()
        worst = max(abs(found[name] - expected[name]) / max(1.0, abs(expected[name])) for name in found)
        FIGURES[f"sums_{os.path.basename(path)}"] = worst
        print(f"  {os.path.basename(path)}: {file['format']}, {len(found)} tensors, "
              f"largest relative difference {worst:.1e}")
        assert worst < 1e-12


def forward():
    """One forward pass through each format."""
    print("one forward pass against torchvision's definition (largest difference over largest logit)")
    os.makedirs(f"{FOLDER}/forward", exist_ok=True)
    for name in ("resnet18", "resnet50"):
        torch.manual_seed(7)
        model = randomised(getattr(torchvision.models, name)())
        images = torch.randn(2, 3, 224, 224)
        with torch.no_grad():
            logits = model(images)
        io = f"{FOLDER}/forward/{name}.io.safetensors"
        save_file({"images": images, "logits": logits}, io)
        state = model.state_dict()
        stem = f"{FOLDER}/forward/{name}"
        torch.save(state, f"{stem}.zip.pth")
        torch.save(state, f"{stem}.legacy.pth", _use_new_zipfile_serialization=False)
        torch.save(model, f"{stem}.whole.pth")
        save_file(state, f"{stem}.safetensors")
        numpy.savez(f"{stem}.npz", **{key: value.numpy() for key, value in state.items()})
        for source, target in (("zip.pth", "onnx"), ("legacy.pth", "converted.safetensors"),
                               ("safetensors", "converted.pth")):
            measured([ZOO_TUNING, "convert", "--force", f"{stem}.{source}", f"{stem}.{target}"])
        for form in ("zip.pth", "legacy.pth", "whole.pth", "safetensors", "npz", "onnx",
                     "converted.safetensors", "converted.pth"):
            _, _, text = measured([LOGITS, f"{stem}.{form}", io])
            error = float(text)
            FIGURES[f"forward_{name}_{form}"] = error
            print(f"  {name} {form:<22} {error:.1e}")
            assert error <= 1e-4
        strict(name, f"{stem}.converted.pth", model)
        runtime(f"{stem}.onnx", images, logits)


def strict(name, path, model):
    """What we write for PyTorch loads strictly, and is the same to the last bit."""
    again = getattr(torchvision.models, name)()
    again.load_state_dict(torch.load(path, weights_only=True), strict=True)
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
    print(f"  {name} converted.pth loads strictly in torchvision, bit for bit")


def runtime(path, images, logits):
    import onnx
    import onnxruntime
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: images.numpy()})[0]
    error = abs(found - logits.numpy()).max() / abs(logits.numpy()).max()
    FIGURES[f"onnxruntime_{os.path.basename(path)}"] = float(error)
    print(f"  {os.path.basename(path)} passes onnx.checker; ONNX Runtime differs by {error:.1e}")
    assert error <= 1e-4


def main():
    torch.set_num_threads(2)
    paths = make_zoo()
    opening(paths)
    building(paths)
    real_files()
    forward()
    with open(f"{FOLDER}/open_zoo.json", "w") as file:
        json.dump(FIGURES, file, indent=1)
    print(f"all figures: {FOLDER}/open_zoo.json")


if __name__ == "__main__":
    main()
