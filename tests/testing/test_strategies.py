"""The strategies draw what they promise: readable numbers, all layouts, shapes that broadcast."""

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from tinygrad_mnist.testing import Call, arrays, broadcastable, calls, layouts, numbers, shapes
from tinygrad_mnist.testing.strategies import LAYOUTS, laid_out

EVERY = settings(deadline=None, database=None, max_examples=300)


def drawn(strategy):
    """Some hundred of what a strategy gives."""
    found = []
    EVERY(given(strategy)(lambda x: found.append(x)))()
    return found


@pytest.mark.parametrize(("low", "high"), [(-2, 2), (0, 1), (0.001, 0.002), (-1e6, 3), (5, 6)])
def test_numbers_stay_in_their_range_on_a_grid(low, high):
    step = 2.0 ** np.floor(np.log2((high - low) / 32))
    found = set(drawn(numbers(low, high)))
    assert len(found) > 20
    assert all(low <= x <= high and x % step == 0 for x in found)


@pytest.mark.parametrize("kinks", [0, [0.0], (-1, 1), 0.3, np.array([0.5])], ids=str)
def test_numbers_stay_away_from_kinks(kinks):
    distance = [np.abs(x - np.atleast_1d(kinks)).min() for x in drawn(numbers(away_from=kinks))]
    assert 0.1 < min(distance) < 0.3


def test_numbers_shrink_to_small_whole_ones():
    assert find(numbers(), lambda x: True) == 0
    assert find(numbers(away_from=0), lambda x: True) == 1
    assert find(numbers(-4, 4), lambda x: x % 0.5 != 0) == 0.25
    assert find(numbers(), lambda x: x % 1 != 0) == 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: numbers(2, 2), "low must be less than high, but they are 2 and 2"),
        (lambda: numbers(3, -1), "low must be less than high"),
        (lambda: numbers(0, 1, away_from=np.linspace(0, 1, 99)), "No number from 0 to 1 is a step"),
    ],
)
def test_a_range_without_numbers_is_refused_in_words(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_arrays_come_in_all_shapes_and_layouts():
    found = drawn(arrays())
    assert {x.ndim for x in found} == {0, 1, 2, 3}
    assert any(x.size == 0 for x in found)
    assert 0.05 < np.mean([x.size == 0 for x in found]) < 0.5
    assert any(not x.flags.c_contiguous and x.flags.f_contiguous for x in found)
    assert any(min(x.strides, default=0) < 0 for x in found)
    assert all(x.dtype == np.float64 for x in found)


def test_arrays_are_what_they_are_asked_for():
    found = drawn(arrays(1, 3, shape=(2, 3), dtype=np.float32, unique=True))
    assert all(x.shape == (2, 3) and x.dtype == np.float32 for x in found)
    assert all(np.unique(x).size == 6 and (x >= 1).all() and (x <= 3).all() for x in found)
    sides = drawn(arrays(shape=st.sampled_from([(2,), (1, 4)])))
    assert {x.shape for x in sides} == {(2,), (1, 4)}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 0), (2, 3, 4)], ids=str)
def test_a_layout_changes_no_value_and_no_shape(layout, shape):
    x = np.random.default_rng(0).normal(size=shape)
    assert laid_out(x, layout).shape == shape
    assert np.array_equal(laid_out(x, layout), x)


def test_layouts_differ_in_memory():
    found = {x.strides for x in drawn(layouts(st.just(np.zeros((2, 3)))))}
    assert found == {(24, 8), (8, 16), (48, 16), (24, -8)}


@given(broadcastable(3))
@settings(deadline=None)
def test_what_broadcasts_broadcasts(found):
    assert np.broadcast_shapes(*(x.shape for x in found)) == sum(found).shape


def test_different_shapes_that_broadcast_are_drawn():
    found = drawn(broadcastable(2, 0, 1))
    assert any(x.shape != y.shape for x, y in found)
    assert all((x >= 0).all() and (y <= 1).all() for x, y in found)


def test_shapes_keep_their_bounds():
    found = set(drawn(shapes(1, 2, 2, 3)))
    assert found == {(2,), (3,), (2, 2), (2, 3), (3, 2), (3, 3)}
    assert set(drawn(shapes(max_dims=0))) == {()}


def test_calls_put_arguments_and_keywords_together():
    found = drawn(calls(arrays(shape=(2,)), st.just(3), axis=st.sampled_from([0, -1]), keepdims=1))
    assert {call.params["axis"] for call in found} == {0, -1}
    assert all(isinstance(call, Call) and call.arguments[1] == 3 for call in found)
    assert all(call.params["keepdims"] == 1 for call in found)
