"""What a second rank of MPI gains, measured, and what more of them would, by a model.

A step on n ranks consists of the gradients of a share of the batch, which take less time with more
ranks, and of three parts that do not: copying the gradients into the message and back, their sum
over all ranks, and the update of the weights. All but the sum are measured in one process. The sum
of m bytes is measured on two ranks, and we fit a latency L and a rate B to it, with which it takes

    2 (n - 1) / n * m / B  +  2 log2(n) * L

on n ranks, as in the algorithms that move the fewest bytes (Thakur, Rabenseifner, Gropp 2005).
"""

import os
import time
from functools import cache
from math import log2
from statistics import median

import numpy as np
from mpi4py import MPI
from results import ROUNDS, compared, save

from tinygrad_mnist.benchmark import race, timed
from tinygrad_mnist.data import Dataset
from tinygrad_mnist.scale.mpi import Ranks, SharedTraining
from tinygrad_mnist.training import Recipe, build_training
from tinygrad_mnist.training.threads import blas_threads

BATCHES, WIDTHS, RANKS = (128, 512, 1024, 2048), (256, 1024, 2048), (2, 4, 8, 16)
SMALLEST = min(BATCHES) // max(RANKS)
WORTH = 1.2
"""How much faster two ranks have to be."""
TURN = 0.1
"""Seconds that a turn takes, at least."""
NETWORKS = {
    "1 Gbit/s": (50e-6, 0.125e9),
    "10 Gbit/s": (20e-6, 1.25e9),
    "100 Gbit/s": (2e-6, 12.5e9),
}
"""Usual latencies in seconds, and rates in bytes per second, of networks between machines."""
COMM = MPI.COMM_WORLD


def wait_for_all():
    """Wait without keeping the core busy, as a barrier of MPI would."""
    arrived = COMM.Ibarrier()
    while not arrived.Test():
        time.sleep(0.001)


@cache
def images(count):
    """Random images of bytes and their labels."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, 784), dtype=np.uint8)
    return Dataset.of(pixels, rng.integers(0, 10, count))


def made(batch, width):
    """A training of 784-width-10 without dropout, and its recipe."""
    recipe = Recipe("scaling", hidden=(width,), batch_size=batch, lr=1e-4, momentum=0.9)
    return build_training(recipe, images(2 * max(BATCHES))), recipe


def per_call(work, comm):
    """Seconds of one call, as the mean of as many as fill a turn, on all ranks at once."""
    comm.Barrier()
    count = comm.bcast(max(1, round(TURN / timed(work))))
    return timed(lambda: [work() for _ in range(count)]) / count


def alone(work):
    """The turn of a work that rank 0 does, while the others sleep."""

    def turn(number):
        seconds = per_call(work, MPI.COMM_SELF) if COMM.rank == 0 else 0.0
        wait_for_all()
        return seconds

    return turn


def together(work):
    """The turn of a work that all ranks do together."""
    return lambda number: per_call(work, COMM)


def cells():
    """Seconds of a step on one rank and on two, in turns, for each batch and width."""
    found = {}
    for width in WIDTHS:
        for batch in BATCHES:
            single, _ = made(batch, width)
            shared = SharedTraining(*made(batch, width), Ranks(COMM))
            rows = single.training_rows[:batch]
            contestants = {
                "one": alone(lambda one=single, rows=rows: one.step(rows)),
                "two": together(lambda two=shared, rows=rows: two.step(rows)),
            }
            found[batch, width] = race(contestants, ROUNDS)
    return found


def parts(width):
    """Medians of what a step consists of: gradients of so many examples, copies, update."""
    single, recipe = made(max(BATCHES), width)
    sums = SharedTraining(single, recipe, Ranks(MPI.COMM_SELF)).sums
    sizes = [SMALLEST << k for k in range(int(log2(max(BATCHES) // SMALLEST)) + 1)]
    works = {
        size: alone(lambda rows=single.training_rows[:size]: single.find_gradients(rows))
        for size in sizes
    }
    works["copies"] = alone(lambda: (sums.collect(1.0), sums.distribute()))
    works["update"] = alone(single.apply_gradients)
    return sums.flat.nbytes, {name: median(of) for name, of in race(works, ROUNDS).items()}


def fitted():
    """Latency and rate of the sum over two ranks, by least squares of relative errors."""
    sizes = [1 << k for k in range(8, 25, 2)]
    arrays = {size: np.zeros(size // 4, np.float32) for size in sizes}
    works = {
        size: together(lambda a=array: COMM.Allreduce(MPI.IN_PLACE, a))
        for size, array in arrays.items()
    }
    seconds = np.array([median(of) for of in race(works, ROUNDS).values()])
    terms = np.array([[2.0, size] for size in sizes]) / seconds[:, None]
    (latency, per_byte), *_ = np.linalg.lstsq(terms, np.ones(len(sizes)), rcond=None)
    return latency, 1 / per_byte


def predicted(batch, ranks, size, measured, network):
    """How much faster a step is on so many ranks, by the model."""
    latency, rate = network
    total = 2 * (ranks - 1) / ranks * size / rate + 2 * log2(ranks) * latency
    several = measured[batch // ranks] + measured["copies"] + measured["update"] + total
    return (measured[batch] + measured["update"]) / several


def pays_from(rows, width):
    """The smallest batch from which on two ranks are worth it; None if not one of them is."""
    found = None
    for row in sorted(rows, key=lambda row: -row["batch"]):
        if row["width"] == width:
            if row["ratio"] < WORTH:
                break
            found = row["batch"]
    return found


def main():
    if COMM.size != 2:
        raise SystemExit("Start it on two ranks: mpiexec -n 2 python benchmarks/scaling.py")
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[COMM.rank % len(cores)]})
    with blas_threads(1):
        times, found, here = cells(), {width: parts(width) for width in WIDTHS}, fitted()
        if COMM.rank:
            return
        rows = []
        for (batch, width), of in times.items():
            milliseconds = {f"{name}, ms": 1e3 * median(seconds) for name, seconds in of.items()}
            row = {"batch": batch, "width": width} | milliseconds | compared(of, "one", "two")
            for name, network in ({"here": here} | NETWORKS).items():
                for ranks in RANKS:
                    row[f"{ranks}, {name}"] = predicted(batch, ranks, *found[width], network)
            rows.append(row)
        save(
            "scaling",
            rows,
            command="mpiexec -n 2 python benchmarks/scaling.py",
            latency=here[0],
            rate=here[1],
            worth=WORTH,
            pays_from={width: pays_from(rows, width) for width in WIDTHS},
            networks={name: list(of) for name, of in NETWORKS.items()},
        )


if __name__ == "__main__":
    main()
