"""The examples of docs/python.md, of the package's page and of the tutorial are run."""

import json
import re
from pathlib import Path

import nbclient
import nbformat
import numpy as np
import pytest
from conftest import FILES, read_digits

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "bindings/python/tutorial.ipynb"


@pytest.mark.parametrize("page", ["docs/python.md", "bindings/python/README.md"])
def test_the_examples_of_a_page_run_in_their_order(page, tmp_path, monkeypatch):
    text = (ROOT / page).read_text()
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert examples
    monkeypatch.chdir(tmp_path)
    images, labels = read_digits()
    images = 2 * images - 1
    # What a reader has: files, images, batches.
    names = {
        "images": images[:200],
        "labels": labels[:200],
        "batches": [(images[at : at + 32], labels[at : at + 32]) for at in (0, 32)],
        "files": [str(file) for file in FILES],
        "digits": str(ROOT / "data/digits/digits.csv.gz"),
        "np": np,
    }
    for number, example in enumerate(examples):
        example = re.sub(r'open_zoo\(\["resnet50.pth".*?\]\)', "open_zoo(files)", example)
        exec(compile(example, f"{page}, example {number}", "exec"), names)


def test_the_tutorial_runs_and_shows_what_it_computes(monkeypatch):
    monkeypatch.chdir(TUTORIAL.parent)
    notebook = nbformat.read(TUTORIAL, as_version=4)
    shown = [outputs(cell) for cell in notebook.cells if cell.cell_type == "code"]
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    again = [outputs(cell) for cell in notebook.cells if cell.cell_type == "code"]
    assert any(shown) and len(shown) == len(again)
    for before, after in zip(shown, again):
        # Words are the same; numbers may round otherwise on another processor.
        number = r"-?\d+\.?\d*(?:e-?\d+)?"
        assert re.sub(number, "", before) == re.sub(number, "", after)
        numbers = [[float(n) for n in re.findall(number, text)] for text in (before, after)]
        np.testing.assert_allclose(*numbers, rtol=0.05, atol=0.05)


def outputs(cell):
    texts = [output.get("text", "") or plain(output) for output in cell.outputs]
    return re.sub(r"\s+", " ", "".join(texts))


def plain(output):
    return output.get("data", {}).get("text/plain", json.dumps(output.get("ename", "")))
