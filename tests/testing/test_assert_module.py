"""What `assert_module` says of wrong modules, and that right ones pass."""

from copy import copy
from threading import Lock

import numpy as np
import pytest

from tinygrad_mnist import Tensor, nn
from tinygrad_mnist.autodiff import GradcheckError, Op
from tinygrad_mnist.testing import assert_module

X = np.random.default_rng(0).normal(size=(4, 3))
HALF = Op(lambda x: x / 2, "half").vjp(lambda g, out, x: g)
SQUARE = Op(np.square, "square").vjp(lambda g, out, x: 4 * g * HALF(x))


class Module(nn.Module):
    """Has a parameter and other attributes, and computes what a function of (self, x) says."""

    def __init__(self, compute, **attributes):
        self.scale = nn.Parameter(np.array([0.5, 2.0, -1.0], np.float32))
        self.compute = compute
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x):
        return self.compute(self, x)


def with_buffer(compute):
    module = Module(compute)
    module.register_buffer("seen", np.zeros((), np.float32))
    return module


# ---------------------------------------------------------------- wrong ones


def batch_statistics(self, x):
    if len(x) < 2:
        raise ValueError("one row has no variance")
    return (x - x.mean(axis=0)) * self.scale


def mean_in_array(self, x):
    if self.training:
        self.mean = self.mean + np.float32(0.1) * x.data.mean(axis=0)
    return x - self.mean


def mean_in_tensor(self, x):
    if self.training:
        self.mean.data += np.float32(0.1) * x.data.mean(axis=0)
    return x - self.mean


def mean_in_number(self, x):
    if self.training:
        self.mean += 0.1 * float(x.data.mean())
    return x - self.mean


def mean_in_list(self, x):
    if self.training:
        self.mean.append(float(x.data.mean()))
    return x - sum(self.mean)


def counts_always(self, x):
    self.seen.data += 1
    return x * self.scale


def writes_its_input(self, x):
    x.data *= 2
    return x * self.scale


class CopiesItsParametersByName(Module):
    def __deepcopy__(self, memo):
        return copy(self)


BATCH = "a mean or a maximum over axis 0"
BUFFER = "Make it a buffer: self.register_buffer(name, array)"
DRAWN = "random numbers are drawn, without `if self.training:`"
OTHER_ROWS = "for row 0 depends on the other rows"
KEPT = "mean has changed and is not in it"
WRONG = {
    "leaks the batch by its mean": (
        Module(lambda self, x: (x - x.mean(axis=0)) * self.scale), OTHER_ROWS, BATCH
    ),
    "leaks the batch by its maximum": (
        Module(lambda self, x: x * self.scale - x.max(axis=0).detach()), OTHER_ROWS, BATCH
    ),
    "leaks the batch by sorting": (
        Module(lambda self, x: x[np.argsort(x.data[:, 0])]), OTHER_ROWS, BATCH
    ),
    "statistics of the batch in evaluation": (
        Module(batch_statistics),
        "fails for one row alone: ValueError('one row has no variance')",
        "statistics of the batch, where running averages are meant",
    ),
    "mean in an array": (Module(mean_in_array, mean=np.zeros(3, np.float32)), KEPT, BUFFER),
    "mean in a tensor": (Module(mean_in_tensor, mean=Tensor(np.float32(X[0]))), KEPT, BUFFER),
    "mean in a number": (Module(mean_in_number, mean=0.0), KEPT, BUFFER),
    "mean in a list": (Module(mean_in_list, mean=[]), KEPT, BUFFER),
    "a buffer changes in evaluation": (
        with_buffer(counts_always),
        "changes seen in evaluation mode too",
        "`if self.training:` is missing before the change",
    ),
    "random by its own generator": (
        Module(lambda self, x: x * self.rng.random(), rng=np.random.default_rng(0)),
        "answers the same input twice differently",
        DRAWN,
    ),
    "random by that of all": (
        Module(lambda self, x: x * np.random.rand()),  # noqa: NPY002
        "answers the same input twice differently",
        DRAWN,
    ),
    "a parameter in float64": (
        Module(lambda self, x: x * self.scale, scale=nn.Parameter(X[0])),
        "Parameter scale of Module is in float64, expected float32",
        ".astype(np.float32)",
    ),
    "a constant in float64": (
        Module(lambda self, x: x * np.sqrt([2.0, 3.0, 5.0])),
        "Given float32, Module returns float64",
        "an array in float64 inside",
    ),
    "writes its input": (
        Module(writes_its_input), "Module writes into what it is given", "in place of x = x + ..."
    ),
    "returns an array": (
        Module(lambda self, x: x.data), "returned ndarray", ".data or .numpy() at the end"
    ),
    "returns nothing": (
        Module(lambda self, x: None), "returned NoneType", "forward lacks its return"
    ),
    "a parameter that nothing uses": (
        Module(lambda self, x: x * self.scale, other=nn.Parameter(np.float32(X[0]))),
        "The output of Module does not depend on parameter other",
        "forward does not use it",
    ),
    "random by that of all in training": (
        Module(lambda self, x: x * (np.random.rand() if self.training else 1)),  # noqa: NPY002
        "In training mode, two equal copies of Module answer differently",
        "random numbers of np.random",
    ),
    "answers what it was asked first": (
        Module(lambda self, x: x * vars(self).setdefault("first", x.mean(axis=0).data)),
        OTHER_ROWS,
        BATCH,
    ),
    "a mean kept off the tape": (
        Module(lambda self, x: x - x.mean(axis=0).detach() if self.training else x * 1),
        "in training mode: Gradient of input 0 differs",
        "every op on the tape is right, so part of the function is not on it",
    ),
    "a parameter is cut off": (
        Module(lambda self, x: x * self.scale.data),
        "in evaluation mode: Gradient of parameter scale differs",
        "no gradient reaches this input. Was it turned into an array",
    ),
    "an input is cut off": (
        Module(lambda self, x: x.data * self.scale),
        "in evaluation mode: Gradient of input 0 differs",
        "no gradient reaches this input. Was it turned into an array",
    ),
    "a wrong rule inside": (
        Module(lambda self, x: HALF(x * self.scale)),
        "in evaluation mode: Gradient of input 0 differs",
        "in the rule of half for argument 0: a factor",
    ),
    "a wrong rule in training": (
        Module(lambda self, x: HALF(x) if self.training else x / 2),
        "in training mode: Gradient of input 0 differs",
        "a factor: the rule gives 2 times the right gradient",
    ),
    "a wrong rule of a rule": (
        Module(lambda self, x: SQUARE(x * self.scale)),
        "in evaluation mode: Second derivative with respect to input 0 differs",
        "in the rule of half for argument 0: a factor",
    ),
    "shares arrays with its copy": (
        CopiesItsParametersByName(lambda self, x: x * self.scale),
        "Changing CopiesItsParametersByName changes a copy of it",
        "both share an array",
    ),
    "cannot be copied": (
        Module(lambda self, x: x * self.scale, lock=Lock()),
        "Module cannot be copied: cannot pickle",
        "an open file, a lock, or a Python module",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("module", "seen", "cause"), WRONG.values(), ids=WRONG)
def test_a_wrong_module_fails_with_its_cause(module, seen, cause):
    with pytest.raises(AssertionError) as caught:
        assert_module(module, X)
    said, _, likely = str(caught.value).partition("\nLikely cause: ")
    assert seen in said
    assert cause in likely


def test_first_derivatives_alone_do_not_show_a_wrong_rule_of_a_rule():
    assert_module(WRONG["a wrong rule of a rule"][0], X, order=1)


def test_a_wrong_second_input_is_named_too():
    class Product(nn.Module):
        def forward(self, x, y):
            return x * HALF(y)

    with pytest.raises(GradcheckError, match=r"in evaluation mode: Gradient of input 1 differs"):
        assert_module(Product(), X, X[:, :1])


# ---------------------------------------------------------------- right ones


class Embedding(nn.Module):
    def __init__(self):
        self.rows = nn.Parameter(X.astype(np.float32))

    def forward(self, which):
        return self.rows[which]


class Bilinear(nn.Module):
    def __init__(self):
        self.weight = nn.Parameter(X.astype(np.float32))

    def forward(self, x, y):
        return (x @ self.weight) * y


class TwoNames(nn.Module):
    def __init__(self):
        self.inside = nn.Linear(3, 3)
        self.weight = self.inside.weight

    def forward(self, x):
        return self.inside(x).tanh() @ self.weight


def counts_in_training(self, x):
    if self.training:
        self.seen.data += 1
    return x / (1 + self.seen)


RIGHT = {
    "whole numbers as input": (Embedding(), np.array([0, 3, 3])),
    "two inputs": (Bilinear(), X[:3] @ X.T, X[1:]),
    "a second input for all rows": (Bilinear(), X @ X.T, X[:1]),
    "a parameter with two names": (TwoNames(), X),
    "a frozen parameter": (nn.Linear(3, 2).requires_grad_(False), X),
    "neither parameters nor anything else": (Module(lambda self, x: x.exp()), X),
    "a buffer that counts in training": (with_buffer(counts_in_training), X),
    "an input that is a list": (nn.Linear(2, 1), [[1.0, 2.0], [3.0, -1.0]]),
}


@pytest.mark.parametrize("given", RIGHT.values(), ids=RIGHT)
def test_a_right_module_passes(given):
    assert_module(*given)


def test_rows_may_depend_on_each_other_if_that_is_said():
    module = WRONG["leaks the batch by its mean"][0]
    assert_module(module, X, rows_are_independent=False)


def test_parameters_may_be_in_float64_if_that_is_said():
    layer = nn.Linear(3, 2, dtype=np.float64)
    assert_module(layer, X, dtype=np.float64)
    with pytest.raises(AssertionError, match="weight of Linear is in float64, expected float32"):
        assert_module(layer, X)


def test_the_module_and_its_inputs_stay_as_they_are():
    module, given = with_buffer(counts_in_training), X.copy()
    before = {name: t.data.copy() for name, t in module.state_dict().items()}
    assert_module(module, given)
    assert module.training
    np.testing.assert_equal({name: t.data for name, t in module.state_dict().items()}, before)
    assert np.array_equal(given, X)
    assert module.scale.grad is None
