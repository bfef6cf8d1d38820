"""Runs by configuration, Ctrl-C, faults, the program."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import zoo_tuning as zt
from conftest import DIGITS, FILES


def config(**optimizer):
    return {
        "seed": 3,
        "method": {"zoo": FILES, "form": "lite", "from": None},
        "data": {"path": DIGITS, "shots": np.int64(4), "test": 0.1},
        "optimizer": {"epochs": 2, "batch": 16, **optimizer},
    }


def test_a_run_tells_its_steps_and_ends_with_a_network(tmp_path):
    told, measured, said = [], [], []
    summary = zt.train(
        config(),
        tmp_path / "run",
        on_step=lambda *step: told.append(step),
        on_evaluation=lambda step, scores: measured.append((step, scores)),
        on_message=said.append,
    )
    assert [step for step, _, _ in told] == list(range(1, summary["steps"] + 1))
    assert all(loss > 0 and rate > 0 for _, loss, rate in told)
    assert measured and all("accuracy" in scores for _, scores in measured)
    assert said and all(isinstance(text, str) for text in said)
    assert summary["form"] == "lite" and len(summary["source_scores"]) == 4
    network = zt.open_network(tmp_path / "run/model.safetensors")
    assert network.form == "lite" and network.collapse().form == "plain"
    # What is finished is told again, and not made again.
    assert zt.train(config(), tmp_path / "run", resume=True)["steps"] == summary["steps"]
    with pytest.raises(ValueError, match="holds a run"):
        zt.train(config(), tmp_path / "run")
    # By the file that the run has left, the same.
    again = zt.train(tmp_path / "run/config.toml", tmp_path / "again")
    assert again["loss"] == summary["loss"]


def test_images_in_memory_are_trained_on(digits, tmp_path):
    images, labels = digits
    tables = config()
    tables["data"] = {"shots": 4, "test": 0.1}
    summary = zt.train(tables, tmp_path / "run", data=(images, labels))
    assert summary["training_samples"] == 40
    assert summary["test"]["accuracy"] > 0.2
    with pytest.raises(ValueError, match="a label is 5000"):
        zt.train(tables, tmp_path / "wrong", data=(images[:2], [0, 5000]))


def test_what_a_callback_raises_stops_a_run_that_then_goes_on_to_the_same_bits(tmp_path):
    whole = zt.train(config(), tmp_path / "whole")

    def stop(step, loss, learning_rate):
        if step == 3:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        zt.train(config(), tmp_path / "parts", on_step=stop)
    assert (tmp_path / "parts/checkpoint.safetensors").exists()
    resumed = zt.train(config(), tmp_path / "parts", resume=True)
    assert resumed["resumed_at_step"] == 3 and resumed["loss"] == whole["loss"]
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "parts")]
    assert models[0] == models[1]


def test_what_is_raised_in_the_last_step_is_raised(tmp_path):
    steps = []
    zt.train(config(), tmp_path / "counted", on_step=lambda step, *_: steps.append(step))

    def fail(step, *_):
        if step == steps[-1]:
            raise LookupError("at the end")

    with pytest.raises(LookupError, match="at the end"):
        zt.train(config(), tmp_path / "run", on_step=fail)
    # The network is there all the same.
    assert zt.open_network(tmp_path / "run/model.safetensors").form == "lite"


@pytest.mark.parametrize(
    "change, said",
    [
        ({"optimiser": {}}, "optimizer"),
        ({"method": {"zoo": FILES, "form": "soup"}}, "soup"),
        ({"optimizer": {"epochs": -1}}, "epochs"),
        ({"data": {"path": "nowhere"}}, "nowhere"),
        ({"seed": object()}, None),
        ({"seed": float("inf")}, None),
    ],
)
def test_what_is_wrong_in_a_configuration_is_said(change, said, tmp_path):
    with pytest.raises((ValueError, OSError, TypeError), match=said):
        zt.train({**config(), **change}, tmp_path / "run")
    assert not (tmp_path / "run/model.safetensors").exists()


def run_python(code, **options):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


def test_ctrl_c_stops_between_steps(tmp_path):
    code = f"""
import zoo_tuning as zt
from test_train import config
def told(step, loss, rate):
    if step == 1: print("begun", flush=True)
zt.train(config(epochs=100000), {os.fspath(tmp_path / "run")!r}, on_step=told)
"""
    process = run_python(code)
    assert process.stdout.readline() == "begun\n"
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - begun < 30
    assert "KeyboardInterrupt" in errors and "panic" not in errors
    assert process.returncode in (-signal.SIGINT, 130, 1)
    assert (tmp_path / "run/checkpoint.safetensors").exists()


def test_a_fault_of_the_engine_is_an_exception_that_says_so(capfd):
    with pytest.raises(RuntimeError, match="fault of the engine.*outside.rs.*this is a test") as error:
        zt._zoo_tuning._fault()
    assert type(error.value) is RuntimeError
    assert capfd.readouterr().err == ""


def test_threads_are_set_once():
    code = "import zoo_tuning as zt; zt.set_threads(2); zt.Tensor([[1.0]]) @ [[1.0]]; zt.set_threads(1)"
    process = run_python(code)
    _, errors = process.communicate(timeout=60)
    assert "ValueError: threads: 1 cannot be started" in errors
    with pytest.raises(ValueError, match="from 1 to 1024"):
        zt.set_threads(0)


def program(*arguments, expected=0):
    name = Path(sys.executable).with_name("zoo-tuning")
    found = subprocess.run([name, *arguments], capture_output=True, text=True, timeout=120)
    assert found.returncode == expected, found.stderr
    return found


def test_the_program_comes_along():
    report = json.loads(program("--json", "inspect", *FILES).stdout)
    assert "resnet_small" in json.dumps(report)
    assert zt.__version__ in program("--version").stdout
    assert "demo" in program("help").stdout
    assert "none.pth" in program("inspect", "none.pth", expected=1).stderr
    program("no-such-command", expected=2)
    module = [sys.executable, "-m", "zoo_tuning", "--version"]
    assert zt.__version__ in subprocess.run(module, capture_output=True, text=True).stdout
