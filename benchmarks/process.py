"""What a whole process takes, in time and memory: a training to 98 % on the test set; an import.

Each contestant is a new Python process. `cold_start.py` is one training program, run under both
packages, this one and PyTorch.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from results import ROUNDS, compared, save
from threads import check, race

from tinygrad_mnist.benchmark import start_python

LIBRARIES = {"tinygrad_mnist": "NumPy", "torch": "PyTorch"}
PROGRAM = Path(__file__).parent / "cold_start.py"


def run(package, seen):
    """Seconds of one process; `seen` gets its accuracy, its threads and its peak memory in MB."""
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, PROGRAM, package], stdout=subprocess.PIPE, text=True)
    printed = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    assert status == 0
    check(package, usage.ru_utime + usage.ru_stime, seconds)
    accuracy, threads = printed.split()
    seen.append((float(accuracy), int(threads), usage.ru_maxrss / 1024))
    return seconds


def main():
    seen = {name: [] for name in LIBRARIES}
    times = race({name: lambda number, name=name: run(name, seen[name]) for name in seen}, ROUNDS)
    rows, threads = [], {}
    for name, of in times.items():
        accuracies, counts, megabytes = zip(*seen[name], strict=True)
        threads[LIBRARIES[name]] = max(counts)
        rows.append(
            {"process": f"training with {name}", "seconds": min(of)}
            | compared(times, name, "torch")
            | {"lowest test accuracy": min(accuracies), "peak memory, MB": max(megabytes)}
        )
    starts = {
        name: lambda number, name=name: start_python(f"import {name}")
        for name in ("numpy", "tinygrad_mnist", "torch")
    }
    imports = race(starts, 3 * ROUNDS)
    rows += [
        {"process": f"import {name}", "seconds": min(of)} | compared(imports, name, "numpy")
        for name, of in imports.items()
    ]
    save("process", rows, threads=threads)


if __name__ == "__main__":
    main()
