"""How long a batch of 128 images takes in LeNet, forward and backward: against PyTorch.

Both run on one thread, with the same weights, and must find the same gradients. PyTorch runs twice:
with images in memory as they come, and with the channels last, the order that it recommends for
convolutions.
"""

from functools import partial

import numpy as np
import torch
from results import ROUNDS, compared, save
from threadpoolctl import threadpool_limits
from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, Unflatten

from tinygrad_mnist import nn
from tinygrad_mnist.benchmark import race, timed
from tinygrad_mnist.data import load_mnist
from tinygrad_mnist.examples import LeNet

BATCH = 128


def network(model):
    """The same network in PyTorch, with the same weights."""
    peer = Sequential(
        Unflatten(1, (1, 28, 28)),
        Conv2d(1, 16, 5, padding=2), MaxPool2d(2), ReLU(),
        Conv2d(16, 32, 5), MaxPool2d(2), ReLU(),
        Flatten(), Linear(800, 120), ReLU(), Linear(120, 10),
    )  # fmt: skip
    with torch.no_grad():
        for p, q in zip(model.parameters(), peer.parameters(), strict=True):
            q.copy_(torch.from_numpy(p.data.T if p.ndim == 2 else p.data))
    return peer


def forward_and_backward(model, loss_fn, x, y):
    for p in model.parameters():
        p.grad = None
    loss_fn(model(x), y).backward()


def check(model, peer):
    for p, q in zip(model.parameters(), peer.parameters(), strict=True):
        expected = q.grad.numpy().T if p.ndim == 2 else q.grad.numpy()
        difference = np.abs(p.grad.data - expected).max()
        assert difference <= 1e-4 * np.abs(expected).max(), "the gradients differ"


def main():
    images, labels = load_mnist()
    x, y = images[:BATCH], labels[:BATCH]
    model = LeNet(784, 10, rng=np.random.default_rng(0))
    peer, last = network(model), network(model).to(memory_format=torch.channels_last)
    tx, ty, loss_fn = torch.from_numpy(x), torch.from_numpy(y), torch.nn.CrossEntropyLoss()
    works = {
        "tape": partial(forward_and_backward, model, nn.CrossEntropyLoss(), x, y),
        "PyTorch": partial(forward_and_backward, peer, loss_fn, tx, ty),
        "PyTorch, channels last": partial(forward_and_backward, last, loss_fn, tx, ty),
    }
    torch.set_num_threads(1)
    with threadpool_limits(1):
        times = race(
            {name: lambda number, w=work: timed(w) for name, work in works.items()}, 10 * ROUNDS
        )
    check(model, peer)
    check(model, last)
    rows = [
        {"contestant": name, "ms": 1e3 * min(of)} | compared(times, name, "PyTorch")
        for name, of in times.items()
    ]
    save("lenet", rows, threads=1)


if __name__ == "__main__":
    main()
