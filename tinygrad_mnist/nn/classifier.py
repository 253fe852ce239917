"""Answers from a network: probabilities, classes, and the pixels that an answer depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import grad, no_grad, tensor
from tinygrad_mnist.nn import arguments
from tinygrad_mnist.nn import functional as F
from tinygrad_mnist.nn.module import evaluating

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tinygrad_mnist.nn.module import Module, Parameter


class Classifier:
    """Any module as a classifier, called in evaluation mode (without dropout) and unrecorded.

    Parameters
    ----------
    module : Module
        Maps (n, inputs) to (n, classes) logits. A module that returns sigmoids instead has an
        attribute ``output = "sigmoid"``, and a method ``logits`` for the values before them.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mnist import nn
    >>> model = nn.Linear(784, 10, rng=np.random.default_rng(0))
    >>> nn.Classifier(model).predict_proba(np.zeros((2, 784), np.float32)).shape
    (2, 10)
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        self.output: str = getattr(module, "output", "softmax")

    def predict_proba(self, images: NDArray[Any]) -> NDArray[Any]:
        """The probability of each class: (n, in) -> (n, classes)."""
        with evaluating(self.module), no_grad():
            scores = self.module(images)
            if self.output == "softmax":
                scores = F.softmax(scores, dim=-1)
        return np.asarray(scores)

    def predict_label(self, images: NDArray[Any]) -> NDArray[np.intp]:
        """The most probable class: (n, in) -> (n,)."""
        return self.predict_proba(images).argmax(axis=-1)

    def saliency(self, images: NDArray[Any], classes: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """How strongly each pixel moves the logit of a class: |∂logit_c/∂x|.

        (n, in), (n,) -> (n, in). With sigmoids, the logit is the value before the last one.
        """
        x = tensor(images, requires_grad=True)
        with evaluating(self.module):
            logits = getattr(self.module, "logits", self.module)(x)
        chosen = arguments.classes(classes, logits, "saliency")
        one_hot = np.zeros_like(logits.data)
        one_hot[np.arange(len(chosen)), chosen] = 1
        (slope,) = grad(logits, x, grad_outputs=one_hot)
        return np.abs(np.asarray(slope))

    def parameters(self) -> Iterator[Parameter]:
        """The parameters of the module."""
        return self.module.parameters()
