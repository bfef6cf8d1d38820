"""The stubs: mypy passes a right program and refuses wrong ones, and they say what the module has."""

import inspect
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import zoo_tuning as zt

HERE = Path(__file__).parent
# The stubs of NumPy are read once.
CACHE = tempfile.TemporaryDirectory()


def mypy(*arguments):
    command = [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={CACHE.name}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=HERE)


def test_a_right_program_passes_and_runs(tmp_path):
    for what in (["typed.py"], ["-p", "zoo_tuning"]):
        found = mypy(*what)
        assert found.returncode == 0, found.stdout
    ran = subprocess.run(
        [sys.executable, "typed.py", tmp_path], capture_output=True, text=True, cwd=HERE
    )
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "plain.safetensors").exists()


def test_wrong_lines_are_refused():
    found = mypy("mistyped.py").stdout
    refused = {int(line) for line in re.findall(r"mistyped\.py:(\d+): error", found)}
    lines = (HERE / "mistyped.py").read_text().splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}
    assert refused == wrong, found


def test_the_stubs_say_what_the_module_has():
    found = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "zoo_tuning", "--allowlist", HERE / "stubtest.txt",
         "--ignore-disjoint-bases"],
        capture_output=True,
        text=True,
        cwd=HERE,
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_everything_public_says_what_it_does():
    for name in zt.__all__:
        value = getattr(zt, name)
        if name == "__version__":
            continue
        assert inspect.getdoc(value), name
        for attribute, inner in vars(value).items() if inspect.isclass(value) else []:
            if not attribute.startswith("_"):
                assert inspect.getdoc(inner), f"{name}.{attribute}"
