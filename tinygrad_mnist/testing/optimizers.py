"""The assertion about optimizers."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import Tensor
from tinygrad_mnist.nn import Parameter
from tinygrad_mnist.testing.failures import differs, fail

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tinygrad_mnist.optim import Optimizer

    Array = NDArray[Any]
    Make = Callable[[list[Parameter]], Optimizer]

START = (np.array([3.0, -2.0, 1.5]), np.array([[-1.0, 2.5], [2.0, -3.0]]))
STEEPNESS = (np.array([0.5, 1.0, 2.0]), np.array([[1.0, 0.5], [2.0, 1.5]]))
STEPS = 30


def assert_optimizer(make: Callable[[list[Parameter]], Optimizer]) -> None:
    """Assert that an optimizer keeps all its promises, on two parameters in a quadratic bowl.

    It goes downhill. It does not change gradients, nor parameters without a gradient. It keeps the
    dtype of a parameter. Saved in the middle and loaded over other parameters of the same values,
    as in another process, it takes exactly the same steps.

    Parameters
    ----------
    make : callable
        Makes the optimizer from a list of parameters, like an optimizer class.

    Raises
    ------
    AssertionError
        Says what was seen, and the likely cause.

    Examples
    --------
    >>> from tinygrad_mnist import optim
    >>> from tinygrad_mnist.testing import assert_optimizer
    >>> assert_optimizer(lambda params: optim.SGD(params, lr=0.1, momentum=0.9))
    """
    alive = []

    def made(params: list[Parameter]) -> Optimizer:
        alive.append(params)  # so that no later object gets the id of an earlier one
        return make(params)

    for dtype in (np.float64, np.float32):
        _check_descent(made, dtype)
        _check_without_gradient(made, dtype)
        _check_resumed(made, dtype)


def _parameters(dtype: Any, values: Any = START) -> list[Parameter]:
    return [Parameter(np.array(x, dtype)) for x in values]


def _find_gradients(params: list[Parameter]) -> float:
    """Return the height in the bowl, and set the gradients to the slope there."""
    for p, steepness in zip(params, STEEPNESS, strict=True):
        p.grad = Tensor((steepness * p.data).astype(p.dtype))
    pairs = zip(params, STEEPNESS, strict=True)
    return float(sum((s * p.data**2).sum() / 2 for p, s in pairs))


def _check_descent(make: Make, dtype: Any) -> None:
    params = _parameters(dtype)
    optimizer = make(params)
    name, heights = type(optimizer).__name__, []
    for _ in range(STEPS):
        heights.append(_find_gradients(params))
        before = [p.grad.data.copy() for p in params if p.grad is not None]
        optimizer.step()
        for p, g in zip(params, before, strict=True):
            if p.grad is None or differs(p.grad.data, g):
                fail(f"{name} changed a gradient", "g += ... in place of g = g + ...")
    for p in params:
        if p.dtype != dtype:
            fail(
                f"After steps of {name}, a parameter in {np.dtype(dtype)} is in {p.dtype}",
                "an array or a NumPy number in float64, and p.data = ... in place of p.data -= ...",
            )
    _check_state_dtypes(optimizer, name, dtype)
    for p, start in zip(params, START, strict=True):
        if not differs(p.data, start.astype(dtype)):
            fail(
                f"In {STEPS} steps, {name} did not change the parameter of shape {p.shape}",
                "p = p - ... gives a new array the name p: p -= ...",
            )
    end = _find_gradients(params)
    if not end < heights[0]:
        fail(
            f"In {STEPS} steps, {name} went from {heights[0]:.4g} up to {end:.4g} in a bowl",
            "the sign of the update is wrong, or the learning rate is too large",
        )


def _check_state_dtypes(optimizer: Optimizer, name: str, dtype: Any) -> None:
    for state in optimizer.state:
        for key, value in state.items():
            array = np.asarray(value)
            if array.ndim and array.dtype.kind == "f" and array.dtype != dtype:
                fail(
                    f"For a parameter in {np.dtype(dtype)}, {name} remembers {key} in "
                    f"{array.dtype}",
                    "np.zeros(p.shape), which is float64, in place of np.zeros_like(p.data)",
                )


def _check_without_gradient(make: Make, dtype: Any) -> None:
    params = _parameters(dtype)
    optimizer = make(params)
    _find_gradients(params)
    params[0].grad, before = None, params[0].data.copy()
    try:
        optimizer.step()
    except Exception as error:  # noqa: BLE001  code of others may fail in any way
        fail(
            f"{type(optimizer).__name__} fails if a parameter has no gradient: {error!r}",
            "step does not skip parameters whose p.grad is None",
            error,
        )
    if differs(params[0].data, before):
        fail(
            f"{type(optimizer).__name__} moved a parameter that has no gradient",
            "step does not skip parameters whose p.grad is None",
        )


def _check_resumed(make: Make, dtype: Any) -> None:
    """Check that three steps and three more equal six, also if it was saved in between."""
    params = _parameters(dtype)
    optimizer = make(params)
    _steps(optimizer, params, 3)
    others = _parameters(dtype, [p.data for p in params])
    resumed = make(others)
    name = type(optimizer).__name__
    try:
        resumed.load_state_dict(deepcopy(optimizer.state_dict()))
        _continue_draws(optimizer, resumed)
        _steps(optimizer, params, 3)
        _steps(resumed, others, 3)
    except Exception as error:  # noqa: BLE001  code of others may fail in any way
        fail(
            f"Saved and loaded into other parameters of the same values, {name} fails: {error!r}",
            _kept_elsewhere(optimizer, params, make(_parameters(dtype))),
            error,
        )
    if any(differs(p.data, q.data) for p, q in zip(params, others, strict=True)):
        fail(
            f"Saved and loaded into other parameters of the same values, {name} takes other steps",
            _kept_elsewhere(optimizer, params, make(_parameters(dtype))),
        )


def _steps(optimizer: Optimizer, params: list[Parameter], count: int) -> None:
    for _ in range(count):
        _find_gradients(params)
        optimizer.step()


def _continue_draws(optimizer: Optimizer, resumed: Optimizer) -> None:
    """Let generators continue from where they were: they are saved apart from the state dict."""
    for name, value in vars(optimizer).items():
        if isinstance(value, np.random.Generator):
            setattr(resumed, name, deepcopy(value))


def _kept_elsewhere(optimizer: Optimizer, params: list[Parameter], fresh: Optimizer) -> str:
    """Say where an optimizer keeps what the next step needs, if not in its state dict."""
    way_out = "Keep it in `state`, and name it in `remembers`"
    known = {"param_groups", "state", "defaults"}
    elsewhere = [
        (name, value)
        for name, value in (*vars(type(optimizer)).items(), *vars(optimizer).items())
        if name not in known and not name.startswith("__")
    ]
    for name, value in elsewhere:
        if isinstance(value, dict) and {id(p) for p in params} & value.keys():
            return f"{name} is keyed by id(p), which another process does not know. {way_out}"
        if isinstance(value, dict) and any(p in value for p in params):
            return f"{name} is keyed by the parameters, which another process makes anew. {way_out}"
    for name, value in elsewhere:
        kept = isinstance(value, np.ndarray | np.number | int | float | list)
        if kept and differs(value, getattr(fresh, name, None)):
            return f"{name} changes as it works and is not in the state dict. {way_out}"
    return f"something that the next step needs is not in the state dict. {way_out}"
