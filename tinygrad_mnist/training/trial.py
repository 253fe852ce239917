"""Try a network or optimizer of your own on two images before the first step."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import Tensor, no_grad
from tinygrad_mnist.nn import CrossEntropyLoss, Module, Parameter
from tinygrad_mnist.nn.module import evaluating
from tinygrad_mnist.owncode import OwnCodeError, name_of, told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tinygrad_mnist import optim


SMALLEST_LR = 1e-6
"""A smaller step may leave a weight as it is."""


def try_model(model: Module, x: NDArray[Any], classes: int) -> None:
    """Call a model with a few images in evaluation mode, and check that nothing in it changes.

    Parameters
    ----------
    model : Module
        Your own model.
    x : ndarray of float32, (n, inputs)
        Images like those it will receive.
    classes : int
        The number of logits it must return per image.

    Raises
    ------
    OwnCodeError
        If it fails, has no parameters or hidden ones, writes to its input, changes its state, or
        returns anything but logits (n, classes).
    """
    name = name_of(type(model))
    _refuse_hidden(model)
    if not any(p.requires_grad for p in model.parameters()):
        raise OwnCodeError(
            f"{name} has no parameters to train. Make its weights nn.Parameter, "
            "and assign them and its layers as attributes."
        )
    before = {key: t.data.copy() for key, t in model.state_dict().items()}
    given = x.copy()
    with told(model), evaluating(model), no_grad(), np.errstate(all="ignore"):
        out: Any = model(given)
    _refuse_output(name, out, (len(x), classes))
    if not np.array_equal(x, given):
        raise OwnCodeError(
            f"{name}.forward writes to its input, so the images would change during training. "
            "Compute a new array: x = x - x.mean(), not x -= x.mean()."
        )
    for key, t in model.state_dict().items():
        if not np.array_equal(t.data, before[key], equal_nan=True):
            raise OwnCodeError(
                f"{name}.forward changes {key} in evaluation too, so its answers would depend on "
                "what it was asked before. Change it only `if self.training:`."
            )


def _refuse_output(name: str, out: Any, expected: tuple[int, int]) -> None:
    images, classes = expected
    if not isinstance(out, Tensor):
        hint = " Does forward lack its return?" if out is None else " Was .data or .numpy() used?"
        raise OwnCodeError(f"{name} returned a {type(out).__name__}, expected a tensor.{hint}")
    if out.shape != expected:
        raise OwnCodeError(
            f"{name} made {out.shape} of {images} images, "
            f"expected {expected}: a logit for each of the {classes} classes."
        )
    if out.dtype.kind != "f":
        raise OwnCodeError(f"{name} returned {out.dtype}, expected logits that are floats.")


def _refuse_hidden(model: Module) -> None:
    """Refuse parameters that `Module.parameters` cannot find."""
    found: set[Any] = {*model.modules(), *model.parameters(), *model.buffers()}
    for module in model.modules():
        for name, value in vars(module).items():
            where = f"{name_of(type(module))}.{name}"
            held = value.values() if isinstance(value, dict) else value
            if isinstance(value, list | tuple | dict) and any(
                isinstance(part, Module | Parameter) and part not in found for part in held
            ):
                raise OwnCodeError(
                    f"{where} is a {type(value).__name__}, and what is in it would not be trained "
                    "or saved. Use nn.ModuleList, or assign each part as an attribute."
                )
            if isinstance(value, Tensor) and value.requires_grad and value not in found:
                raise OwnCodeError(
                    f"{where} is a tensor that requires grad, but would not be trained or saved. "
                    "Make it an nn.Parameter."
                )


def try_training(model: Module, x: NDArray[Any], labels: NDArray[np.int64], classes: int) -> None:
    """Compute gradients of a copy of a model for a few images, in training mode.

    Parameters
    ----------
    model, x, classes
        As for `try_model`.
    labels : ndarray of int, (n,)
        The class of each image.

    Raises
    ------
    OwnCodeError
        If it fails, returns anything but logits, no parameter receives a gradient, or it keeps
        numbers where no checkpoint finds them. A model that cannot be copied is not tried.
    """
    twin, name = copied(model), name_of(type(model))
    if twin is None:
        return
    before = {id(module): dict(_numbers(vars(module))) for module in twin.modules()}
    with told(model), np.errstate(all="ignore"):
        out: Any = twin(x)
    _refuse_output(name, out, (len(x), classes))
    for module in twin.modules():
        _refuse_changed(module, before.get(id(module), {}), "Make it a buffer: register_buffer")
    if not out.requires_grad:
        raise OwnCodeError(
            f"The output of {name} does not depend on its parameters, so they would not be "
            "trained. Was .data, .numpy() or no_grad() used on the way?"
        )
    with told(model), np.errstate(all="ignore"):
        CrossEntropyLoss()(out, labels).backward()


def try_optimizer(optimizer: optim.Optimizer, model: Module) -> None:
    """Let a copy of an optimizer take two steps and save its state.

    Raises
    ------
    OwnCodeError
        If it fails, does not have the parameters of the model, changes none of them, or keeps
        numbers where no checkpoint finds them. An optimizer that cannot be copied is not tried.
    """
    name = name_of(type(optimizer))
    theirs = {p for group in optimizer.param_groups for p in group["params"]}
    if not theirs & set(model.parameters()):
        raise OwnCodeError(
            f"{name} updates none of the parameters of this {name_of(type(model))}. "
            "Make it from model.parameters()."
        )
    if not all("lr" in group for group in optimizer.param_groups):
        raise OwnCodeError(
            f"{name} has no lr among its settings, which a schedule changes. "
            'Pass it on: super().__init__(params, {"lr": lr}).'
        )
    if twin := copied(optimizer):
        _try_steps(twin)


def _try_steps(optimizer: optim.Optimizer) -> None:
    """Take two steps with gradients of 1, and save and load the state."""
    params = [p for group in optimizer.param_groups for p in group["params"]]
    before, values = dict(_numbers(vars(optimizer))), [p.data.copy() for p in params]
    with told(optimizer), np.errstate(all="ignore"):
        for _ in range(2):
            for p in params:
                p.grad = Tensor(np.ones_like(p.data))
            optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
    _refuse_changed(optimizer, before, "Keep it in group or state")
    still = all(np.array_equal(p.data, was) for p, was in zip(params, values, strict=True))
    if still and max(group["lr"] for group in optimizer.param_groups) > SMALLEST_LR:
        raise OwnCodeError(
            f"{name_of(type(optimizer))} changed no parameter in two steps. Does update write in "
            "place, as p.data -= ... does? p = p - ... only gives another array the name p."
        )


def copied(own: Any) -> Any:
    """A copy that shares no memory; None if it cannot be copied."""
    try:
        return copy.deepcopy(own)
    except Exception:  # noqa: BLE001  whatever is in it: an open file, a lock, a module
        return None


def _numbers(attributes: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The attributes that are numbers or arrays, with their present values."""
    for name, value in attributes.items():
        if isinstance(value, int | float | np.number | np.ndarray):
            yield name, copy.copy(value)


def _refuse_changed(own: Any, before: dict[str, Any], way_out: str) -> None:
    for name, value in before.items():
        if not np.array_equal(vars(own).get(name), value):
            raise OwnCodeError(
                f"{name_of(type(own))} changes its attribute {name} as it works, which no "
                f"checkpoint holds: resumed, it would be another training. {way_out}."
            )
