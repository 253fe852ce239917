"""One thread for every contestant: asked of each library, and looked at while they race."""

import os
import sys
import time
from functools import partial

from threadpoolctl import threadpool_info, threadpool_limits

from tinygrad_mnist import benchmark

ONE = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NPROC": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}
"""What new processes read when they load a library, and JAX when it first computes."""
CORES = 1.1
"""A contestant that keeps more of them busy has several threads."""


def one_thread():
    """Hold all libraries that are loaded to one thread, and those of new processes.

    JAX's pool of threads obeys none of the settings; the threads that it starts inherit the one
    core of this thread, where the system can bind a thread to a core.
    """
    os.environ.update(ONE)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    threadpool_limits(limits=1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def threads():
    """On how many threads each library computes: by its own word, for JAX as it was asked."""
    blas = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    found = {"NumPy": max(blas)}
    if "torch" in sys.modules:
        found["PyTorch"] = sys.modules["torch"].get_num_threads()
    if "jax" in sys.modules:
        found["JAX"] = int(os.environ["NPROC"])
    return found


def race(contestants, rounds, pause=0.0):
    """The seconds of each contestant, as `benchmark.race`, on one thread."""
    one_thread()
    spent = {name: [0.0, 0.0] for name in contestants}

    def watched(name, run, number):
        cores, seconds = time.process_time(), time.perf_counter()
        taken = run(number)
        spent[name][0] += time.process_time() - cores
        spent[name][1] += time.perf_counter() - seconds
        return taken

    works = {name: partial(watched, name, run) for name, run in contestants.items()}
    times = benchmark.race(works, rounds, pause)
    for name, (busy, seconds) in spent.items():
        check(name, busy, seconds)
    return times


def check(name, busy, seconds):
    """Refuse a contestant whose cores were busy for longer than it took."""
    assert busy <= CORES * seconds + 0.05, f"{name} kept {busy / seconds:.1f} cores busy"
