"""What one op costs beside its arithmetic: a chain of 4000 `x * b + a` on 4 elements, forward and backward, against PyTorch.

Run `pip install -r benchmarks/requirements.txt && python benchmarks/per_op.py`. The contestants take turns, and the
ratio is taken round by round, so that it holds when the machine's speed drifts.
"""

import statistics
import time

import numpy as np
import torch

import tinygrad_mnist

LENGTH, ROUNDS = 4000, 15


def ours(data, requires_grad):
    return tinygrad_mnist.tensor(data, requires_grad=requires_grad)


def theirs(data, requires_grad):
    return torch.tensor(data, requires_grad=requires_grad)


def microseconds(make, trained):
    """Forward and backward time of one op, with `a` and `b` trained or constant."""
    x = make(np.ones(4, np.float32), True)
    b = make(np.full(4, 1.0001, np.float32), trained)
    a = make(np.full(4, 1e-6, np.float32), trained)
    start, y = time.perf_counter(), x
    for _ in range(LENGTH):
        y = y * b + a
    middle = time.perf_counter()
    y.sum().backward()
    end = time.perf_counter()
    return np.array([middle - start, end - middle]) / (2 * LENGTH) * 1e6


def main():
    """Print medians over the rounds, and the spread of the ratios."""
    torch.set_num_threads(1)
    arithmetic = [np.ones(4, np.float32), np.ones(4, np.float32)]
    start = time.perf_counter()
    for _ in range(100_000):
        arithmetic[0] * arithmetic[1]
    print(f"NumPy's own multiplication of 4 elements: {(time.perf_counter() - start) * 10:.2f} µs")
    for trained in (False, True):
        rounds = [(microseconds(ours, trained), microseconds(theirs, trained)) for _ in range(ROUNDS)][2:]
        ratios = sorted(a.sum() / b.sum() for a, b in rounds)
        for name, times in zip(("tinygrad_mnist", "PyTorch"), zip(*rounds, strict=True), strict=True):
            forward, backward = np.median(times, axis=0)
            print(f"{name:<15} a, b {'trained ' if trained else 'constant'}: forward {forward:.2f} µs, backward {backward:.2f} µs an op")
        print(f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
