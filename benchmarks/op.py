"""What does one op cost beside its arithmetic? A chain of 4000 times x * b + a on 4 elements, against PyTorch and HIPS autograd."""

import time
from functools import partial
from statistics import median

import autograd
import autograd.numpy as anp
import numpy as np
import torch
from results import ROUNDS, compared, save

from tinygrad_mnist import tensor
from tinygrad_mnist.benchmark import race

LENGTH = 4000
X, B, A = np.ones(4, np.float32), np.full(4, 1.0001, np.float32), np.full(4, 1e-6, np.float32)


def chain(y, b, a):
    for _ in range(LENGTH):
        y = y * b + a
    return y


def multiply():
    """NumPy alone: the arithmetic that forward and backward of the chain need, with constant b and a."""
    for _ in range(LENGTH):
        X * B, X + A, X * B


def record(make, trained):
    """Forward and backward with tensors that record."""
    chain(
        make(X, requires_grad=True), make(B, requires_grad=trained), make(A, requires_grad=trained)
    ).sum().backward()


def trace(trained):
    """Forward and backward with autograd's traced arrays."""
    autograd.grad(
        lambda leaves: anp.sum(chain(*leaves)) if trained else anp.sum(chain(leaves[0], B, A))
    )((X, B, A))


def seconds(work, number):
    del number
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main():
    torch.set_num_threads(1)
    rows = []
    for trained in (False, True):
        works = {
            "tape": partial(record, tensor, trained),
            "PyTorch": partial(record, torch.tensor, trained),
            "HIPS autograd": partial(trace, trained),
            "NumPy's arithmetic": multiply,
        }
        times = race({name: partial(seconds, work) for name, work in works.items()}, 3 * ROUNDS)
        for name, of in times.items():
            microseconds = median(of) / (2 * LENGTH) * 1e6
            rows.append(
                {
                    "b and a": "trained" if trained else "constant",
                    "contestant": name,
                    "µs an op": microseconds,
                }
                | compared(times, name, "PyTorch")
            )
    save("op", rows)


if __name__ == "__main__":
    main()
