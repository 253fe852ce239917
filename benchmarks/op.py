"""What one op costs beside its arithmetic, against PyTorch and HIPS autograd.

Measured on a chain: 4000 times x * b + a, on 4 elements.
"""

import time
from functools import partial

import autograd
import autograd.numpy as anp
import numpy as np
import torch
from results import ROUNDS, compared, save
from threads import race

from tinygrad_mnist import tensor

LENGTH = 4000
X, B, A = np.ones(4, np.float32), np.full(4, 1.0001, np.float32), np.full(4, 1e-6, np.float32)


def chain(y, b, a):
    for _ in range(LENGTH):
        y = y * b + a
    return y


def multiply():
    """NumPy alone: the arithmetic of the chain, forward and backward, with constant b and a."""
    for _ in range(LENGTH):
        X * B, X + A, X * B


def record(make, trained):
    """Forward and backward with tensors that record."""
    x = make(X, requires_grad=True)
    b, a = (make(values, requires_grad=trained) for values in (B, A))
    chain(x, b, a).sum().backward()


def trace(trained):
    """Forward and backward with autograd's traced arrays."""

    def total(leaves):
        x, b, a = leaves if trained else (leaves[0], B, A)
        return anp.sum(chain(x, b, a))

    autograd.grad(total)((X, B, A))


def seconds(work, number):
    del number
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main():
    rows = []
    for trained in (False, True):
        works = {
            "tape": partial(record, tensor, trained),
            "PyTorch": partial(record, torch.tensor, trained),
            "HIPS autograd": partial(trace, trained),
            "NumPy's arithmetic": multiply,
        }
        times = race({name: partial(seconds, work) for name, work in works.items()}, 3 * ROUNDS)
        leaves = "trained" if trained else "constant"
        for name, of in times.items():
            microseconds = min(of) / (2 * LENGTH) * 1e6
            row = {"b and a": leaves, "contestant": name, "µs an op": microseconds}
            rows.append(row | compared(times, name, "PyTorch"))
    save("op", rows)


if __name__ == "__main__":
    main()
