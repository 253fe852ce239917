"""The derivatives are right, and all of it learns."""

from pathlib import Path

import numpy as np
from my_layer import RMSNorm
from my_net import Net
from my_op import swish
from my_optimizer import RMSprop

from tinygrad_mnist import tensor
from tinygrad_mnist.checking import check
from tinygrad_mnist.data import load_mnist
from tinygrad_mnist.training import Recipe, train

RECIPE = Path(__file__).parent.parent / "recipe.toml"


def test_the_op_computes_what_it_says():
    x = np.array([[-2.0, 0.0, 3.0]])
    np.testing.assert_allclose(swish(x), x / (1 + np.exp(-x)))


def test_the_rule_of_the_op_agrees_with_central_differences():
    found = check(swish, [(3, 4)], {})
    assert found.second, found.problem


def test_the_gradients_of_the_layer_and_of_its_parameters_do():
    found = check(RMSNorm(4), [(3, 4)], {})
    assert found.second, found.problem
    assert len(found.names) > 1, "the layer has no parameters"


def test_the_gradients_of_the_network_do():
    net = Net(5, 3, rng=np.random.default_rng(0), width=4)
    found = check(net, [(2, 5)], {})
    assert found.second, found.problem


def test_the_layer_gives_each_row_the_root_mean_square_1():
    rows = np.random.default_rng(0).normal(size=(3, 100))
    out = RMSNorm(100)(rows).data
    np.testing.assert_allclose((out**2).mean(axis=1), 1, rtol=1e-4)


def test_the_first_step_of_the_optimizer_is_that_of_the_formula():
    x, g = tensor([1.0, -2.0], requires_grad=True), np.array([0.5, -3.0])
    x.grad = tensor(g)
    RMSprop([x], lr=0.1, alpha=0.9).step()
    expected = [1.0, -2.0] - 0.1 * g / np.sqrt(0.1 * g**2)
    np.testing.assert_allclose(x.data, expected, rtol=1e-6)


def test_the_optimizer_goes_downhill():
    x = tensor([1.0, -2.0], requires_grad=True)
    optimizer = RMSprop([x], lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        (x * x).sum().backward()
        optimizer.step()
    assert (x.data**2).sum() < 0.1


def test_saved_and_loaded_the_optimizer_takes_the_same_step():
    ends = []
    for reload in (False, True):
        x = tensor([1.0, -2.0], requires_grad=True)
        optimizer = RMSprop([x])
        for _ in range(3):
            optimizer.zero_grad()
            (x**3).sum().backward()
            optimizer.step()
            if reload:
                saved, optimizer = optimizer.state_dict(), RMSprop([x])
                optimizer.load_state_dict(saved)
        ends.append(x.data.copy())
    assert np.array_equal(*ends)


def test_the_network_learns_by_its_recipe():
    images, labels = load_mnist(None)
    recipe = Recipe.load(str(RECIPE)).changed(["epochs=3", "batch_size=20"])
    few = slice(300)
    result = train(recipe, images[few], labels[few], model=Net, optimizer=RMSprop)
    first, *_, last = result.history
    assert last.loss < 0.8 * first.loss
