"""Checks by PyTorch what `zoo-tuning convert` writes.

    python tests/formats/check_export.py target/debug/zoo-tuning

Needs torch, torchvision, numpy and safetensors. Nothing is downloaded: all weights are drawn, or
trained for a few steps on the data of the repository.
"""

import collections
import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import nn

PROGRAM = str(pathlib.Path(sys.argv[1]).resolve())
DATA = pathlib.Path(__file__).parents[2] / "data"
TOLERANCE = 1e-5


def zoo(*arguments):
    command = [PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def same(found, expected):
    """Whether two state dicts have the same names and the same bits."""
    assert set(found) == set(expected), set(found) ^ set(expected)
    for name, tensor in expected.items():
        other = found[name]
        assert (other.dtype, other.shape) == (tensor.dtype, tensor.shape), name
        as_bytes = [t.contiguous().reshape(-1).view(torch.uint8) for t in (other, tensor)]
        assert torch.equal(*as_bytes), name


def check_file(path):
    """That the archive is sound, and its pickle the one that PyTorch would write."""
    state = torch.load(path, weights_only=True)
    same(torch.load(path, weights_only=True, mmap=True), state)
    again = path.with_suffix(".again")
    plain = collections.OrderedDict(state)
    if hasattr(state, "zoo_tuning"):
        plain.zoo_tuning = state.zoo_tuning
    torch.save(plain, again)
    with zipfile.ZipFile(path) as ours, zipfile.ZipFile(again) as theirs:
        assert ours.testzip() is None
        names = [[name.split("/", 1)[1] for name in file.namelist()] for file in (ours, theirs)]
        assert names[0] == names[1]
        pickles = [
            file.read(file.namelist()[0].split("/", 1)[0] + "/data.pkl") for file in (ours, theirs)
        ]
        assert pickles[0] == pickles[1]
    assert subprocess.run(["unzip", "-tq", path], capture_output=True).returncode == 0
    return state


def drawn(module):
    """The module with every value drawn, running statistics too, so that no layer forgets what
    the ones before it said."""
    for name, tensor in module.state_dict().items():
        if tensor.dim() > 1:
            # Of the sources' kernels the first axis is the source.
            fan_in = tensor.flatten(-3).shape[-1] if tensor.dim() > 2 else tensor.shape[1]
            tensor.normal_(0.0, (2 / fan_in) ** 0.5)
        elif tensor.dtype == torch.float32:
            positive = "running_var" in name or tensor.dim() == 1 and name.endswith("weight")
            tensor.uniform_(0.5, 1.5) if positive else tensor.uniform_(-0.5, 0.5)
    return module.eval()


def check_types(folder):
    patterns = torch.arange(256, dtype=torch.uint8)
    types = "bool uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 bfloat16 float32 float64"
    types += " complex64 float8_e5m2 float8_e4m3fn float8_e8m0fnu float8_e4m3fnuz float8_e5m2fnuz"
    state = {}
    for name in types.split():
        source = patterns % 2 if name == "bool" else patterns
        state[name] = source.clone().view(getattr(torch, name)).reshape(2, -1)
    state["scalar"] = torch.tensor(7)
    state["empty"] = torch.zeros(3, 0, 2)
    save_file(state, folder / "types.safetensors")
    zoo("convert", folder / "types.safetensors", folder / "types.pt")
    same(check_file(folder / "types.pt"), state)
    print(f"types: {len(state)} tensors, the same bits")


def check_many(folder):
    state = {f"t{i}": torch.full((i % 5,), float(i)) for i in range(2001)}
    save_file(state, folder / "many.safetensors", metadata={"a": "1", "b": "\u00fc" * 3000})
    zoo("convert", folder / "many.safetensors", folder / "many.bin")
    loaded = check_file(folder / "many.bin")
    same(loaded, state)
    assert loaded.zoo_tuning == {"a": "1", "b": "\u00fc" * 3000}
    print(f"many: {len(state)} tensors and their texts, the same bits")


def check_torchvision(folder, name):
    make = getattr(torchvision.models, name)
    network = drawn(make(weights=None))
    state = network.state_dict()
    save_file(state, folder / f"{name}.safetensors")
    report = json.loads(
        zoo("convert", folder / f"{name}.safetensors", folder / f"{name}.pth", "--json")
    )
    loaded = check_file(folder / f"{name}.pth")
    same(loaded, state)
    fresh = make(weights=None).eval()
    fresh.load_state_dict(loaded, strict=True)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(fresh(images), network(images))
    print(f"{name}: {report['tensors']} tensors, {report['bytes']} bytes, strict, the same outputs")
    check_back(folder, f"{name}.pth", state)
    torch.save(state, folder / f"{name}.torch.pth")
    check_back(folder, f"{name}.torch.pth", state)


def check_back(folder, file, state):
    """From PyTorch's format to safetensors."""
    try:
        zoo("convert", folder / file, folder / "back.safetensors", "--force")
    except RuntimeError as error:
        if "not read yet" not in str(error):
            raise
        print(f"{file}: skipped, PyTorch's format is not read yet")
        return
    same(load_file(folder / "back.safetensors"), state)
    print(f"{file}: read back, the same bits")


class Aggregated(nn.Module):
    """A convolution of m sources, with the names of the authors' code."""

    def __init__(self, sources, c, o, taps, stride, aligned, lite):
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(sources, o, c, taps, taps))
        if aligned:
            self.align_conv = nn.Parameter(torch.empty(sources * o, o, 1, 1))
        if lite:
            self.register_buffer("lite_attention", torch.zeros(sources))
        self.attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(c, c // 4 + 1, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(c // 4 + 1, sources, 1),
            nn.Flatten(),
            nn.Sigmoid(),
        )

    def forward(self, x):
        kernels = self.weight
        m, o = kernels.shape[:2]
        if hasattr(self, "align_conv"):
            kernels = torch.einsum("mop,mpcij->mocij", self.align_conv.view(m, o, o), kernels)
        gates = self.attention(x)
        if hasattr(self, "lite_attention"):
            gates = self.lite_attention.expand(len(x), m)
        outputs = []
        for image, gate in zip(x, gates):
            kernel = torch.einsum("m,mocij->ocij", gate, kernels)
            padding = kernel.shape[-1] // 2
            outputs.append(nn.functional.conv2d(image[None], kernel, None, self.stride, padding))
        return torch.cat(outputs)


class Residual(nn.Module):
    def __init__(self, layer, c, width, expansion, stride):
        super().__init__()
        out = width * expansion
        sizes = [(c, width, 3, stride), (width, width, 3, 1)]
        if expansion > 1:
            sizes = [(c, width, 1, 1), (width, width, 3, stride), (width, out, 1, 1)]
        self.count = len(sizes)
        for i, size in enumerate(sizes, 1):
            self.add_module(f"conv{i}", layer(*size))
            self.add_module(f"bn{i}", nn.BatchNorm2d(size[1]))
        self.downsample = None
        if stride != 1 or c != out:
            shortcut = layer(c, out, 1, stride, shortcut=True)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(out))

    def forward(self, x):
        y = x
        for i in range(1, self.count + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            y = y.relu() if i < self.count else y
        return (y + (self.downsample(x) if self.downsample else x)).relu()


class Backbone(nn.Module):
    def __init__(self, architecture, channels, sources, lite, per_sample, aligned):
        super().__init__()
        depths, width, expansion, taps = {
            "resnet_small": ([1, 1, 1], 16, 1, 3),
            "resnet18": ([2, 2, 2, 2], 64, 1, 7),
            "resnet50": ([3, 4, 6, 3], 64, 4, 7),
        }[architecture]

        def layer(stage):
            def make(c, o, taps, stride, shortcut=False):
                is_aligned = taps > 1 and stage in aligned
                is_lite = lite and not (shortcut and per_sample)
                return Aggregated(sources, c, o, taps, stride, is_aligned, is_lite)

            return make

        self.large = taps == 7
        self.conv1 = layer(0)(channels, width, taps, 2 if self.large else 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.stages = len(depths)
        c = width
        for stage, depth in enumerate(depths, 1):
            blocks = []
            for i in range(depth):
                stride = 2 if stage > 1 and i == 0 else 1
                blocks.append(Residual(layer(stage), c, width << stage - 1, expansion, stride))
                c = (width << stage - 1) * expansion
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.width = c

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        x = nn.functional.max_pool2d(x, 3, 2, 1) if self.large else x
        for stage in range(1, self.stages + 1):
            x = getattr(self, f"layer{stage}")(x)
        return x.mean((2, 3))


class Net(nn.Module):
    def __init__(self, classes, *sizes):
        super().__init__()
        self.f_net = Backbone(*sizes)
        self.c_net = nn.Linear(self.f_net.width, classes)

    def forward(self, x):
        return self.c_net(self.f_net(x))


def settle(network, x):
    """Makes the running statistics those of `x`, so that no layer drowns what is before it."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(x)
    network.eval()


def images(folder, channels):
    """Three images as our program takes them, and the files."""
    size = 16 if channels == 1 else 256
    pixels = torch.randint(0, 256, (3, channels, size, size), dtype=torch.uint8)
    files = []
    for i, image in enumerate(pixels):
        files.append(folder / f"{channels}-{i}.png")
        torchvision.io.write_png(image, str(files[-1]), compression_level=1)
    x = pixels.float() / 255
    if channels == 1:
        return (x - 0.5) / 0.5, files
    mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    return torchvision.transforms.functional.normalize(x, mean, deviation)[..., 16:240, 16:240], files


def check_outputs(name, network, file, classes, x, files):
    """Our program and PyTorch on the same network: the logarithms of the probabilities, against
    those of 64 bits."""
    with torch.no_grad():
        rounded = network(x).log_softmax(1)
        expected = network.double()(x.double()).log_softmax(1)
    spread = (expected.amax(0) - expected.amin(0)).max().item()
    found = torch.zeros_like(expected)
    lines = zoo("predict", file, *files, "--top", classes, "--json").splitlines()
    for row, line in zip(found, lines):
        for one in json.loads(line)["classes"]:
            row[one["class"]] = one["probability"]
    error = (found.log() - expected).abs().max().item()
    # Drawn weights amplify what is rounded, more the deeper they are; PyTorch's own too.
    own = (rounded - expected).abs().max().item()
    print(f"{name}: differs by {error:.1e}, PyTorch's own by {own:.1e}; images by {spread:.1e}")
    assert error < max(TOLERANCE, 3 * own), name
    # Otherwise nothing would have been compared.
    assert spread > 0.01, name
    network.float()


def check_theirs(folder, architecture, channels, sources, lite, per_sample, aligned, prefix):
    """A zoo of theirs is read."""
    classes = 7
    sizes = (architecture, channels, sources, lite, per_sample, aligned)
    network = drawn(Net(classes, *sizes))
    for name, tensor in network.state_dict().items():
        if "lite_attention" in name:
            tensor.uniform_(0.1, 0.9)
        elif "align_conv" in name:
            identity = torch.eye(tensor.shape[1]).repeat(sources, 1)[..., None, None]
            tensor.mul_(0.2).add_(identity)
    x, files = images(folder, channels)
    settle(network, x)
    state = network.state_dict()
    if not prefix:
        state = {name.removeprefix("f_net."): tensor for name, tensor in state.items()}
    save_file(state, folder / "theirs.safetensors")
    ours, back = folder / "ours.safetensors", folder / "theirs.pth"
    zoo("convert", folder / "theirs.safetensors", ours, "--names", "ours", "--force")
    title = f"{architecture}, {sources} sources, {'lite' if lite else 'zoo'}"
    check_outputs(title, network, ours, classes, x, files)
    zoo("convert", ours, back, "--names", "authors", "--force")
    same(check_file(back), network.state_dict())
    plain = folder / "plain.safetensors"
    if lite and not per_sample:
        zoo("collapse", ours, plain, "--force")
        check_outputs(f"{title}, collapsed", network, plain, classes, x, files)
    else:
        try:
            zoo("collapse", ours, plain, "--force")
            raise AssertionError("it does not collapse exactly")
        except RuntimeError as error:
            assert "on its own" in str(error), error


def check_ours(folder, form, per_sample):
    """A zoo of ours, trained for a few steps, is loaded strictly."""
    run = folder / f"run-{form}-{per_sample}"
    sources = [DATA / f"zoo/{name}.safetensors" for name in ("as_is", "edges", "inverted")]
    arguments = ["train", "--zoo", *sources, "--data", DATA / "digits/digits.csv.gz"]
    arguments += ["--form", form, "--gate", "sigmoid", "--shots", 4, "--steps", 12, "--out", run]
    arguments += ["--shortcuts-per-sample", "on" if per_sample else "off"]
    zoo(*arguments)
    theirs = folder / f"{run.name}.pth"
    zoo("convert", run / "model.safetensors", theirs, "--names", "authors")
    state = check_file(theirs)
    lite = form == "lite"
    network = Net(10, "resnet_small", 1, 3, lite, per_sample, (0, 3, 4)).eval()
    network.load_state_dict(state, strict=True)
    x, files = images(folder, 1)
    check_outputs(f"{run.name}, trained here", network, run / "model.safetensors", 10, x, files)


def main():
    torch.manual_seed(1)
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        check_types(folder)
        check_many(folder)
        for name in ("resnet18", "resnet50"):
            check_torchvision(folder, name)
        check_theirs(folder, "resnet_small", 1, 3, False, False, (0, 2), True)
        check_theirs(folder, "resnet_small", 1, 2, True, False, (0, 3, 4), False)
        check_theirs(folder, "resnet18", 3, 2, True, True, (0, 3, 4), True)
        # What the authors' code makes: five sources, shortcuts gated per sample even in lite.
        check_theirs(folder, "resnet50", 3, 5, True, True, (0, 3, 4), True)
        check_theirs(folder, "resnet50", 3, 5, False, False, (0, 3, 4), True)
        for form, per_sample in [("zoo", False), ("lite", False), ("lite", True)]:
            check_ours(folder, form, per_sample)
    print("all is well")


if __name__ == "__main__":
    main()
