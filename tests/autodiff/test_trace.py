"""The way through a graph, step by step: the right order is right, the others as told."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_mnist import grad, nn, tensor
from tinygrad_mnist.autodiff.trace import MOST, forward, walks


def leaf(value):
    return tensor(value, requires_grad=True)


def diamond(at=2.0):
    """The graph of the page on the tape: y = 2u · 3u with u = x²."""
    x = leaf(at)
    u = x * x
    return (2 * u) * (3 * u), x


def ladder(length):
    x = y = leaf(1.0)
    for _ in range(length):
        y = y + y
    return y, x


@pytest.mark.parametrize(
    ("order", "found", "applied"),
    [
        ("right order", 192, 6),
        ("pass on at once", 288, 8),
        ("visit once", 96, 6),
        ("every path", 192, 8),
    ],
)
def test_each_order_finds_what_the_page_on_the_tape_says(order, found, applied):
    y, x = diamond()
    (walk,) = (walk for walk in walks(y) if walk.name == order)
    assert walk.gradients[x] == found
    assert walk.applied == applied == sum(step.to is not None for step in walk.steps)
    assert walk.complete


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans()), max_size=8))
def test_the_right_order_finds_the_gradients_of_any_graph(program):
    made = [leaf(0.7), leaf(-1.3)]
    for i, j, add in program:
        a, b = made[i % len(made)], made[j % len(made)]
        made.append(a + b if add else a * b)
    y = made[-1] * made[0]
    right = walks(y)[0]
    reached = list(right.gradients)
    for x, g in zip(reached, grad(y, reached), strict=True):
        np.testing.assert_array_equal(right.gradients[x], g.data)


def test_a_cotangent_is_taken_when_it_is_complete_and_only_then():
    y, _ = diamond()
    steps = walks(y)[0].steps
    taken = [step.tensor for step in steps if step.to is None]
    assert len(set(taken)) == len(taken)
    assert all(a.age > b.age for a, b in pairwise(taken))
    for number, step in enumerate(steps):
        if step.to is None:
            assert all(later.to is not step.tensor for later in steps[number:])


def test_a_share_is_the_local_slope_times_the_cotangent():
    y, _ = diamond()
    shares = [step for step in walks(y)[0].steps if step.to is not None]
    assert all(step.share == step.slope * step.cotangent for step in shares)


def test_arrays_have_shares_and_no_slope():
    model = nn.Linear(3, 2, rng=np.random.default_rng(0))
    loss = model(np.ones((4, 3), np.float32)).sum()
    shares = [step for step in walks(loss)[0].steps if step.to is model.weight]
    assert [(step.slope, step.share.shape) for step in shares] == [(None, (3, 2))]


def test_where_no_computed_value_is_used_twice_only_the_right_order_is_walked():
    x = leaf(3.0)
    assert [walk.name for walk in walks(x * x)] == ["right order"]


def test_a_long_walk_is_cut_and_its_length_is_counted():
    y, x = ladder(60)
    right, at_once, once, every = walks(y)
    assert right.gradients[x] == 2.0**60
    assert (right.applied, once.applied) == (120, 120)
    assert at_once.applied == every.applied == 2**61 - 2
    assert len(every.steps) == MOST
    assert not every.complete


def test_forward_each_value_comes_after_those_it_needs():
    y, x = diamond()
    b, a = y.inputs[1], y.inputs[0]
    assert forward([y, b, a.inputs[1], a, x]) == [a.inputs[1], a, b, y]


def test_a_walk_changes_nothing():
    y, x = diamond()
    walks(y)
    assert x.grad is None
    y.backward()
    assert x.grad.item() == 192
