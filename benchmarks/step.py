"""What a replayed step costs: beside the tape, tuned NumPy, PyTorch, torch.compile and JAX.

`python benchmarks/step.py` measures on one thread, in process CPU time; with `2` behind it, on two
threads and by the clock. All contestants start from the same weights, see the same batches, and
must arrive at the same loss.
"""

import os
import random
import sys
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import torch
from micrograd.nn import MLP as MicrogradMLP
from op import chain
from results import compared_with, save
from threadpoolctl import threadpool_limits
from threads import one_thread

from tinygrad_mnist import nn, optim, tensor
from tinygrad_mnist.autodiff import replay
from tinygrad_mnist.benchmark import LR, MOMENTUM, WEIGHT_DECAY, Training, model_of
from tinygrad_mnist.data import load_mnist

TURN, ROUNDS = 0.05, 25
"""Seconds of a contestant's turn, and how many turns each has."""
SETTINGS = {"lr": LR, "momentum": MOMENTUM, "weight_decay": WEIGHT_DECAY}
CELLS = [(batch, hidden) for batch in (32, 128, 512) for hidden in (64, 256, 1024)]


# ---------------------------------------------------------------- a step of 784-hidden-10


def by_tape(training, update):
    """Forward, backward and, with `update`, SGD: the package as it is."""
    model, loss_fn = model_of(training), nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), **SETTINGS)

    def step(x, y):
        loss = loss_fn(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        if update:
            optimizer.step()
        return loss

    return step


def by_replay(training, update):
    model, loss_fn = model_of(training), nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), **SETTINGS)
    gradients = replay(lambda x, y: loss_fn(model(x), y))

    def step(x, y):
        optimizer.zero_grad()
        loss = gradients(x, y)
        if update:
            optimizer.step()
        assert not gradients.refusal, gradients.refusal
        return loss

    return step


def by_hand(training, update):
    """NumPy as tuned as it gets: the shortest formulas, every array made once, all in place."""
    W1, b1, W2, b2 = weights = training.weights()
    velocity = [np.zeros_like(w) for w in weights]
    dW1, db1, dW2, db2 = gradients = [np.empty_like(w) for w in weights]
    rows = training.batch_size
    A = np.empty((rows, training.hidden), np.float32)
    dA, P = np.empty_like(A), np.empty((rows, 10), np.float32)
    column, each = np.empty((rows, 1), np.float32), np.arange(rows)
    scratch = [np.empty_like(w) for w in weights]

    def step(x, y):
        np.matmul(x, W1, A)
        np.add(A, b1, A)
        np.negative(A, A)
        np.exp(A, A)
        np.add(A, 1, A)
        np.divide(1, A, A)
        np.matmul(A, W2, P)
        np.add(P, b2, P)
        np.maximum.reduce(P, axis=1, out=column, keepdims=True)
        np.subtract(P, column, P)
        right = P[each, y]
        np.exp(P, P)
        np.add.reduce(P, axis=1, out=column, keepdims=True)
        loss = (np.log(column[:, 0]) - right).mean()
        np.divide(P, column, P)
        P[each, y] -= 1
        np.divide(P, rows, P)
        np.matmul(A.T, P, dW2)
        np.add.reduce(P, axis=0, out=db2)
        np.matmul(P, W2.T, dA)
        np.multiply(dA, A, dA)
        np.subtract(1, A, A)
        np.multiply(dA, A, dA)
        np.matmul(x.T, dA, dW1)
        np.add.reduce(dA, axis=0, out=db1)
        for w, v, g, s in zip(weights, velocity, gradients, scratch, strict=True):
            if not update:
                break
            np.multiply(w, WEIGHT_DECAY, s)
            np.add(g, s, g)
            np.multiply(v, MOMENTUM, v)
            np.add(v, g, v)
            np.multiply(v, LR, s)
            np.subtract(w, s, w)
        return loss

    return step


def torch_model(training):
    hidden = training.hidden
    model = torch.nn.Sequential(
        torch.nn.Linear(784, hidden), torch.nn.Sigmoid(), torch.nn.Linear(hidden, 10)
    )
    with torch.no_grad():
        for p, values in zip(model.parameters(), training.weights(), strict=True):
            p.copy_(torch.from_numpy(values.T))
    return model


def by_torch(training, update, compiled=False):
    model, loss_fn = torch_model(training), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), **SETTINGS)
    forward = torch.compile(lambda x, y: loss_fn(model(x), y)) if compiled else None

    def step(x, y):
        loss = forward(x, y) if compiled else loss_fn(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        if update:
            optimizer.step()
        return loss.detach()

    return step


def jax_loss(weights, x, y):
    W1, b1, W2, b2 = weights
    logits = jax.nn.sigmoid(x @ W1 + b1) @ W2 + b2
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()


@partial(jax.jit, donate_argnums=(0, 1))
def jax_update(weights, velocity, x, y):
    """The whole step as one compiled function, in the memory of its arguments."""
    loss, gradients = jax.value_and_grad(jax_loss)(weights, x, y)
    velocity = [
        MOMENTUM * v + g + WEIGHT_DECAY * w
        for v, g, w in zip(velocity, gradients, weights, strict=True)
    ]
    return [w - LR * v for w, v in zip(weights, velocity, strict=True)], velocity, loss


jax_gradients = jax.jit(jax.value_and_grad(jax_loss))


def by_jax(training, update):
    weights = [jnp.asarray(w) for w in training.weights()]
    velocity = [jnp.zeros_like(w) for w in weights]

    def step(x, y):
        nonlocal weights, velocity
        if update:
            weights, velocity, loss = jax_update(weights, velocity, x, y)
            return jax.block_until_ready(loss)
        return jax.block_until_ready(jax_gradients(weights, x, y))[0]

    return step


CONTESTANTS = {
    "replay": by_replay,
    "tape": by_tape,
    "tuned NumPy": by_hand,
    "PyTorch": by_torch,
    "torch.compile": partial(by_torch, compiled=True),
    "JAX jit": by_jax,
}


def cell(images, labels, batch, hidden, update, clock):
    """The rows of one size, for gradients alone or for the whole step."""
    training = Training(images, labels, hidden, batch, 20 * batch)
    batches = [(images[rows], labels[rows]) for rows in training.batches(0)]
    of_torch = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in batches]
    of_jax = [(jnp.asarray(x), jnp.asarray(y)) for x, y in batches]
    works, losses = {}, {}
    for name, make in CONTESTANTS.items():
        step = make(training, update)
        data = {"PyTorch": of_torch, "torch.compile": of_torch, "JAX jit": of_jax}
        given = data.get(name, batches)
        losses[name] = [float(step(*pair)) for pair in given]  # warms up, too
        works[name] = partial(several, step, given)
    last = [of_it[-1] for of_it in losses.values()]
    assert max(last) - min(last) <= 1e-3, f"somebody does other work: {losses}"
    times = turns(works, clock)
    about = {"of": "a step" if update else "gradients", "batch": batch, "hidden": hidden}
    return rows_of(about, times, ["tape", "tuned NumPy", "PyTorch", "torch.compile", "JAX jit"])


def several(step, given, count):
    for i in range(count):
        step(*given[i % len(given)])


# ---------------------------------------------------------------- a chain, and a tiny network


def chains(trained, clock):
    """4000 times x * b + a on 4 elements, forward and backward."""
    values = np.ones(4, np.float32), np.full(4, 1.0001, np.float32), np.full(4, 1e-6, np.float32)

    def leaves(make):
        wanted = True, trained, trained
        return [make(v, requires_grad=w) for v, w in zip(values, wanted, strict=True)]

    def work(given, run, count):
        for _ in range(count):
            for t in given:
                t.grad = None
            run()

    works = {}
    for name, make in {"tape": tensor, "PyTorch": torch.tensor}.items():
        given = leaves(make)
        run = partial(lambda given: chain(*given).sum().backward(), given)
        works[name] = partial(work, given, run)
    given = leaves(tensor)
    step = replay(partial(lambda given: chain(*given).sum(), given))
    for _ in range(3):
        step()
    works["replay"] = partial(work, given, step)
    about = {"b and a": "trained" if trained else "constant"}
    return rows_of(about, turns(works, clock), ["tape", "PyTorch"])


def tiny(clock):
    """micrograd's network, 2-16-16-1, on one point: forward, backward, hinge loss."""
    random.seed(1)
    theirs, point = MicrogradMLP(2, [16, 16, 1]), [0.3, -0.5]
    x = np.array([point])
    model = nn.MLP((2, 16, 16, 1), dtype=np.float64)
    peer = torch.nn.Sequential(
        torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 16), torch.nn.ReLU(),
        torch.nn.Linear(16, 1),
    ).double()  # fmt: skip
    for layer, linear, neurons in zip(model[::2], peer[::2], theirs.layers, strict=True):
        weight = np.array([[w.data for w in neuron.w] for neuron in neurons.neurons])
        layer.weight.data, layer.bias.data = weight.T.copy(), np.zeros(len(weight))
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight))
            linear.bias.zero_()

    def by_micrograd():
        loss = (1 - theirs(point)).relu()
        theirs.zero_grad()
        loss.backward()
        return loss.data

    def hinge(network, x):
        return (1 - network(x)).relu().sum()

    def with_tensors(network, x):
        for p in parameters[network]:
            p.grad = None
        loss = hinge(network, x)
        loss.backward()
        return loss.item()

    parameters = {model: list(model.parameters()), peer: list(peer.parameters())}
    step = replay(partial(hinge, model))

    def by_replay():
        for p in parameters[model]:
            p.grad = None
        return step(x).item()

    works = {
        "micrograd": by_micrograd,
        "tape": partial(with_tensors, model, x),
        "replay": by_replay,
        "PyTorch": partial(with_tensors, peer, torch.from_numpy(x)),
    }
    losses = [work() for work in works.values() for _ in range(3)]
    assert max(losses) - min(losses) < 1e-9, losses
    repeated = {name: partial(several, work, [()]) for name, work in works.items()}
    return rows_of({}, turns(repeated, clock), ["tape", "micrograd", "PyTorch"])


# ---------------------------------------------------------------- turns


def turns(works, clock):
    """Seconds of one run of each work, in turns; a turn repeats it for about `TURN` seconds."""
    counts, times = {}, {name: [] for name in works}
    for name, work in works.items():
        work(2)
        begin = time.perf_counter()
        work(3)
        counts[name] = max(1, round(TURN / ((time.perf_counter() - begin) / 3)))
    for _ in range(ROUNDS):
        for name, work in works.items():
            begin = clock()
            work(counts[name])
            times[name].append((clock() - begin) / counts[name])
    return times


def rows_of(about, times, peers):
    """A row per contestant, with its ratios to the peers."""
    return [
        about | {"contestant": name, "µs": 1e6 * min(of_it)} | compared_with(times, name, peers)
        for name, of_it in times.items()
    ]


def main(threads):
    images, labels = load_mnist()
    clock = time.process_time if threads == 1 else time.perf_counter
    if threads == 1:
        one_thread()
    else:
        os.environ["NPROC"] = str(threads)  # for JAX, which has not computed yet
        torch.set_num_threads(threads)
        threadpool_limits(limits=threads)
    rows = []
    for batch, hidden in CELLS if threads == 1 else [(128, 256), (128, 1024)]:
        for update in (False, True):
            rows += cell(images, labels, batch, hidden, update, clock)
    name = "step" if threads == 1 else f"step-{threads}"
    command = f"python benchmarks/step.py{'' if threads == 1 else f' {threads}'}"
    save(name, rows, rounds=ROUNDS, command=command)
    if threads == 1:
        both = [row for trained in (False, True) for row in chains(trained, clock)]
        save("chain", both, rounds=ROUNDS, command=command)
        save("tiny", tiny(clock), rounds=ROUNDS, command=command)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
