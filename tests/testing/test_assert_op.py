"""`assert_op` and `assert_gradients`: green for right ops, red with the cause for wrong ones."""

import numpy as np
import pytest
from hypothesis import strategies as st

from tinygrad_mnist import Tensor
from tinygrad_mnist.autodiff import GradcheckError, Op, ops
from tinygrad_mnist.testing import Call, arrays, assert_gradients, assert_op, broadcastable, calls

STORED = {}


def made(forward, *rules):
    return Op(forward, "mine").vjp(*rules)


def square(rule=lambda g, out, x: 2 * g * x, forward=lambda x: x * x):
    return made(forward, rule)


def storing(x):
    STORED["x"] = x.copy()
    return x * x


def writing(x):
    x *= x
    return x


def by_writing(g, out, x):
    g *= 2 * x
    return g


def counting(x):
    STORED["count"] = STORED.get("count", 0) + 1
    return x * x + 1e-3 * STORED["count"]


def times(*rules):
    return made(np.multiply, *rules)


RIGHT = {
    "elementwise": (square(), arrays(), np.square),
    "function of tensors": (lambda x: (x * x).tanh(), arrays(), lambda x: np.tanh(x * x)),
    "broadcasting": (
        times(lambda g, out, x, y: g * y, lambda g, out, x, y: g * x),
        broadcastable(2),
        np.multiply,
    ),
    "a kink": (ops.relu, arrays(away_from=0), lambda x: np.maximum(x, 0)),
    "an axis": (
        ops.softmax,
        calls(arrays(shape=(2, 3)), axis=st.sampled_from([0, 1, -1])),
        lambda x, axis: np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True),
    ),
    "ties left out": (ops.max, arrays(shape=(2, 3), unique=True), np.max),
    "no derivative": (ops.sign, arrays(), np.sign),
    "whole numbers": (
        ops.cross_entropy,
        calls(arrays(shape=(2, 3)), st.just(np.array([2, 0]))),
        None,
    ),
    "one case": (square(), Call((np.array([1.0, -2.0]),), {}), np.square),
    "without a reference": (square(), arrays(), None),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_op_passes(name):
    assert_op(*RIGHT[name])


WRITES = "x += ... or x[...] = ... in place of x = x + ..."
WRONG = {
    "value": (square(forward=lambda x: x * x + 1), arrays(), "the forward function, or"),
    "shape": (square(forward=lambda x: (x * x).sum(keepdims=True)), arrays(), "another axis"),
    "sign": (square(lambda g, out, x: -2 * g * x), arrays(), "the sign is wrong"),
    "factor": (square(lambda g, out, x: g * x), arrays(), "0.5 times the right gradient"),
    "no cotangent": (square(lambda g, out, x: 2 * x), arrays(), "the rule forgot the cotangent g"),
    "at out": (square(lambda g, out, x: 2 * g * out), arrays(), "at out instead of the input"),
    "summed by hand": (
        times(lambda g, out, x, y: g * y, lambda g, out, x, y: (g * x).sum(axis=0)),
        broadcastable(2),
        "the rule sums over axis",
    ),
    "stash": (
        square(lambda g, out, x: 2 * g * STORED["x"], storing),
        arrays(),
        "the rule of mine reads what its forward function stored",
    ),
    "data": (
        square(lambda g, out, x: 2 * g * (x.data if isinstance(x, Tensor) else x)),
        arrays(),
        "turns what it is given into arrays",
    ),
    "writes its input": (square(forward=writing), arrays(), WRITES),
    "writes a broadcast input": (
        made(lambda x, y: np.multiply(x, y, out=x), lambda g, out, x, y: g * y),
        broadcastable(2),
        WRITES,
    ),
    "writes its cotangent": (square(by_writing), arrays(), "writes into the cotangent g"),
    "remembers": (square(forward=counting), arrays(), "or remembers the first run"),
    "random": (
        square(
            forward=lambda x: x * x + STORED.setdefault("random", np.random.default_rng(0)).random()
        ),
        arrays(),
        "it draws random numbers",
    ),
    "float64 forward": (square(forward=lambda x: x * x * np.float64(1)), arrays(), "np.float64"),
    "float64 in the rule": (
        square(lambda g, out, x: g * x * np.array([2.0])[0]),
        arrays(),
        "Given float32, the rule of mine for argument 0 returns float64",
    ),
    "a tensor": (square(forward=lambda x: Tensor(x) * x), arrays(), "a tensor is made inside"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_op_fails_with_its_cause(name):
    op, strategy, cause = WRONG[name]
    reference = np.multiply if "broadcast" in name or "summed" in name else np.square
    with pytest.raises(AssertionError) as caught:
        assert_op(op, strategy, reference)
    assert cause in str(caught.value).replace("\n", " ")
    assert "Smallest case: " in str(caught.value)


def test_the_case_that_is_shown_is_small_whatever_another_op_failed_for():
    wrong_above = square(lambda g, out, x: 2 * g * x + g * x * (x > 1.3))
    wrong_but_at_0 = square(lambda g, out, x: 3 * g * x)
    with pytest.raises(GradcheckError):
        assert_op(wrong_above, arrays(), np.square)
    with pytest.raises(GradcheckError) as caught:
        assert_op(wrong_but_at_0, arrays(), np.square)
    assert str(caught.value).endswith("Smallest case: mine(array(1.))")


def test_keywords_and_layouts_are_shown():
    wrong = Op(np.sum, "total").vjp(lambda g, out, x, axis: -g + 0 * x)
    case = Call((np.arange(6.0).reshape(3, 2).T,), {"axis": None})
    with pytest.raises(GradcheckError, match=r"Case: total\(array\(.*, strides=\(8, 16\)\), axis"):
        assert_op(wrong, case)


def test_order_1_leaves_the_second_derivative_alone():
    op, strategy, _ = WRONG["stash"]
    assert_op(op, strategy, order=1)
    assert_gradients(op, [1.0, 2.0], order=1)
    with pytest.raises(GradcheckError):
        assert_gradients(op, [1.0, 2.0])


def test_tolerances_are_passed_on():
    nearly = square(lambda g, out, x: 2.0001 * g * x)
    assert_op(nearly, arrays(), rtol=1e-3)
    with pytest.raises(GradcheckError):
        assert_op(nearly, arrays())
