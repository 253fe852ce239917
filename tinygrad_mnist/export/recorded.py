"""Everything that a model computes for one batch in evaluation mode, op by op."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import Tensor
from tinygrad_mnist.autodiff.memory import tick
from tinygrad_mnist.autodiff.mode import Recording, everything
from tinygrad_mnist.autodiff.program import recorded
from tinygrad_mnist.export.layers import ExportError
from tinygrad_mnist.nn.module import evaluating, watching

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinygrad_mnist import nn


class Recorded:
    """Everything that a model computes for one batch."""

    def __init__(self, model: nn.Module, shape: Sequence[int], rows: int) -> None:
        images = np.random.default_rng(rows).random((rows, *shape), np.float32)
        self.x = Tensor(images, requires_grad=True)
        self.paths = {module: path for path, module in model.named_modules()}
        self.called: list[tuple[int, nn.Module]] = []
        self.outputs: dict[Any, str] = {}
        self.out: Any
        with evaluating(model), Recording(True), everything(), np.errstate(all="ignore"):
            try:
                with watching(self.look):
                    self.out = model(self.x)
            except Exception as error:  # a model of your own may raise anything
                raise ExportError(
                    f"{type(model).__name__}, called on {self.x.shape}: {error}"
                ) from error
        if not isinstance(self.out, Tensor) or self.out.shape[:1] != (rows,):
            raise ExportError(
                f"The model made {getattr(self.out, 'shape', self.out)} of {self.x.shape}. "
                "Its output needs a row for each row of the input."
            )
        self.steps = recorded(self.out)
        self.number = {t: i for i, t in enumerate([self.x, *self.steps])}

    def look(self, module: nn.Module, out: Any) -> None:
        """Note when a module was done; what was recorded before, and by no other, is its own."""
        self.called.append((tick(), module))
        if isinstance(out, Tensor):
            self.outputs.setdefault(out, self.paths.get(module, ""))

    def module(self, t: Any) -> nn.Module:
        """The innermost module in whose call a tensor was computed."""
        return next(module for time, module in self.called if time > t.age)
