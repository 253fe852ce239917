"""Tests: the derivatives are right, no state is lost or shared, and the network learns."""

from pathlib import Path

import numpy as np
from my_layer import RMSNorm
from my_net import Net
from my_op import swish
from my_optimizer import RMSprop

from tinygrad_mnist import tensor
from tinygrad_mnist.data import load_mnist
from tinygrad_mnist.testing import arrays, assert_module, assert_op, assert_optimizer
from tinygrad_mnist.training import Recipe, train

RECIPE = Path(__file__).parent.parent / "recipe.toml"
ROWS = np.random.default_rng(0).normal(size=(3, 4))


def test_the_op():
    assert_op(swish, arrays(), lambda x: x / (1 + np.exp(-x)))


def test_the_layer():
    assert_module(RMSNorm(4), ROWS)


def test_the_layer_gives_each_row_the_root_mean_square_1():
    out = RMSNorm(100)(np.random.default_rng(0).normal(size=(3, 100))).data
    np.testing.assert_allclose((out**2).mean(axis=1), 1, rtol=1e-4)


def test_the_optimizer():
    assert_optimizer(RMSprop)


def test_the_first_step_of_the_optimizer_is_that_of_the_formula():
    x, g = tensor([1.0, -2.0], requires_grad=True), np.array([0.5, -3.0])
    x.grad = tensor(g)
    RMSprop([x], lr=0.1, alpha=0.9).step()
    expected = [1.0, -2.0] - 0.1 * g / np.sqrt(0.1 * g**2)
    np.testing.assert_allclose(x.data, expected, rtol=1e-6)


def test_the_network():
    net = Net(4, 2, rng=np.random.default_rng(0), width=3)
    assert_module(net, ROWS[:2])


def test_the_network_learns_by_its_recipe():
    images, labels = load_mnist(None)
    recipe = Recipe.load(str(RECIPE)).changed(["epochs=3", "batch_size=20"])
    few = slice(300)
    result = train(recipe, images[few], labels[few], model=Net, optimizer=RMSprop)
    first, *_, last = result.history
    assert last.loss < 0.8 * first.loss
