"""Training in one call, for notebooks: a network, images and labels."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.training.build import train, with_own
from tinygrad_mnist.training.progress import show
from tinygrad_mnist.training.recipe import Recipe

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tinygrad_mnist.training.build import Model, Rule
    from tinygrad_mnist.training.history import Result


def fit(
    model: Model,
    images: NDArray[Any],
    labels: ArrayLike,
    *,
    optimizer: Rule | None = None,
    recipe: str = "default",
    progress: bool = True,
    **settings: Any,
) -> Result:
    """Train a network of your own, and print how it goes.

    Parameters
    ----------
    model : Module, or callable that makes one
        As for `train`.
    images : ndarray, (n, pixels) or (n, rows, columns)
        Bytes or floats.
    labels : array_like of int, (n,)
        The class of each image, from 0.
    optimizer : Optimizer, or callable that makes one
        As for `train`; by default the optimizer of the recipe.
    recipe : str
        The recipe that decides everything else: its name, or the path of a TOML file.
    progress : bool
        Whether to print one line per epoch.
    **settings
        Values to replace in the recipe: ``epochs=3, lr=0.05``.

    Returns
    -------
    Result
        Its ``model`` is trained; ``nn.Classifier(result.model)`` reads images with it.

    Raises
    ------
    DataError, DivergenceError, OwnCodeError, RecipeError
        As for `train`.
    """
    chosen = with_own(Recipe.load(recipe), model, optimizer)
    chosen = replace(chosen, **chosen.known(settings))
    if not progress:
        return train(chosen, images, labels, model=model, optimizer=optimizer)
    shown = show(chosen, sys.stdout, len(images))
    try:
        return train(
            chosen,
            images,
            labels,
            model=model,
            optimizer=optimizer,
            on_batch=shown.on_batch,
            on_epoch=shown.on_epoch,
        )
    finally:
        shown.close()
