"""Function transforms: analytic values, central differences, nesting, and what they leave alone."""

import gc
import weakref
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_mnist.nn.functional as F
from tinygrad_mnist import Tensor, func, nn, no_grad, tensor
from tinygrad_mnist.autodiff import ops
from tinygrad_mnist.autodiff.check import central_differences
from tinygrad_mnist.examples import BatchNorm1d

RNG = np.random.default_rng(0)
A, X = RNG.normal(size=(3, 2)), RNG.normal(size=2)


def number(t):
    assert t.shape == ()
    return t.item()


# ---------------------------------------------------------------- analytic values


def test_the_gradient_of_a_power_and_of_its_gradient():
    slope = func.grad(lambda x: x**3)
    assert number(slope(2.0)) == 12
    assert number(func.grad(slope)(2.0)) == 12
    assert number(func.grad(func.grad(slope))(2.0)) == 6


def test_gradient_and_value_come_from_one_call():
    calls = []
    gradient, value = func.grad_and_value(lambda x: calls.append(x) or x**2)(3.0)
    assert (number(gradient), number(value), len(calls)) == (6, 9, 1)


def test_argnums_names_one_argument_or_several():
    f = lambda x, y, z: x * y**2 + z
    assert number(func.grad(f, 1)(3.0, 2.0, 1.0)) == 12
    assert number(func.grad(f, np.int64(-2))(3.0, 2.0, 1.0)) == 12
    assert [*map(number, func.grad(f, (2, 0))(3.0, 2.0, 1.0))] == [1, 4]


def test_the_other_arguments_are_handed_on_as_they_are():
    seen = []
    f = lambda x, *args, **kwargs: seen.extend([args, kwargs]) or x**2
    func.grad(f)(1.0, 3, "four", five=[5])
    assert seen == [(3, "four"), {"five": [5]}]


def test_aux_comes_along_and_is_cut_off():
    f = lambda x: (x**2, {"twice": 2 * x, "note": "text"})
    gradient, aux = func.grad(f, has_aux=True)(3.0)
    assert (number(gradient), number(aux["twice"]), aux["note"]) == (6, 6, "text")
    _, (value, aux) = func.grad_and_value(f, has_aux=True)(3.0)
    assert (number(value), aux["twice"].requires_grad) == (9, False)


def test_the_jacobian_of_a_linear_map_is_its_matrix():
    np.testing.assert_array_equal(func.jacrev(lambda x: A @ x)(X).data, A)
    matrix = func.jacrev(lambda M: M @ X)(A).data
    np.testing.assert_array_equal(matrix, np.einsum("ik,l->ikl", np.eye(3), X))


def test_the_hessian_of_a_quadratic_form_is_its_matrix():
    M = A @ A.T + np.triu(np.ones((3, 3)))
    found = func.hessian(lambda x: x @ (M @ x))(np.ones(3)).data
    np.testing.assert_allclose(found, M + M.T, rtol=1e-14)


def test_vjp_and_jvp_of_a_linear_map_are_its_two_products():
    g, v = RNG.normal(size=3), RNG.normal(size=2)
    output, pull = func.vjp(lambda x: A @ x, X)
    np.testing.assert_allclose(output.data, A @ X)
    np.testing.assert_allclose(pull(g)[0].data, A.T @ g)
    np.testing.assert_allclose(pull(2 * g)[0].data, 2 * A.T @ g)
    np.testing.assert_allclose(func.jvp(lambda x: A @ x, (X,), (v,))[1].data, A @ v)


def test_a_jvp_takes_all_tangents_at_once():
    output, moved = func.jvp(lambda x, y: x * y, (2.0, 3.0), (0.5, 10.0))
    assert (number(output), number(moved)) == (6, 0.5 * 3 + 2 * 10)


# ---------------------------------------------------------------- forms


class Line(NamedTuple):
    slope: object
    shift: object


def test_a_gradient_has_the_form_of_its_argument():
    p = {"a": [1.0, (2.0, np.ones(2))], "line": Line(3.0, 4.0)}
    f = lambda p: p["a"][0] * p["a"][1][0] + p["line"].slope ** 2 + 0 * p["a"][1][1].sum()
    found = func.grad(f)(p)
    assert list(found) == ["a", "line"]
    assert isinstance(found["a"][1], tuple)
    assert [number(found["a"][0]), number(found["a"][1][0])] == [2, 1]
    assert number(found["line"].slope) == 6


def test_what_the_output_does_not_depend_on_gets_zeros_of_its_shape_and_dtype():
    unused = np.ones((2, 3), np.float64)
    found = func.grad(lambda x, y: x * 2, (0, 1))(1.0, unused)[1]
    assert (found.shape, found.dtype, found.data.any()) == ((2, 3), np.float64, False)
    assert func.jacrev(lambda x: Tensor(X))(unused).data.shape == (2, 2, 3)
    assert number(func.jvp(lambda x: tensor(5.0), (1.0,), (1.0,))[1]) == 0
    assert number(func.grad(lambda x: tensor(5.0))(1.0)) == 0


def test_a_jacobian_has_the_form_of_the_output_and_in_it_that_of_the_argument():
    f = lambda p, x: {"sum": p["w"] * x, "power": (p["w"] ** 2, p["b"])}
    found = func.jacrev(f)({"w": 3.0, "b": 1.0}, np.float32([1, 2]))
    assert found["sum"]["w"].tolist() == [1, 2]
    assert [number(part["w"]) for part in found["power"]] == [6, 0]
    both = func.jacrev(f, (0, 1))({"w": 3.0, "b": 1.0}, np.float32([1, 2]))
    assert both["sum"][1].tolist() == [[3, 0], [0, 3]]


def test_a_vjp_takes_cotangents_in_the_form_of_the_output():
    _, pull = func.vjp(lambda x, y: {"a": x * y, "b": [x, y]}, 2.0, 3.0)
    assert [*map(number, pull({"b": [0.5, 0.0], "a": 10.0}))] == [30.5, 20]


def test_a_jvp_takes_and_returns_dicts():
    f = lambda p: {"y": p["w"] ** 2, "z": [p["b"]]}
    output, moved = func.jvp(f, ({"w": 3.0, "b": 1.0},), ({"w": 1.0, "b": 7.0},))
    assert (number(output["y"]), number(moved["y"]), number(moved["z"][0])) == (9, 6, 7)


def test_class_numbers_beside_the_output_do_not_change():
    f = lambda x: (x.sum(), x.argmax())
    _, moved = func.jvp(f, (X,), (X,))
    assert (number(moved[0]), number(moved[1])) == (X.sum(), 0)
    assert not func.jacrev(f)(X)[1].data.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_have_the_dtype_of_their_arguments(dtype):
    x, v = np.ones(2, dtype), np.ones(2)
    assert func.grad(lambda x: x.sum())(x).dtype == dtype
    assert func.vjp(lambda x: x, x)[1](v)[0].dtype == dtype
    assert func.vjp(lambda x: x, x)[1](tensor(v, requires_grad=True))[0].dtype == dtype
    assert func.jvp(lambda x: x * 2, (x,), (v,))[1].dtype == dtype


def test_a_jacobian_may_have_no_rows_or_no_columns():
    nothing = np.ones((0, 2))
    assert func.jacrev(lambda x: x[:0])(X).shape == (0, 2)
    assert func.jacrev(lambda x: x.sum())(nothing).shape == (0, 2)
    assert func.grad(lambda p: tensor(1.0))({}) == {}


# ---------------------------------------------------------------- central differences

STEPS = {
    "x sum(x)": lambda x: x * x.sum(),
    "sin": np.sin,
    "tanh": lambda x: x.tanh(),
    "bell": lambda x: (-x * x / 2).exp(),
    "turned": lambda x: x[::-1] * x,
    "softmax": ops.softmax,
    "mixed": lambda x: x @ np.linspace(-1, 1, 9).reshape(3, 3),
    "root": lambda x: (x * x + 1).sqrt(),
}
programs = st.lists(st.sampled_from(list(STEPS)), min_size=1, max_size=4)
vectors = st.lists(st.floats(-1.5, 1.5), min_size=3, max_size=3).map(np.array)


def run(program):
    def f(x):
        for name in program:
            x = STEPS[name](x)
        return x

    return f


@given(programs, vectors, vectors)
def test_a_jvp_is_the_slope_along_its_tangent(program, x, v):
    f, eps = run(program), 1e-4
    _, moved = func.jvp(f, (x,), (v,))

    def difference(h):
        return f(Tensor(x + h * v)).data - f(Tensor(x - h * v)).data

    slope = (8 * difference(eps) - difference(2 * eps)) / (12 * eps)  # the error is in O(eps^4)
    scale = max(1.0, np.abs(f(Tensor(x)).data).max(), np.abs(moved.data).max())
    np.testing.assert_allclose(moved.data, slope, rtol=1e-6, atol=1e-6 * scale)


@given(programs, vectors, vectors, vectors)
def test_jvp_and_vjp_are_transposes_and_both_products_of_the_jacobian(program, x, v, g):
    f = run(program)
    jacobian, (pulled,) = func.jacrev(f)(x).data, func.vjp(f, x)[1](g)
    np.testing.assert_allclose(pulled.data, g @ jacobian, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(func.jvp(f, (x,), (v,))[1].data, jacobian @ v, rtol=1e-9, atol=1e-9)


@given(programs, vectors)
def test_a_hessian_is_the_slope_of_the_gradient(program, x):
    f = lambda x: (run(program)(x) * np.array([1.0, -2.0, 0.5])).sum()
    row = lambda i: central_differences(lambda: func.grad(f)(x).data[i], x, 1e-5)
    numeric = np.stack([row(i) for i in range(3)])
    np.testing.assert_allclose(func.hessian(f)(x).data, numeric, rtol=1e-5, atol=1e-5)


@given(programs, vectors, vectors)
def test_a_jvp_of_the_gradient_is_the_hessian_times_the_tangent(program, x, v):
    f = lambda x: (run(program)(x) ** 2).sum()
    _, moved = func.jvp(func.grad(f), (x,), (v,))
    np.testing.assert_allclose(moved.data, func.hessian(f)(x).data @ v, rtol=1e-8, atol=1e-8)


# ---------------------------------------------------------------- nesting


def test_a_transform_knows_its_own_argument_from_that_around_it():
    inner = lambda x: func.grad(lambda y: x + y)(1.0)  # 1 and not 2
    assert number(func.grad(lambda x: x * inner(x))(1.0)) == 1
    assert number(func.grad(lambda x: x * func.grad(lambda y: x * y)(x))(3.0)) == 6


def test_a_transform_inside_of_every_other():
    cube, slope = lambda x: x**3, func.grad(lambda x: x**3)
    assert [*map(number, func.jvp(slope, (2.0,), (0.5,)))] == [12, 6]
    assert number(func.vjp(slope, 2.0)[1](0.5)[0]) == 6
    forward = lambda x: func.jvp(cube, (x,), (1.0,))[1]
    assert number(func.grad(forward)(2.0)) == 12
    assert [*map(number, func.jvp(forward, (2.0,), (1.0,)))] == [12, 12]
    pulled = lambda x: func.vjp(cube, x)[1](x)[0]
    assert number(func.grad(pulled)(2.0)) == 9 * 2**2
    assert number(func.jacrev(func.jacrev(func.jacrev(cube)))(2.0)) == 6


def test_a_jvp_can_be_differentiated_by_its_tangent():
    along = lambda v: func.jvp(lambda x: (x**2).sum(), (X,), (v,))[1]
    np.testing.assert_allclose(func.grad(along)(np.ones(2)).data, 2 * X)


def test_a_vjp_can_be_differentiated_by_its_cotangent_after_its_call():
    _, pull = func.vjp(lambda x: x**2, 3.0)
    assert number(func.grad(lambda g: pull(g)[0])(1.0)) == 6
    assert not pull(1.0)[0].requires_grad


def test_paths_through_a_function_are_not_walked_one_by_one():
    def doubled(x):
        for _ in range(60):
            x = x + x
        return x

    assert number(func.grad(doubled)(1.0)) == 2.0**60
    assert number(func.jvp(doubled, (1.0,), (1.0,))[1]) == 2.0**60


def test_a_function_that_is_differentiated_may_call_grad_of_the_tape():
    def f(x):
        (slope,) = func.autodiff.grad(x**3, x, create_graph=True)
        return slope

    assert number(func.grad(f)(2.0)) == 12


# ---------------------------------------------------------------- what belongs to the caller


def test_results_are_constants_unless_the_caller_asks_for_more():
    value, pull = func.vjp(lambda x: x**2, tensor(3.0))
    results = [value, *pull(1.0), *func.jvp(lambda x: x**2, (3.0,), (1.0,))]
    results += func.grad_and_value(lambda x: x**2)(tensor(3.0))
    results.append(func.grad(lambda y: func.grad(lambda x: x * x * y)(3.0))(2.0))
    assert [t.requires_grad for t in results] == [False] * 7


def test_results_are_on_the_tape_of_a_caller_whose_tensor_led_there():
    w = tensor(3.0, requires_grad=True)
    slope = func.grad(lambda x: x**3)(w)
    slope.backward()
    assert number(w.grad) == 18
    assert func.grad(lambda x: x * w)(2.0).requires_grad
    assert not func.grad(lambda x: x**2 + w)(2.0).requires_grad


def test_grad_attributes_are_left_alone():
    w, p = tensor(3.0, requires_grad=True), nn.Parameter([2.0])
    w.grad = Tensor(np.float32(7))
    func.grad(lambda x: x * w)(w)
    func.jvp(lambda q: q * w, (p,), (np.ones(1),))
    func.hessian(lambda q: (q * w).sum())(p)
    assert (number(w.grad), p.grad) == (7, None)


def test_an_argument_is_neither_written_to_nor_written_through():
    x = X.copy()

    def f(t):
        t -= 1
        return (t**2).sum()

    np.testing.assert_allclose(func.grad(f)(x).data, 2 * (X - 1))
    np.testing.assert_array_equal(x, X)
    with pytest.raises(ValueError, match="read-only"):
        func.grad(lambda t: t.data.fill(0))(x)


def test_an_array_written_between_the_walks_is_noticed():
    x = Tensor(X.copy())
    _, pull = func.vjp(lambda x: x**2, x)
    x.data[:] = 5
    x.data = x.data
    with pytest.raises(RuntimeError, match="written in place"):
        pull(np.ones(2))


def test_no_grad_holds_inside_of_a_function_and_not_around_the_transform():
    def f(x):
        with no_grad():
            constant = x**2
        return x - constant

    assert number(func.grad(f)(3.0)) == 1
    w = tensor(3.0, requires_grad=True)
    with no_grad():
        assert number(func.grad(lambda x: x * x * w)(w)) == 18
        assert number(func.jvp(lambda x: x * x * w, (w,), (1.0,))[1]) == 18
        results = func.grad_and_value(lambda x: x * x * w)(w)
    assert not any(t.requires_grad for t in results)


def test_recording_is_as_before_after_an_error():
    w = tensor(1.0, requires_grad=True)
    with no_grad(), pytest.raises(ZeroDivisionError):
        func.grad(lambda x: x / (1 // 0))(1.0)
    assert (w * 2).requires_grad


def test_nothing_waits_for_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        x = Tensor(np.ones(1000))
        func.hessian(lambda p: (p["x"][:3] ** 3).sum())({"x": x})
        func.jvp(lambda x: x**3, (x,), (x,))
        gone = weakref.ref(x.data)
        del x
        assert gone() is None
    finally:
        gc.enable()


def test_a_transformed_function_keeps_its_name_and_says_what_it_is_of():
    def energy(x):
        """Half the square."""
        return x**2 / 2

    assert func.grad(energy).__name__ == func.hessian(energy).__name__ == "energy"
    assert func.jacrev(energy).__doc__ == "Half the square."
    model = nn.Linear(2, 2)
    assert not hasattr(func.jacrev(model), "weight")


# ---------------------------------------------------------------- modules


class Shared(nn.Module):
    def __init__(self):
        self.a = self.b = nn.Parameter([[1.0, 2.0], [3.0, 4.0]])
        self.first = nn.Linear(2, 2, rng=np.random.default_rng(0))
        self.second = self.first
        self.register_buffer("shift", np.ones(2, np.float32))

    def forward(self, x, *, times=1):
        return self.second(self.first(x @ self.a @ self.b)) * times + self.shift


def own(model):
    """Which object every tensor of a model is, in the order of the attributes."""
    return {
        (name, key): id(value)
        for name, module in model.named_modules(remove_duplicate=False)
        for key, value in vars(module).items()
        if isinstance(value, Tensor)
    }


def test_a_module_called_with_other_tensors_computes_with_them():
    model = nn.Linear(2, 1)
    out = func.functional_call(
        model, {"weight": [[1.0], [2.0]], "bias": np.ones(1)}, Tensor([[3.0, 4]])
    )
    assert out.tolist() == [[12]]
    assert func.functional_call(model, {}, (X[None],)).tolist() == model(X[None]).tolist()


def test_a_module_has_its_own_tensors_again_after_the_call_and_after_an_error():
    model = Shared()
    before = own(model)
    new = {name: 2 * t.detach() for name, t in model.named_parameters()}
    func.functional_call(model, new, np.ones((1, 2)), {"times": 2})
    assert own(model) == before
    with pytest.raises(ValueError, match="as long as the first"):
        func.functional_call(model, new, np.ones((1, 3)))
    with pytest.raises(TypeError, match="nonsense"):
        func.functional_call(model, new, (), {"nonsense": 1})
    assert list(own(model).items()) == list(before.items())


def test_a_shared_parameter_is_replaced_everywhere_whichever_name_it_is_given_by():
    x = np.ones((1, 2), np.float32)
    outs = [func.functional_call(Shared(), {name: 0 * A[:2]}, x).data for name in "ab"]
    expected = Shared().second(Shared().first(0 * x)).data + 1
    np.testing.assert_allclose(outs, [expected, expected], rtol=1e-6)
    by_second = func.functional_call(Shared(), {"second.weight": 0 * A[:2]}, x)
    by_first = func.functional_call(Shared(), {"first.weight": 0 * A[:2]}, x)
    assert by_second.tolist() == by_first.tolist() != Shared()(x).tolist()


def test_a_state_dict_with_every_name_of_a_shared_parameter_is_accepted():
    model, x = Shared(), np.ones((1, 2), np.float32)
    copies = {name: t.data.copy() for name, t in model.state_dict().items()}
    assert func.functional_call(model, copies, x, strict=True).tolist() == model(x).tolist()


def test_a_shared_parameter_is_refused_as_two():
    model, x = Shared(), np.ones((1, 2))
    with pytest.raises(ValueError, match="a and b are one shared tensor, but were given as two"):
        func.functional_call(model, {"a": A[:2], "b": 2 * A[:2]}, x)
    loss = lambda p: func.functional_call(model, p, x).sum()
    with pytest.raises(ValueError, match="Give it under one of its names"):
        func.grad(loss)(model.state_dict())


def test_gradients_by_a_dict_of_parameters_are_those_of_backward():
    model, x, y = nn.MLP((2, 5, 3), rng=np.random.default_rng(0)), A, np.array([0, 2, 1])
    loss = lambda p: F.cross_entropy(func.functional_call(model, p, x), y)
    found = func.grad(loss)({name: p.detach() for name, p in model.named_parameters()})
    assert all(p.grad is None for p in model.parameters())
    F.cross_entropy(model(x), y).backward()
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(found[name].data, p.grad.data)
        assert not found[name].requires_grad


def test_a_shared_parameter_gets_the_gradient_of_all_its_places():
    model, x = Shared(), np.ones((1, 2), np.float32)
    loss = lambda p: func.functional_call(model, p, x).sum()
    found = func.grad(loss)({name: p.detach() for name, p in model.named_parameters()})
    loss({}).backward()
    for name, p in model.named_parameters():
        np.testing.assert_allclose(found[name].data, p.grad.data, rtol=1e-6)


def test_parameters_left_out_are_the_modules_own_and_lead_to_the_caller():
    model = nn.Linear(2, 1, rng=np.random.default_rng(0))
    loss = lambda p: (func.functional_call(model, p, A) ** 2).sum()
    found = func.grad(loss)({"bias": np.ones(1, np.float32)})
    assert list(found) == ["bias"]
    assert found["bias"].requires_grad  # the weight of the module does
    found["bias"].sum().backward()
    np.testing.assert_allclose(model.weight.grad.data[:, 0], 2 * A.sum(axis=0), rtol=1e-6)


def test_a_buffer_that_is_given_is_the_one_written_to():
    layer, x = BatchNorm1d(2), RNG.normal(3, 1, size=(4, 2)).astype(np.float32)
    given = {name: t.data.copy() for name, t in layer.named_buffers()}
    func.functional_call(layer, given, x)
    assert given["running_mean"].all()
    assert not layer.running_mean.data.any()
    loss = lambda p: func.functional_call(layer, p | given, x).sum()
    assert list(func.grad(loss)({"bias": np.zeros(2, np.float32)})) == ["bias"]


def test_a_module_that_refers_to_the_one_around_it_can_be_called():
    outer = nn.Sequential(nn.Linear(2, 1))
    outer[0].around = outer
    assert func.functional_call(outer, {"0.weight": np.zeros((2, 1))}, A).shape == (3, 1)


# ---------------------------------------------------------------- mistakes, in words

identity = lambda x: x
MODEL = nn.Linear(2, 1)
MISTAKES = [
    (lambda: func.grad(identity)(X), RuntimeError, "one number.*shape \\(2,\\).*jacrev.*vjp"),
    (lambda: func.grad(lambda x: (x, x))(1.0), RuntimeError, "returned a tuple.*has_aux=True"),
    (lambda: func.grad(identity)(3), TypeError, "argument 0 is int64.*1.0 in place of 1"),
    (lambda: func.grad(identity)({"w": [1]}), TypeError, r"argument 0\['w'\]\[0\] is int64"),
    (lambda: func.grad(identity)("text"), TypeError, "holds numbers, but this is .*'text'"),
    (lambda: func.grad(identity, 1)(1.0), ValueError, "argnums is 1.*<lambda>.*1 arguments"),
    (lambda: func.grad(identity, -2)(1.0), ValueError, "argnums is -2"),
    (lambda: func.grad(identity)(x=1.0), ValueError, "0 arguments.*keyword"),
    (lambda: func.grad(identity, "x")(1.0), TypeError, "position of an argument.*'x'"),
    (lambda: func.grad(identity, (0, 0))(1.0), ValueError, "each once"),
    (lambda: func.grad(identity, (0, -1))(1.0), ValueError, "each once"),
    (lambda: func.grad(identity, ())(1.0), ValueError, "at least one"),
    (lambda: func.grad(lambda x: None)(1.0), TypeError, "returned None.*lack its return"),
    (lambda: func.grad(lambda x: x.item())(1.0), TypeError, r"<lambda> returned 1.0.*item\(\)"),
    (lambda: func.jacrev(lambda x: [x, 2])(1.0), TypeError, r"returned 2 at \[1\], no tensor"),
    (lambda: func.grad(identity, has_aux=True)(1.0), TypeError, r"return \(output, aux\)"),
    (lambda: func.grad(tensor(1.0)), TypeError, r"Pass f, not f\(x\).*autodiff.grad"),
    (lambda: func.jacrev(tensor(1.0)), TypeError, "A transform takes a function"),
    (lambda: func.vjp(tensor(1.0), 1.0), TypeError, "A transform takes a function"),
    (lambda: func.vjp(identity), ValueError, "at least one argument"),
    (lambda: func.vjp(identity, X)[1](A), ValueError, r"cotangents has shape \(3, 2\).*\(2,\)"),
    (lambda: func.vjp(lambda x: [x], X)[1](X), ValueError, "list with an entry for each of"),
    (lambda: func.vjp(lambda x: [x], X)[1]([X, X]), ValueError, r"each of \[0\]"),
    (lambda: func.jvp(identity, X, X), TypeError, r"two tuples.*\(x,\), \(v,\)"),
    (lambda: func.jvp(identity, (X,), (A,)), ValueError, r"tangents\[0\] has shape \(3, 2\)"),
    (lambda: func.jvp(identity, (X,), (X, X)), ValueError, "tangents must be a tuple"),
    (lambda: func.jvp(identity, ({"a": X},), ({"b": X},)), ValueError, r"each of \['a'\]"),
    (lambda: func.jvp(identity, (1,), (1,)), TypeError, "argument 0 is int64"),
    (
        lambda: func.functional_call(MODEL, {"wieght": A, "bias": X[:1]}, A),
        RuntimeError,
        r"This Linear has no \['wieght'\]. It has \['weight', 'bias'\]",
    ),
    (
        lambda: func.functional_call(MODEL, {"bias": X[:1]}, A, strict=True),
        RuntimeError,
        r"also has \['weight'\], for which nothing was given",
    ),
    (
        lambda: func.functional_call(MODEL, {"weight": A}, A),
        ValueError,
        r"weight has shape \(3, 2\), but the one it replaces has \(2, 1\)",
    ),
    (lambda: func.functional_call(MODEL, A, A), TypeError, "a dict of names and tensors"),
    (lambda: func.functional_call(identity, {}, A), TypeError, "takes a module"),
]


@pytest.mark.parametrize(("wrong", "kind", "words"), MISTAKES, ids=[m[2][:30] for m in MISTAKES])
def test_a_mistake_is_told_in_words(wrong, kind, words):
    with pytest.raises(kind, match=words):
        wrong()
