"""How long an epoch of training takes: by tape, by hand, and in other frameworks.

All start from the same weights and see the same batches in the same order; that nobody skips work
is seen from the accuracies afterwards, which must be equal to 1e-3. The matrix products alone show
what is possible.
"""

from functools import partial

import autograd
import autograd.numpy as anp
import jax
import jax.numpy as jnp
import numpy as np
import torch
from results import ROUNDS, compared_with, save
from sklearn.neural_network import MLPClassifier
from threads import race

from tinygrad_mnist.benchmark import (
    LR,
    MOMENTUM,
    WEIGHT_DECAY,
    Training,
    multiply_matrices,
    timed,
    train_by_hand,
    train_by_tape,
)
from tinygrad_mnist.data import load_mnist


def train_in_torch(training, number):
    """The epoch in eager PyTorch, written as in its tutorials."""
    hidden = training.hidden
    model = torch.nn.Sequential(
        torch.nn.Linear(784, hidden), torch.nn.Sigmoid(), torch.nn.Linear(hidden, 10)
    )
    with torch.no_grad():
        for p, values in zip(model.parameters(), training.weights(), strict=True):
            p.copy_(torch.from_numpy(values.T))
    optimizer = torch.optim.SGD(
        model.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )
    loss_fn = torch.nn.CrossEntropyLoss()
    images, labels = torch.from_numpy(training.images), torch.from_numpy(training.labels)
    batches = [torch.from_numpy(rows) for rows in training.batches(number)]

    def epoch():
        for rows in batches:
            loss = loss_fn(model(images[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def predict(x):
        with torch.no_grad():
            return model(torch.from_numpy(x)).numpy().argmax(axis=1)

    return timed(epoch), predict


def multiply_in_torch(training, number):
    """The five matrix products of each step, in PyTorch."""
    W1, _, W2, _ = map(torch.from_numpy, training.weights())
    steps = len(training.batches(number))
    X = torch.from_numpy(training.images[: training.batch_size])
    Z1, Z2 = X @ W1, X @ W1 @ W2

    def epoch():
        for _ in range(steps):
            X @ W1, Z1 @ W2, Z1.T @ Z2, Z2 @ W2.T, X.T @ Z1

    return timed(epoch)


def descend(gradients, weights, velocity):
    """SGD with momentum and weight decay, for frameworks that bring no optimizer."""
    velocity = [
        MOMENTUM * v + g + WEIGHT_DECAY * p
        for v, g, p in zip(velocity, gradients, weights, strict=True)
    ]
    return [p - LR * v for p, v in zip(weights, velocity, strict=True)], velocity


def jax_loss(weights, X, y):
    W1, b1, W2, b2 = weights
    logits = jax.nn.sigmoid(X @ W1 + b1) @ W2 + b2
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()


@jax.jit
def jax_step(weights, velocity, X, y):
    return descend(jax.grad(jax_loss)(weights, X, y), weights, velocity)


def train_in_jax(training, number):
    """The epoch in JAX, one compiled step a batch."""
    weights = [jnp.asarray(w) for w in training.weights()]
    velocity = [jnp.zeros_like(w) for w in weights]
    batches = training.batches(number)

    def epoch():
        nonlocal weights, velocity
        for rows in batches:
            weights, velocity = jax_step(
                weights, velocity, training.images[rows], training.labels[rows]
            )
        jax.block_until_ready(weights)

    seconds = timed(epoch)
    W1, b1, W2, b2 = map(np.asarray, weights)
    return seconds, lambda x: (1 / (1 + np.exp(-(x @ W1 + b1))) @ W2 + b2).argmax(axis=1)


def autograd_loss(weights, X, y):
    W1, b1, W2, b2 = weights
    logits = anp.dot(1 / (1 + anp.exp(-(anp.dot(X, W1) + b1))), W2) + b2
    shifted = logits - anp.max(logits, axis=1, keepdims=True)
    return anp.mean(anp.log(anp.sum(anp.exp(shifted), axis=1)) - shifted[anp.arange(len(y)), y])


def train_in_autograd(training, number):
    """The epoch in HIPS autograd."""
    weights, batches = training.weights(), training.batches(number)
    velocity = [np.zeros_like(w) for w in weights]
    gradient = autograd.grad(autograd_loss)

    def epoch():
        nonlocal weights, velocity
        for rows in batches:
            weights, velocity = descend(
                gradient(weights, training.images[rows], training.labels[rows]), weights, velocity
            )

    seconds = timed(epoch)
    W1, b1, W2, b2 = weights
    return seconds, lambda x: (1 / (1 + np.exp(-(x @ W1 + b1))) @ W2 + b2).argmax(axis=1)


def train_in_sklearn(training, number):
    """The epoch in scikit-learn, which divides its L2 term by the size of the batch."""
    size = training.batch_size
    model = MLPClassifier(
        (training.hidden,), activation="logistic", alpha=WEIGHT_DECAY * size,
        solver="sgd", learning_rate_init=LR, momentum=MOMENTUM, nesterovs_momentum=False,
    )  # fmt: skip
    model.partial_fit(training.images[:size], training.labels[:size], classes=np.arange(10))
    arrays = [a for pair in zip(model.coefs_, model.intercepts_, strict=True) for a in pair]
    for array, values in zip(arrays, training.weights(), strict=True):
        array[...] = values
    for velocity in model._optimizer.velocities:
        velocity[...] = 0
    batches = training.batches(number)

    def epoch():
        for rows in batches:
            model.partial_fit(training.images[rows], training.labels[rows])

    return timed(epoch), model.predict


FEW = {"tape": train_by_tape, "by hand": train_by_hand, "PyTorch": train_in_torch}
ALL = FEW | {
    "JAX": train_in_jax,
    "HIPS autograd": train_in_autograd,
    "scikit-learn": train_in_sklearn,
}
PRODUCTS = {"products (NumPy)": multiply_matrices, "products (PyTorch)": multiply_in_torch}


def measure(training, trained):
    """One row per contestant of a cell of the grid; fewer examples are scaled to 60 000."""
    accuracy = {}

    def run(name, train, number):
        seconds, predict = train(training, number)
        right = predict(training.images[:10_000]) == training.labels[:10_000]
        accuracy[name] = float(right.mean())
        return seconds

    contestants = {name: partial(run, name, train) for name, train in trained.items()}
    contestants |= {name: partial(f, training) for name, f in PRODUCTS.items()}
    times = race(contestants, ROUNDS, pause=0.3)
    spread = max(accuracy.values()) - min(accuracy.values())
    assert spread <= 1e-3, f"somebody does other work: {accuracy}"
    cell = {"batch": training.batch_size, "hidden": training.hidden}
    scale = 60_000 / training.examples
    return [
        cell
        | {"contestant": name, "seconds": scale * min(seconds)}
        | compared_with(times, name, ["PyTorch", "products (NumPy)"])
        | {"accuracy": accuracy.get(name)}
        for name, seconds in times.items()
    ]


def main():
    images, labels = load_mnist()
    rows = measure(Training(images, labels), ALL)
    for batch in (32, 128, 512):
        for hidden in (64, 256, 1024):
            if (batch, hidden) != (128, 256):
                rows += measure(Training(images, labels, hidden, batch, 12_800), FEW)
    save("epoch", rows)


if __name__ == "__main__":
    main()
