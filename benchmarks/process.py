"""What a whole process takes, in time and memory: a training to 98 % on the test set; an import.

Each contestant is a new Python process. `cold_start.py` is one training program, run under both
packages, this one and PyTorch.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from results import ROUNDS, compared, save

from tinygrad_mnist.benchmark import race, start_python

PROGRAM = Path(__file__).parent / "cold_start.py"


def run(package, seen):
    """Seconds of one process; its accuracy and peak memory in MB are appended to `seen`."""
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, PROGRAM, package], stdout=subprocess.PIPE, text=True)
    printed = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    assert status == 0
    seen.append((float(printed), usage.ru_maxrss / 1024))
    return seconds


def main():
    seen = {"tinygrad_mnist": [], "torch": []}
    times = race({name: lambda number, name=name: run(name, seen[name]) for name in seen}, ROUNDS)
    rows = []
    for name, of in times.items():
        accuracies, megabytes = zip(*seen[name], strict=True)
        rows.append(
            {"process": f"training with {name}", "seconds": median(of)}
            | compared(times, name, "torch")
            | {"lowest test accuracy": min(accuracies), "peak memory, MB": median(megabytes)}
        )
    starts = {
        name: lambda number, name=name: start_python(f"import {name}")
        for name in ("numpy", "tinygrad_mnist", "torch")
    }
    imports = race(starts, 3 * ROUNDS)
    rows += [
        {"process": f"import {name}", "seconds": median(of)} | compared(imports, name, "numpy")
        for name, of in imports.items()
    ]
    save("process", rows)


if __name__ == "__main__":
    main()
