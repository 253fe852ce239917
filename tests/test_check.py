"""The gradient checker accepts right rules and rejects wrong ones, saying where."""

import numpy as np
import pytest

from tinygrad_mnist.autodiff import GradcheckError, Op, gradcheck

WRONG_SQUARES = {
    "forgot the cotangent": lambda g, out, x: 2 * x,
    "sign": lambda g, out, x: -2 * g * x,
    "factor": lambda g, out, x: g * x,
    "constant": lambda g, out, x: 2 * g,
}


@pytest.mark.parametrize("rule", WRONG_SQUARES.values(), ids=WRONG_SQUARES)
def test_wrong_rules_are_rejected(rule, rng):
    with pytest.raises(GradcheckError):
        gradcheck(Op(np.square, "square").vjp(rule), [rng.normal(size=(2, 3))])


def test_the_message_names_input_element_and_both_numbers():
    def rule(g, out, x, y):
        return g * np.array([y[0], y[1] * 3])

    product = Op(np.multiply, "product").vjp(lambda g, out, x, y: g * y, lambda g, out, x, y: g * x * np.array([1.0, 3.0]))
    with pytest.raises(
        GradcheckError, match=r"input 1 differs at element \(1,\): the rule gives .*, central differences .*relative error 2"
    ):
        gradcheck(product, [np.ones(2), np.ones(2)])


def test_an_input_that_is_not_used_has_gradient_zero():
    assert gradcheck(lambda x, y: x * 2, [np.ones(2), np.ones(3)])
