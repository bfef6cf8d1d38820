"""Runs the tutorial and keeps what it shows: python notebook.py (after a change of its cells)."""

import os
from pathlib import Path

import nbclient
import nbformat

TUTORIAL = Path(__file__).resolve().parents[2] / "bindings/python/tutorial.ipynb"
os.chdir(TUTORIAL.parent)
notebook = nbformat.read(TUTORIAL, as_version=4)
nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
for cell in notebook.cells:
    # Times of day, which say nothing.
    cell.metadata.clear()
notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
nbformat.write(notebook, TUTORIAL)
