"""The stand-ins for NumPy functions: each is called with every argument that NumPy documents."""

import inspect
import re
import warnings
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest

from tinygrad_mnist.autodiff import Tensor, gradcheck, no_grad, op, tensor
from tinygrad_mnist.autodiff.graph import NUMPY
from tinygrad_mnist.autodiff.numpy_functions import WITHOUT_DERIVATIVE, numpy_name

FUNCTIONS = sorted(NUMPY, key=numpy_name)
COMPARISONS = {np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal}
STEPS = {np.sign, np.floor, np.ceil, np.trunc, np.rint, np.floor_divide, np.round, np.around}
CONSTANT = COMPARISONS | STEPS | {np.argmax, np.argmin}
DIFFERENTIABLE = [f for f in FUNCTIONS if f not in WITHOUT_DERIVATIVE | CONSTANT]

# ---------------------------------------------------------------- what NumPy documents

OPTIONS = inspect.signature(
    lambda *, where=True, casting="same_kind", order="K", dtype=None, subok=True, signature=None: 0
).parameters
# Before NumPy 2.4, functions written in C do not tell their signature.
IN_C = {
    np.concatenate: lambda arrays, /, axis=0, out=None, *, dtype=None, casting="same_kind": 0,
    np.where: lambda condition, x=None, y=None, /: 0,
    np.dot: lambda a, b, out=None: 0,
    np.inner: lambda a, b, /: 0,
    np.empty_like: lambda prototype, /, dtype=None, order="K", subok=True, shape=None: 0,
    np.result_type: lambda *arrays_and_dtypes: 0,
    np.shares_memory: lambda a, b, /, max_work=-1: 0,
    np.may_share_memory: lambda a, b, /, max_work=0: 0,
    **{f: lambda x, /, out=None: 0 for f in FUNCTIONS if getattr(f, "nin", 0) == 1},
    **{f: lambda x1, x2, /, out=None: 0 for f in FUNCTIONS if getattr(f, "nin", 0) == 2},
}


def documented(function):
    """The parameters of a NumPy function, by name."""
    try:
        told = inspect.signature(function).parameters
    except ValueError:
        told = inspect.signature(IN_C[function]).parameters
        told = told | OPTIONS if isinstance(function, np.ufunc) else told
    told = told | OPTIONS if "kwargs" in told else told  # np.clip
    told = {n: p for n, p in told.items() if p.kind is not p.VAR_KEYWORD}
    return {n: p for n, p in told.items() if (function, n) != (np.matmul, "where")}


# ---------------------------------------------------------------- values for every argument

X = np.random.default_rng(1).permutation(np.linspace(0.5, 1, 6)).reshape(2, 3)
Y = np.random.default_rng(2).permutation(np.linspace(0.52, 1.02, 6)).reshape(2, 3)
MASK = X > 0.7

# By name: what is always given. Those in `OPERANDS` are given as tensors.
OPERANDS = {
    "a": X, "x": X, "x1": X, "a1": X, "ary": X, "arr": X, "array": X, "prototype": X,
    "b": Y, "y": Y, "x2": Y, "a2": Y,
    "arrays": [X, Y], "tup": [X, Y], "arrays_and_dtypes": [X, Y],
}  # fmt: skip
REQUIRED = OPERANDS | {
    "condition": MASK, "shape": (3, 2), "newshape": (3, 2), "axis": 1, "axis1": 0, "axis2": 1,
    "source": 0, "destination": 1, "indices": [2, 0, 2], "indices_or_sections": [1],
    "fill_value": 0.3, "a_min": 0.63, "a_max": 0.87,
}  # fmt: skip
# By name: what is given where NumPy has a default. What is honoured has to show in the result.
OPTIONAL = {
    "axis": [0, -1], "dtype": [np.float32, np.int64], "keepdims": [True], "ddof": [1],
    "correction": [1], "mean": [X.mean(keepdims=True)], "initial": [0.3], "where": [MASK],
    "casting": ["unsafe"], "order": ["F"], "subok": [False], "copy": [True], "decimals": [1],
    "min": [0.73], "max": [0.77], "shape": [(3, 2)], "newshape": [(6, 1)], "axes": [(1, 0)],
    "ord": ["fro", 1, 2, np.inf, "nuc"], "style": [repr],
    "descending": [True], "mode": ["wrap"], "device": ["cpu"], "kind": ["stable"],
    "stable": [True], "rtol": [0.2], "atol": [0.2], "equal_nan": [True], "max_work": [1],
    "max_line_width": [15], "precision": [2], "suppress_small": [True], "separator": [", "],
    "prefix": ["Tensor("], "suffix": [")"], "formatter": [{"float": str}], "threshold": [2],
    "edgeitems": [1], "sign": ["+"], "floatmode": ["fixed"], "legacy": ["1.13"],
}  # fmt: skip
# By function, where the general values do not suit.
OWN = {
    np.squeeze: {"a": X[:, None, :, None], "axis": [1, -1]},
    np.broadcast_to: {"shape": (4, 2, 3), "subok": [True]},
    np.dot: {"b": Y.T},
    np.matmul: {"x2": Y.T, "axes": [[(1, 0), (1, 0), (0, 1)]], "axis": [0]},
    np.concatenate: {"axis": [1, None]},
    np.stack: {"axis": [1, -1]},
    np.split: {"axis": [1, -1]},
    np.argsort: {"axis": [0, None], "order": []},  # the order of fields, which tensors do not have
    np.clip: {"signature": ["fff->f"]},
    np.transpose: {"axes": [(0, 1)]},
    np.take: {"indices": [1, 0, 1]},
}
for ufunc in {f for f in FUNCTIONS if isinstance(f, np.ufunc)}:
    OWN.setdefault(ufunc, {})["signature"] = ["f" * ufunc.nin + "->f"]
for ufunc in {np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert}:
    OWN[ufunc] |= {"x": MASK, "x1": MASK, "x2": Y > 0.7}
ALWAYS = {np.where: ["x", "y"], np.clip: ["a_min", "a_max"], np.reshape: ["shape"]}
INSTEAD = {"min": ["a_min", "a_max"], "max": ["a_min", "a_max"], "newshape": ["shape"]}


def required(function):
    """The arguments of the shortest call."""
    names = [n for n, p in documented(function).items() if p.default is p.empty]
    names += [n for n in ALWAYS.get(function, []) if n in documented(function)]
    return {n: OWN.get(function, {}).get(n, REQUIRED.get(n)) for n in names}


def samples(function, name):
    """Calls that differ from the shortest in one argument."""
    base = required(function)
    if name in base:
        return [base]
    base = {n: x for n, x in base.items() if n not in INSTEAD.get(name, ())}
    plain = function in WITHOUT_DERIVATIVE and isinstance(function, np.ufunc)
    if name == "out" or (name == "where" and plain):  # elsewhere is what was there before
        base |= {"out": np.full_like(run(function, base), 7)}
    if name == "out":
        return [base]
    return [base | {name: x} for x in (OPTIONAL | OWN.get(function, {}))[name]]


def run(function, given, by_position=False):
    """Call a function with arguments by name, or by position as far as the last of them."""
    args, kwargs = [], {}
    parameters = documented(function)
    last = max(list(parameters).index(name) for name in given)
    for i, (name, p) in enumerate(parameters.items()):
        if p.kind is p.VAR_POSITIONAL:
            args += given[name]
        elif p.kind is p.KEYWORD_ONLY or not (by_position or p.kind is p.POSITIONAL_ONLY):
            kwargs |= {name: given[name]} if name in given else {}
        elif i <= last:
            args.append(given.get(name, p.default))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of newshape=
        return function(*args, **kwargs)


def lifted(given):
    """The same call on tensors, of which those of floats require grad."""
    return {name: lift(x) if name in OPERANDS else x for name, x in given.items()}


def lift(x):
    return [*map(lift, x)] if isinstance(x, list) else Tensor(x, requires_grad=x.dtype.kind == "f")


CALLS = [
    pytest.param(f, name, given, id=f"{numpy_name(f)}-{name}-{i}")
    for f in FUNCTIONS
    for name in documented(f)
    for i, given in enumerate(samples(f, name))
]

# ---------------------------------------------------------------- every argument

REFUSED = ["out", "where", "casting", "order", "subok", "signature"]
REFUSED += ["initial", "copy", "mean", "correction", "mode"]


def is_refused(function, name, value):
    """Whether a TypeError is what we want. For all else, only NumPy's result is right."""
    if function in WITHOUT_DERIVATIVE:
        return False
    if isinstance(function, np.ufunc):
        return name not in required(function)
    return name in REFUSED or value is np.int64 or (name == "ord" and value != "fro")


def assert_same(function, found, expected):
    """The value, shape and dtype of NumPy, recorded where there is a derivative."""
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(function, one, other)
        return
    if function in WITHOUT_DERIVATIVE:
        assert type(found) is type(expected)
    else:
        assert isinstance(found, Tensor)
        assert found.requires_grad == (function in DIFFERENTIABLE)
        found, expected = found.data, np.asarray(expected)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    if function is np.empty_like:
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    elif getattr(expected, "dtype", np.dtype(int)).kind == "f":
        np.testing.assert_allclose(found, expected, rtol=10 * np.finfo(expected.dtype).eps)
    else:
        np.testing.assert_equal(found, expected)


def differs(one, other):
    """Whether two results of NumPy can be told apart."""
    if isinstance(one, list):
        return any(map(differs, one, other))
    one, other = np.asarray(one), np.asarray(other)
    return (one.shape, one.dtype) != (other.shape, other.dtype) or not np.array_equal(one, other)


@pytest.mark.parametrize("by_position", [False, True], ids=["by_name", "by_position"])
@pytest.mark.parametrize(("function", "name", "given"), CALLS)
def test_every_argument_is_honoured_or_refused_by_name(function, name, given, by_position):
    tensors = lifted(given)
    if is_refused(function, name, given[name]):
        refusal = re.escape(f"{numpy_name(function)}({name}=") + ".*is not supported"
        with pytest.raises(TypeError, match=refusal):
            run(function, tensors, by_position)
        return
    if "out" in given:
        tensors["out"] = given["out"].copy()
    try:
        expected = run(function, given, by_position)
    except TypeError:  # NumPy has no such loop
        assert function in WITHOUT_DERIVATIVE
        with pytest.raises(TypeError):
            run(function, tensors, by_position)
        return
    assert_same(function, run(function, tensors, by_position), expected)
    np.testing.assert_equal(tensors.get("out"), given.get("out"))


@pytest.mark.parametrize(("function", "name", "given"), CALLS)
def test_an_ignored_argument_would_be_seen(function, name, given):
    numpys = name in required(function) or function in WITHOUT_DERIVATIVE
    same = given.get("ord") == "fro"  # for a matrix that is what None means
    if not (numpys or same or is_refused(function, name, given[name])):
        assert differs(run(function, given), run(function, required(function)))


@pytest.mark.parametrize("function", DIFFERENTIABLE, ids=numpy_name)
def test_derivatives_are_those_of_central_differences(function):
    for name in documented(function):
        for given in samples(function, name):
            if name != "dtype" and not is_refused(function, name, given[name]):
                gradcheck(*of_operands(function, given))


def of_operands(function, given):
    """A call as a function of its operands alone, and these."""
    lists = [n for n in given if isinstance(given[n], list) and n in OPERANDS]
    names = [n for n in given if n in OPERANDS and given[n].__class__ is np.ndarray]

    def call(*tensors):
        filled = dict.fromkeys(lists, tensors) or dict(zip(names, tensors, strict=True))
        found = run(function, given | filled)
        return np.concatenate(found, axis=None) if isinstance(found, list) else found

    return call, given[lists[0]] if lists else [given[n] for n in names]


# ---------------------------------------------------------------- one by one


@pytest.mark.parametrize(("given", "wanted"), [(np.float32, np.float64), (np.float64, np.float32)])
def test_dtype_is_that_of_the_result_and_the_gradient_keeps_that_of_the_leaf(given, wanted):
    x = tensor(X, dtype=given).requires_grad_()
    for y in (np.sum(x, dtype=wanted), np.concatenate([x, x], dtype=wanted, axis=None).sum()):
        assert y.dtype == wanted
        x.grad = None
        y.backward()
        assert x.grad.dtype == given


def test_elements_are_cast_before_they_are_added():
    x = tensor(np.float32([1e8, 1, -1e8]))
    assert np.sum(x, dtype=np.float64).item() == 1
    assert np.mean(x, dtype=np.float64).item() == 1 / 3


def test_defaults_may_be_written_out():
    x = tensor(X, requires_grad=True)
    for y in (
        np.exp(x, where=True, casting="same_kind", order="K", dtype=None, subok=True, out=None),
        np.sum(x, None, None, None),
        np.reshape(x, (3, 2), order="C"),
        np.ravel(x, "C"),
        np.concatenate([x, x], out=None, dtype=None, casting="same_kind"),
        np.clip(x, 0.6, None, None, where=True),
        np.take(x, 1, 0, None, "raise"),
    ):
        assert y.requires_grad


def test_norms_are_those_of_vectors_and_of_matrices():
    x = tensor(X - 0.72, requires_grad=True)
    for order in (None, 1, 2, np.inf):
        for given in ({"axis": 0}, {"axis": -1, "keepdims": True}):
            found = np.linalg.norm(x, order, **given)
            np.testing.assert_allclose(found.data, np.linalg.norm(x.data, order, **given))
        assert gradcheck(lambda v, order=order: np.linalg.norm(v, ord=order), [X[0] - 0.72])
    stack = tensor(np.stack([X, Y]))
    for given in ({"ord": "fro", "axis": (0, 2)}, {"axis": (1, 2)}, {}):
        found = np.linalg.norm(stack, **given)
        np.testing.assert_allclose(found.data, np.linalg.norm(stack.data, **given))
    with pytest.raises(TypeError, match=r"np\.linalg\.norm\(ord=2\).*for matrices 'fro'"):
        np.linalg.norm(x, 2)
    with pytest.raises(TypeError, match=r"np\.linalg\.norm\(ord=0\)"):
        np.linalg.norm(x[0], 0)


def test_concatenation_without_an_axis_takes_any_shapes():
    x = tensor(X, requires_grad=True)
    y = np.concatenate([x, [1.0, 2.0], x[0, 0]], axis=None)
    assert y.data.tolist() == [*X.ravel(), 1, 2, X[0, 0]]
    y.backward(np.arange(9.0))
    assert x.grad.data.tolist() == [[0 + 8, 1, 2], [3, 4, 5]]


def test_rows_and_numbers_are_stacked_as_numpy_does():
    x, v = tensor(X, requires_grad=True), tensor(Y[0], requires_grad=True)
    assert np.array_equal(np.vstack([x, v]), np.vstack([X, Y[0]]))
    assert np.array_equal(np.hstack([v, 1.0, v[0]]), np.hstack([Y[0], 1.0, Y[0, 0]]))
    assert np.array_equal(np.vstack([v[0], 2.0]), [[Y[0, 0]], [2.0]])


def test_take_and_split_are_numpys():
    x = tensor(X, requires_grad=True)
    for indices in (1, [0, 0], [[0, 1], [1, 0]], tensor([1, 0]), [True, True, False]):
        for axis in (None, 0, -1):
            there = np.asarray(indices)
            assert np.array_equal(np.take(x, indices, axis), np.take(X, there, axis))
    for sections in (3, [1], [1, 1], np.array([2])):
        found, expected = np.split(x, sections, axis=1), np.split(X, sections, axis=1)
        assert all(map(np.array_equal, found, expected))
        assert len(found) == len(expected)
    with pytest.raises(ValueError, match="equal division"):
        np.split(x, 2, axis=1)
    np.take(x, [[1, 1], [0, 5]]).sum().backward()
    assert x.grad.data.tolist() == [[1, 2, 0], [0, 0, 1]]


def test_products_are_numpys_for_all_numbers_of_axes():
    rng = np.random.default_rng(3)
    for a, b in [((), (2, 3)), ((2, 3), ()), ((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,))]:
        a, b = rng.normal(size=a), rng.normal(size=b)
        for right in (Tensor(b, requires_grad=True), b):
            found = np.dot(Tensor(a, requires_grad=True), right)
            np.testing.assert_allclose(found.data, np.dot(a, b))
    stack = rng.normal(size=(4, 2, 3))
    np.testing.assert_allclose(np.dot(Tensor(stack), X.T).data, np.dot(stack, X.T))
    np.testing.assert_allclose(np.inner(stack, Tensor(X)).data, np.inner(stack, X))
    np.testing.assert_allclose(np.outer([1.0, 2.0], Tensor(X)).data, np.outer([1.0, 2.0], X))
    with pytest.raises(TypeError, match=r"\(4, 3, 2\).*a @ b"):
        np.dot(Tensor(X), stack.mT)


def test_where_with_one_argument_points_to_nonzero():
    mask = tensor(X) > 0.7
    with pytest.raises(TypeError, match=r"np\.nonzero\(condition\)"):
        np.where(mask)
    for found, expected in zip(np.nonzero(mask), np.nonzero(X > 0.7), strict=True):
        assert found.tolist() == expected.tolist()


def test_bounds_that_are_tensors_get_the_gradient_of_what_they_replace():
    x, low = tensor([1.0, 2.0, 5.0], requires_grad=True), tensor(1.5, requires_grad=True)
    y = np.clip(x, low, 4.0)
    assert y.data.tolist() == [1.5, 2, 4]
    y.backward(np.array([10.0, 20.0, 30.0]))
    assert x.grad.data.tolist() == [0, 20, 0]
    assert low.grad.item() == 10
    assert np.clip(np.zeros(2), a_min=None, a_max=low - 2).requires_grad
    with pytest.raises(ValueError, match=r"a_min and a_max, or min and max"):
        np.clip(x, 0, 1, min=0.5)


def test_steps_are_constants():
    x = tensor([-1.5, 0.5, 2.5], requires_grad=True)
    for step in (np.floor, np.ceil, np.rint, np.trunc, np.round, np.sign):
        assert step(x).data.tolist() == step(x.data).tolist()
        assert not step(x).requires_grad
    (x - np.floor(x)).sum().backward()
    assert x.grad.data.tolist() == [1, 1, 1]


def test_a_fill_value_that_requires_grad_is_not_lost_silently():
    x = tensor(X, requires_grad=True)
    assert np.array_equal(np.full_like(x, 2), np.full_like(X, 2))
    with pytest.raises(RuntimeError, match="would lose it"):
        np.full_like(x, x[0, 0])


def test_functions_without_derivative_look_into_lists():
    x = tensor(X, requires_grad=True)
    assert np.allclose([x[0], x[1]], x)
    assert np.logical_or.reduce(x > 0.7, axis=0).tolist() == (X > 0.7).any(axis=0).tolist()


def test_integers_of_numpy_are_axes():
    x = tensor(X, requires_grad=True)
    assert np.array_equal(np.sum(x, axis=np.int64(1)), X.sum(axis=1))
    assert np.array_equal(np.max(x, np.int64(1)), X.max(axis=1))


def test_tensors_can_be_asserted_about():
    np.testing.assert_allclose(tensor(X), X)
    np.testing.assert_allclose(tensor(X, requires_grad=True).detach(), X)
    np.testing.assert_array_equal(X, tensor(X))


def test_no_tensor_is_written_to_behind_the_tape():
    x, mask = tensor(X, requires_grad=True), tensor(MASK)
    with pytest.raises(TypeError, match=r"np\.isnan\(out=.*without recording"):
        np.isnan(x, out=mask)
    with pytest.raises(TypeError, match=r"np\.all\(out=.*without recording"):
        np.all(x, axis=0, out=mask[0])
    with pytest.raises(TypeError, match=r"np\.sum\(out=.*without recording"):
        np.sum(X, axis=0, out=tensor(np.zeros(3)))
    array = np.zeros((2, 3))
    with no_grad():
        np.exp(x, out=array)
    assert array.tolist() == np.exp(X).tolist()


def test_an_op_of_ones_own_has_the_name_it_was_declared_for():
    @op(numpy=np.cbrt)
    def cbrt(x):
        return np.cbrt(x)

    try:
        assert np.array_equal(np.cbrt(tensor(X)), np.cbrt(X))
        with pytest.raises(TypeError, match=r"np\.cbrt\(where="):
            np.cbrt(tensor(X), where=MASK)
    finally:
        del NUMPY[np.cbrt]


def test_the_reference_lists_every_function():
    page = Path(__file__).parents[2] / "docs" / "reference" / "autodiff.md"
    lists = re.findall(r"^(?:- |  `).*", page.read_text(encoding="utf-8"), re.MULTILINE)
    names = re.findall(r"`np\.([\w.]+)`", "".join(lists))
    assert len(names) == len(FUNCTIONS)
    assert {attrgetter(name)(np) for name in names} == {*FUNCTIONS}
