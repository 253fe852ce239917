"""Whether a network of one's own takes the data: it is shown two images before the first step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import Tensor, no_grad
from tinygrad_mnist.nn.module import evaluating
from tinygrad_mnist.owncode import OwnCodeError, name_of, told

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tinygrad_mnist import nn


def try_model(model: nn.Module, x: NDArray[Any], classes: int) -> None:
    """Call a model with a few images, in evaluation mode, so that nothing of it changes.

    Parameters
    ----------
    model : Module
        Of one's own.
    x : ndarray of float32, (n, inputs)
        What it will be given.
    classes : int
        How many logits it is to give for each.

    Raises
    ------
    OwnCodeError
        If it fails, has no parameters, writes to its input, or returns something else than logits
        (n, classes).
    """
    name = name_of(type(model))
    if not any(p.requires_grad for p in model.parameters()):
        raise OwnCodeError(
            f"{name} has no parameters to train. Make its weights nn.Parameter, "
            "and assign them and its layers as attributes."
        )
    before = x.copy()
    with told(model), evaluating(model), no_grad(), np.errstate(all="ignore"):
        out: Any = model(x)
    if not np.array_equal(x, before):
        raise OwnCodeError(
            f"{name}.forward writes to its input, so the images would change during training. "
            "Compute a new array: x = x - x.mean(), not x -= x.mean()."
        )
    if not isinstance(out, Tensor):
        hint = " Does forward lack its return?" if out is None else " Was .data or .numpy() used?"
        raise OwnCodeError(f"{name} returned a {type(out).__name__}, expected a tensor.{hint}")
    if out.shape != (len(x), classes):
        raise OwnCodeError(
            f"{name} made {out.shape} of {x.shape[0]} images of {x.shape[1]} pixels, "
            f"expected {(len(x), classes)}: a logit for each of the {classes} classes."
        )
    if out.dtype.kind != "f":
        raise OwnCodeError(f"{name} returned {out.dtype}, expected logits that are floats.")
