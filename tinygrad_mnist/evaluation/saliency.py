"""Which pixels an answer depends on: a logit's slope along each pixel, for one image per class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_mnist.data import normalize

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Saliency(NamedTuple):
    """Images (n, pixels), their classes (n,), and |∂logit of that class/∂pixel| (n, pixels)."""

    images: NDArray[Any]
    classes: NDArray[Any]
    slopes: NDArray[Any]


def first_of_each_class(
    model: Any, images: NDArray[Any], labels: NDArray[Any], how: str = "unit", most: int = 30
) -> Saliency:
    """The first image of every class, and how strongly each pixel moves its logit.

    Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks, 2013, section 3.

    Parameters
    ----------
    model : object
        Has ``saliency(images, classes)``, as the networks of both derivations do.
    images : ndarray, (n, pixels)
        Bytes or floats.
    labels : ndarray of int, (n,)
        The true classes.
    how : {"unit", "seed", "standardize"}
        The normalisation the model was trained with.
    most : int
        The greatest number of classes; only the first ones are used.
    """
    classes, rows = (found[:most] for found in np.unique(labels, return_index=True))
    return Saliency(images[rows], classes, model.saliency(normalize(images[rows], how), classes))
