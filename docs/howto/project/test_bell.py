"""Every derivative is right, and nothing is forgotten or leaked."""

import numpy as np
from bell_layers import Centred, Prototypes
from bell_op import bell
from bell_optimizer import Inertia

from tinygrad_mnist.testing import (
    assert_module,
    assert_op,
    assert_optimizer,
    broadcastable,
)

X = np.random.default_rng(0).normal(size=(4, 3))


def test_the_op():
    by_numpy = lambda x, mean: np.exp(-np.square(x - mean))
    assert_op(bell, broadcastable(2), by_numpy)


def test_prototypes():
    assert_module(Prototypes(3, 2, np.random.default_rng(1)), X)


def test_centred():
    assert_module(Centred(3), X)


def test_the_optimizer():
    assert_optimizer(Inertia)
