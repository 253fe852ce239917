"""Let the command end silently if it is interrupted while it is being loaded."""

from __future__ import annotations

import os
import signal
import sys


def is_the_command() -> bool:
    """Whether this process is the command itself, not a program that uses the package."""
    called = os.path.basename(sys.argv[0]) if sys.argv else ""  # noqa: PTH119  loads less
    return called.startswith("tinygrad-mnist") or sys.orig_argv[1:3] == ["-m", "tinygrad_mnist"]


def begun() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


if is_the_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
