"""Whether time grows linearly: with width, depth and batch of a step, and the length of a chain.

An exponent is the slope between the last two points, log time against log size: 1 is linear, below
1 fixed costs still show.
"""

from math import log

import numpy as np
from results import ROUNDS, save
from threads import race

from tinygrad_mnist import nn, optim
from tinygrad_mnist.benchmark import chain, timed

SIZES = {
    "chain": (10_000, 20_000, 40_000, 80_000),
    "batch": (512, 1024, 2048, 4096),
    "width": (512, 1024, 2048, 4096),
    "depth": (8, 16, 32, 64),
}


def step(batch=128, width=256, depth=1):
    """One training step of a network with so many hidden layers."""
    rng = np.random.default_rng(0)
    sizes = (784, width, 10) if depth == 1 else (64, *[64] * depth, 10)
    model = nn.MLP(sizes, "relu", rng=rng)
    optimizer = optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    X, y = rng.random((batch, sizes[0]), np.float32), rng.integers(0, 10, batch)

    def once():
        loss = nn.CrossEntropyLoss()(model(X), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    once()
    return once


def main():
    rows = []
    for what, sizes in SIZES.items():
        if what == "chain":
            works = {n: lambda number, n=n: sum(chain(number, n)) * 2 * n for n in sizes}
        else:
            steps = {n: step(**{what: n}) for n in sizes}
            works = {n: lambda number, once=once: timed(once) for n, once in steps.items()}
        times = {n: min(of) for n, of in race(works, 3 * ROUNDS).items()}
        *_, before, last = sizes
        exponent = log(times[last] / times[before]) / log(last / before)
        rows += [
            {"over": what, "size": n, "ms": 1e3 * t, "exponent": exponent if n == last else None}
            for n, t in times.items()
        ]
    save("growth", rows)


if __name__ == "__main__":
    main()
