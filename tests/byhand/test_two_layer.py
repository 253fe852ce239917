"""The network of two layers in plain names: equal to the class for any depth, and right alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_byhand import problem

from tinygrad_mnist.autodiff.differences import central_differences
from tinygrad_mnist.byhand import two_layer
from tinygrad_mnist.data import one_hot

FORWARD = ("Z1", "A1", "Z2", "A2")
BACKWARD = ("dZ2", "dW2", "db2", "dA1", "dZ1", "dW1", "db1")
PROBLEMS = st.builds(
    problem,
    sizes=st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(2, 5)),
    batch=st.integers(1, 7),
    activation=st.just("sigmoid"),
    loss=st.just("cross_entropy"),
    l2=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 2**32 - 1),
)


@given(PROBLEMS)
def test_every_term_equals_that_of_the_class_for_any_depth(drawn):
    paper, X, labels = drawn
    p, t = paper.params, paper.forward(X)
    Y = one_hot(labels, len(p["b2"]))
    terms = dict(zip(FORWARD, two_layer.forward(X, *p.values()), strict=True))
    found = two_layer.backward(X, Y, p["W1"], p["W2"], t["Z1"], t["A1"], t["A2"], paper.l2)
    theirs = t | paper.backward(t, labels)
    for name, value in (terms | dict(zip(BACKWARD, found, strict=True))).items():
        np.testing.assert_allclose(value, theirs[name], rtol=1e-12, atol=1e-14, err_msg=name)


@given(PROBLEMS)
def test_the_loss_equals_that_of_the_class(drawn):
    paper, X, labels = drawn
    p, t = paper.params, paper.forward(X)
    found = two_layer.loss(t["Z2"], one_hot(labels, len(p["b2"])), p["W1"], p["W2"], paper.l2)
    assert found == pytest.approx(paper.loss(t, labels), rel=1e-12)


@given(PROBLEMS)
def test_its_gradients_agree_with_central_differences_of_its_own_loss(drawn):
    paper, X, labels = drawn
    W1, b1, W2, b2 = paper.params.values()
    Y = one_hot(labels, len(b2))

    def loss():
        Z2 = two_layer.forward(X, W1, b1, W2, b2)[2]
        return two_layer.loss(Z2, Y, W1, W2, paper.l2)

    Z1, A1, _, A2 = two_layer.forward(X, W1, b1, W2, b2)
    _, dW2, db2, _, _, dW1, db1 = two_layer.backward(X, Y, W1, W2, Z1, A1, A2, paper.l2)
    for value, gradient in ((W1, dW1), (b1, db1), (W2, dW2), (b2, db2)):
        np.testing.assert_allclose(gradient, central_differences(loss, value), atol=1e-6)
