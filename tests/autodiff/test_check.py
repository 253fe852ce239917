"""The gradient checker accepts right rules, rejects wrong ones, and says where and why."""

import numpy as np
import pytest

from tinygrad_mnist.autodiff import GradcheckError, Op, Tensor, gradcheck, gradgradcheck, ops

X, Y = np.array([[0.5, -1.0, 2.0], [1.5, 0.7, -0.3]]), np.array([[1.0, 2.0, -1.5], [0.3, 0.6, 0.9]])
SQUARE = np.array([[0.5, -1.0], [2.0, 1.5]])


def product(rule):
    """x * y with the right rule for x and `rule` for y."""
    return Op(lambda x, y: x * y, "product").vjp(lambda g, out, x, y: g * y, rule)


def matmul(rule):
    return Op(lambda x, y: x @ y, "matmul").vjp(rule, lambda g, out, x, y: x.mT @ g)


def narrow(x, y):
    """x * y, rounded to float32 on the way."""
    return Op(lambda v: v.astype(np.float32), "narrow").vjp(lambda g, out, v: g)(x * y)


CAUSES = [
    (product(lambda g, out, x, y: -g * x), "the sign is wrong"),
    (product(lambda g, out, x, y: 0.5 * g * x), "a factor: the rule gives 0.5 times"),
    (product(lambda g, out, x, y: (g != 0) * x), "the rule forgot the cotangent"),
    (product(None), "no gradient reaches this input"),
    (lambda x, y: x * y.detach(), "no gradient reaches this input"),
    (
        product(lambda g, out, x, y: (g * x).sum(axis=1, keepdims=True) * np.ones(3)),
        "summed over axis 1",
    ),
    (product(lambda g, out, x, y: g * x * x), "none of the usual mistakes"),
    (lambda x, y: ops.abs(y - (Y + 1e-7)), "a kink nearby: the slope is"),
    (narrow, "the function computes in float32"),
]


@pytest.mark.parametrize(("fn", "cause"), CAUSES, ids=[cause for _, cause in CAUSES])
def test_the_likely_cause_is_named(fn, cause):
    with pytest.raises(
        GradcheckError,
        match=r"Gradient of input [01] differs at element \(\d, \d\): "
        r"the rule gives .*, central differences",
    ) as caught:
        gradcheck(fn, [X, Y])
    assert f"Likely cause: {cause}" in str(caught.value)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 1), (2, 1, 3)], ids=str)
@pytest.mark.parametrize(
    ("rule", "cause"),
    [
        (lambda g, out, x: -3 * g * x**2, "the sign is wrong."),
        (lambda g, out, x: 6 * g * x**2, "a factor: the rule gives 2 times the right gradient."),
        (lambda g, out, x: g * 0, "no gradient reaches this input."),
        (lambda g, out, x: (g != 0) * 3.0 * x**2, "the rule forgot the cotangent g."),
    ],
)
def test_the_likely_cause_is_named_for_an_input_of_any_shape(shape, rule, cause):
    x = np.random.default_rng(0).uniform(0.5, 1.5, shape)
    if x.size == 1 and "forgot" in cause:
        cause = "a factor: the rule gives "  # which of one number is as true
    with pytest.raises(GradcheckError) as caught:
        gradcheck(Op(lambda x: x**3, "cube").vjp(rule), [x])
    assert f"Likely cause: {cause}" in str(caught.value)


def test_the_search_for_the_cause_cannot_hide_that_the_gradient_is_wrong():
    """A function that works as often as the check needs it, and no more."""
    calls = []

    def tired(x):
        calls.append(x)
        if len(calls) > needed:
            raise IndexError("pop from an empty deck")
        return Op(np.square, "square").vjp(lambda g, out, x: 3 * g * x)(x)

    needed = 1 + 3 + 2 * 2  # its shape, three gradients, two differences for each of two elements
    with pytest.raises(
        GradcheckError, match=r"(?s)the rule gives .* central differences"
    ) as caught:
        gradcheck(tired, [[1.0, 2.0]])
    assert len(calls) == needed + 1
    assert "Likely cause: not found, because the search for it failed with" in str(caught.value)
    assert "IndexError('pop from an empty deck')" in str(caught.value)


def test_a_transposed_gradient_is_named():
    with pytest.raises(GradcheckError, match="Likely cause: the gradient is transposed"):
        gradcheck(matmul(lambda g, out, x, y: y @ g.mT), [SQUARE, SQUARE + 1])


def test_the_message_names_input_element_and_both_numbers():
    wrong_in_one_place = product(
        lambda g, out, x, y: g * x * np.array([[1.0, 1.0, 1.0], [1.0, 3.0, 1.0]])
    )
    with pytest.raises(
        GradcheckError,
        match=r"input 1 differs at element \(1, 1\): "
        r"the rule gives .*, central differences .*relative error 2\)",
    ):
        gradcheck(wrong_in_one_place, [X, Y])


def test_zero_cotangent_must_give_exact_zeros():
    with pytest.raises(
        GradcheckError,
        match=r"zeros gives input 0 .* not 0.\nLikely cause: the rule forgot the cotangent g",
    ):
        gradcheck(Op(np.square, "square").vjp(lambda g, out, x: 2 * x), [X])


def test_random_functions_are_noticed():
    random = np.random.default_rng(0)
    with pytest.raises(
        GradcheckError, match=r"Two runs .*\nLikely cause: the function draws random numbers"
    ):
        gradcheck(lambda x: x * random.normal(), [X])


def test_a_stash_passes_the_first_order_and_fails_the_second():
    stash = {}

    def forward(x):
        stash["x"] = x
        return x**3

    cube = Op(forward, "cube").vjp(lambda g, out, x: 3 * g * stash["x"] ** 2)
    assert gradcheck(cube, [X])
    with pytest.raises(GradcheckError, match="input 0 differs"):
        gradgradcheck(cube, [X])


def test_right_functions_pass_both():
    for check in (gradcheck, gradgradcheck):
        assert check(lambda x, y: (x * y).tanh() @ y.mT, [X, Y])
        assert check(lambda x: x * 2, [X])
        assert check(lambda x, y: x * 2, [X, np.ones(3)])  # y is not used
        assert check(lambda x: x.sum(axis=0), [np.ones((0, 3))])


def test_inputs_may_be_tensors_and_stay_as_they_are():
    x = Tensor(X.astype(np.float32), requires_grad=True)
    before = x.data.copy()
    assert gradcheck(ops.tanh, [x])
    assert (x.data == before).all()
    assert x.grad is None
