"""The tensor as an array: construction, dtypes, operators, NumPy protocols, messages."""

import pickle

import numpy as np
import pytest

from tinygrad_mnist.autodiff import (
    Tensor,
    grad,
    gradcheck,
    gradgradcheck,
    no_grad,
    ops,
    tensor,
)


def test_python_floats_become_float32_and_arrays_keep_their_dtype():
    assert tensor([1.0, 2.0]).dtype == np.float32
    assert tensor(np.array([1.0, 2.0])).dtype == np.float64
    assert tensor([1, 2]).dtype == np.int64
    assert tensor([1.0], dtype=np.float64).dtype == np.float64


def test_tensor_copies_and_Tensor_shares():
    array = np.zeros(2)
    shared, copied = Tensor(array), tensor(array)
    array[0] = 1
    assert shared.data[0] == 1
    assert copied.data[0] == 0


@pytest.mark.parametrize(
    "scalar",
    [2, 2.0, True, np.float64(2), np.sqrt(2), np.array(2.0), tensor(np.float64(2.0)), tensor(2)],
)
def test_scalars_and_0d_operands_never_widen(scalar):
    x = tensor([1.0, 2.0], requires_grad=True)
    for y in (x * scalar, scalar * x, x + scalar, scalar - x, x / scalar, x**scalar):
        assert y.dtype == np.float32
        y.backward(np.ones(2))
        assert x.grad.dtype == np.float32


def test_gradient_of_a_0d_operand_has_its_own_dtype():
    s = tensor(np.float64(2.0), requires_grad=True)
    (tensor([1.0, 2.0]) * s).sum().backward()
    assert (s.grad.dtype, s.grad.item()) == (np.float64, 3.0)


def test_data_is_always_an_array():
    assert isinstance(tensor([1.0, 2.0]).sum().data, np.ndarray)
    assert isinstance((tensor(1.0) * 2).data, np.ndarray)
    x = tensor(1.0, requires_grad=True)
    (x * x).backward()
    assert isinstance(x.grad, Tensor)
    assert isinstance(x.grad.data, np.ndarray)


def test_integer_tensors_cannot_require_grad():
    with pytest.raises(TypeError, match=r"int64.*from floats"):
        tensor([1, 2], requires_grad=True)
    with pytest.raises(TypeError):
        tensor([1, 2]).requires_grad_()


@pytest.mark.parametrize("data", ["abc", None, [[1.0], "x"], object()])
def test_only_numbers_make_a_tensor(data):
    with pytest.raises(TypeError, match="holds numbers"):
        Tensor(data)


def test_repr():
    x = tensor([[1.0, 2.0]], requires_grad=True)
    assert repr(x) == "Tensor([[1. 2.]], requires_grad)"
    assert repr(x * 2) == "Tensor([[2. 4.]], from mul, requires_grad)"
    assert repr(tensor(np.array([1.5]))) == "Tensor([1.5], dtype=float64)"


def test_reflected_operators(rng):
    a, x = rng.normal(size=(2, 3)), tensor(rng.uniform(1, 2, size=(2, 3)), requires_grad=True)
    for ours, numpys in [
        (a + x, a + x.data),
        (a - x, a - x.data),
        (a * x, a * x.data),
        (a / x, a / x.data),
        (2.0**x, 2.0**x.data),
        (a.T @ x, a.T @ x.data),
    ]:
        assert isinstance(ours, Tensor)
        assert ours.requires_grad
        np.testing.assert_array_equal(ours.data, numpys)


def test_comparisons_give_boolean_tensors():
    x = tensor([1.0, 2.0, 3.0])
    assert (x == 2).data.tolist() == [False, True, False]
    assert (x != 2).data.tolist() == [True, False, True]
    assert ((x < 2).data | (x >= 3).data).tolist() == [True, False, True]
    assert ((x <= 1).data | (x > 2).data).tolist() == [True, False, True]


def test_tensors_are_hashable_by_identity():
    x, y = tensor([1.0, 2.0]), tensor([1.0, 2.0])
    assert len({x, y, x}) == 2


def test_iteration_length_and_conversion():
    x = tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    first, second = x
    assert len(x) == 2
    assert float(first.sum()) == 3.0
    assert int(second[0]) == 3
    assert bool(second[1] > 3)
    with pytest.raises(ValueError, match="ambiguous"):
        bool(x)


def test_item_assignment_raises_and_names_the_way_out():
    x = tensor([1.0, 2.0])
    with pytest.raises(TypeError, match=r"np\.where.*np\.concatenate"):
        x[0] = 5.0


def test_indexing_with_a_tensor():
    x = tensor([10.0, 20.0, 30.0], requires_grad=True)
    x[tensor([2, 0, 2])].sum().backward()
    assert x.grad.data.tolist() == [1.0, 0.0, 2.0]


def test_transposes_are_those_of_numpy(rng):
    a = rng.normal(size=(2, 3, 4))
    x = Tensor(a)
    for ours, numpys in [
        (x.T, a.T),
        (x.mT, a.mT),
        (x.transpose(), a.transpose()),
        (x.transpose(2, 0, 1), a.transpose(2, 0, 1)),
        (x.reshape(4, -1), a.reshape(4, -1)),
        (x.swapaxes(0, -1), a.swapaxes(0, -1)),
        (x.swapaxes(1, -2), a.swapaxes(1, -2)),
        (x[:1].squeeze(), a[0]),
        (x.unsqueeze(1), a[:, None]),
    ]:
        np.testing.assert_array_equal(ours.data, numpys)


# ---------------------------------------------------------------- NumPy code differentiates


NUMPY_CALLS = [
    np.exp, np.log, np.tanh, np.negative, np.abs, np.sqrt, np.log1p, np.sin, np.cos, np.sum,
    np.mean, np.var, np.std, np.max, np.amin, np.transpose, np.squeeze,
    lambda x: np.add(1, x), lambda x: np.subtract(x, 1), lambda x: np.multiply(x, x),
    lambda x: np.divide(1, x), lambda x: np.power(x, 2), lambda x: np.power(2, x),
    lambda x: np.maximum(0.7, x), lambda x: np.minimum(x, 0.7), lambda x: np.clip(x, 0.6, None),
    lambda x: np.where(np.eye(2, 3) > 0, x, 0), lambda x: np.sum(x, axis=0),
    lambda x: np.sum(x, 1, keepdims=True), lambda x: np.mean(x, (0, 1)),
    lambda x: np.var(x, axis=0, ddof=1), lambda x: np.max(x, axis=0),
    lambda x: np.linalg.norm(x, axis=1), lambda x: np.reshape(x, (3, 2)),
    lambda x: np.transpose(x, (1, 0)), lambda x: np.swapaxes(x, 0, 1),
    lambda x: np.expand_dims(x, 0), lambda x: np.broadcast_to(x, (4, 2, 3)),
    lambda x: np.concatenate([x, np.ones((1, 3))]),
    lambda x: np.concatenate((np.ones((2, 1)), x), axis=1), lambda x: np.stack([x, x], axis=-1),
    lambda x: np.matmul(np.ones((4, 2)), x), lambda x: np.ones((4, 2)) @ x,
    lambda x: np.ones((2, 3)) * x, lambda x: np.float64(2) - x,
]  # fmt: skip


@pytest.mark.parametrize("call", NUMPY_CALLS)
def test_numpy_functions_record_and_give_what_numpy_gives(call, rng):
    array = rng.uniform(0.5, 1, size=(2, 3))
    found = call(tensor(array, requires_grad=True))
    assert isinstance(found, Tensor)
    assert found.requires_grad
    np.testing.assert_allclose(found.data, call(array), rtol=1e-15)


def test_numpy_functions_without_derivative_give_plain_results(rng):
    x = tensor(rng.normal(size=(2, 3)), requires_grad=True)
    assert np.argmax(x, axis=1).data.tolist() == x.data.argmax(axis=1).tolist()
    assert not np.sign(x).requires_grad
    assert not np.greater(1, x).requires_grad


def test_a_numpy_function_without_an_op_is_named():
    x = tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TypeError, match=r"np\.arctan has no op.*@op\(numpy=np\.arctan\)"):
        np.arctan(x)
    with pytest.raises(TypeError, match=r"np\.cumsum has no op"):
        np.cumsum(x)


def test_reductions_of_ufuncs_and_their_options_are_refused():
    x = tensor([1.0, 2.0])
    with pytest.raises(TypeError, match="plain form"):
        np.add.reduce(x)
    with pytest.raises(TypeError, match=r"np\.exp\(where=.*np\.where\(mask, x, y\)"):
        np.exp(x, where=np.array([True, False]))


def test_update_through_data_works_and_other_out_is_refused():
    p = tensor([1.0, 2.0], requires_grad=True)
    (p * p).sum().backward()
    with no_grad():
        p.data -= 0.5 * p.grad
    assert p.data.tolist() == [0.0, 0.0]
    array = np.zeros(2)
    with pytest.raises(TypeError, match="without recording"):
        array += p
    with pytest.raises(TypeError, match="without recording"):
        np.exp(array, out=p)


def test_asarray_of_a_tensor_that_requires_grad_points_to_detach():
    x = tensor([1.0], requires_grad=True)
    with pytest.raises(RuntimeError, match=r"\.detach\(\)\.numpy\(\)"):
        np.asarray(x)
    with pytest.raises(RuntimeError, match=r"\.detach\(\)\.numpy\(\)"):
        x.numpy()
    assert np.asarray(x.detach()) is not None
    assert np.asarray(x.detach(), dtype=np.float64).dtype == np.float64


def test_detach_shares_the_array():
    x = tensor([1.0], requires_grad=True)
    assert x.detach().data is x.data
    assert not x.detach().requires_grad


def test_requires_grad_can_be_set_on_leaves_only():
    x = tensor([1.0]).requires_grad_()
    assert x.requires_grad
    with pytest.raises(RuntimeError, match="detach"):
        (x * 2).requires_grad = False


def test_matmul_names_both_shapes():
    with pytest.raises(ValueError, match=r"\(2, 3\) @ \(2, 3\)"):
        tensor(np.ones((2, 3))) @ np.ones((2, 3))
    with pytest.raises(ValueError, match="needs matrices or vectors"):
        tensor(2.0) @ tensor([1.0])


# ---------------------------------------------------------------- gradient and data keep their kind


def leaf():
    return tensor(np.array([1.0, 2.0]), requires_grad=True)


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (np.ones(2), TypeError, r"Tensor or None.*ndarray.*Tensor\(array\)"),
        ([1.0, 1.0], TypeError, "a list"),
        (0, TypeError, "an? int"),
        (tensor(np.ones(3)), ValueError, r"shape \(2,\) cannot have shape \(3,\)"),
        (tensor([1, 2]), TypeError, "must be floats, not int64"),
    ],
)
def test_a_gradient_is_a_tensor_of_the_same_shape_and_kind(value, error, words):
    x = leaf()
    with pytest.raises(error, match=words):
        x.grad = value
    assert x.grad is None


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (np.ones(3), ValueError, r"shape \(2,\) cannot have shape \(3,\)"),
        (np.ones((1, 2)), ValueError, "cannot have shape"),
        ([1, 2], TypeError, "must be floats, not int64"),
        ("text", TypeError, "holds numbers"),
        (None, TypeError, "holds numbers"),
        (np.ones(2) * 1j, TypeError, "holds numbers"),
    ],
)
def test_data_keeps_its_shape_and_kind(value, error, words):
    x = leaf()
    with pytest.raises(error, match=words):
        x.data = value
    assert x.data.tolist() == [1.0, 2.0]


def test_what_fits_is_taken():
    x = leaf()
    x.data, x.grad = [3.0, 4.0], tensor([1.0, 1.0])
    assert x.data.tolist() == [3.0, 4.0]
    x.grad = None
    assert x.grad is None


@pytest.mark.parametrize(
    "start",
    [
        [3.0, 4.0], (3.0, 4.0), np.array([3.0, 4.0]), tensor([3.0, 4.0]),
        [np.array([3.0, 4.0])], (tensor([3.0, 4.0]),), [[3.0, 4.0]],
    ],
)  # fmt: skip
@pytest.mark.parametrize("create_graph", [False, True])
def test_grad_outputs_is_an_array_or_a_sequence_of_them(start, create_graph):
    x = leaf()
    for outputs in (x * x, [x * x]):
        (found,) = grad(outputs, x, start, create_graph=create_graph)
        assert found.data.tolist() == [6.0, 16.0]


def test_grad_outputs_of_several_outputs():
    x = leaf()
    (found,) = grad([x * x, x.sum(), x[0]], x, [[1.0, 0.0], None, 10])
    assert found.data.tolist() == [13.0, 1.0]
    (found,) = grad(x.sum(), x, [None])
    assert found.data.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (lambda x: ([x * x, x * 3], x, [np.ones(2)]), ValueError, "There are 2 outputs"),
        (lambda x: ([x * x, x * 3], x, np.ones((2, 2))), ValueError, "a list of as many"),
        (lambda x: (x * x, x, "ab"), TypeError, "holds numbers"),
        (lambda x: (x * x, x, [1.0, 2.0, 3.0]), ValueError, r"shape \(3,\).*\(2,\)"),
        (lambda x: (x.sum(), np.ones(2)), TypeError, "inputs must be tensors, .* ndarray"),
        (lambda x: (x.data, x), TypeError, "outputs must be tensors"),
    ],
)
def test_what_grad_cannot_take_is_said_in_words(arguments, error, words):
    with pytest.raises(error, match=words):
        grad(*arguments(leaf()))


def test_a_computed_tensor_cannot_be_pickled_and_says_why():
    y = leaf() * 2
    with pytest.raises(TypeError, match=r"computed by mul.*pickle.*t\.detach\(\)"):
        pickle.dumps(y)
    assert pickle.loads(pickle.dumps(y.detach())).data.tolist() == [2.0, 4.0]


def test_every_tensor_says_how_it_was_made():
    x = leaf()
    y = ops.clamp(x, min=0.5)
    assert (x.is_leaf, x.op, x.inputs, x.params, x.age) == (True, None, (), {}, 0)
    assert (y.is_leaf, y.op, y.inputs, y.params) == (False, ops.clamp, (x,), {"min": 0.5})
    assert y.age > 0


# ---------------------------------------------------------------- everyday use


def test_one_number_is_formatted_as_such():
    loss = (tensor([1.23456], requires_grad=True) * 1).sum()
    assert f"{loss:.4f}" == "1.2346"
    assert f"{tensor([[7]]):03d}" == "007"
    assert f"{loss}" == str(loss)
    with pytest.raises(TypeError, match=r"'\.2f' formats one number, .* \(2,\)"):
        f"{tensor([1.0, 2.0]):.2f}"


def test_a_whole_number_is_an_index():
    t = tensor([1.0, 3.0, 2.0])
    assert ["a", "b", "c"][t.argmax()] == "b"
    assert ["a", "b", "c"][t.argmin()] == "a"
    assert list(range(tensor(3))) == [0, 1, 2]
    with pytest.raises(TypeError):
        range(tensor(3.0))


@pytest.mark.parametrize("other", [None, "1", object(), print])
def test_what_is_no_number_equals_no_tensor(other):
    t = tensor([1.0, 2.0])
    assert (t == other) is False
    assert (t != other) is True
    assert (other == t) is False


def test_an_element_is_in_a_tensor():
    t = tensor([1.0, 2.0])
    assert 2.0 in t
    assert t[1] in t
    assert 5 not in t


def test_masks_combine():
    t, array = tensor([1.0, 3.0, 2.0]), np.array([True, True, False])
    assert ((t > 1) & (t < 3)).tolist() == [False, False, True]
    assert ((t > 2) | (t < 2)).tolist() == [True, True, False]
    assert ((t > 1) ^ (t > 2)).tolist() == [False, False, True]
    assert (~(t > 1)).tolist() == [True, False, False]
    assert (True & (t > 1)).tolist() == [False, True, True]
    assert ((t > 1) & array).tolist() == (array & (t > 1)).tolist() == [False, True, False]
    assert (tensor([6, 3]) & 2).tolist() == [2, 2]


@pytest.mark.parametrize(
    "call", [lambda t: t & True, lambda t: t | t, lambda t: ~t, lambda t: t ^ 1]
)
def test_masks_of_floats_are_refused_in_words(call):
    with pytest.raises(TypeError, match=r"masks or integers.*\(x > 0\) & \(x < 1\)"):
        call(tensor([1.0]))


def test_array_methods_are_those_of_numpy(rng):
    array = rng.normal(size=(2, 3))
    t = tensor(array, requires_grad=True)
    for ours, numpys in [
        (t.flatten(), array.flatten()),
        (t.ravel(), array.ravel()),
        (t.copy(), array.copy()),
        (t.clip(-0.5, 0.5), array.clip(-0.5, 0.5)),
        (t.clip(max=0.5), array.clip(max=0.5)),
        (t.square(), np.square(array)),
        (t.prod(), array.prod()),
        (t.prod(axis=1, keepdims=True), array.prod(axis=1, keepdims=True)),
        (t.dot(array.T), array.dot(array.T)),
        (t.dot(3), array.dot(3)),
        (t.astype(np.float32), array.astype(np.float32)),
        (+t, +array),
        (t % 0.3, array % 0.3),
        (1.5 % t, 1.5 % array),
    ]:
        assert ours.requires_grad
        assert ours.dtype == numpys.dtype
        np.testing.assert_allclose(ours.data, numpys, rtol=1e-12)
    for ours, numpys in [
        (t.argmin(), array.argmin()),
        (t.argmin(axis=1, keepdims=True), array.argmin(axis=1, keepdims=True)),
        ((t > 0).any(), (array > 0).any()),
        ((t > 0).all(axis=0), (array > 0).all(axis=0)),
        ((t > 0).any(axis=(0, 1), keepdims=True), (array > 0).any(axis=(0, 1), keepdims=True)),
        (t.astype(int), array.astype(int)),
        (t // 0.3, array // 0.3),
        (2 // t, 2 // array),
    ]:
        assert not ours.requires_grad
        assert ours.dtype == numpys.dtype
        np.testing.assert_array_equal(ours.data, numpys)
    assert t.tolist() == array.tolist()


@pytest.mark.parametrize(
    "method",
    [
        lambda t: t.flatten(), lambda t: t.ravel(), lambda t: t.copy(), lambda t: t.clip(-1, 1.5),
        lambda t: t.square(), lambda t: t.dot(t.T), lambda t: +t, lambda t: t % 0.7,
        lambda t: 3.35 % t, lambda t: t.astype(np.float64),
    ],
)  # fmt: skip
def test_array_methods_have_derivatives(method):
    x = np.array([[1.2, -0.5, 2.0], [0.3, 0.8, -1.7]])
    assert gradcheck(method, [x])
    assert gradgradcheck(method, [x])


def test_a_copy_is_memory_of_its_own():
    t = tensor([1.0, 2.0])
    other = t.copy()
    other.data += 1
    assert t.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: tensor([1.0, 2.0]).mT, r"mT transposes matrices, .* \(2,\)"),
        (lambda: len(tensor(1.0)), "one number"),
        (lambda: list(tensor(1.0)), "one number"),
        (lambda: tensor([1.0]).swapaxes(0, 3), "axis 3 is out of bounds"),
        (lambda: tensor(1.0).swapaxes(0, 1), "axis 0 is out of bounds"),
        (lambda: tensor([1.0]) < None, "less works on numbers, .* None"),
        (lambda: tensor("abc"), "holds numbers"),
        (lambda: tensor(np.ones((2, 3))).dot(np.ones(2)), r"\(2, 3\) @ \(2,\)"),
    ],
)
def test_everyday_mistakes_are_said_in_words(call, words):
    with pytest.raises((TypeError, ValueError), match=words):
        call()
