"""Find where a training's numbers went wrong, only afterwards: a sound training pays nothing."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist import nn
from tinygrad_mnist.autodiff import no_grad
from tinygrad_mnist.nn.module import watching

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray


class DivergenceError(ArithmeticError):
    """The loss is no longer a finite number.

    The message names epoch, batch, learning rate, module, gradient norm, and a way out.
    """


def diagnose(
    model: nn.Module, what: str, where: str, lr: float, first_lr: float, x: NDArray[Any] | None
) -> DivergenceError:
    """The error for a training whose loss or weights are no longer finite.

    Parameters
    ----------
    model : Module
        The model in its present state, with the gradients of the last step.
    what, where : str
        For the message: ``"loss became nan"``, ``"epoch 1, batch 3"``.
    lr, first_lr : float
        The learning rate of the last step, and the one that the user chose.
    x : ndarray or None
        The inputs for which it happened, if the outputs showed it.
    """
    first = _first_not_finite(model, x)
    norm = nn.utils.clip_grad_norm_(model.parameters(), inf).item()  # an infinite norm spoils them
    return DivergenceError(
        f"The {what} in {where}, at learning rate {lr:.3g}. {first} "
        f"The gradient of the step before had norm {norm:.3g}. "
        f"Try a smaller lr, such as {first_lr / 10:.3g}."
    )


class _FoundError(Exception):
    """Ends the forward pass where the first number that is not finite was seen."""


def _first_not_finite(model: nn.Module, x: NDArray[Any] | None) -> str:
    paths = {module: path for path, module in model.named_modules()}

    def look(module: nn.Module, out: Any = None) -> None:
        for what, t in _numbers(module, out):
            if not np.isfinite(t.data).all():
                path = f"layer {paths[module]}" if paths.get(module) else "the model"
                raise _FoundError(
                    f"First not finite: the {what} of {path} ({type(module).__name__})."
                )

    try:
        with no_grad(), np.errstate(all="ignore"):
            if x is not None:
                with watching(look):
                    model(x)
            for module in paths:
                look(module)
    except _FoundError as found:
        return str(found)
    return "Every layer's output was finite, only their loss was not."


def _numbers(module: nn.Module, out: Any) -> Iterator[tuple[str, Any]]:
    """A module's own gradients and parameters, by name, and its output if that is numbers."""
    own: Mapping[str, Any] = {
        name: p for name, p in vars(module).items() if isinstance(p, nn.Parameter)
    }
    yield from ((f"{name}'s gradient", p.grad) for name, p in own.items() if p.grad is not None)
    yield from own.items()
    if hasattr(out, "data"):
        yield "output", out
