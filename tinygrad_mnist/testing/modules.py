"""The assertion about layers and networks."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import GradcheckError, Tensor, no_grad
from tinygrad_mnist.autodiff.guard import read_only
from tinygrad_mnist.func import functional_call
from tinygrad_mnist.testing.failures import differs, fail, not_writing
from tinygrad_mnist.testing.ops import assert_gradients

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tinygrad_mnist.nn import Module

    Array = NDArray[Any]

STEPS = 3
"""How often a module is called in training mode, to give it something to remember."""


def assert_module(
    module: Module,
    *inputs: Any,
    order: int = 2,
    rows_are_independent: bool = True,
    dtype: Any = np.float32,
) -> None:
    """Assert that a module keeps all its promises.

    The gradients with respect to its inputs and all of its parameters agree with central
    differences, in training and in evaluation mode. In float32 it computes in float32. In
    evaluation mode it gives the same answer each time, changes nothing, and answers each row as if
    it were alone. Everything it remembers is in its state dict, and a copy shares no memory with
    it. The tests run on copies: the module itself is not changed.

    Parameters
    ----------
    module : nn.Module
        The module. Use few parameters: every element of one costs two calls in each mode.
    *inputs : array_like, (n, ...)
        The inputs of the module; two rows or more. Floats are differentiated.
    order : {1, 2}
        The highest order of derivatives to check.
    rows_are_independent : bool
        Whether the first axis of the first input is the axis of the examples.
    dtype : dtype
        The dtype of its parameters, and so of its output.

    Raises
    ------
    AssertionError
        Says what was seen, and the likely cause.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mnist import nn
    >>> from tinygrad_mnist.testing import assert_module
    >>> assert_module(nn.Linear(3, 2), np.random.default_rng(0).normal(size=(4, 3)))
    """
    arrays = [np.asarray(x) for x in inputs]
    try:
        twin = deepcopy(module)
    except Exception as error:  # noqa: BLE001  code of others may fail in any way
        fail(
            f"{_name(module)} cannot be copied: {error}",
            "an attribute that is an open file, a lock, or a Python module",
            error,
        )
    _check_parameters(module, dtype)
    given = [x.astype(dtype) if x.dtype.kind == "f" else x for x in arrays]
    _check_call(twin, given)
    _check_evaluation(deepcopy(module).eval(), given)
    _check_dtype(twin, given, dtype)
    if rows_are_independent:
        _check_rows(_in_float64(module).eval(), arrays)
    _check_memory(module, given)
    _check_copy(deepcopy(module).eval(), given)
    for training in (False, True):
        _check_gradients(_in_float64(module).train(training), arrays, order)


def _name(module: Module) -> str:
    return type(module).__name__


def _answer(module: Module, arrays: list[Array]) -> Array:
    with no_grad():
        return module(*map(Tensor, arrays)).data.copy()


def _check_parameters(module: Module, dtype: Any) -> None:
    for name, p in module.named_parameters():
        if p.dtype != dtype:
            fail(
                f"Parameter {name} of {_name(module)} is in {p.dtype}, expected {np.dtype(dtype)}",
                "rng.normal(size=...) and np.ones(n) are float64: .astype(np.float32)",
            )


def _in_float64(module: Module) -> Module:
    """A copy whose parameters and buffers are float64."""
    twin = deepcopy(module)
    for t in (*twin.parameters(), *twin.buffers()):
        if t.dtype.kind == "f":
            t.data = t.data.astype(np.float64)
    return twin


def _check_call(module: Module, arrays: list[Array]) -> None:
    name = _name(module)
    with not_writing(name):
        out: Any = module(*(Tensor(read_only(x)) for x in arrays))
    if not isinstance(out, Tensor):
        hint = "forward lacks its return" if out is None else ".data or .numpy() at the end"
        fail(f"{name} returned {type(out).__name__}, expected a tensor", hint)
    if out.requires_grad:
        out.backward(np.ones(out.shape, out.dtype))
        for key, p in module.named_parameters():
            if p.requires_grad and p.grad is None:
                fail(
                    f"The output of {name} does not depend on parameter {key}",
                    "forward does not use it, or turns it into an array (.data, .numpy())",
                )


def _check_dtype(module: Module, arrays: list[Array], dtype: Any) -> None:
    out = _answer(module, arrays)
    if out.dtype.kind == "f" and out.dtype != dtype:
        fail(
            f"Given {np.dtype(dtype)}, {_name(module)} returns {out.dtype}",
            "an array in float64 inside, such as np.ones(n) or np.sqrt(2)",
        )


def _check_evaluation(module: Module, arrays: list[Array]) -> None:
    name, before = _name(module), _state(module)
    first, second = _answer(module, arrays), _answer(module, arrays)
    for key, values in _state(module).items():
        if differs(values, before[key]):
            fail(
                f"{name} changes {key} in evaluation mode too, so its answers depend on what it "
                "was asked before",
                "`if self.training:` is missing before the change",
            )
    if differs(first, second):
        fail(
            f"In evaluation mode, {name} answers the same input twice differently",
            "random numbers are drawn, without `if self.training:`",
        )


def _check_rows(module: Module, arrays: list[Array]) -> None:
    n = len(arrays[0])
    together = _answer(deepcopy(module), arrays)
    for i in range(n):
        fresh = deepcopy(module)
        one = [x[i : i + 1] if len(x) == n else x for x in arrays]
        try:
            apart = _answer(fresh, one)
        except Exception as error:  # noqa: BLE001  code of others may fail in any way
            fail(
                f"In evaluation mode, {_name(module)} fails for one row alone: {error!r}",
                "statistics of the batch, where running averages are meant",
                error,
            )
        if not np.allclose(apart, together[i : i + 1], rtol=1e-6, atol=1e-9, equal_nan=True):
            fail(
                f"In evaluation mode, the answer of {_name(module)} for row {i} depends on the "
                f"other rows: largest difference {np.abs(apart - together[i]).max():.3g}",
                "a mean or a maximum over axis 0, where running averages or axis 1 are meant",
            )


def _check_memory(module: Module, arrays: list[Array]) -> None:
    """Check that a copy with the state dict after training answers as the module does."""
    if differs(*(_answer(deepcopy(module).train(), arrays) for _ in range(2))):
        fail(
            f"In training mode, two equal copies of {_name(module)} answer differently",
            "random numbers of np.random, which no seed of the module decides and no checkpoint "
            "holds. Draw them from a generator that is an attribute",
        )
    trained, restored = deepcopy(module).train(), deepcopy(module)
    for _ in range(STEPS):
        _answer(trained, arrays)
    saved = {key: Tensor(values) for key, values in _state(trained).items()}
    restored.load_state_dict(saved)
    modes = (False,) if any(map(_draws, trained.modules())) else (False, True)
    if any(
        differs(_answer(trained.train(mode), arrays), _answer(restored.train(mode), arrays))
        for mode in modes
    ):
        changed = ", ".join(_changed(trained, restored)) or "something"
        fail(
            f"After calls in training mode, {_name(module)} answers differently from a copy that "
            f"loaded its state dict: {changed} has changed and is not in it",
            "an array as an attribute. Make it a buffer: self.register_buffer(name, array)",
        )


def _draws(module: Module) -> bool:
    return any(isinstance(value, np.random.Generator) for value in vars(module).values())


def _changed(trained: Module, restored: Module) -> Iterator[str]:
    """The names of attributes that are arrays or numbers and differ."""
    for (path, a), (_, b) in zip(trained.named_modules(), restored.named_modules(), strict=True):
        for name, value in vars(a).items():
            other = vars(b).get(name)
            if isinstance(value, Tensor) and isinstance(other, Tensor):
                value, other = value.data, other.data
            if isinstance(value, dict) and isinstance(other, dict):
                value, other = list(map(repr, value.items())), list(map(repr, other.items()))
            kept = isinstance(value, np.ndarray | np.number | int | float | list | tuple)
            if kept and name != "training" and differs(value, other):
                yield f"{path}.{name}" if path else name


def _check_copy(module: Module, arrays: list[Array]) -> None:
    twin = deepcopy(module)
    before = _answer(twin, arrays)
    for t in (*module.parameters(), *module.buffers()):
        t.data += 1
    if differs(_answer(twin, arrays), before):
        fail(
            f"Changing {_name(module)} changes a copy of it",
            "both share an array: an attribute of the class, or a function of your own that "
            "holds the module",
        )


def _check_gradients(module: Module, arrays: list[Array], order: int) -> None:
    """Check the gradients with respect to the inputs that are floats and to every parameter."""
    floats = [i for i, x in enumerate(arrays) if x.dtype.kind == "f"]
    parameters = dict(module.named_parameters())
    names = [f"input {i}" for i in floats] + [f"parameter {name}" for name in parameters]
    names.append("the cotangent")

    def function(*tensors: Tensor) -> Tensor:
        given = [Tensor(x) for x in arrays]
        values = dict(zip(parameters, tensors[len(floats) :], strict=True))
        for i, x in zip(floats, tensors[: len(floats)], strict=True):
            given[i] = x
        return functional_call(deepcopy(module), values, tuple(given))

    xs = [arrays[i] for i in floats] + [p.data for p in parameters.values()]
    try:
        assert_gradients(function, *xs, order=order)
    except GradcheckError as error:
        mode = "training" if module.training else "evaluation"
        text = re.sub(r"\binput (\d+)", lambda found: names[int(found[1])], str(error))
        raise GradcheckError(f"{_name(module)} in {mode} mode: {text}") from error.__cause__


def _state(module: Module) -> dict[str, Array]:
    return {key: t.data.copy() for key, t in module.state_dict().items()}
