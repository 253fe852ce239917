"""Programs written once and run under PyTorch and under this package.

Modules, losses, kinks, state dicts, random chains of ops.
"""

from collections import OrderedDict
from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

import tinygrad_mnist
from tinygrad_mnist.autodiff import ops

torch = pytest.importorskip("torch")


def draw(*shape, seed=0):
    """Float64 values that depend on the shape and the seed only."""
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def grad(lib, *args, **options):
    return (torch.autograd if lib is torch else lib).grad(*args, **options)


def array(t):
    """The array of a tensor; PyTorch has one for its symbolic zeros only if asked twice."""
    return t.detach().numpy(force=True) if isinstance(t, torch.Tensor) else t.detach().numpy()


def derivatives(lib, outputs, leaves):
    """The outputs, their gradients, and the gradients of these, along random cotangents."""
    rng = np.random.default_rng(1)
    outward, inward = (
        [lib.tensor(rng.normal(size=tuple(t.shape))) for t in ts] for ts in (outputs, leaves)
    )
    first = grad(lib, outputs, leaves, outward, create_graph=True, allow_unused=True)
    curved = [i for i, g in enumerate(first) if g is not None and g.requires_grad]
    second = [None] * len(leaves)
    if curved:
        second = grad(
            lib, [first[i] for i in curved], leaves, [inward[i] for i in curved], allow_unused=True
        )
    gradients = [
        np.zeros(tuple(x.shape)) if g is None else array(g)
        for g, x in zip([*first, *second], [*leaves, *leaves], strict=True)
    ]
    return [*map(array, outputs), *gradients]


def assert_agree(ours, theirs, tolerance):
    """Equal up to the tolerance times the largest value in the array (at least 1).

    Infinities where the other has them.
    """
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        scale = np.max(np.abs(b), initial=1, where=np.isfinite(b))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)


def check(f, *arrays, tolerance=1e-12):
    """A function of the library and tensors has the same value and derivatives under both.

    To second order.
    """

    def run(lib):
        leaves = [lib.tensor(x, requires_grad=True) for x in arrays]
        return derivatives(lib, [f(lib, *leaves)], leaves)

    assert_agree(run(tinygrad_mnist), run(torch), tolerance)


# ---------------------------------------------------------------- functions

FUNCTIONS = {
    "relu": lambda F, x: F.relu(x),
    "leaky_relu": lambda F, x: F.leaky_relu(x),
    "leaky_relu, another slope": lambda F, x: F.leaky_relu(x, 0.3),
    "leaky_relu, slope by name": lambda F, x: F.leaky_relu(x, negative_slope=-0.5),
    "sigmoid": lambda F, x: F.sigmoid(x),
    "tanh": lambda F, x: F.tanh(x),
    "softplus": lambda F, x: F.softplus(x),
    "logsigmoid": lambda F, x: F.logsigmoid(x),
    "softmax": lambda F, x: F.softmax(x, 1),
    "softmax over columns": lambda F, x: F.softmax(x, dim=0),
    "log_softmax": lambda F, x: F.log_softmax(x, -1),
    "log_softmax over columns": lambda F, x: F.log_softmax(x, dim=0),
    "dropout in evaluation": lambda F, x: F.dropout(x, 0.9, training=False) * 1,
    "dropout of nothing": lambda F, x: F.dropout(x, p=0.0) * 1,
}
EXTREME = np.array(
    [[-1e4, -800.0, -40.0, -20.0, -1e-9, 1e-300], [1e-9, 15.0, 19.0, 36.0, 800.0, 1e4]]
)


@pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize(
    "x",
    [draw(5, 3), draw(4, 2, 3), 5 * draw(1, 7), EXTREME],
    ids=["matrix", "stack", "row", "extreme"],
)
def test_function(f, x):
    check(lambda lib, x: f(lib.nn.functional, x), x)


def test_softplus_keeps_the_digits_that_pytorch_drops_beyond_20():
    x = np.array([20.5, 25.0])
    theirs = torch.nn.functional.softplus(torch.tensor(x)).numpy()
    assert (theirs == x).all()
    np.testing.assert_array_equal(tinygrad_mnist.nn.functional.softplus(x), np.logaddexp(0, x))


@pytest.mark.parametrize(
    "x", [draw(5, 3), draw(2, 5, 3), draw(3)], ids=["matrix", "stack", "vector"]
)
def test_linear_function_with_the_weight_transposed(x):
    def weight(lib, w):
        return w.T if lib is torch else w

    check(lambda lib, x, w: lib.nn.functional.linear(x, weight(lib, w)), x, draw(3, 4))
    check(
        lambda lib, x, w, b: lib.nn.functional.linear(x, weight(lib, w), b), x, draw(3, 4), draw(4)
    )


@pytest.mark.parametrize("p", [0.25, 0.5, 0.9])
def test_dropout_in_training_scales_what_it_keeps_and_its_gradient_alike(p):
    def run(lib):
        x = lib.tensor(np.abs(draw(200, 50)) + 1, requires_grad=True)
        y = lib.nn.Dropout(p)(x)
        y.sum().backward()
        np.testing.assert_allclose(x.grad.numpy() * x.detach().numpy(), y.detach().numpy())
        assert abs((y.detach().numpy() == 0).mean() - p) < 0.03  # 6 standard deviations
        return np.unique(x.grad.numpy())

    np.testing.assert_allclose(run(tinygrad_mnist), run(torch), rtol=1e-15)


# ---------------------------------------------------------------- losses

LOGITS = {
    "ordinary": draw(6, 4),
    "confident": 1e3 * draw(6, 4),
    "certain": 1e6 * draw(6, 4),
    "all equal": np.zeros((6, 4)),
    "shifted": draw(6, 4) + 1e4,
    "one class": draw(6, 1),
}


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("logits", LOGITS.values(), ids=LOGITS)
def test_cross_entropy(logits, reduction, smoothing):
    settings = {"reduction": reduction, "label_smoothing": smoothing}
    target = np.arange(6) % logits.shape[1]
    check(lambda lib, x: lib.nn.functional.cross_entropy(x, lib.tensor(target), **settings), logits)
    check(lambda lib, x: lib.nn.CrossEntropyLoss(**settings)(x, lib.tensor(target)), logits)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(5, 3), (4,), (), (2, 1, 3)])
def test_mse(shape, reduction):
    check(
        lambda lib, x, y: lib.nn.functional.mse_loss(x, y, reduction=reduction),
        draw(*shape),
        draw(*shape, seed=1),
    )
    check(
        lambda lib, x, y: lib.nn.MSELoss(reduction=reduction)(x, y),
        draw(*shape),
        draw(*shape, seed=1),
    )


def test_losses_average_by_default():
    target = np.array([0, 2])
    check(lambda lib, x: lib.nn.CrossEntropyLoss()(x, lib.tensor(target)), draw(2, 3))
    check(lambda lib, x: lib.nn.functional.cross_entropy(x, lib.tensor(target)), draw(2, 3))
    check(lambda lib, x, y: lib.nn.MSELoss()(x, y), draw(2, 3), draw(2, 3, seed=1))
    check(lambda lib, x, y: lib.nn.functional.mse_loss(x, y), draw(2, 3), draw(2, 3, seed=1))


# ---------------------------------------------------------------- kinks and ties


def amax(lib, x, axis, keepdims=False):
    return torch.amax(x, axis, keepdims) if lib is torch else x.max(axis, keepdims)


def amin(lib, x, axis, keepdims=False):
    return torch.amin(x, axis, keepdims) if lib is torch else x.min(axis, keepdims)


def elementwise(name):
    """The function of that name of two tensors."""
    return lambda lib, x, y: (torch if lib is torch else np).__dict__[name](x, y)


AT_ZERO = np.array([-1.0, -0.0, 0.0, 1.0])
TIED = np.array([[2.0, 1.0, 2.0], [3.0, 3.0, 3.0], [0.0, 1.0, 2.0]])
KINKS = {
    "relu": (lambda lib, x: lib.nn.functional.relu(x), AT_ZERO),
    "leaky_relu": (lambda lib, x: lib.nn.functional.leaky_relu(x, 0.1), AT_ZERO),
    "abs": (lambda lib, x: x.abs(), AT_ZERO),
    "clamp at both bounds": (
        lambda lib, x: (x * x).clamp(0.25, 4.0),
        np.array([-3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 2.0, 3.0]),
    ),
    "clamp from below": (lambda lib, x: x.clamp(min=0.0), AT_ZERO),
    "clamp from above": (lambda lib, x: x.clamp(max=0.0), AT_ZERO),
    "maximum": (elementwise("maximum"), TIED, TIED[:, ::-1].copy()),
    "minimum": (elementwise("minimum"), TIED, TIED[:, ::-1].copy()),
    "maximum with a broadcast tie": (elementwise("maximum"), TIED, np.array([2.0, 3.0, 2.0])),
    "maximum of x and x": (lambda lib, x: elementwise("maximum")(lib, x, x), TIED),
    "max over rows": (lambda lib, x: amax(lib, x, 1), TIED),
    "max over columns": (lambda lib, x: amax(lib, x * x, 0, True), TIED),
    "max over both": (lambda lib, x: amax(lib, x, (0, 1)), TIED),
    "min over rows": (lambda lib, x: amin(lib, x, 1), TIED),
    "sqrt at 0": (lambda lib, x: x.sqrt(), np.array([0.0, 1.0])),
    "power 0 at 0": (lambda lib, x: x**0, AT_ZERO),
    "power 1 at 0": (lambda lib, x: x**1, AT_ZERO),
    "power 2 at 0": (lambda lib, x: x**2, AT_ZERO),
    "where with an infinite slope unused": (
        lambda lib, x: (torch if lib is torch else np).where(x > 0, x.abs().sqrt(), x),
        AT_ZERO,
    ),
}


@pytest.mark.parametrize(("f", "arrays"), [(f, arrays) for f, *arrays in KINKS.values()], ids=KINKS)
def test_kink(f, arrays):
    check(f, *arrays)


# ---------------------------------------------------------------- modules

MODULES = {
    "Linear": lambda nn: nn.Linear(3, 4),
    "Linear without bias": lambda nn: nn.Linear(3, 4, bias=False),
    "ReLU": lambda nn: nn.ReLU(),
    "LeakyReLU": lambda nn: nn.LeakyReLU(),
    "LeakyReLU, another slope": lambda nn: nn.LeakyReLU(0.3),
    "Sigmoid": lambda nn: nn.Sigmoid(),
    "Tanh": lambda nn: nn.Tanh(),
    "Softmax": lambda nn: nn.Softmax(dim=-1),
    "Softmax over columns": lambda nn: nn.Softmax(0),
    "LogSoftmax": lambda nn: nn.LogSoftmax(dim=1),
    "Flatten": lambda nn: nn.Flatten(),
    "Identity": lambda nn: nn.Identity(),
    "Dropout in evaluation": lambda nn: nn.Dropout(0.5).eval(),
    "a network": lambda nn: nn.Sequential(
        nn.Linear(3, 5),
        nn.Tanh(),
        nn.Sequential(nn.Linear(5, 5), nn.LeakyReLU()),
        nn.Linear(5, 2),
        nn.LogSoftmax(dim=-1),
    ),
    "a network that uses a layer twice": lambda nn: nn.Sequential(
        *[nn.Linear(3, 3), nn.Sigmoid()] * 2
    ),
}


def filled(lib, model):
    """The model with the same random parameters in float64 under both libraries.

    Matrices are transposed for PyTorch.
    """
    if lib is torch:
        model.double()
    for i, p in enumerate(model.parameters()):
        p.data = lib.tensor(
            draw(*reversed(p.shape), seed=i).T if lib is torch else draw(*p.shape, seed=i)
        )
    return model


def in_our_layout(lib, ts):
    return [array(t).T if lib is torch and t.ndim == 2 else array(t) for t in ts]


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)
@pytest.mark.parametrize("shape", [(5, 3), (2, 4, 3), (1, 3)])
def test_module(make, shape):
    def run(lib):
        model, x = filled(lib, make(lib.nn)), lib.tensor(draw(*shape), requires_grad=True)
        out = model(x)
        out.backward(lib.tensor(draw(*out.shape, seed=9)))
        return [
            out.detach().numpy(),
            x.grad.numpy(),
            *in_our_layout(lib, [p.grad for p in model.parameters()]),
        ]

    assert_agree(run(tinygrad_mnist), run(torch), 1e-12)


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)
@pytest.mark.parametrize("lib", [torch, tinygrad_mnist], ids=["torch", "ours"])
def test_a_module_calls_its_argument_input(lib, make):
    x = lib.tensor(draw(5, 3).astype(np.float32))
    assert make(lib.nn)(input=x).shape[0] == 5


@pytest.mark.parametrize("lib", [torch, tinygrad_mnist], ids=["torch", "ours"])
def test_a_list_may_start_with_no_modules(lib):
    assert len(lib.nn.ModuleList(modules=None)) == len(lib.nn.ModuleList()) == 0


@pytest.mark.parametrize("output", ["cross-entropy", "mse"])
def test_a_network_follows_the_same_path_for_20_steps(output):
    x, labels = draw(16, 4), np.arange(16) % 3

    def train(lib):
        nn, t = lib.nn, lib.tensor(x)
        model = filled(
            lib,
            nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)),
        )
        optimizer = lib.optim.SGD(
            model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3, nesterov=True
        )
        target = lib.tensor(labels if output == "cross-entropy" else np.eye(3)[labels])
        loss_fn = (
            nn.CrossEntropyLoss(label_smoothing=0.1)
            if output == "cross-entropy"
            else nn.MSELoss(reduction="sum")
        )
        path = []
        for _ in range(20):
            loss = loss_fn(model(t), target)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            path += [
                np.array(loss.item()),
                *(a.copy() for a in in_our_layout(lib, model.parameters())),
            ]
        return path

    ours, theirs = train(tinygrad_mnist), train(torch)
    assert abs(ours[0] - ours[-7]) > 0.1  # it learned something
    assert_agree(ours, theirs, 1e-12)


# ---------------------------------------------------------------- module trees


def tree(lib):
    """A model with parameters before, between and behind modules, buffers, shared ones, None."""

    class Tree(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = lib.nn.Linear(3, 3)
            self.register_buffer("count", lib.tensor(np.zeros(2)))
            self.scale = lib.nn.Parameter(lib.tensor(np.ones(3)))
            self.register_buffer("later", None)
            self.layers = lib.nn.ModuleList(
                [
                    lib.nn.Dropout(0.5),
                    lib.nn.Sequential(lib.nn.ReLU(), lib.nn.Linear(3, 2, bias=False)),
                ]
            )
            self.layers.append(lib.nn.Identity())
            self.again = self.first
            self.tied = self.scale
            self.nothing = None
            self.note = "text"

        def forward(self, x):
            x = self.first(x) * self.scale
            for layer in self.layers:
                x = layer(x)
            return x

    return Tree()


def kinds(named):
    return [(name, type(module).__name__) for name, module in named]


def in_a_cycle(model):
    """The model, known by a part of it."""
    model.first.model = model
    return model


def modes_with_a_frozen_part(lib, model):
    class Frozen(lib.nn.Sequential):
        def train(self, mode=True):
            return super().train(False)

    model.layers.append(Frozen(lib.nn.Dropout(0.5)))
    return [module.training for module in model.train().modules()]


def gradients_after_zero_grad(model, **options):
    for p in model.parameters():
        p.grad = p.detach()
    model.zero_grad(**options)
    return [p.grad for p in model.parameters()]


def list_programs(lib, model):
    """The names in a model after a slice, an item, an append and an extension."""
    nn = lib.nn
    named = nn.Sequential(OrderedDict(one=nn.Linear(2, 2), two=nn.ReLU(), three=nn.Linear(2, 2)))
    named[-1] = nn.Tanh()
    model.layers.extend([nn.ReLU(), nn.Linear(2, 2)])
    model.layers[0] = nn.Linear(1, 1)
    named.append(nn.Linear(2, 2))
    parts = (named, named[1:], named[:-1], model.layers, model.layers[1:])
    return [(len(part), kinds(part.named_children()), list(part.state_dict())) for part in parts]


def copied(lib, model):
    """What a deep copy keeps: classes, names, what is frozen and shared, but no gradient."""
    for p in model.parameters():
        p.grad = p.detach()
    model.first.bias.requires_grad_(False)
    copy = deepcopy(model)
    return (
        list(copy.state_dict()),
        [(type(p).__name__, p.requires_grad, p.grad) for p in copy.parameters()],
        copy.tied is copy.scale,
        copy.again is copy.first,
        [p is q for p, q in zip(copy.parameters(), model.parameters(), strict=True)],
    )


def written_in_place(lib, model, write):
    """Whether what shared the memory of the weights sees the new values."""
    array = model.first.weight.detach().numpy()
    write(model)
    return bool((array == 7).all()), np.shares_memory(array, model.first.weight.detach().numpy())


def sevens(lib, model):
    return {name: lib.tensor(np.full(t.shape, 7.0)) for name, t in model.state_dict().items()}


def reassigned(model, **attributes):
    """The names in the state dict after assigning attributes."""
    for name, value in attributes.items():
        setattr(model, name, value)
    return list(model.state_dict())


def applied(model):
    seen = []
    model.apply(lambda module: seen.append(type(module).__name__))
    return seen


TREES = {
    "named_parameters": lambda lib, m: [name for name, _ in m.named_parameters()],
    "named_parameters with a prefix": lambda lib, m: [
        name for name, _ in m.named_parameters("model")
    ],
    "parameters": lambda lib, m: len(list(m.parameters())),
    "named_buffers": lambda lib, m: [name for name, _ in m.named_buffers()],
    "named_buffers with a prefix": lambda lib, m: [
        name for name, _ in m.named_buffers(prefix="model")
    ],
    "buffers": lambda lib, m: [tuple(t.shape) for t in m.buffers()],
    "state_dict": lambda lib, m: list(m.state_dict()),
    "state_dict needs no grad": lambda lib, m: [t.requires_grad for t in m.state_dict().values()],
    "modules": lambda lib, m: [type(module).__name__ for module in m.modules()],
    "named_modules": lambda lib, m: kinds(m.named_modules()),
    "named_modules with a prefix": lambda lib, m: kinds(m.named_modules(prefix="model")),
    "named_modules under every name": lambda lib, m: kinds(m.named_modules(remove_duplicate=False)),
    "named_modules without some": lambda lib, m: kinds(m.named_modules({m.layers[1]})),
    "named_modules of a cycle": lambda lib, m: kinds(in_a_cycle(m).named_modules()),
    "parameters of a cycle": lambda lib, m: [n for n, _ in in_a_cycle(m).named_parameters()],
    "buffers of a cycle": lambda lib, m: [n for n, _ in in_a_cycle(m).first.named_buffers()],
    "named_children": lambda lib, m: [name for name, _ in m.named_children()],
    "children": lambda lib, m: [type(child).__name__ for child in m.children()],
    "apply": lambda lib, m: applied(m),
    "eval": lambda lib, m: [module.training for module in m.eval().modules()],
    "train": lambda lib, m: [module.training for module in m.eval().train().modules()],
    "train(False) inside": lambda lib, m: (
        m.layers.train(False) is m.layers,
        [module.training for module in m.modules()],
    ),
    "train of its own": lambda lib, m: modes_with_a_frozen_part(lib, m),
    "zero_grad": lambda lib, m: gradients_after_zero_grad(m),
    "zero_grad to zeros": lambda lib, m: [
        array(g).ravel().tolist() for g in gradients_after_zero_grad(m, set_to_none=False)
    ],
    "requires_grad_": lambda lib, m: [
        p.requires_grad for p in m.requires_grad_(False).parameters()
    ],
    "requires_grad_ inside": lambda lib, m: (
        m.first.requires_grad_(False) is m.first,
        [p.requires_grad for p in m.parameters()],
    ),
    "lists": list_programs,
    "a deep copy": copied,
    "loading writes in place": lambda lib, m: written_in_place(
        lib, m, lambda m: m.load_state_dict(sevens(lib, m))
    ),
    "initialising writes in place": lambda lib, m: written_in_place(
        lib, m, lambda m: lib.nn.init.constant_(m.first.weight, 7.0)
    ),
    "a layer's widths": lambda lib, m: (m.first.in_features, m.first.out_features),
    "length": lambda lib, m: (
        len(m.layers),
        len(m.layers[1]),
        type(m.layers[-1]).__name__,
        [type(x).__name__ for x in m.layers],
    ),
    "a parameter becomes None": lambda lib, m: reassigned(m, scale=None),
    "a buffer becomes None": lambda lib, m: reassigned(m, count=None),
    "a buffer gets another tensor": lambda lib, m: reassigned(
        m, count=lib.tensor(np.ones(5)), later=lib.tensor(1.0)
    ),
    "a tensor is no parameter": lambda lib, m: reassigned(m, other=lib.tensor(1.0)),
    "a buffer registered again": lambda lib, m: (
        m.register_buffer("count", lib.tensor(1.0)),
        list(m.state_dict()),
    ),
    "a parameter gets another parameter": lambda lib, m: reassigned(
        m, scale=lib.nn.Parameter(lib.tensor(np.ones(1)))
    ),
}


@pytest.mark.parametrize("f", TREES.values(), ids=TREES)
def test_module_tree(f):
    assert f(tinygrad_mnist, tree(tinygrad_mnist)) == f(torch, tree(torch))


def outcome(f, lib):
    """What a program returns, or the class of what it raises."""
    try:
        return f(lib, tree(lib))
    except Exception as error:  # noqa: BLE001
        return type(error)


def changed(lib, model, **values):
    """The state dict of a model with some values replaced; those that are None are left out."""
    state = {name: lib.tensor(t.numpy() + 1) for name, t in model.state_dict().items()} | values
    return {name: value for name, value in state.items() if value is not None}


def loaded(lib, model, state, **options):
    """What was missing and unexpected, and the values afterwards."""
    keys = model.load_state_dict(state, **options)
    return (
        list(keys.missing_keys),
        list(keys.unexpected_keys),
        [t.tolist() for t in map(np.asarray, in_our_layout(lib, model.state_dict().values()))],
    )


LOADS = {
    "all": lambda lib, m: loaded(lib, m, changed(lib, filled(lib, m))),
    "another dtype": lambda lib, m: loaded(
        lib, m, changed(lib, filled(lib, m), scale=lib.tensor(np.arange(3)))
    ),
    "tied, the last wins": lambda lib, m: loaded(
        lib, m, changed(lib, filled(lib, m), tied=lib.tensor(np.full(3, 7.0)))
    ),
    "missing": lambda lib, m: loaded(lib, m, changed(lib, m, scale=None)),
    "missing the second name of a tied one": lambda lib, m: loaded(
        lib, m, changed(lib, m, tied=None)
    ),
    "missing buffer": lambda lib, m: loaded(lib, m, changed(lib, m, count=None)),
    "unexpected": lambda lib, m: loaded(lib, m, changed(lib, m, extra=lib.tensor(1.0))),
    "missing and unexpected, not strict": lambda lib, m: loaded(
        lib,
        filled(lib, m),
        changed(lib, m, scale=None, extra=lib.tensor(1.0), count=None),
        strict=False,
    ),
    "nothing, not strict": lambda lib, m: loaded(lib, filled(lib, m), {}, strict=False),
    "shape": lambda lib, m: loaded(lib, m, changed(lib, m, scale=lib.tensor(np.ones(7)))),
    "shape that broadcasts": lambda lib, m: loaded(
        lib, m, changed(lib, m, scale=lib.tensor(np.ones(1)))
    ),
    "shape, not strict": lambda lib, m: loaded(
        lib, m, changed(lib, m, scale=lib.tensor(np.ones(7))), strict=False
    ),
    "shape of a buffer": lambda lib, m: loaded(
        lib, m, changed(lib, m, count=lib.tensor(np.ones(7)))
    ),
    "text": lambda lib, m: loaded(lib, m, changed(lib, m, scale="abc")),
    "no mapping": lambda lib, m: loaded(lib, m, "weights.npz"),
}
MISUSE = {
    "a tensor for a parameter": lambda lib, m: reassigned(m, scale=lib.tensor(1.0)),
    "a number for a buffer": lambda lib, m: reassigned(m, count=3.0),
    "a buffer named as a parameter": lambda lib, m: m.register_buffer("scale", lib.tensor(1.0)),
    "a buffer named as a method": lambda lib, m: m.register_buffer("forward", lib.tensor(1.0)),
    "a buffer with a dot": lambda lib, m: m.register_buffer("a.b", lib.tensor(1.0)),
    "a buffer named by a number": lambda lib, m: m.register_buffer(1, lib.tensor(1.0)),
    "a function for a module": lambda lib, m: reassigned(m, first=np.tanh),
    "a tensor for a module": lambda lib, m: reassigned(m, first=lib.tensor(1.0)),
    "a list of modules": lambda lib, m: lib.nn.Sequential([lib.nn.ReLU()]),
    "a list of no modules": lambda lib, m: lib.nn.ModuleList(3),
    "a function in a place": lambda lib, m: m.layers.__setitem__(0, np.tanh),
    "a mode of training": lambda lib, m: m.train("False"),
    "features of text": lambda lib, m: lib.nn.Linear("2", 3),
    "features with a fraction": lambda lib, m: lib.nn.Linear(2.5, 3),
    "a fraction of text": lambda lib, m: lib.nn.Dropout("0.5"),
    "a gain of text": lambda lib, m: lib.nn.init.xavier_uniform_(m.first.weight, "relu"),
    "a list of functions": lambda lib, m: lib.nn.ModuleList([np.tanh]),
    "a sequence of functions": lambda lib, m: lib.nn.Sequential(np.tanh),
    "an index too large": lambda lib, m: m.layers[3],
    "a call of a list": lambda lib, m: m.layers(1),
    "a reduction": lambda lib, m: lib.nn.MSELoss(reduction="average")(
        lib.tensor(1.0), lib.tensor(1.0)
    ),
    "a probability": lambda lib, m: lib.nn.Dropout(-0.5),
    "the probability of a function": lambda lib, m: lib.nn.functional.dropout(
        lib.tensor(1.0), 1.5, False
    ),
    "a nonlinearity": lambda lib, m: lib.nn.init.calculate_gain("swish"),
    "a mode": lambda lib, m: lib.nn.init.kaiming_uniform_(m.first.weight, mode="fan"),
    "fans of a vector": lambda lib, m: lib.nn.init.xavier_uniform_(m.scale),
    "other counts of rows and targets": lambda lib, m: lib.nn.CrossEntropyLoss()(
        lib.tensor(draw(2, 3)), lib.tensor(np.arange(3))
    ),
}


@pytest.mark.parametrize("f", LOADS.values(), ids=LOADS)
def test_load_state_dict(f):
    assert outcome(f, tinygrad_mnist) == outcome(f, torch)


@pytest.mark.parametrize("f", MISUSE.values(), ids=MISUSE)
def test_misuse_raises_the_class_of_pytorchs(f):
    ours, theirs = outcome(f, tinygrad_mnist), outcome(f, torch)
    assert isinstance(theirs, type)
    assert ours is theirs


# ---------------------------------------------------------------- initial values


@pytest.mark.parametrize("nonlinearity", ["linear", "sigmoid", "tanh", "relu", "leaky_relu"])
@pytest.mark.parametrize("param", [None, 0, 0.3])
def test_gains(nonlinearity, param):
    assert tinygrad_mnist.nn.init.calculate_gain(
        nonlinearity, param
    ) == torch.nn.init.calculate_gain(nonlinearity, param)


INITS = {
    "xavier_uniform_": lambda init, t: init.xavier_uniform_(t, 2.0),
    "xavier_normal_": lambda init, t: init.xavier_normal_(t),
    "kaiming_uniform_": lambda init, t: init.kaiming_uniform_(t),
    "kaiming_uniform_, slope": lambda init, t: init.kaiming_uniform_(t, 2),
    "kaiming_uniform_, fan_out": lambda init, t: init.kaiming_uniform_(
        t, mode="fan_out", nonlinearity="tanh"
    ),
    "kaiming_normal_": lambda init, t: init.kaiming_normal_(t, 0, "fan_in", "relu"),
    "kaiming_normal_, fan_out": lambda init, t: init.kaiming_normal_(t, 0.5, "fan_out"),
    "uniform_": lambda init, t: init.uniform_(t),
    "uniform_ between": lambda init, t: init.uniform_(t, -3.0, -1.0),
    "normal_": lambda init, t: init.normal_(t),
    "normal_ elsewhere": lambda init, t: init.normal_(t, 5.0, 0.1),
    "constant_": lambda init, t: init.constant_(t, 3.5),
    "zeros_": lambda init, t: init.zeros_(t),
    "ones_": lambda init, t: init.ones_(t),
}


@pytest.mark.parametrize("f", INITS.values(), ids=INITS)
def test_initial_values_have_the_same_spread(f):
    def spread(lib):
        torch.manual_seed(0)
        t = lib.nn.Linear(500, 300).weight
        assert f(lib.nn.init, t) is t
        values = t.detach().numpy().astype(np.float64)
        return np.array(
            [values.mean(), values.std(), *np.quantile(values, [0.05, 0.25, 0.75, 0.95])]
        )

    ours, theirs = spread(tinygrad_mnist), spread(torch)
    np.testing.assert_allclose(ours, theirs, rtol=0.02, atol=0.02 * theirs[1])


# ---------------------------------------------------------------- errors of the tape


def step_between(lib):
    """An optimizer's step between forward and backward."""
    model = lib.nn.Sequential(lib.nn.Linear(3, 3), lib.nn.Linear(3, 3))
    x = lib.tensor(np.ones((2, 3), np.float32))
    early, late = model(x).sum(), model(x).sum()
    early.backward()
    lib.optim.SGD(model.parameters(), lr=0.1).step()
    late.backward()


def twice(lib, **options):
    x = lib.tensor([2.0], requires_grad=True)
    y = x * x
    y.backward(**options)
    y.backward()
    return x.grad.item()


def under_no_grad(lib):
    x = lib.tensor([2.0], requires_grad=True)
    with lib.no_grad():
        return x * x


def with_two(lib, f):
    """A function of two tensors that require grad."""
    return f(lib.tensor([2.0], requires_grad=True), lib.tensor([3.0], requires_grad=True))


def several(lib):
    return lib.tensor([1.0, 2.0], requires_grad=True) * 2


ERRORS = {
    "backward twice": twice,
    "backward on several numbers": lambda lib: several(lib).backward(),
    "backward without a graph": lambda lib: lib.tensor([1.0]).backward(),
    "backward of what was computed under no_grad": lambda lib: under_no_grad(lib).backward(),
    "grad of an unused input": lambda lib: with_two(lib, lambda x, y: grad(lib, x * x, y)),
    "grad of an input that requires none": lambda lib: with_two(
        lib, lambda x, y: grad(lib, x * x, lib.tensor([1.0]))
    ),
    "grad of several numbers": lambda lib: grad(lib, *[several(lib)] * 2),
    "grad through a freed graph": lambda lib: with_two(
        lib, lambda x, y: [grad(lib, z, x) for z in [x * x] * 2]
    ),
    "a step between forward and backward": step_between,
    "an array of what requires grad": lambda lib: several(lib).numpy(),
    "requires_grad off behind an op": lambda lib: several(lib).requires_grad_(False),
    "a tensor of text": lambda lib: lib.tensor("abc"),
}
FINE = {
    "backward twice with retain_graph": lambda lib: twice(lib, retain_graph=True),
    "an unused input allowed": lambda lib: with_two(
        lib, lambda x, y: grad(lib, x * x, y, allow_unused=True)
    ),
    "requires_grad_ on a leaf": lambda lib: lib.tensor([1.0]).requires_grad_().requires_grad,
    "recorded under no_grad": lambda lib: under_no_grad(lib).requires_grad,
}
# Where the class is another on purpose: what the value of an argument makes impossible is a
# ValueError, what its type does a TypeError; and what PyTorch lets pass though it is nearly always
# a mistake.
OTHERWISE = {
    "integers that require grad": (
        lambda lib: lib.tensor([1], requires_grad=True),
        TypeError,
        RuntimeError,
    ),
    "the number in several": (lambda lib: several(lib).item(), ValueError, RuntimeError),
    "the truth of several": (lambda lib: bool(several(lib)), ValueError, RuntimeError),
    "a cotangent of another shape": (
        lambda lib: several(lib).backward(lib.tensor([1.0])),
        ValueError,
        RuntimeError,
    ),
    "features": (lambda lib: lib.nn.Linear(3, 2)(lib.tensor([1.0])), ValueError, RuntimeError),
    "a class too many": (
        lambda lib: lib.nn.CrossEntropyLoss()(lib.tensor([[1.0]]), lib.tensor([1])),
        ValueError,
        IndexError,
    ),
    "classes as floats": (
        lambda lib: lib.nn.CrossEntropyLoss()(lib.tensor([[1.0]]), lib.tensor([1.0])),
        ValueError,
        RuntimeError,
    ),
    "smoothing above 1": (
        lambda lib: lib.nn.CrossEntropyLoss(label_smoothing=1.5)(
            lib.tensor([[1.0]]), lib.tensor([0])
        ),
        ValueError,
        RuntimeError,
    ),
    "an axis that is not there": (
        lambda lib: lib.nn.Softmax(dim=2)(several(lib)),
        np.exceptions.AxisError,
        IndexError,
    ),
    "one row of logits alone": (
        lambda lib: lib.nn.CrossEntropyLoss()(lib.tensor([1.0]), lib.tensor(0)).item(),
        ValueError,
        0.0,
    ),
    "an mse that broadcasts": (
        lambda lib: lib.nn.MSELoss()(lib.tensor([1.0]), several(lib)),
        ValueError,
        UserWarning,
    ),
    "dropout of everything": (
        lambda lib: lib.nn.Dropout(1)(lib.tensor([1.0])).item(),
        ValueError,
        0.0,
    ),
    "a step on a parameter that was only added": (
        lambda lib: step_on_summand(lib).item(),
        RuntimeError,
        1.0,
    ),
}


def step_on_summand(lib):
    x = lib.tensor([2.0], requires_grad=True)
    x.grad = lib.tensor([1.0])
    y = x + 1
    lib.optim.SGD([x], lr=0.1).step()
    x.grad = None
    y.backward()
    return x.grad


def outcome_alone(f, lib):
    return outcome(lambda lib, _: f(lib), lib)


@pytest.mark.parametrize("f", ERRORS.values(), ids=ERRORS)
def test_error_has_the_class_of_pytorchs(f):
    ours, theirs = outcome_alone(f, tinygrad_mnist), outcome_alone(f, torch)
    assert isinstance(theirs, type)
    assert ours is theirs


@pytest.mark.parametrize("f", FINE.values(), ids=FINE)
def test_what_is_no_error(f):
    assert outcome_alone(f, tinygrad_mnist) == outcome_alone(f, torch)


@pytest.mark.parametrize(("f", "ours", "theirs"), OTHERWISE.values(), ids=OTHERWISE)
def test_error_that_differs_on_purpose(f, ours, theirs):
    assert (outcome_alone(f, tinygrad_mnist), outcome_alone(f, torch)) == (ours, theirs)


# ---------------------------------------------------------------- random programs


def where(lib, x, y):
    return (torch if lib is torch else np).where(x > y, x * y, y)


def spread(lib, x, name, axis, correction):
    return getattr(x, name)(
        axis=axis, **{"correction" if lib is torch else "ddof": correction}, keepdims=True
    )


def reduce(lib, x, axis, keepdims, name):
    return getattr(x, name)(axis=axis, keepdims=keepdims)


def logsumexp(lib, x, axis):
    return torch.logsumexp(x, axis) if lib is torch else ops.logsumexp(x, axis=axis)


def permute(lib, x, axes):
    return x.permute(axes) if lib is torch else x.transpose(axes)


def apart(x, axis):
    """Whether no two elements along an axis are nearly equal."""
    return (np.diff(np.sort(x, axis=axis), axis=axis) > 1e-3).all()


# Arguments of log, sqrt, powers and quotients are kept away from 0.
UNARY = {
    "neg": lambda x: -x,
    "exp": lambda x: x.sin().exp(),
    "log": lambda x: (x * x + 0.5).log(),
    "sqrt": lambda x: (x * x + 0.5).sqrt(),
    "tanh": lambda x: x.tanh(),
    "sigmoid": lambda x: x.sigmoid(),
    "sin": lambda x: x.sin(),
    "cos": lambda x: x.cos(),
    "square": lambda x: x**2,
    "cube": lambda x: x**3,
    "inverse power": lambda x: (x * x + 0.5) ** -1.5,
    "exponential": lambda x: 2.0 ** x.tanh(),
    "numbers on both sides": lambda x: 1 - (x * 0.5 + 2) / 3,
    "a number divided": lambda x: 1 / (x * x + 0.5),
}
BINARY = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / (y * y + 0.5),
    "pow": lambda x, y: (x * x + 0.5) ** y.tanh(),
}


def axis_of(rng, x):
    return int(rng.integers(-x.ndim, x.ndim))


def axes_of(rng, x):
    """All axes, one, or several."""
    some = tuple(int(i) for i in range(x.ndim) if rng.random() < 0.6)
    return [None, axis_of(rng, x), some or None][rng.integers(3)]


def draw_reduction(rng, x):
    axis, keepdims, name = axes_of(rng, x), bool(rng.integers(2)), ["sum", "mean"][rng.integers(2)]
    return lambda lib, x: reduce(lib, x, axis, keepdims, name)


def draw_extreme(rng, x):
    axis, keepdims, f = axis_of(rng, x), bool(rng.integers(2)), [amax, amin][rng.integers(2)]
    return (lambda lib, x: f(lib, x, axis, keepdims)) if apart(x, axis) else None


def draw_spread(rng, x):
    axis, name, correction = axis_of(rng, x), ["var", "std"][rng.integers(2)], int(rng.integers(2))
    return (
        (lambda lib, x: spread(lib, x, name, axis, correction))
        if x.shape[axis] > 1 and x.std(axis=axis).min() > 0.1
        else None
    )


def draw_softmax(rng, x):
    axis, name = axis_of(rng, x), ["softmax", "log_softmax"][rng.integers(2)]
    return lambda lib, x: getattr(lib.nn.functional, name)(x, dim=axis)


def draw_logsumexp(rng, x):
    axis = axis_of(rng, x)
    return lambda lib, x: logsumexp(lib, x, axis)


def draw_shape(rng, x):
    shape = [(-1,), (*x.shape, 1), (1, *x.shape), x.shape[::-1]][rng.integers(4)]
    return lambda lib, x: x.reshape(shape)


def draw_transpose(rng, x):
    axes = [int(i) for i in rng.permutation(x.ndim)]
    return lambda lib, x: permute(lib, x, axes)


def draw_index(rng, x):
    n = x.shape[0]
    repeated = [int(i) for i in rng.integers(n, size=4)]
    keys = [
        repeated,
        slice(None, None, 2),
        int(rng.integers(n)),
        (..., None),
        (repeated, ..., slice(1, None)),
    ][: 5 if x.ndim > 1 else 4]
    key = keys[rng.integers(len(keys))]
    return lambda lib, x: x[key]


def draw_clamp(rng, x):
    low, high = [(-0.5, 0.5), (None, 0.3), (0.1, None)][rng.integers(3)]
    clear = all(bound is None or (abs(x - bound) > 1e-3).all() for bound in (low, high))
    return (lambda lib, x: x.clamp(min=low, max=high)) if clear else None


def draw_abs(rng, x):
    return (lambda lib, x: x.abs()) if (abs(x) > 1e-3).all() else None


def broadcast(x, y):
    return all(m == n or 1 in (m, n) for m, n in zip(x.shape[::-1], y.shape[::-1], strict=False))


def draw_matmul(rng, x, y):
    inner = y.shape[-2 if y.ndim > 1 else 0]
    fits = x.shape[-1] == inner and (min(x.ndim, y.ndim) < 3 or broadcast(x[:, 0, 0], y[:, 0, 0]))
    return (lambda lib, x, y: x @ y) if fits else None


def draw_choice(rng, x, y):
    f = [where, elementwise("maximum"), elementwise("minimum")][rng.integers(3)]
    return f if broadcast(x, y) and (abs(x - y) > 1e-3).all() else None


def always(f):
    return lambda rng, x: lambda lib, x: f(x)


def if_broadcast(f):
    return lambda rng, x, y: (lambda lib, x, y: f(x, y)) if broadcast(x, y) else None


# Name -> how many tensors it takes, and a function that draws what else it needs for these: it
# returns a program, or None where the shapes do not fit or a rounding error could choose another
# side of a kink.
VOCABULARY = {
    **{name: (1, always(f)) for name, f in UNARY.items()},
    **{name: (2, if_broadcast(f)) for name, f in BINARY.items()},
    "choice": (2, draw_choice),
    "matmul": (2, draw_matmul),
    "reduction": (1, draw_reduction),
    "extreme": (1, draw_extreme),
    "spread": (1, draw_spread),
    "softmax": (1, draw_softmax),
    "logsumexp": (1, draw_logsumexp),
    "reshape": (1, draw_shape),
    "transpose": (1, draw_transpose),
    "index": (1, draw_index),
    "clamp": (1, draw_clamp),
    "abs": (1, draw_abs),
}
SHAPES = [(3, 4), (4,), (3, 1), (2, 4, 3)]


def random_program(rng, length=10):
    """Steps (name, positions of the operands, function) on tensors of SHAPES.

    Each step adds a tensor to the row.
    """
    values, steps = [draw(*shape) for shape in SHAPES], []
    while len(steps) < length:
        name = list(VOCABULARY)[rng.integers(len(VOCABULARY))]
        count, choose = VOCABULARY[name]
        places = [int(i) for i in rng.integers(len(values), size=count)]
        operands = [values[i] for i in places]
        f = choose(rng, *operands) if all(x.ndim and x.size for x in operands) else None
        if f is None:
            continue
        value = f(tinygrad_mnist, *map(tinygrad_mnist.Tensor, operands)).data
        if value.ndim < 4 and value.size and np.abs(value).max() < 20:
            values.append(value)
            steps.append((name, places, f))
    return steps


def run(lib, steps):
    leaves = [lib.tensor(draw(*shape), requires_grad=True) for shape in SHAPES]
    row = list(leaves)
    for _, places, f in steps:
        row.append(f(lib, *(row[i] for i in places)))
    return derivatives(lib, row[len(leaves) :], leaves)


@given(seed=st.integers(0, 2**32 - 1))
def test_random_programs_agree_to_second_order(seed):
    steps = random_program(np.random.default_rng(seed))
    note("\n".join(f"{name} of {places}" for name, places, _ in steps))
    assert_agree(run(tinygrad_mnist, steps), run(torch, steps), 1e-10)


def test_random_programs_use_the_whole_vocabulary():
    used = {
        name for seed in range(40) for name, _, _ in random_program(np.random.default_rng(seed))
    }
    assert used == set(VOCABULARY)
