"""Every op keeps the promises that the kit looks for; what it gives at kinks, ties and extremes."""

import ast
import inspect

import numpy as np
import pytest
from samples import CASE_NAMES, CASES, SAMPLES

from tinygrad_mnist.autodiff import Op, Tensor, grad, gradcheck, graph, ops, tensor, windows
from tinygrad_mnist.testing import Call, assert_op
from tinygrad_mnist.testing.strategies import LAYOUTS, laid_out

cases = pytest.mark.parametrize(("op", "sample"), CASES, ids=CASE_NAMES)


def test_every_op_has_a_sample():
    assert set(SAMPLES) == {
        value for room in (graph, ops) for value in vars(room).values() if isinstance(value, Op)
    }


@cases
def test_an_op_keeps_its_promises(op, sample):
    assert_op(op, sample.call, sample.reference)


@cases
def test_in_any_memory_layout(op, sample):
    for layout in LAYOUTS[1:]:
        arguments = tuple(laid_out(np.asarray(x), layout) for x in sample.arguments)
        assert_op(op, Call(arguments, sample.params), sample.reference)


def test_rules_use_only_what_means_the_same_on_arrays_and_tensors():
    tree = ast.parse(inspect.getsource(ops) + inspect.getsource(windows))
    names = {name for name, value in vars(ops).items() if isinstance(value, Op)} | {
        *("unreduce", "inverse", "reduced", "axes_of", "freedom", "wide"),
        *("sections", "along", "to_extremes"),
    }
    allowed = {"sum", "reshape", "transpose", "mT", "shape", "ndim", "size", "dtype"}
    helpers = {"unreduce", "to_extremes", "wide", "sections"}
    rules = [
        node
        for node in ast.walk(tree)
        if (isinstance(node, ast.Lambda) and [a.arg for a in node.args.args[:2]] == ["g", "out"])
        or (isinstance(node, ast.FunctionDef) and node.name in helpers)
    ]
    assert len(rules) > 25
    for rule in rules:
        attributes = {node.attr for node in ast.walk(rule) if isinstance(node, ast.Attribute)}
        called = {
            node.func.id
            for node in ast.walk(rule)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert attributes <= allowed, ast.unparse(rule)
        assert called <= names | {"tuple", "enumerate", "slice", "range", "len"}, ast.unparse(rule)
    assert all(hasattr(Tensor, name) and hasattr(np.ndarray, name) for name in allowed)


several = pytest.mark.parametrize(
    ("op", "sample"),
    [c for c in CASES if len(c[1].arguments) > 1],
    ids=[n for n, c in zip(CASE_NAMES, CASES, strict=True) if len(c[1].arguments) > 1],
)


@several
def test_what_is_no_number_is_refused_by_name(op, sample):
    for position in range(len(sample.arguments)):
        arguments = [Tensor(np.asarray(x)) for x in sample.arguments]
        arguments[position] = "text"
        with pytest.raises(
            TypeError, match=f"{op.name} works on numbers, but was given 'text', a str"
        ):
            op(*arguments, **sample.params)


# ---------------------------------------------------------------- kinks and ties: specified values


def slope_at(function, *values):
    leaves = [tensor(v, requires_grad=True) for v in values]
    return [g.item() for g in grad(function(*leaves), leaves)]


def test_relu_gradient_at_zero_is_zero():
    assert slope_at(ops.relu, 0.0) == [0.0]


def test_maximum_shares_a_tie_equally():
    assert slope_at(ops.maximum, 3.0, 3.0) == [0.5, 0.5]


def test_minimum_shares_a_tie_equally():
    assert slope_at(ops.minimum, 3.0, 3.0) == [0.5, 0.5]


def test_abs_gradient_at_zero_is_zero():
    assert slope_at(ops.abs, 0.0) == [0.0]


def test_leaky_relu_gradient_at_zero_is_the_negative_slope():
    assert slope_at(lambda x: ops.leaky_relu(x, negative_slope=0.25), 0.0) == [0.25]


def test_clamp_gradient_is_one_at_both_bounds():
    x = tensor([-1.5, -1.0, 0.0, 2.0, 2.5], requires_grad=True)
    x.clamp(-1, 2).sum().backward()
    assert x.grad.data.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("extreme", [ops.max, ops.min])
def test_extremes_share_ties_evenly(extreme):
    x = tensor([[3.0, 3.0, 3.0], [1.0, 1.0, 1.0]], requires_grad=True)
    extreme(x).backward()
    expected = [1 / 3] * 3
    zeros = [0.0] * 3
    np.testing.assert_allclose(
        x.grad.data, [expected, zeros] if extreme is ops.max else [zeros, expected], rtol=1e-6
    )


@pytest.mark.parametrize("length", [ops.norm, ops.std])
def test_slope_of_a_length_of_zero_is_zero(length):
    x = tensor([0.0, 0.0], requires_grad=True)
    length(x).backward()
    assert x.grad.data.tolist() == [0.0, 0.0]


def test_slope_of_sqrt_at_zero_is_infinite_without_a_warning():
    assert slope_at(ops.sqrt, 0.0) == [np.inf]


def test_what_where_does_not_choose_gets_exactly_zero():
    x = tensor([0.0, 4.0], requires_grad=True)
    ops.where(x.data > 0, x.sqrt(), 0.0).sum().backward(retain_graph=True)
    y, z = tensor([1.0, 2.0], requires_grad=True), tensor([3.0, 4.0], requires_grad=True)
    ops.where([True, False], y, z).backward(np.array([np.inf, np.nan]))
    assert y.grad.data.tolist() == [np.inf, 0.0]
    assert z.grad.data[0] == 0.0


def test_repeated_indices_accumulate():
    x = tensor([1.0, 2.0, 3.0], requires_grad=True)
    (x[[0, 0, 2]] * np.array([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad.data.tolist() == [11.0, 0.0, 100.0]


def test_power_zero_has_slope_zero_even_at_zero():
    assert slope_at(lambda x: x**0, 0.0) == [0.0]
    assert slope_at(lambda x: x**1, 0.0) == [1.0]
    assert slope_at(lambda x: x**2, 0.0) == [0.0]


# ---------------------------------------------------------------- extremes


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "function",
    [
        ops.sigmoid,
        ops.tanh,
        ops.relu,
        ops.softmax,
        ops.log_softmax,
        ops.logsumexp,
        ops.softplus,
        ops.logsigmoid,
        lambda x: ops.cross_entropy(x, np.array([0, 1])),
    ],
)
def test_extreme_inputs_stay_finite(function, dtype):
    x = Tensor(np.array([[1e4, -1e4, 0], [-1e4, 1e4, 1e4]], dtype), requires_grad=True)
    out = function(x)
    out.sum().backward()
    assert np.isfinite(out.data).all()
    assert np.isfinite(x.grad.data).all()


def test_confident_cross_entropy_keeps_its_digits():
    x = tensor(np.array([[40.0, 0.0]]), requires_grad=True)
    loss = ops.cross_entropy(x, np.array([0]))
    loss.sum().backward()
    np.testing.assert_allclose(loss.data, np.exp(-40.0), rtol=1e-15)
    np.testing.assert_allclose(x.grad.data, [[-np.exp(-40.0), np.exp(-40.0)]], rtol=1e-15)


def test_norm_neither_overflows_nor_underflows():
    for scale in (1e200, 1e-200):
        x = tensor(np.array([3.0, 4.0]) * scale, requires_grad=True)
        length = x.norm()
        length.backward()
        np.testing.assert_allclose(length.item(), 5 * scale, rtol=1e-15)
        np.testing.assert_allclose(x.grad.data, [0.6, 0.8], rtol=1e-15)


def test_variance_beside_a_large_mean_keeps_its_digits():
    x = np.array([1.0, 2.0, 3.0, 4.0]) + 1e9
    assert ops.var(Tensor(x)).item() == 1.25


def test_saturated_sigmoid_keeps_its_slope():
    np.testing.assert_allclose(slope_at(ops.sigmoid, np.float64(40.0)), [np.exp(-40.0)], rtol=1e-15)


# ---------------------------------------------------------------- twins: fused against composed


def test_fused_ops_agree_with_composed_ones(rng):
    x, w, b = (tensor(rng.normal(size=s), requires_grad=True) for s in [(3, 4), (4, 5), (5,)])
    labels = np.array([4, 0, 2])
    twins = [
        (ops.linear(x, w, b), x @ w + b),
        (x.sigmoid(), 1 / (1 + (-x).exp())),
        (ops.log_softmax(x), x - x.exp().sum(axis=1, keepdims=True).log()),
        (ops.softmax(x), x.exp() / x.exp().sum(axis=1, keepdims=True)),
        (ops.cross_entropy(x @ w, labels), -ops.log_softmax(x @ w)[np.arange(3), labels]),
        (ops.squared_error(x, x * 2), (x - x * 2) ** 2),
        (ops.mean(x, axis=0), x.sum(axis=0) / 3),
        (ops.var(x, axis=1), ((x - x.mean(axis=1, keepdims=True)) ** 2).mean(axis=1)),
        (ops.std(x), ops.var(x).sqrt()),
        (ops.norm(x, axis=0), (x * x).sum(axis=0).sqrt()),
        (ops.logsumexp(x), x.exp().sum(axis=-1).log()),
        (ops.softplus(x), (1 + x.exp()).log()),
        (ops.logsigmoid(x), x.sigmoid().log()),
        (ops.abs(x), ops.maximum(x, -x)),
        (ops.clamp(x, min=-0.5, max=0.5), ops.minimum(ops.maximum(x, -0.5), 0.5)),
        (ops.max(x, axis=1), x[np.arange(3), x.data.argmax(axis=1)]),
        (ops.stack(x, x * 2, axis=1), ops.concatenate(x.unsqueeze(1), x.unsqueeze(1) * 2, axis=1)),
    ]
    for fused, composed in twins:
        g = rng.normal(size=fused.shape)
        np.testing.assert_allclose(fused.data, composed.data, rtol=1e-12)
        for a, c in zip(
            grad(fused, [x, w, b], g, allow_unused=True),
            grad(composed, [x, w, b], g, allow_unused=True),
            strict=True,
        ):
            assert (a is None) == (c is None)
            if a is not None:
                np.testing.assert_allclose(a.data, c.data, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("x", "y"), [((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((4, 2, 3), (3,)), ((3,), (4, 3, 2))]
)
def test_matmul_with_vectors_is_that_of_numpy(x, y, rng):
    a, b = rng.normal(size=x), rng.normal(size=y)
    np.testing.assert_allclose(ops.matmul(Tensor(a), b).data, a @ b, rtol=1e-14)
    assert gradcheck(ops.matmul, [a, b], rtol=1e-7)
    assert gradcheck(
        lambda p, q: grad(ops.matmul(p, q).tanh().sum(), p, create_graph=True)[0], [a, b]
    )
