"""Function transforms against `torch.func`: the same calls, on the same numbers."""

import numpy as np
import pytest

import tinygrad_mnist

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(3, 2)), RNG.normal(size=(2, 4))
X, Y, V = RNG.normal(size=(3, 3))
P, Q = ({"w": RNG.normal(size=(2, 3)), "b": RNG.normal(size=2)} for _ in range(2))


def mapped(f, tree):
    """Apply f to what is in dicts, lists and tuples; lists come as tuples."""
    if isinstance(tree, dict):
        return {key: mapped(f, value) for key, value in tree.items()}
    return tuple(mapped(f, part) for part in tree) if isinstance(tree, list | tuple) else f(tree)


def tensors(lib, *trees):
    """The same numbers as tensors of a library."""
    found = mapped(lambda array: lib.tensor(np.array(array)), trees)
    return found[0] if len(found) == 1 else found


def numbers(tree):
    """The arrays of tensors, and whether each requires grad; everything else as it is."""

    def read(t):
        if not hasattr(t, "requires_grad"):
            return t
        return t.detach().numpy(), t.requires_grad

    return mapped(read, tree)


def assert_same(ours, theirs):
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert list(ours) == list(theirs)
        ours, theirs = tuple(ours.values()), tuple(theirs.values())
    if isinstance(ours, tuple):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b)
    elif isinstance(ours, np.ndarray):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)
    else:
        assert ours == theirs


def line(p, x):
    return (p["w"] @ x + p["b"]).tanh()


def energy(p, x):
    return (line(p, x) ** 2).sum() * x.sum()


def bumps(x):
    return (x.sin() * x.sum()).exp()


def parts(x):
    return {"sum": x.sum(), "list": [x**2, (x[:2].cos(),)]}


def with_aux(p, x):
    return energy(p, x), {"line": line(p, x), "inputs": [x, 2 * p["b"]]}


def outside(lib):
    return lib.tensor(np.array(V), requires_grad=True)


CASES = {
    "grad": lambda f, p, q, x, y, t: f.grad(energy)(p, x),
    "grad with respect to the second": lambda f, p, q, x, y, t: f.grad(energy, 1)(p, x),
    "grad from the end": lambda f, p, q, x, y, t: f.grad(energy, argnums=-1)(p, x),
    "grad with respect to both": lambda f, p, q, x, y, t: f.grad(energy, (1, 0))(p, x),
    "grad with respect to one in a tuple": lambda f, p, q, x, y, t: f.grad(energy, (1,))(p, x),
    "aux": lambda f, p, q, x, y, t: f.grad(with_aux, has_aux=True)(p, x),
    "grad and value": lambda f, p, q, x, y, t: f.grad_and_value(energy, (0, 1))(p, x),
    "grad, value, aux": lambda f, p, q, x, y, t: f.grad_and_value(with_aux, has_aux=True)(p, x),
    "of one number that does not depend": lambda f, p, q, x, y, t: f.grad(
        lambda a, b: b.sum() * 2, (0, 1)
    )(p, x),
    "jacrev": lambda f, p, q, x, y, t: f.jacrev(bumps)(x),
    "jacrev of a number": lambda f, p, q, x, y, t: f.jacrev(energy)(p, x),
    "jacrev of a dict": lambda f, p, q, x, y, t: f.jacrev(line)(p, x),
    "jacrev of both": lambda f, p, q, x, y, t: f.jacrev(line, (0, 1))(p, x),
    "jacrev with several outputs": lambda f, p, q, x, y, t: f.jacrev(parts)(x),
    "hessian": lambda f, p, q, x, y, t: f.hessian(energy, 1)(p, x),
    "hessian of a dict": lambda f, p, q, x, y, t: f.hessian(energy)(p, x),
    "hessian of both": lambda f, p, q, x, y, t: f.hessian(energy, (0, 1))(p, x),
    "hessian of a vector": lambda f, p, q, x, y, t: f.hessian(bumps)(x),
    "vjp": lambda f, p, q, x, y, t: f.vjp(bumps, x)[1](y),
    "vjp of two": lambda f, p, q, x, y, t: f.vjp(energy, p, x)[1](x[0]),
    "vjp with several outputs": lambda f, p, q, x, y, t: f.vjp(parts, x)[1](
        {"sum": x[0], "list": [y, (y[:2],)]}
    ),
    "vjp, the output": lambda f, p, q, x, y, t: f.vjp(parts, x)[0],
    "jvp": lambda f, p, q, x, y, t: f.jvp(bumps, (x,), (y,)),
    "jvp of dicts": lambda f, p, q, x, y, t: f.jvp(line, (p, x), (q, y)),
    "jvp with several outputs": lambda f, p, q, x, y, t: f.jvp(parts, (x,), (y,)),
    "jacrev of jacrev": lambda f, p, q, x, y, t: f.jacrev(f.jacrev(bumps))(x),
    "third derivatives": lambda f, p, q, x, y, t: f.hessian(f.grad(energy, 1), 1)(p, x),
    "grad of a squared gradient": lambda f, p, q, x, y, t: f.grad(
        lambda p: (f.grad(energy)(p, x)["w"] ** 2).sum()
    )(p),
    "jvp of grad": lambda f, p, q, x, y, t: f.jvp(lambda p: f.grad(energy)(p, x), (p,), (q,)),
    "vjp of grad": lambda f, p, q, x, y, t: f.vjp(f.grad(energy, 1), p, x)[1](y),
    "grad of jvp": lambda f, p, q, x, y, t: f.grad(
        lambda x, v: f.jvp(bumps, (x,), (v,))[1].sum(), (0, 1)
    )(x, y),
    "jvp of jvp": lambda f, p, q, x, y, t: f.jvp(lambda x: f.jvp(bumps, (x,), (y,))[1], (x,), (y,)),
    "grad of vjp": lambda f, p, q, x, y, t: f.grad(
        lambda x, g: f.vjp(bumps, x)[1](g)[0].sum(), (0, 1)
    )(x, y),
    "grad of grad with the outer argument inside": lambda f, p, q, x, y, t: f.grad(
        lambda x: (x * f.grad(lambda y: (x * y**2).sum())(y)).sum()
    )(x),
    "an argument on the tape": lambda f, p, q, x, y, t: f.grad(energy, 1)(p, t),
    "something on the tape inside": lambda f, p, q, x, y, t: f.grad(lambda x: (x**2 * t).sum())(x),
    "something on the tape that drops out": lambda f, p, q, x, y, t: f.grad_and_value(
        lambda x: (x + t).sum()
    )(x),
    "jvp with the tape inside": lambda f, p, q, x, y, t: f.jvp(lambda x: x * t, (x,), (y,)),
    "vjp with a cotangent on the tape": lambda f, p, q, x, y, t: f.vjp(bumps, x)[1](t),
}


@pytest.mark.parametrize("case", CASES)
def test_a_transform_gives_what_torch_func_gives(case):
    def run(lib):
        return numbers(CASES[case](lib.func, *tensors(lib, P, Q, X, Y), outside(lib)))

    assert_same(run(tinygrad_mnist), run(torch))


def test_both_ignore_no_grad_around_a_transform_and_heed_it_inside():
    def run(lib):
        def f(x):
            with lib.no_grad():
                constant = x**2
            return (x - constant).sum()

        x = tensors(lib, X)
        with lib.no_grad():
            return lib.func.grad(f)(x), lib.func.jvp(bumps, (x,), (x,)), lib.func.hessian(bumps)(x)

    assert_same(numbers(run(tinygrad_mnist)), numbers(run(torch)))


# ---------------------------------------------------------------- modules


def network(lib):
    """An MLP with weights x @ W, one of them shared, and a buffer; the same in both."""

    class Net(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.W = lib.nn.Parameter(lib.tensor(A))
            self.again = self.W
            self.inner = lib.nn.Module()
            self.inner.V = lib.nn.Parameter(lib.tensor(B))
            self.register_buffer("shift", lib.tensor(RNG.normal(size=4) * 0 + 0.5))

        def forward(self, x, power=1):
            hidden = (x @ self.W).tanh() @ self.again.T
            return (((hidden @ self.W) @ self.inner.V).tanh() + self.shift) ** power

    return Net()


def loss(lib, model):
    x = tensors(lib, np.stack([X, Y]))
    return lambda p: (lib.func.functional_call(model, p, x) ** 2).sum()


def detached(model):
    return {name: p.detach() for name, p in model.named_parameters()}


@pytest.mark.parametrize("transform", ["grad", "grad_and_value", "jacrev", "hessian"])
def test_the_loss_of_a_module_by_its_parameters(transform):
    found = []
    for lib in (tinygrad_mnist, torch):
        model = network(lib)
        found.append(numbers(getattr(lib.func, transform)(loss(lib, model))(detached(model))))
    assert_same(*found)


def test_a_hessian_times_a_vector_of_parameters():
    found = []
    for lib in (tinygrad_mnist, torch):
        model = network(lib)
        p = detached(model)
        along = {name: t * 0 + 1 for name, t in p.items()}
        found.append(numbers(lib.func.jvp(lib.func.grad(loss(lib, model)), (p,), (along,))))
    assert_same(*found)


@pytest.mark.parametrize(
    "given", [{}, {"shift": X[0] + np.zeros(4)}, {"again": 2 * A}, {"inner.V": 2 * B, "W": 3 * A}]
)
def test_a_module_called_with_some_of_its_tensors_replaced(given):
    found = []
    for lib in (tinygrad_mnist, torch):
        x, model = tensors(lib, np.stack([X, Y])), network(lib)
        new = tensors(lib, given)
        calls = [
            lib.func.functional_call(model, new, x),
            lib.func.functional_call(model, new, (x, 2)),
            lib.func.functional_call(model, new, x, {"power": 3}),
        ]
        found.append(numbers(calls))
    assert_same(*found)


def in_their_layout(a, b, second):
    """A second derivative with respect to parameters a and b: of Linear, a matrix is the .T."""
    if len(a.shape) == 2:
        second = second.swapaxes(0, 1)
    return second.swapaxes(-1, -2) if len(b.shape) == 2 else second


def test_the_hessian_of_the_cross_entropy_of_an_mlp():
    ours = tinygrad_mnist.nn.MLP((3, 4, 2), activation="tanh", rng=RNG, dtype=np.float64)
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    p = {name: t.data for name, t in ours.named_parameters()}
    q = {name: torch.tensor(array.T) for name, array in p.items()}
    x, classes = np.stack([X, Y, V]), np.array([0, 1, 1])

    def run(lib, model, parameters, cross_entropy):
        batch, labels = lib.tensor(x), lib.tensor(classes)
        f = lambda p: cross_entropy(lib.func.functional_call(model, p, batch), labels)
        return lib.func.hessian(f)(parameters)

    found = run(tinygrad_mnist, ours, p, tinygrad_mnist.nn.functional.cross_entropy)
    expected = run(torch, theirs, q, torch.nn.functional.cross_entropy)
    assert list(found) == list(expected)
    for a, b in ((a, b) for a in p for b in p):
        second = in_their_layout(p[a], p[b], found[a][b].data)
        np.testing.assert_allclose(second, expected[a][b].numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda lib, x: lib.func.grad(lambda x: x)(x),
        lambda lib, x: lib.func.grad(lambda x: x.sum(), 1)(x),
        lambda lib, x: lib.func.grad(lambda x: x.sum(), (0, 0))(x),
        lambda lib, x: lib.func.grad(lambda x: x.sum(), ())(x),
        lambda lib, x: lib.func.grad(lambda x: x.sum().item())(x),
        lambda lib, x: lib.func.grad(lambda x: x.sum(), has_aux=True)(x),
        lambda lib, x: lib.func.grad(lambda x: x.sum())(lib.tensor([1, 2])),
        lambda lib, x: lib.func.vjp(lambda x: x, x)[1](x[:2]),
        lambda lib, x: lib.func.vjp(lambda x: [x, x], x)[1](x),
        lambda lib, x: lib.func.jvp(lambda x: x, x, x),
        lambda lib, x: lib.func.jvp(lambda x: x, (x,), (x[:2],)),
        lambda lib, x: lib.func.jvp(lambda x: x, (x,), (x, x)),
        lambda lib, x: lib.func.functional_call(network(lib), {"W": x}, (), strict=True),
        lambda lib, x: lib.func.functional_call(
            network(lib), {"W": lib.tensor(A), "again": lib.tensor(2 * A)}, (x,)
        ),
    ],
)
def test_what_torch_refuses_is_refused(wrong):
    for lib in (tinygrad_mnist, torch):
        with pytest.raises((RuntimeError, TypeError, ValueError)):
            wrong(lib, tensors(lib, X))
