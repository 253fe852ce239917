"""The command `tinygrad-mnist`: parse, call, print."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import NoReturn


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    The exit code is 0 for success, 1 if a check failed, 2 for wrong input, 3 if a training
    diverged, and 128 + n if signal n ended it.
    """
    try:
        from tinygrad_mnist.cli.exits import refuse_archive, run
        from tinygrad_mnist.start import begun

        begun()
        refuse_archive(Path(__file__))
        run(arguments)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
