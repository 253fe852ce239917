"""How fast the package is on this machine: contestants take turns, and are compared per round."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist import bridge, nn, optim
from tinygrad_mnist.autodiff import no_grad, tensor
from tinygrad_mnist.runs.environment import environment
from tinygrad_mnist.words import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Seconds = float
    Predict = Callable[[NDArray[np.float32]], NDArray[np.intp]]

LR, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 1e-4


def race(
    contestants: Mapping[str, Callable[[int], Seconds]], rounds: int, pause: Seconds = 0.0
) -> dict[str, list[Seconds]]:
    """Let each contestant run once per round, after one round that does not count.

    Parameters
    ----------
    contestants : mapping of str to callable
        Each takes the number of the round, does its work, and returns the seconds it took.
    rounds : int
        The number of rounds that count.
    pause : float
        Seconds to wait before each turn, since the threads of the last contestant may spin for a
        while before they sleep.

    Returns
    -------
    dict of str to list of float
        The seconds of each contestant, one entry per round.
    """
    times: dict[str, list[Seconds]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, run in contestants.items():
            time.sleep(pause)
            seconds = run(number)
            if number:
                times[name].append(seconds)
    return times


def timed(work: Callable[[], object]) -> Seconds:
    """The seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def machine() -> dict[str, Any]:
    """The machine of the measurement: processor, cores, and versions of the numerical software."""
    here = environment()
    versions = {name: here[name] for name in ("system", "python", "numpy", "blas")}
    return {"processor": processor(), "cores": here["processors"]} | versions


def processor() -> str:
    """The name of the processor, if the system tells it."""
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(": ")[1]
    return platform.processor() or platform.machine()


# ---------------------------------------------------------------- an epoch of training


@dataclass(frozen=True)
class Training:
    """An epoch of 784-hidden-10: sigmoid, softmax with cross-entropy, SGD.

    SGD has momentum and weight decay. Every contestant has the same images (n, 784) in [0, 1],
    labels (n,), initial weights, and order of the examples in a round.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    hidden: int = 256
    batch_size: int = 128
    examples: int = 60_000

    def weights(self) -> list[NDArray[np.float32]]:
        """W1, b1, W2, b2 before training."""
        rng = np.random.default_rng(0)
        arrays = []
        for fan_in, fan_out in (self.images.shape[1], self.hidden), (self.hidden, 10):
            bound = np.float32((6 / (fan_in + fan_out)) ** 0.5)
            W = rng.uniform(-1, 1, (fan_in, fan_out)).astype(np.float32) * bound
            arrays += [W, np.zeros(fan_out, np.float32)]
        return arrays

    def batches(self, number: int) -> list[NDArray[np.intp]]:
        """Row numbers, batch by batch, for one round."""
        order = np.random.default_rng(number).permutation(len(self.images))[: self.examples]
        return [order[i : i + self.batch_size] for i in range(0, self.examples, self.batch_size)]


def model_of(training: Training) -> nn.MLP:
    """The network built from modules, with the initial weights."""
    model = nn.MLP((training.images.shape[1], training.hidden, 10), "sigmoid")
    for p, values in zip(model.parameters(), training.weights(), strict=True):
        p.data = values
    return model


def train_by_tape(training: Training, number: int) -> tuple[Seconds, Predict]:
    """Train the epoch with modules, loss and optimizer; return the seconds and the predictor."""
    model = model_of(training)
    optimizer = optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    loss_fn = nn.CrossEntropyLoss()
    batches = training.batches(number)

    def epoch() -> None:
        for rows in batches:
            loss = loss_fn(model(training.images[rows]), training.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return timed(epoch), lambda images: model(images).data.argmax(axis=1)


def train_by_hand(training: Training, number: int) -> tuple[Seconds, Predict]:
    """Train the epoch with the hand derivation; return the seconds and the predictor."""
    paper = bridge.to_paper(model_of(training), "sigmoid", WEIGHT_DECAY)
    batches = training.batches(number)

    def epoch() -> None:
        for rows in batches:
            gradients = paper.backward(paper.forward(training.images[rows]), training.labels[rows])
            paper.step(gradients, LR, MOMENTUM)

    return timed(epoch), paper.predict_label


def multiply_matrices(training: Training, number: int) -> Seconds:
    """Time the five matrix products of each step: with the same BLAS, nothing can be faster."""
    W1, _, W2, _ = training.weights()
    steps = len(training.batches(number))
    X = training.images[: training.batch_size]
    Z1, Z2 = X @ W1, X @ W1 @ W2

    def epoch() -> None:
        for _ in range(steps):
            X @ W1, Z1 @ W2, Z1.T @ Z2, Z2 @ W2.T, X.T @ Z1

    return timed(epoch)


# ---------------------------------------------------------------- one op, one import, one image


def chain(number: int = 0, length: int = 4000) -> tuple[Seconds, Seconds]:
    """Seconds of one op, forward and backward, in a chain of x * b + a on 4 elements."""
    del number
    x = tensor(np.ones(4, np.float32), requires_grad=True)
    b, a = tensor(np.full(4, 1.0001, np.float32)), tensor(np.full(4, 1e-6, np.float32))
    start, y = time.perf_counter(), x
    for _ in range(length):
        y = y * b + a
    middle = time.perf_counter()
    y.sum().backward()
    return (middle - start) / (2 * length), (time.perf_counter() - middle) / (2 * length)


def start_python(statement: str) -> Seconds:
    """The seconds that a new Python process takes for a statement, start and end included."""
    return timed(lambda: subprocess.run([sys.executable, "-c", statement], check=True))


def answer(model: nn.MLP, images: NDArray[np.float32]) -> Seconds:
    """The seconds for the logits of some images."""
    with no_grad():
        return timed(lambda: model(images))


def report(training: Training, rounds: int) -> dict[str, Any]:
    """Every measure that needs no other package, as medians over the rounds.

    Returns
    -------
    dict
        ``epoch``: seconds for 60 000 examples by tape, by hand, and for the matrix products alone;
        ``op``: microseconds forward and backward; ``import``: seconds of a process importing NumPy
        and this package; ``inference``: milliseconds for one and for 10 000 images; ``machine``.
    """
    model = model_of(training)
    epoch_works = {
        "tape": lambda number: train_by_tape(training, number)[0],
        "by hand": lambda number: train_by_hand(training, number)[0],
        "matrix products": lambda number: multiply_matrices(training, number),
    }
    import_works = {
        name: partial(lambda module, _: start_python(f"import {module}"), name)
        for name in ("numpy", "tinygrad_mnist")
    }
    epochs, imports = race(epoch_works, rounds), race(import_works, rounds)
    forward, backward = zip(*(chain() for _ in range(rounds)), strict=True)
    answers = {n: [answer(model, training.images[:n]) for _ in range(50)] for n in (1, 10_000)}
    scale = 60_000 / training.examples
    return {
        "machine": machine(),
        "epoch": {name: median(times) * scale for name, times in epochs.items()},
        "op": {"forward": 1e6 * median(forward), "backward": 1e6 * median(backward)},
        "import": {name: median(times) for name, times in imports.items()},
        "inference": {str(n): 1e3 * median(times) for n, times in answers.items()},
    }


def text(measured: Mapping[str, Any]) -> str:
    """The result of `report` as text."""
    on, epoch, op = measured["machine"], measured["epoch"], measured["op"]
    imports, answers, products = measured["import"], measured["inference"], epoch["matrix products"]
    system = f"{on['processor']}, {counted(on['cores'], 'core')}, {on['system']}"
    versions = f"Python {on['python']}, NumPy {on['numpy']} with {on['blas']}"
    lines = [f"{system}, {versions}", "one epoch of 784-256-10, batch 128:"]
    for name, seconds in epoch.items():
        times = f"{seconds / products:.2f} times the matrix products"
        lines.append(f"  {name:<16}{seconds:6.2f} s, {times}")
    start = imports["tinygrad_mnist"] / imports["numpy"]
    lines += [
        f"one op on 4 elements: {op['forward']:.1f} µs forward, {op['backward']:.1f} µs backward",
        f"import: {start:.2f} times NumPy's, process included",
        f"an answer: {answers['1']:.3f} ms for one image, {answers['10000']:.1f} ms for 10 000",
    ]
    return "\n".join(lines)
