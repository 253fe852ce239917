"""The mathematics behind the sliders of the site: JavaScript computes what the package does."""

import math

import javascript
import numpy as np
import pytest
from javascript import needs_node

from tinygrad_mnist import grad, optim, tensor
from tinygrad_mnist.autodiff import ops

pytestmark = needs_node


def computed(expression, given=None):
    """The value of an expression in JavaScript, with all that the sliders use as `curves`."""
    files = "functions.js random.js sliders/curves.js"
    return javascript.computed(files, f"((curves) => {expression})(code)", given)


def test_softmax_its_loss_and_its_gradient_are_those_of_the_package():
    logits = np.random.default_rng(0).normal(0, 4, (20, 3))
    logits[0] = 800, -800, 0
    found = computed(
        "given.map((z) => [curves.softmax(z), curves.crossEntropy(z, 1)])", logits.tolist()
    )
    z = tensor(logits, requires_grad=True)
    loss = ops.cross_entropy(z, np.ones(len(logits), int))
    (gradient,) = grad(loss.sum(), z)
    np.testing.assert_allclose([p for p, _ in found], ops.softmax(logits), atol=1e-15)
    np.testing.assert_allclose([told["loss"] for _, told in found], loss.data, rtol=1e-12)
    np.testing.assert_allclose([told["gradient"] for _, told in found], gradient.data, atol=1e-15)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu"])
def test_activations_and_slopes_are_those_of_the_package(name):
    at = [*np.linspace(-30, 30, 61), 0.3]
    both = "given.map((z) => [value(z), slope(z)])"
    told = computed(f"(({{ value, slope }}) => {both})(curves.activations.{name})", at)
    x = tensor(np.array(at), requires_grad=True)
    y = getattr(ops, name)(x)
    (slope,) = grad(y.sum(), x)
    np.testing.assert_allclose([value for value, _ in told], y.data, rtol=1e-14)
    np.testing.assert_allclose([steep for _, steep in told], slope.data, rtol=1e-9, atol=1e-16)


@pytest.mark.parametrize("surface", ["bowl", "ravine"])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("SGD", lambda p: optim.SGD([p], lr=0.03)),
        ("momentum", lambda p: optim.SGD([p], lr=0.03, momentum=0.7)),
        ("Adam", lambda p: optim.Adam([p], lr=0.03)),
    ],
)
def test_the_ways_of_the_optimizers_are_those_of_the_package(surface, name, make):
    told = computed(
        f"((surface, update) => [surface, curves.path(update, surface, [-9, 1.2], 40)])"
        f"(curves.surfaces.{surface}, curves.optimizers.{name}(0.03, 0.7))"
    )
    curvatures, points = told
    p = tensor(np.array([-9, 1.2]), requires_grad=True)
    optimizer, path = make(p), [p.data.copy()]
    for _ in range(40):
        optimizer.zero_grad()
        (p * p * (np.array(curvatures) / 2)).sum().backward()
        optimizer.step()
        path.append(p.data.copy())
    np.testing.assert_allclose(points, path, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid"])
def test_ten_layers_are_as_the_tape_says(name):
    count = 10 * 48 * 48 + 2 * 24 * 48
    draw = "Array.from({ length: given }, curves.normal(1))"
    told, numbers = computed(f"[curves.depth('{name}', 1.4), {draw}]", count)
    drawn = np.array(numbers)
    x, rest = drawn[: 24 * 48].reshape(24, 48), drawn[24 * 48 :]
    weights = rest[: 10 * 48 * 48].reshape(10, 48, 48) * (1.4 / math.sqrt(48))
    arrives = rest[10 * 48 * 48 :].reshape(24, 48)
    layers = [tensor(x, requires_grad=True)]
    for W in weights:
        layers.append(getattr(ops, name)(layers[-1] @ W))
    gradients = grad((layers[-1] * arrives).sum(), layers)
    size = [np.sqrt((a.data**2).mean()) for a in layers]
    np.testing.assert_allclose(told["forward"], size, rtol=1e-10)
    np.testing.assert_allclose(
        told["backward"], [np.sqrt((g.data**2).mean()) for g in gradients], rtol=1e-9
    )


def test_the_random_numbers_are_standard_normal():
    drawn = computed("Array.from({ length: 20000 }, curves.normal(7))")
    assert abs(np.mean(drawn)) < 0.03
    assert abs(np.std(drawn) - 1) < 0.02
