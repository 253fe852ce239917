"""The defaults of everything public: each is written down here, and has an effect."""

import importlib
import inspect
import pkgutil
import tempfile
import types
from pathlib import Path

import numpy as np
import pytest

import tinygrad_mnist
import tinygrad_mnist.nn.functional as F
from tinygrad_mnist import Tensor, bridge, byhand, data, evaluation, export, nn, optim
from tinygrad_mnist.autodiff import Op, ops
from tinygrad_mnist.nn import init
from tinygrad_mnist.nn.utils import clip_grad_norm_
from tinygrad_mnist.optim import lr_scheduler

TABLE = Path(__file__).parents[1] / "defaults.txt"
OF_THE_COMMAND = {"__main__", "benchmark", "cli", "exercises", "tutorials"}
INTERNAL = {"arguments", "draw", "variable", "windows"}


def modules():
    for found in pkgutil.walk_packages(tinygrad_mnist.__path__, "tinygrad_mnist."):
        rooms = set(found.name.split("."))
        if not rooms & (OF_THE_COMMAND | INTERNAL):
            yield importlib.import_module(found.name)


def functions(owner, module):
    """Every public function of a module or class that is written there, methods and ops too."""
    for name, value in vars(owner).items():
        value = getattr(value, "__func__", value)  # of a class or static method
        function = value.forward if isinstance(value, Op) else value
        if name.startswith("_") and name not in ("__init__", "__call__"):
            continue
        if getattr(value, "__module__", None) != module and not isinstance(value, Op):
            continue
        if inspect.isclass(value) and inspect.ismodule(owner):
            yield from ((f"{name}.{inner}", f) for inner, f in functions(value, module))
        elif isinstance(function, types.FunctionType):
            yield name, function


def shown(value):
    if inspect.isroutine(value):
        return "function"
    return value.__name__ if inspect.isclass(value) else repr(value)


def defaults():
    """Lines like ``nn.layers.Linear.__init__(bias=True, dtype=float32, rng=None)``, sorted."""
    lines = set()
    for module in modules():
        place = module.__name__.removeprefix("tinygrad_mnist.")
        for name, function in functions(module, module.__name__):
            parameters = inspect.signature(function).parameters.values()
            given = [f"{p.name}={shown(p.default)}" for p in parameters if p.default is not p.empty]
            if given:
                lines.add(f"{place}.{name}({', '.join(given)})")
    return sorted(lines)


@pytest.mark.usefixtures("drawn")
def test_every_default_of_a_public_function_is_the_one_written_down():
    """Another one is another behaviour for everybody: change it here too, and in the CHANGELOG."""
    assert defaults() == TABLE.read_text(encoding="utf-8").splitlines()


# ---------------------------------------------------------------- what a default does

X = np.array([[3.0, -1.0, 2.0], [0.5, 4.0, -2.5]])
TARGETS = np.array([2, 0])
PROBABILITIES = np.array([[0.62, 0.3, 0.08], [0.1, 0.55, 0.35], [0.35, 0.3, 0.35]])
TRUTH = np.array([0, 2, 1])
PIXELS = np.arange(784, dtype=np.uint8).reshape(1, 784)


def rng():
    return np.random.default_rng(0)


def network(**options):
    return byhand.MLP((3, 4, 3), rng=rng(), **options)


def on_paper(model, **step):
    """Loss, gradients and weights of a network on paper, after two steps."""
    for _ in range(2):
        terms = model.forward(X.astype(np.float32))
        gradients = model.backward(terms, TARGETS)
        model.step(gradients, 0.1, **step)
    return [model.loss(terms, TARGETS), *gradients.values(), *model.params.values()]


def loaded(**options):
    with tempfile.TemporaryDirectory() as folder:
        network().save(Path(folder) / "w.npz")
        return on_paper(byhand.MLP.load(Path(folder) / "w.npz", **options))


def read(model):
    return [repr(model), nn.Classifier(model).predict_proba(X)]


def read_back(**options):
    with tempfile.TemporaryDirectory() as folder:
        network().save(Path(folder) / "w.npz")
        model = export.read_npz(Path(folder) / "w.npz", **options)
    return read(model)


def filled(fill, **options):
    t = nn.Parameter(np.zeros((4, 6)))
    fill(t, rng=rng(), **options)
    return [t.data]


def clipped(**options):
    p = nn.Parameter(np.zeros((2, 3)))
    p.grad = Tensor(X.copy())
    return [clip_grad_norm_([p], 1.0, **options).data, p.grad.data]


def stepped(kind, steps=4, **options):
    p = nn.Parameter(X.copy())
    optimizer = kind([p], **options)
    for n in range(steps):
        p.grad = Tensor(np.cos(n + X))
        optimizer.step()
    return [p.data]


def scheduled(kind, **options):
    """Learning rate and momentum along a schedule."""
    optimizer = optim.SGD([nn.Parameter(X)], lr=0.5, momentum=0.9)
    schedule, seen = kind(optimizer, **options), []
    for _ in range(9):
        seen.append([optimizer.param_groups[0][key] for key in ("lr", "momentum")])
        optimizer.step()
        schedule.step()
    return [seen]


def dropped(**options):
    return [F.dropout(X, rng=rng(), **options)]


def distorted(**options):
    return [data.distort(PIXELS, rng(), **options)]


# What is called -> for each of its parameters the default that is promised, and another value.
EFFECTS = {
    "norm": (
        lambda **o: [Tensor(X).norm(**o).data],
        {"axis": (None, 1), "keepdims": (False, True)},
    ),
    "ops.norm": (lambda **o: [ops.norm(X, **o)], {"axis": (None, 1), "keepdims": (False, True)}),
    "var": (
        lambda **o: [Tensor(X).var(**o).data],
        {"axis": (None, 0), "ddof": (0, 1), "keepdims": (False, True)},
    ),
    "std": (
        lambda **o: [Tensor(X).std(**o).data],
        {"axis": (None, 0), "ddof": (0, 1), "keepdims": (False, True)},
    ),
    "ops.logsumexp": (
        lambda **o: [ops.logsumexp(X, **o)],
        {"axis": (-1, 0), "keepdims": (False, True)},
    ),
    "ops.softmax": (lambda **o: [ops.softmax(X, **o)], {"axis": (-1, 0)}),
    "ops.log_softmax": (lambda **o: [ops.log_softmax(X, **o)], {"axis": (-1, 0)}),
    "leaky_relu": (lambda **o: [F.leaky_relu(X, **o)], {"negative_slope": (0.01, 0.2)}),
    "LeakyReLU": (lambda **o: [nn.LeakyReLU(**o)(X).data], {"negative_slope": (0.01, 0.2)}),
    "dropout": (dropped, {"p": (0.5, 0.25), "training": (True, False)}),
    "cross_entropy": (
        lambda **o: [F.cross_entropy(Tensor(X), TARGETS, **o).data],
        {"reduction": ("mean", "sum"), "label_smoothing": (0.0, 0.1)},
    ),
    "mse_loss": (
        lambda **o: [F.mse_loss(Tensor(X), X[::-1], **o).data],
        {"reduction": ("mean", "none")},
    ),
    "xavier_uniform_": (lambda **o: filled(init.xavier_uniform_, **o), {"gain": (1.0, 2.0)}),
    "xavier_normal_": (lambda **o: filled(init.xavier_normal_, **o), {"gain": (1.0, 2.0)}),
    "kaiming_uniform_": (
        lambda **o: filled(init.kaiming_uniform_, **o),
        {"a": (0.0, 1.0), "mode": ("fan_in", "fan_out"), "nonlinearity": ("leaky_relu", "tanh")},
    ),
    "kaiming_normal_": (
        lambda **o: filled(init.kaiming_normal_, **o),
        {"a": (0.0, 1.0), "mode": ("fan_in", "fan_out"), "nonlinearity": ("leaky_relu", "tanh")},
    ),
    "uniform_": (lambda **o: filled(init.uniform_, **o), {"a": (0.0, -1.0), "b": (1.0, 2.0)}),
    "normal_": (lambda **o: filled(init.normal_, **o), {"mean": (0.0, 1.0), "std": (1.0, 2.0)}),
    "clip_grad_norm_": (clipped, {"norm_type": (2.0, 1.0)}),
    "SGD": (
        lambda **o: stepped(optim.SGD, **o),
        {"lr": (1e-3, 1e-2), "momentum": (0.0, 0.9), "weight_decay": (0.0, 0.1)},
    ),
    "SGD with momentum": (
        lambda **o: stepped(optim.SGD, momentum=0.9, **o),
        {"dampening": (0.0, 0.5), "nesterov": (False, True)},
    ),
    "Adam": (
        lambda **o: stepped(optim.Adam, **o),
        {
            "lr": (1e-3, 1e-2),
            "betas": ((0.9, 0.999), (0.9, 0.99)),
            "eps": (1e-8, 1e-2),
            "weight_decay": (0.0, 0.1),
        },
    ),
    "AdamW": (
        lambda **o: stepped(optim.AdamW, **o),
        {
            "lr": (1e-3, 1e-2),
            "betas": ((0.9, 0.999), (0.8, 0.999)),
            "eps": (1e-8, 1e-2),
            "weight_decay": (0.01, 0.0),
        },
    ),
    "StepLR": (lambda **o: scheduled(lr_scheduler.StepLR, step_size=2, **o), {"gamma": (0.1, 0.5)}),
    "CosineAnnealingLR": (
        lambda **o: scheduled(lr_scheduler.CosineAnnealingLR, T_max=8, **o),
        {"eta_min": (0.0, 0.1)},
    ),
    "OneCycleLR": (
        lambda **o: scheduled(lr_scheduler.OneCycleLR, max_lr=0.5, total_steps=10, **o),
        {
            "pct_start": (0.3, 0.5),
            "cycle_momentum": (True, False),
            "base_momentum": (0.85, 0.8),
            "max_momentum": (0.95, 0.99),
            "div_factor": (25.0, 10.0),
            "final_div_factor": (1e4, 2.0),
        },
    ),
    "distort": (distorted, {"alpha": (34.0, 0.0), "sigma": (4.0, 8.0), "affine": (0.0, 0.2)}),
    "minibatches": (
        lambda **o: list(data.minibatches(6, 2, **o)),
        {"rng": (None, np.random.default_rng(1))},
    ),
    "normalize": (lambda **o: [data.normalize(PIXELS, **o)], {"how": ("unit", "seed")}),
    "load_mnist_test": (
        lambda **o: [data.load_mnist_test(**o)[0][:9]],
        {"normalize": ("unit", "standardize")},
    ),
    "confusion_matrix": (
        lambda **o: [evaluation.confusion_matrix(TARGETS, TRUTH[:2], **o)],
        {"classes": (10, 3)},
    ),
    "reliability": (
        lambda **o: [np.array(evaluation.reliability(PROBABILITIES, TRUTH, **o), float)],
        {"bins": (15, 10)},
    ),
    "most_confident_mistakes": (
        lambda **o: [
            evaluation.most_confident_mistakes(np.eye(3)[np.ones(40, int)], np.zeros(40, int), **o)
        ],
        {"count": (25, 24)},
    ),
    "predict": (
        lambda **o: [evaluation.predict(byhand.MLP((784, 3), rng=rng()), PIXELS, **o)],
        {"how": ("unit", "seed")},
    ),
    "evaluate": (
        lambda **o: [
            evaluation.evaluate(byhand.MLP((784, 3), rng=rng()), PIXELS, TRUTH[:1], **o)[
                "cross_entropy"
            ]
        ],
        {"how": ("unit", "standardize")},
    ),
    "first_of_each_class": (
        lambda **o: evaluation.first_of_each_class(
            byhand.MLP((784, 4, 3), rng=rng()), PIXELS, TRUTH[:1], **o
        ),
        {"how": ("unit", "standardize")},
    ),
    "byhand.MLP": (
        lambda **o: on_paper(network(**o)),
        {
            "activation": ("sigmoid", "tanh"),
            "loss": ("cross_entropy", "mse"),
            "l2": (0.0, 0.1),
            "dtype": (np.float32, np.float64),
        },
    ),
    "byhand.MLP.load": (
        loaded,
        {
            "activation": ("sigmoid", "relu"),
            "loss": ("cross_entropy", "mse"),
            "l2": (0.0, 0.1),
        },
    ),
    "byhand.MLP.step": (lambda **o: on_paper(network(), **o), {"momentum": (0.0, 0.9)}),
    "bridge.to_paper": (
        lambda **o: on_paper(bridge.to_paper(nn.MLP((3, 4, 3), rng=rng()), "relu", **o)),
        {"l2": (0.0, 0.1), "dtype": (None, np.float64)},
    ),
    "read_npz": (
        read_back,
        {
            "activation": ("sigmoid", "tanh"),
            "output": ("softmax", "sigmoid"),
            "dropout": (0.0, 0.5),
        },
    ),
    "nn.MLP": (
        lambda **o: read(nn.MLP((3, 4, 3), rng=rng(), **o)),
        {
            "activation": ("relu", "tanh"),
            "output": ("softmax", "sigmoid"),
            "initialiser": ("xavier_uniform", "kaiming_normal"),
            "dropout": (0.0, 0.5),
            "dtype": (np.float32, np.float64),
        },
    ),
}


def same(found, expected):
    """Whether two lists hold the same values, dtypes and shapes."""
    if len(found) != len(expected):
        return False
    for a, b in zip(map(np.asarray, found), map(np.asarray, expected), strict=True):
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            return False
        if not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
            return False
    return True


CASES = [
    (name, parameter, *values)
    for name, (_, parameters) in EFFECTS.items()
    for parameter, values in parameters.items()
]


@pytest.mark.parametrize(
    ("name", "parameter", "default", "other"), CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES]
)
def test_an_argument_left_out_is_the_default_promised_and_makes_a_difference(
    name, parameter, default, other
):
    f, _ = EFFECTS[name]
    assert same(f(), f(**{parameter: default}))
    assert not same(f(), f(**{parameter: other}))
