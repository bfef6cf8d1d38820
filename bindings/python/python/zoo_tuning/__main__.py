"""The program `zoo-tuning`, as `python -m zoo_tuning` too."""

from __future__ import annotations

import signal
import sys

from ._zoo_tuning import _program


def main() -> int:
    # The program stops at Ctrl-C by itself; Python would wait for it to return.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _program(["zoo-tuning", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
