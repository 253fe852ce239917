"""The tensor as an array: construction, dtypes, operators, NumPy protocols, messages."""

import numpy as np
import pytest

from tinygrad_mnist.autodiff import Tensor, no_grad, tensor


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
        (x[:1].squeeze(), a[0]),
        (x.unsqueeze(1), a[:, None]),
    ]:
        np.testing.assert_array_equal(ours.data, numpys)


# ---------------------------------------------------------------- NumPy code differentiates


NUMPY_CALLS = [
    np.exp, np.log, np.tanh, np.negative, np.abs, np.sqrt, np.log1p, np.sin, np.cos, np.sum, np.mean, np.var, np.std, np.max, np.amin, np.transpose, np.squeeze,
    lambda x: np.add(1, x), lambda x: np.subtract(x, 1), lambda x: np.multiply(x, x), lambda x: np.divide(1, x), lambda x: np.power(x, 2),
    lambda x: np.power(2, x), lambda x: np.maximum(0.7, x), lambda x: np.minimum(x, 0.7), lambda x: np.clip(x, 0.6, None),
    lambda x: np.where(np.eye(2, 3) > 0, x, 0), lambda x: np.sum(x, axis=0), lambda x: np.sum(x, 1, keepdims=True), lambda x: np.mean(x, (0, 1)),
    lambda x: np.var(x, axis=0, ddof=1), lambda x: np.max(x, axis=0), lambda x: np.linalg.norm(x, axis=1), lambda x: np.reshape(x, (3, 2)),
    lambda x: np.transpose(x, (1, 0)), lambda x: np.swapaxes(x, 0, 1), lambda x: np.expand_dims(x, 0), lambda x: np.broadcast_to(x, (4, 2, 3)),
    lambda x: np.concatenate([x, np.ones((1, 3))]), lambda x: np.concatenate((np.ones((2, 1)), x), axis=1), lambda x: np.stack([x, x], axis=-1),
    lambda x: np.matmul(np.ones((4, 2)), x), lambda x: np.ones((4, 2)) @ x, lambda x: np.ones((2, 3)) * x, lambda x: np.float64(2) - x,
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
