"""Python's own values for what stands in a configuration."""

from __future__ import annotations

import os
from typing import Any


def plain(value: Any) -> Any:
    """A path as a text, an array or a number of NumPy as Python's own."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a configuration holds numbers, texts, lists and tables, and not {value!r}")
