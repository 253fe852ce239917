"""Commands that run beside a test: they are started, watched, and waited for."""

import subprocess
import sys
import time
from pathlib import Path


def started(command, *arguments, **how):
    """A command of the package in a process of its own, whose output is kept."""
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | how
    return subprocess.Popen([sys.executable, "-m", "tinygrad_mnist", command, *arguments], **how)


def children(process):
    """The processes that another one has started, but for Python's own, oldest first."""
    every = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [pid for pid in every if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]


def until(condition, seconds=120):
    """Wait for something, and return it."""
    for _ in range(10 * seconds):
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("it never happened")
