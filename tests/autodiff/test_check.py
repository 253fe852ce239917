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
    (product(lambda g, out, x, y: g * x[:, ::-1]), "none of the usual mistakes"),
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


# ---------------------------------------------------------------- rules that somebody might write

sigmoid = ops.sigmoid.forward
Z = X + 3


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def made(forward, *rules, **other):
    return Op(forward, "mine").vjp(*rules, **other)


AT_X, AT_OUT = "evaluated at the input instead of out", "evaluated at out instead of the input"
EXCHANGED = "the rules of arguments 0 and 1 are exchanged"
BY_ITSELF = "the rule sums over axis 0 by itself"
PLAUSIBLE = {
    "tanh at x": (made(np.tanh, lambda g, out, x: g * (1 - x**2)), [X], AT_X),
    "sigmoid at x": (made(sigmoid, lambda g, out, x: g * x * (1 - x)), [X], AT_X),
    "square at out": (made(np.square, lambda g, out, x: 2 * g * out), [X], AT_OUT),
    "logarithm at out": (made(np.log, lambda g, out, x: g / out), [Z], AT_OUT),
    "rules of a product": (
        made(np.multiply, lambda g, out, x, y: g * x, lambda g, out, x, y: g * y),
        [X, Y],
        EXCHANGED,
    ),
    "rules of a quotient": (
        made(np.divide, lambda g, out, x, y: -g * x / y**2, lambda g, out, x, y: g / y),
        [X, Y],
        EXCHANGED,
    ),
    "rules of a matrix product": (
        made(np.matmul, lambda g, out, x, y: x.mT @ g, lambda g, out, x, y: g @ y.mT),
        [X, Y.T[:, :2] + 1],
        EXCHANGED,
    ),
    "two at once": (
        made(np.multiply, together=lambda g, out, x, y: (g * x, g * y)),
        [X, Y],
        EXCHANGED,
    ),
    "x and y in one rule": (
        made(np.divide, lambda g, out, x, y: g / x, lambda g, out, x, y: -g * x / y**2),
        [X, Y],
        "argument 0 and argument 1 are exchanged in the rule",
    ),
    "diagonal of softmax": (
        made(softmax, lambda g, out, x: g * out * (1 - out)),
        [X],
        "only the diagonal of the Jacobian",
    ),
    "softmax without the others": (
        made(softmax, lambda g, out, x: g * out),
        [X],
        "a term is missing: out times a sum over axis 1",
    ),
    "variance without the mean": (
        made(lambda x: ((x - x.mean()) ** 2).mean(), lambda g, out, x: 2 * g * x / x.size),
        [X],
        "a term is missing: a sum over axis 1",
    ),
    "half of a sigmoid's slope": (
        made(sigmoid, lambda g, out, x: g * out),
        [X],
        "part of the slope: the factor (1 - out) is missing",
    ),
    "half of a tanh's slope": (
        made(np.tanh, lambda g, out, x: g + 0 * x),
        [X],
        "part of the slope: the term -out**2 is missing",
    ),
    "one term of two": (
        made(lambda x: x * np.sin(x), lambda g, out, x: g * np.sin(x)),
        [X],
        "part of the slope: the term x * cos(x) is missing",
    ),
    "the other term of two": (
        made(lambda x: x * sigmoid(x), lambda g, out, x: g * x * sigmoid(x) * (1 - sigmoid(x))),
        [X],
        "part of the slope: the term sigmoid(x) is missing",
    ),
    "exponent lowered twice": (
        made(lambda x: x**3, lambda g, out, x: 3 * g * x),
        [X],
        "part of the slope: the factor x is missing",
    ),
    "one factor too many": (
        made(np.sin, lambda g, out, x: g * x * np.cos(x)),
        [X],
        "a factor x that does not belong to the slope",
    ),
    "relu without its condition": (
        made(lambda x: np.maximum(x, 0), lambda g, out, x: g + 0),
        [X],
        "right where the input is positive, and nowhere else",
    ),
    "not transposed": (
        made(np.matmul, lambda g, out, x, y: g @ y, lambda g, out, x, y: x.mT @ g),
        [X, Y.T[:, :2] + 1],
        "argument 1 has to be transposed in the rule",
    ),
    "not transposed, square": (
        made(np.matmul, lambda g, out, x, y: g @ y, lambda g, out, x, y: x.mT @ g),
        [SQUARE, SQUARE + 1],
        "argument 1 has to be transposed in the rule",
    ),
    "result transposed": (
        made(np.matmul, lambda g, out, x, y: y @ g.mT, lambda g, out, x, y: x.mT @ g),
        [X, Y.T[:, :2] + 1],
        "the gradient is transposed",
    ),
    "transpose of a transpose": (
        made(lambda x: x.mT, lambda g, out, x: g),
        [X],
        "the gradient is transposed",
    ),
    "summed by hand": (
        made(np.add, lambda g, out, x, y: g, lambda g, out, x, y: g.sum(axis=0)),
        [X, Y],
        BY_ITSELF,
    ),
    "summed by hand, kept": (
        made(np.add, lambda g, out, x, y: g, lambda g, out, x, y: g.sum(axis=0, keepdims=True)),
        [X, Y],
        BY_ITSELF,
    ),
    "a sum's gradient not spread": (
        made(np.sum, lambda g, out, x: g),
        [X],
        "the gradient has to be spread over the shape of the input",
    ),
    "no out among the arguments": (
        made(np.tanh, lambda g, x: g / np.cosh(x) ** 2),
        [X],
        "a rule takes g, out, then every input",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAUSIBLE)
def test_a_plausible_mistake_is_named(name):
    fn, inputs, cause = PLAUSIBLE[name]
    with pytest.raises(GradcheckError) as caught:
        gradcheck(fn, inputs)
    assert cause in str(caught.value).partition("Likely cause: ")[2]


@pytest.mark.parametrize("name", PLAUSIBLE)
def test_in_a_longer_function_the_op_is_named_too(name):
    fn, inputs, cause = PLAUSIBLE[name]
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda *xs: fn(*(0.5 * x + x / 2 for x in xs)).tanh(), inputs)
    assert "Likely cause: in the rule of mine for argument" in str(caught.value)
    assert cause in str(caught.value)


@pytest.mark.parametrize("name", PLAUSIBLE)
def test_the_search_for_a_cause_leaves_the_warnings_of_numpy_as_they_were(name):
    fn, inputs, _ = PLAUSIBLE[name]
    before = np.geterr()
    with pytest.raises(GradcheckError) as kept:
        gradcheck(fn, inputs)
    assert (np.geterr(), bool(kept.tb)) == (before, True)


def test_what_is_kept_off_the_tape_is_said_to_be():
    with pytest.raises(GradcheckError, match="every op on the tape is right, so"):
        gradcheck(lambda x: x * x.mean().detach(), [X])
    with pytest.raises(GradcheckError, match=r"^Second derivative with respect to input 0"):
        gradgradcheck(SECOND["stash"][0], [X])


@pytest.mark.parametrize("seed", range(100))
def test_what_no_mistake_explains_stays_unknown(seed):
    random = np.random.default_rng(seed)
    x, odd = random.normal(size=(3, 4)), random.normal(size=(3, 4))
    op = [ops.tanh, ops.softmax, ops.exp, ops.sigmoid][seed % 4]
    right = op.rules[0]
    wrong = [
        lambda g, out, x: odd * g,
        lambda g, out, x: right(g, out, x)[::-1],
        lambda g, out, x: right(g, out, x) + odd * g,
        lambda g, out, x: right(g, out, np.sort(x)) * np.cosh(odd),
        lambda g, out, x: np.cumsum(g * odd, axis=1),
    ][seed // 4 % 5]
    with pytest.raises(GradcheckError, match="Likely cause: none of the usual mistakes"):
        gradcheck(Op(op.forward, "odd").vjp(wrong), [x])


cube_slope = Op(lambda x: 3 * x**2, "cube_slope").vjp(lambda g, out, x: 3 * g * x)
STORED = {}


def stored(x):
    STORED["x"] = x
    return x**3


def array(x):
    return x.data if isinstance(x, Tensor) else x


SECOND = {
    "stash": (
        made(stored, lambda g, out, x: 3 * g * STORED["x"] ** 2),
        "the rule of mine reads what its forward function stored",
    ),
    "data of the input": (
        made(lambda x: x**3, lambda g, out, x: 3 * g * array(x) ** 2),
        "the rule of mine turns what it is given into arrays on its way",
    ),
    "data of the output": (
        made(np.exp, lambda g, out, x: g * array(out)),
        "the rule of mine turns what it is given into arrays on its way",
    ),
    "an op in the rule": (
        made(lambda x: x**3, lambda g, out, x: g * cube_slope(x)),
        "in the rule of cube_slope for argument 0: a factor: the rule gives 0.5 times",
    ),
}


@pytest.mark.parametrize("name", SECOND)
def test_a_wrong_second_derivative_is_explained(name):
    fn, cause = SECOND[name]
    assert gradcheck(fn, [X])
    with pytest.raises(GradcheckError) as caught:
        gradgradcheck(fn, [X])
    assert f"Likely cause: {cause}" in str(caught.value)
