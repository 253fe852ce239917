"""The arrays of the pages, which stand in for NumPy there: same numbers, shapes and refusals."""

import operator
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "assets" / "python"))

import arrays
import functions

SHAPES = st.lists(st.integers(1, 4), max_size=2).map(tuple)
NUMBERS = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 100.0])


@st.composite
def arrays_of(draw, shapes=SHAPES):
    shape = draw(shapes)
    size = int(np.prod(shape))
    return np.array(draw(st.lists(NUMBERS, min_size=size, max_size=size))).reshape(shape)


def ours(x):
    return arrays.array(x.tolist())


def assert_same(compute, *given, numpy=np, mine=functions):
    """The same result as NumPy's, or a refusal where NumPy refuses."""
    with np.errstate(all="ignore"):
        try:
            expected = np.asarray(compute(numpy, *given))
        except (ValueError, IndexError):
            with pytest.raises((ValueError, IndexError)):
                compute(mine, *map(ours, given))
            return
    assume(expected.ndim <= 2)
    found = arrays.asarray(compute(mine, *map(ours, given)))
    assert found.shape == expected.shape
    numbers = np.reshape(np.array(found.data, float), found.shape)
    np.testing.assert_allclose(numbers, expected.astype(float), rtol=1e-14, atol=1e-300)


OPERATORS = [
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.lt, operator.le),
    *(operator.gt, operator.ge, operator.eq, operator.ne),
]


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.__name__)
@given(arrays_of(), arrays_of())
def test_operators_broadcast_as_numpys(op, x, y):
    assert_same(lambda _, x, y: op(x, y), x, y)


@pytest.mark.parametrize("number", [2, 0.5, 0, True])
@pytest.mark.parametrize("op", OPERATORS[:4], ids=lambda op: op.__name__)
@given(arrays_of())
def test_operators_take_numbers_on_both_sides(op, number, x):
    assert_same(lambda _, x: op(x, number), x)
    assert_same(lambda _, x: op(number, x), x)


@given(arrays_of(), arrays_of())
def test_a_product_of_matrices_and_rows_is_numpys(x, y):
    assume(x.ndim and y.ndim)
    assert_same(lambda _, x, y: x @ y, x, y)


@given(arrays_of(), st.sampled_from([2, 3, 0.5, -1]))
def test_powers_are_numpys(x, exponent):
    assert_same(lambda _, x: x**exponent, x)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min"])
@given(arrays_of(), st.sampled_from([None, 0, 1, -1, -2]), st.booleans())
def test_a_line_of_numbers_is_reduced_as_numpys(name, x, axis, keepdims):
    assume(x.ndim or axis is None)  # NumPy lets a single number have an axis
    assert_same(lambda _, x: getattr(x, name)(axis=axis, keepdims=keepdims), x)
    assert_same(lambda np, x: getattr(np, name)(x, axis=axis, keepdims=keepdims), x)


FUNCTIONS = ["exp", "log", "tanh", "sqrt", "square", "sign", "abs", "zeros_like", "ones_like",
             "transpose", "ravel"]  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
@given(arrays_of())
def test_functions_of_an_array_are_numpys(name, x):
    assert_same(lambda np, x: getattr(np, name)(10 * x), x)


@pytest.mark.parametrize("name", ["maximum", "minimum", "outer", "multiply", "divide", "subtract"])
@given(arrays_of(), arrays_of())
def test_functions_of_two_arrays_are_numpys(name, x, y):
    assert_same(lambda np, x, y: getattr(np, name)(x, y), x, y)


@given(arrays_of())
def test_a_diagonal_is_numpys(x):
    assert_same(lambda np, x: np.diag(x), x)


@given(arrays_of(), arrays_of(), arrays_of())
def test_where_is_numpys(x, y, z):
    assert_same(lambda np, x, y, z: np.where(x > 0, y, z), x, y, z)


@pytest.mark.parametrize("bounds", [(0, None), (None, 1), (-0.5, 1)])
@given(arrays_of())
def test_clip_is_numpys(bounds, x):
    assert_same(lambda np, x: np.clip(x, *bounds), x)
    assert_same(lambda _, x: x.clip(*bounds), x)


def test_arrays_of_other_shapes_are_compared_in_words():
    with pytest.raises(ValueError, match=r"\(2, 1\) is compared with \(3, 2\)\.$"):
        functions.allclose([[1], [2]], [[1, 2], [3, 4], [5, 6]])
    with pytest.raises(ValueError, match="Is one of them transposed"):
        functions.allclose([[1, 2, 3], [4, 5, 6]], [[1, 2], [3, 4], [5, 6]])


PLACES = st.one_of(
    st.integers(-4, 3),
    st.none(),
    st.builds(slice, st.none() | st.integers(-4, 4), st.none() | st.integers(-4, 4),
              st.sampled_from([None, 1, 2, -1])),
)  # fmt: skip
INDICES = st.one_of(PLACES, st.tuples(PLACES, PLACES))


@given(arrays_of(), INDICES)
def test_parts_are_numpys(x, index):
    assume(x.ndim)
    assert_same(lambda _, x: x[index], x)


@given(arrays_of(st.tuples(st.integers(1, 4), st.integers(1, 4))), st.data())
def test_pairs_of_rows_and_columns_are_numpys(x, data):
    columns = data.draw(st.lists(st.integers(0, x.shape[1] - 1), min_size=len(x), max_size=len(x)))
    assert_same(lambda _, x: x[list(range(len(x))), columns], x)
    assert_same(lambda _, x: x[list(range(len(x)))], x)


def changed(x, index, value):
    x = x.copy()
    x[index] = value
    return x


@given(arrays_of(), INDICES, NUMBERS)
def test_parts_are_written_as_numpys(x, index, value):
    assume(x.ndim)
    keys = index if isinstance(index, tuple) else (index,)
    assume(x.ndim + sum(k is None for k in keys) <= 2)
    assert_same(lambda _, x: changed(x, index, value), x)
    assert_same(lambda _, x: changed(x, x > 0, value), x)


def added(x, y):
    x = x.copy()
    x += y
    return x


@given(arrays_of(), arrays_of())
def test_a_sum_in_place_keeps_the_shape_as_numpys(x, y):
    assume(x.ndim)
    assert_same(lambda _, x, y: added(x, y), x, y)


@given(arrays_of(), SHAPES)
def test_a_shape_is_changed_as_numpys(x, shape):
    assert_same(lambda _, x: x.reshape(shape), x)
    assert_same(lambda _, x: x.reshape(-1, 1), x)


def test_sums_are_those_of_a_loop():
    assert functions.zeros((2, 3)).shape == (2, 3)
    assert [len(row) for row in functions.eye(3)] == [3, 3, 3]
    assert functions.arange(3).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("compute", "says"),
    [
        (lambda x: x @ functions.ones((4, 3)), r"What would fit: \(2, 3\) @ \(3, 4\), with .T on"),
        (lambda x: x @ 2, "To multiply by a number"),
        (lambda x: x * x.T, "Is one of them transposed"),
        (lambda x: x - x.sum(axis=1), "With keepdims=True it stays a column"),
        (lambda x: x.sum(axis=2), "no axis 2"),
        (lambda x: x[5], "from 0 to 1"),
        (lambda x: x[0.5], "whole number"),
        (lambda x: functions.zeros((2, 2, 2)), "at most two"),
        (lambda x: bool(x), "many numbers"),
        (lambda x: functions.array([[1, 2], [3]]), "same length"),
    ],
)
def test_a_refusal_says_what_is_wrong(compute, says):
    with pytest.raises((ValueError, TypeError, IndexError), match=says):
        compute(functions.ones((2, 3)))
