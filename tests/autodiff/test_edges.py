"""Edges: masked derivatives, axes and numbers of NumPy, half precision, infinities, empties."""

import copy
import warnings

import numpy as np
import pytest
from samples import CASE_NAMES, CASES

from tinygrad_mnist import nn
from tinygrad_mnist.autodiff import Tensor, grad, gradcheck, gradgradcheck, op, ops, tensor
from tinygrad_mnist.autodiff.graph import NUMPY
from tinygrad_mnist.nn import functional as F

INF, NAN = np.inf, np.nan


def value_and_slope(function, values, dtype=np.float64):
    """What a function gives, and the derivative of the sum of that."""
    x = tensor(np.array(values, dtype), requires_grad=True)
    out = function(x)
    out.backward(np.ones(out.shape, dtype))
    assert x.grad.dtype == dtype
    return out.data.tolist(), x.grad.data.tolist()


def same(found, expected):
    np.testing.assert_array_equal(np.array(found, float), np.array(expected, float))


# ---------------------------------------------------------------- a mask selects: 0 * inf is not 0

MASKED = {
    "relu": ops.relu,
    "clamp": lambda x: x.clamp(0),
    "maximum": lambda x: ops.maximum(x, 0),
    "maximum on the right": lambda x: ops.maximum(0.0, x),
    "minimum": lambda x: -ops.minimum(-x, 0),
    "where": lambda x: ops.where(x > 0, x, 0),
    "where on the right": lambda x: ops.where(x <= 0, 0, x),
    "np.where": lambda x: np.where(x.data > 0, x, 0),
    "product of a mask": lambda x: ops.keep(x, x > 0),
}


@pytest.mark.parametrize("gate", MASKED.values(), ids=MASKED)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_root_of_what_a_mask_shuts_has_slope_zero(gate, dtype):
    values, slopes = value_and_slope(lambda x: gate(x).sqrt(), [-1.0, 4.0], dtype)
    assert values == [0.0, 2.0]
    assert slopes == [0.0, 0.25]


@pytest.mark.parametrize("gate", MASKED.values(), ids=MASKED)
def test_the_same_holds_for_second_derivatives(gate):
    x = tensor(np.array([-1.0, 4.0]), requires_grad=True)
    (slope,) = grad(gate(x).sqrt().sum(), x, create_graph=True)
    (curvature,) = grad(slope.sum(), x)
    same(curvature.data, [0.0, -1 / 32])


@pytest.mark.parametrize("name", ["relu", "maximum", "maximum on the right", "minimum"])
def test_not_a_number_passes_on_as_such(name):
    values, slopes = value_and_slope(lambda x: MASKED[name](x).sqrt(), [NAN, 4.0])
    same(values, [NAN, 2.0])
    same(slopes, [NAN, 0.25])


def test_leaky_relu_keeps_an_infinite_cotangent_on_its_side():
    x = tensor(np.array([-1.0, 1.0]), requires_grad=True)
    ops.leaky_relu(x, negative_slope=0.5).backward(np.array([INF, 1.0]))
    same(x.grad.data, [INF, 1.0])


def test_the_extreme_alone_receives_an_infinite_slope():
    same(value_and_slope(lambda x: x.max().sqrt(), [-1.0, 0.0])[1], [0.0, INF])
    same(value_and_slope(lambda x: x.min().sqrt(), [1.0, 0.0])[1], [0.0, INF])


def test_keep_keeps_bits():
    x = np.array([INF, -INF, NAN, -0.0, 1.5, 5e-324])
    found = ops.keep(x, np.array([True, False, False, True, True, True]))
    assert found.tobytes() == np.array([INF, 0.0, 0.0, -0.0, 1.5, 5e-324]).tobytes()
    assert ops.keep(np.longdouble([2, 3]), np.array([True, False])).tolist() == [2, 0]


# ---------------------------------------------------------------- axes

REDUCTIONS = ["sum", "prod", "mean", "var", "std", "max", "min", "norm"]
ALONG = [ops.softmax, ops.log_softmax, ops.logsumexp]
X = np.array([[1.0, 2.0, 4.0], [3.0, 5.0, 0.5]])


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axis", [np.int64(1), np.int8(-1), (np.int32(0), np.uint8(1)), (0, -1)])
@pytest.mark.parametrize("keepdims", [False, True, np.True_])
def test_numpys_integers_are_integers(name, axis, keepdims):
    def reduce(x):
        return getattr(x, name)(axis=axis, keepdims=keepdims)

    plain = tuple(map(int, axis)) if isinstance(axis, tuple) else int(axis)
    expected = getattr(Tensor(X), name)(axis=plain, keepdims=bool(keepdims))
    np.testing.assert_array_equal(reduce(Tensor(X)).data, expected.data)
    assert gradcheck(reduce, [X])
    assert gradgradcheck(reduce, [X])


ONE, TWO = np.int64(1), np.uint8(2)
SHAPED = {
    "reshape": lambda x: x.reshape(np.int64(3), TWO),
    "reshape to one": lambda x: x.reshape(np.int64(6)),
    "reshape by an array": lambda x: x.reshape(np.array([3, 2])),
    "transpose": lambda x: x.transpose(ONE, np.int8(0)),
    "transpose by an array": lambda x: x.transpose(np.array([1, 0])),
    "swapaxes": lambda x: x.swapaxes(np.int64(0), ONE),
    "unsqueeze": lambda x: x.unsqueeze(ONE),
    "squeeze": lambda x: x.unsqueeze(1).squeeze(ONE),
    "index": lambda x: x[np.int64(0), ONE],
    "concatenate": lambda x: ops.concatenate(x, x, axis=ONE),
    "stack": lambda x: ops.stack(x, x, axis=TWO),
    "softmax": lambda x: ops.softmax(x, axis=np.int64(0)),
    "logsumexp": lambda x: ops.logsumexp(x, axis=np.int64(0), keepdims=np.True_),
    "cross-entropy": lambda x: ops.cross_entropy(x, np.array([2, 0], np.uint8)),
    "variance": lambda x: x.var(axis=ONE, ddof=ONE),
    "windows": lambda x: ops.sliding_windows(x, window=(TWO,), stride=ONE),
    "clamp": lambda x: x.clamp(np.float32(0.7), np.int64(7)),
    "power": lambda x: x ** np.int64(2),
}


@pytest.mark.parametrize("function", SHAPED.values(), ids=SHAPED)
def test_numpys_numbers_go_forward_and_backward(function):
    assert gradcheck(function, [X])
    assert gradgradcheck(function, [X])


@pytest.mark.parametrize("axis", [0, -1, np.int64(0)])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_a_single_number_has_an_axis_as_in_numpy(name, axis):
    def reduce(x):
        return getattr(x, name)(axis=axis)

    x = np.float64(-1.7)
    numpys = {"norm": np.abs}.get(name) or (lambda v: getattr(np, name)(v, axis=0))
    try:
        expected = numpys(x)
    except ValueError:  # NumPy's mean has no such axis, though its sum has
        with pytest.raises(ValueError, match="out of bounds"):
            reduce(Tensor(x))
        return
    np.testing.assert_allclose(reduce(Tensor(x)).data, expected)
    assert reduce(Tensor(x)).shape == ()
    assert gradcheck(reduce, [x])
    assert gradgradcheck(reduce, [x])


@pytest.mark.parametrize("function", ALONG)
@pytest.mark.parametrize("axis", [0, -1])
def test_a_single_number_is_a_row_of_one(function, axis):
    def along(x):
        return function(x, axis=axis)

    row = function(Tensor(np.array([0.3])), axis=axis)
    assert along(Tensor(0.3)).shape == ()
    np.testing.assert_allclose(along(Tensor(np.float64(0.3))).data, np.squeeze(row.data))
    assert gradcheck(along, [0.3])
    assert gradgradcheck(along, [0.3])


@pytest.mark.parametrize("name", REDUCTIONS)
def test_an_axis_that_is_not_there_is_refused(name):
    with pytest.raises(ValueError, match="out of bounds"):
        getattr(Tensor(X), name)(axis=2)


# ---------------------------------------------------------------- numbers as parameters

PARAMETERS = {
    "clamp": lambda x, n: x.clamp(n, n + 1),
    "clip": lambda x, n: np.clip(x, n, None),
    "leaky_relu": lambda x, n: ops.leaky_relu(x, negative_slope=n),
    "variance": lambda x, n: x.var(ddof=n),
    "standard deviation": lambda x, n: x.std(ddof=n),
    "power": lambda x, n: x**n,
    "product": lambda x, n: n * x,
}


@pytest.mark.parametrize("number", [np.float64(0.3), np.array(0.3), np.float32(0.3), 0.3])
@pytest.mark.parametrize("function", PARAMETERS.values(), ids=PARAMETERS)
def test_a_number_as_parameter_never_widens(function, number):
    x = tensor([1.0, 2.0, 0.1], requires_grad=True)
    out = function(x, number)
    out.sum().backward()
    assert out.dtype == x.grad.dtype == np.float32


@pytest.mark.parametrize("numbers", [[0.5, 1.5], (0.5, 1.5), [[0.1], [0.2]]])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_list_of_floats_never_widens_and_keeps_its_digits(numbers, dtype):
    x = tensor(np.array([1.0, 2.0], dtype), requires_grad=True)
    for out, expected in ((x * numbers, x.data * np.array(numbers, dtype)), (numbers - x, None)):
        assert out.dtype == dtype
        if expected is not None:
            np.testing.assert_array_equal(out.data, expected)


WITH_A_LIST = {
    "x * [1, 2]": lambda x: x * [1, 2],
    "[1, 2] - x": lambda x: [1, 2] - x,
    "x ** (1, 2)": lambda x: x ** (1, 2),
    "x @ [1, 2]": lambda x: x @ [1, 2],
    "x @ [0.5, 2.0]": lambda x: x @ [0.5, 2.0],
    "[[1, 2]] @ x": lambda x: [[1, 2]] @ x,
    "np.maximum": lambda x: np.maximum(x, [1, 2]),
    "np.where": lambda x: np.where([1, 0], x, [1, 2]),
    "np.concatenate": lambda x: np.concatenate([x, [1, 2]]),
    "np.vstack": lambda x: np.vstack([[0.5, 2.0], x]),
    "np.hstack": lambda x: np.hstack([[1, 2], x]),
    "np.stack": lambda x: np.stack([x, [1, 2]]),
    "np.dot": lambda x: np.dot(x, [1, 2]),
    "np.inner": lambda x: np.inner([1, 2], x),
    "np.outer": lambda x: np.outer([1, 2], x),
    "linear": lambda x: nn.functional.linear([[3, 4]], x.reshape(2, 1), [1]),
    "mse_loss": lambda x: nn.functional.mse_loss(x, [1, 2]),
}


@pytest.mark.parametrize("function", WITH_A_LIST.values(), ids=WITH_A_LIST)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_list_of_whole_numbers_never_widens(function, dtype):
    x = tensor(np.array([1.0, 2.0], dtype), requires_grad=True)
    out = function(x)
    assert out.dtype == dtype
    np.testing.assert_array_equal(out.data, function(x.astype(np.float64)).data)


def test_a_list_of_whole_numbers_follows_a_single_number_and_is_whole_beside_others():
    assert (tensor(2.0) * [1, 2]).dtype == np.float32
    assert (tensor([1, 2]) * [1, 2]).dtype == np.int64


def test_a_list_of_places_stays_whole():
    @op
    def pick(x, places):
        return x[places]

    pick.vjp(lambda g, out, x, places: ops.scatter(g, shape=x.shape, key=places), None)
    x = tensor([[1.0, 2.0], [3.0, 4.0]])
    assert pick(x, [1, 1]).data.tolist() == [[3.0, 4.0], [3.0, 4.0]]
    assert ops.cross_entropy(x, [1, 0]).shape == (2,)
    assert op(lambda x, places: x[places])(x, [1]).shape == (1, 2)


@pytest.mark.parametrize("bias", [np.float64([0.5, 1]), np.float32([0.5, 1]), np.float64(0.5)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_fused_linear_layer_has_the_dtype_of_the_composed_one(bias, dtype):
    x, w = (tensor(np.ones(shape, dtype), requires_grad=True) for shape in ((3, 4), (4, 2)))
    b = tensor(bias, requires_grad=True)
    fused, composed = nn.functional.linear(x, w, b), x @ w + b
    assert fused.dtype == composed.dtype
    np.testing.assert_array_equal(fused.data, composed.data)
    for ours, theirs in zip(
        grad(fused.sum(), [x, w, b]), grad(composed.sum(), [x, w, b]), strict=True
    ):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_array_equal(ours.data, theirs.data)


WANT_NUMBERS = {
    "clamp": lambda t: tensor([1.0]).clamp(min=t),
    "leaky_relu": lambda t: ops.leaky_relu(tensor([1.0]), negative_slope=t),
    "an array's clamp": lambda t: ops.clamp(np.ones(2), max=t),
    "axis": lambda t: tensor([1.0]).sum(axis=t),
    "ddof": lambda t: tensor([1.0, 2.0]).var(ddof=t),
}


@pytest.mark.parametrize("call", WANT_NUMBERS.values(), ids=WANT_NUMBERS)
def test_a_tensor_as_parameter_is_refused_in_words(call):
    with pytest.raises(TypeError, match=r"takes \w+ as a number.*\.item\(\)"):
        call(tensor(0.0))


def test_bounds_that_are_tensors_are_operands_of_clip():
    x, low = (tensor(v, requires_grad=True) for v in ([1.0, 3.0], [2.0, 2.0]))
    np.clip(x, low, tensor(10.0)).sum().backward()
    assert x.grad.data.tolist() == [0.0, 1.0]
    assert low.grad.data.tolist() == [1.0, 0.0]


# ---------------------------------------------------------------- half precision

MANY = 70_000  # more than the largest number of float16, 65 504, and than it can count, 2048


def half(values):
    return tensor(np.asarray(values, np.float16), requires_grad=True)


def test_the_mean_of_many_half_precision_numbers_is_added_in_float32():
    x = half(np.full(MANY, 3.0))
    x.mean().backward()
    assert x.mean().item() == 3.0
    np.testing.assert_allclose(x.grad.data, np.float16(1 / MANY))


@pytest.mark.parametrize("name", ["var", "std"])
def test_the_variance_of_many_half_precision_numbers_is_added_in_float32(name):
    values = np.arange(MANY) % 100
    x = half(values)
    out = getattr(x, name)()
    exact = getattr(values.astype(np.float64), name)()
    np.testing.assert_allclose(out.item(), exact, rtol=1e-3)
    assert out.dtype == np.float16
    out.backward()
    slope = 2 * (values - values.mean()) / MANY / (1 if name == "var" else 2 * exact)
    np.testing.assert_allclose(x.grad.data, slope, rtol=2e-2, atol=6e-8)


def test_the_length_of_many_half_precision_numbers_is_added_in_float32():
    np.testing.assert_allclose(half(np.ones(MANY)).norm().item(), MANY**0.5, rtol=1e-3)


@pytest.mark.parametrize("name", ["max", "min"])
def test_ties_of_many_half_precision_numbers_are_counted(name):
    x = half(np.ones(MANY))
    getattr(x, name)().backward()
    np.testing.assert_allclose(x.grad.data.sum(dtype=np.float64), 1, rtol=2e-3)


# ---------------------------------------------------------------- infinities, NaN, empties


def test_logsumexp_of_infinities():
    x = Tensor(np.array([[-INF, -INF], [INF, 1.0], [INF, INF], [-INF, 2.0]]))
    same(ops.logsumexp(x).data, [-INF, INF, INF, 2.0])
    same(ops.logsumexp(Tensor(-INF)).data, -INF)


def test_logsumexp_of_infinities_warns_of_nothing():
    x = tensor(np.array([[INF, 1], [-INF, 2], [-INF, -INF], [INF, -INF]]), requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ops.logsumexp(x).backward(np.ones(4))


def test_a_class_that_a_logit_of_minus_infinity_rules_out_gets_no_gradient():
    x = tensor(np.array([[-INF, 0.0, 0.0]]), requires_grad=True)
    ops.cross_entropy(x, np.array([1])).sum().backward()
    same(x.grad.data, [[0.0, -0.5, 0.5]])


@pytest.mark.parametrize("ddof", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("values", [[1.0, 2.0], [1.0, 1.0], [3.0], []])
def test_variance_without_degrees_of_freedom_is_that_of_numpy(values, ddof):
    x = tensor(np.array(values), requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [np.var(values, ddof=ddof), np.std(values, ddof=ddof)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = [x.var(ddof=ddof), x.std(ddof=ddof)]
        for out in found:
            out.backward()
    same([out.item() for out in found], expected)
    assert not any(out.item() < 0 for out in found)


@pytest.mark.parametrize("name", ["max", "min"])
def test_an_extreme_that_is_not_a_number_passes_its_cotangent_to_those(name):
    values, slopes = value_and_slope(lambda x: getattr(x, name)(), [1.0, NAN, 2.0, NAN])
    same(values, NAN)
    same(slopes, [0.0, 0.5, 0.0, 0.5])


def test_a_mask_is_an_exponent():
    mask = np.array([True, False])
    for exponent in (mask, Tensor(mask), mask.astype(np.uint8)):
        same(value_and_slope(lambda x, e=exponent: x**e, [2.0, 3.0]), [[2.0, 1.0], [1.0, 0.0]])


def test_the_slope_of_a_power_of_zero_along_its_exponent():
    y = tensor(np.array([2.0, 0.5, 0.0, -1.0]), requires_grad=True)
    with np.errstate(divide="ignore"):
        out = ops.power(0.0, y)
    out.backward(np.ones(4))
    same(y.grad.data, [0.0, 0.0, 0.0, -INF])


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
def test_a_product_has_derivatives_where_factors_are_zero(axis):
    factors = np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 5.0], [1.5, 4.0, 0.5]])

    def product(x):
        return x.prod(axis=axis)

    np.testing.assert_array_equal(product(Tensor(factors)).data, factors.prod(axis=axis))
    assert gradcheck(product, [factors])
    assert gradgradcheck(product, [factors])


def test_the_product_of_nothing_is_one():
    x = tensor(np.zeros((0, 3)), requires_grad=True)
    assert x.prod().item() == 1
    assert x.prod(axis=0, keepdims=True).data.tolist() == [[1.0, 1.0, 1.0]]
    assert x.prod(axis=1).shape == (0,)


def test_copies_of_copies_of_the_smallest_graph():
    x = tensor(2.0, requires_grad=True)
    x2, y2 = copy.deepcopy(copy.deepcopy((x, x * x)))
    y2.backward()
    assert x2.grad.item() == 4.0


# ---------------------------------------------------------------- what is no reason to warn

EXTREMES = [INF, -INF, NAN, 0.0, 1.0, -1.0, 1e308, -1e308]
OF_NUMPY = {*NUMPY.values(), ops.sum, ops.mean, ops.matrix_product}


def extreme(x, rng):
    """Extremes in the shape of floats; anything else as it is."""
    return rng.choice(EXTREMES, np.shape(x)) if np.asarray(x).dtype.kind == "f" else x


def warned_of(call, *arguments, **params):
    """What a call makes NumPy warn of, without the name of the function."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        out = call(*arguments, **params)
    return out, {str(warning.message).split(" encountered")[0] for warning in caught}


@pytest.mark.parametrize(("op", "sample"), CASES, ids=CASE_NAMES)
def test_an_op_warns_of_what_numpy_does_and_its_derivative_of_nothing(op, sample):
    rng = np.random.default_rng(7)
    for _ in range(20):
        arrays = [extreme(x, rng) for x in sample.arguments]
        _, expected = warned_of(sample.reference, *arrays, **sample.params)
        inputs = [Tensor(x, i in sample.floats) for i, x in enumerate(arrays)]
        out, found = warned_of(op, *inputs, **sample.params)
        assert found <= (expected if op in OF_NUMPY else set())
        if out.requires_grad:
            assert not warned_of(out.backward, extreme(out.data, rng))[1]


QUIET = {
    "linear": lambda x: F.linear(x, np.array([[1.0, 0.0]] * 3), [1.0, INF]),
    "linear without bias": lambda x: F.linear(x, np.array([[1.0, 0.0]] * 3)),
    "dropout": lambda x: F.dropout(x, 0.5, rng=np.random.default_rng(0)),
    "leaky_relu": lambda x: F.leaky_relu(x, 0.0),
    "softmax": lambda x: F.softmax(x, dim=1),
    "cross_entropy": lambda x: F.cross_entropy(x, [0, 1]),
    "cross_entropy, all smoothed": lambda x: F.cross_entropy(x, [0, 1], label_smoothing=1.0),
    "mse_loss": lambda x: F.mse_loss(x, x[::-1]),
    "mse_loss, summed": lambda x: F.mse_loss(x, -x, reduction="sum"),
    "mse_loss, its sum too large": lambda x: F.mse_loss(
        Tensor(np.full(3, 1.2e154), requires_grad=True), np.zeros(3)
    ),
}


@pytest.mark.parametrize("call", QUIET.values(), ids=QUIET)
def test_layers_and_losses_warn_of_no_extreme(call):
    rng = np.random.default_rng(7)
    for _ in range(50):
        x = Tensor(rng.choice(EXTREMES, (2, 3)), requires_grad=True)
        out, found = warned_of(call, x)
        assert not found
        assert not warned_of(out.backward, np.ones(out.shape))[1]


def test_gradients_are_added_up_without_a_warning():
    x = tensor([1.0, 2.0], requires_grad=True)
    for slope in (INF, -INF):
        assert not warned_of((x * 1.0).backward, np.array([slope, 1.0]))[1]
    same(x.grad.data, [NAN, 2.0])
    y = x * 1.0
    (g,), found = warned_of(grad, [y, y], x, grad_outputs=[np.full(2, INF), np.full(2, -INF)])
    assert not found
    same(g.data, [NAN, NAN])
