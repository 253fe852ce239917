"""The network that learns in the page: its numbers are those of `byhand`, and it learns to read."""

import base64
from itertools import product

import numpy as np
import pytest
from javascript import computed, needs_node

from tinygrad_mnist import byhand
from tinygrad_mnist.data import load_mnist

pytestmark = needs_node

STEPS, B, SIZES = 20, 16, (784, 32, 10)
TWENTY_STEPS = """(() => {
    const numbers = (list) => Float64Array.from(list);
    const network = { inputs: 784, hidden: 32, classes: 10 }, velocity = {}, seen = [];
    for (const name of code.PARAMETERS) network[name] = numbers(given.params[name]);
    for (const [X, labels] of given.batches) {
        const terms = code.forward(network, numbers(X), given);
        const gradients = code.backward(network, terms, labels, given);
        seen.push([code.lossOf(terms, labels, given), [...gradients.dZ1]]);
        code.step(network, velocity, gradients, given.lr, given.momentum);
    }
    return { seen, params: code.PARAMETERS.map((name) => [...network[name]]) };
})()"""


@pytest.fixture(scope="module")
def batches():
    images, labels = load_mnist()
    rows = np.random.default_rng(0).choice(len(images), (STEPS, B), replace=False)
    return [(images[chosen].astype(np.float64), labels[chosen]) for chosen in rows]


@pytest.mark.parametrize(
    ("activation", "loss", "momentum"),
    list(product(["sigmoid", "tanh", "relu"], ["cross_entropy", "mse"], [0.0, 0.9])),
)
def test_twenty_steps_are_those_of_the_network_by_hand(batches, activation, loss, momentum):
    paper = byhand.MLP(SIZES, activation, loss, dtype=np.float64, rng=np.random.default_rng(1))
    given = {
        "activation": activation,
        "loss": loss,
        "momentum": momentum,
        "lr": 0.1,
        "params": {name: p.ravel().tolist() for name, p in paper.params.items()},
        "batches": [(X.ravel().tolist(), labels.tolist()) for X, labels in batches],
    }
    found = computed("learn/network.js", TWENTY_STEPS, given)
    for (X, labels), (loss_there, dZ1) in zip(batches, found["seen"], strict=True):
        t = paper.forward(X)
        d = paper.backward(t, labels)
        assert loss_there == pytest.approx(paper.loss(t, labels), rel=1e-9)
        np.testing.assert_allclose(np.reshape(dZ1, (B, 32)), d["dZ1"], rtol=1e-7, atol=1e-12)
        paper.step(d, 0.1, momentum)
    for theirs, p in zip(found["params"], paper.params.values(), strict=True):
        np.testing.assert_allclose(theirs, p.ravel(), atol=1e-9)


def digits(first, last):
    """Images and labels as base64."""
    images, labels = load_mnist(None)
    chosen = images[first:last], labels[first:last].astype(np.uint8)
    return [base64.b64encode(array.tobytes()).decode() for array in chosen]


TRAINED = """(() => {
    const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const set = ([images, labels]) => ({ images: bytes(images), labels: bytes(labels) });
    const settings = { ...code.DEFAULTS, ...given.settings };
    const training = new code.Training(settings, set(given.train), set(given.held));
    const before = training.examine();
    while (training.epoch < given.epochs || training.order.length) training.next();
    return [before, training.examine(), training.steps];
})()"""


def trained(epochs, **settings):
    given = {
        "settings": settings,
        "epochs": epochs,
        "train": digits(0, 4000),
        "held": digits(-1000, None),
    }
    return computed("learn/training.js", TRAINED, given)


def test_it_learns_to_read_nine_of_ten_held_out_digits():
    before, after, steps = trained(5)
    assert before["accuracy"] < 0.3
    assert after["accuracy"] >= 0.9
    assert steps == 5 * 4000 // 32


def test_equal_weights_stay_a_network_with_one_unit():
    _, after, _ = trained(2, init="equal")
    assert after["accuracy"] < 0.5


def test_a_learning_rate_that_is_too_large_does_not_learn():
    _, after, _ = trained(1, lr=30 * 0.3)
    assert after["accuracy"] < 0.5


def test_large_weights_saturate_sigmoids():
    before, _, _ = trained(1, init="large", activation="sigmoid")
    healthy, _, _ = trained(1, activation="sigmoid")
    assert before["stuck"] > 0.3
    assert healthy["stuck"] == 0


def test_squared_error_waits_where_cross_entropy_learns():
    settings = {"init": "large", "activation": "sigmoid", "lr": 0.3}
    _, waits, _ = trained(1, loss="mse", **settings)
    _, learns, _ = trained(1, loss="cross_entropy", **settings)
    assert waits["accuracy"] < learns["accuracy"] - 0.2
