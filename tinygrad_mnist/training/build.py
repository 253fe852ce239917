"""From a recipe to a training: the network, the optimizer, the loss, and the held-out images.

Code that a recipe names is not imported here: it is passed in as `model` and `optimizer`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist import nn, optim
from tinygrad_mnist.data import DataError, Dataset, distort, normalize, one_hot, split
from tinygrad_mnist.owncode import (
    OwnCodeError,
    fits,
    is_example,
    name_of,
    opened,
    reference_to,
    told,
)
from tinygrad_mnist.training.loop import Training
from tinygrad_mnist.training.recipe import OF_OPTIMIZER, Recipe, RecipeError, default_of
from tinygrad_mnist.training.trial import try_model, try_optimizer, try_training
from tinygrad_mnist.words import counted, quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from tinygrad_mnist.training.history import Epoch, Result

    Model = nn.Module | Callable[..., nn.Module]
    Rule = optim.Optimizer | Callable[..., optim.Optimizer]

MOST_NUMBERS = 200_000_000
"""The most weights and biases: with gradients and momentum, they take three times 0.8 GB."""
OF_TRAINING = (
    "schedule_every", "epochs", "batch_size", "normalize", "patience", "min_delta", "threads",
    "replay",
)  # fmt: skip
"""Keys of a recipe that are parameters of `Training` by the same name."""
MODEL_HINT = "A model is called as NAME(inputs, classes, rng=...), with what [model_options] lists."
OPTIMIZER_HINT = (
    "An optimizer is called as NAME(params, lr=...), with what [optimizer_options] lists, and with "
    "momentum, nesterov and weight_decay where the recipe sets them."
)


def train(
    recipe: Recipe,
    images: NDArray[Any],
    labels: ArrayLike,
    *,
    model: Model | None = None,
    optimizer: Rule | None = None,
    on_batch: Callable[[int, int, int], object] = lambda epoch, batch, batches: None,
    on_epoch: Callable[[Epoch], object] = lambda epoch: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Result:
    """Train the network of a recipe, or one of your own.

    Parameters
    ----------
    recipe : Recipe
        The training to run. The same recipe, data and NumPy give the same weights, bit by bit, on
        any number of cores.
    images : ndarray, (n, pixels)
        Bytes or floats; normalised batch by batch.
    labels : array_like of int, (n,)
        The class of each image, from 0.
    model : Module, or callable that makes one
        A network from (n, pixels) to (n, classes) logits, in place of the one in the recipe, whose
        keys for it are then ignored. A callable is called as ``model(pixels, classes, rng=rng)``
        with the `model_options` of the recipe.
    optimizer : Optimizer, or callable that makes one
        In place of the one in the recipe. A callable is called as ``optimizer(params, lr=lr)`` with
        the `optimizer_options` of the recipe.
    on_batch : callable
        Called after each step with the epoch, the number of the batch from 1, and the number of
        batches per epoch.
    on_epoch : callable
        Called after each epoch with its `Epoch`.
    should_stop : callable
        Called after each step; training ends as soon as it returns True.

    Returns
    -------
    Result

    Raises
    ------
    DataError
        If nothing is left to train on or to hold out, or if the recipe distorts images that are
        not square.
    DivergenceError
        If the loss becomes infinite or NaN.
    OwnCodeError
        If `model` or `optimizer` is not one, or does not fit the data.
    RecipeError
        If the recipe names a model or optimizer that was not given.
    """
    recipe = with_own(recipe, model, optimizer)
    training = build_training(recipe, Dataset.of(images, labels), model, optimizer)
    interrupted = training.run(on_batch=on_batch, on_epoch=on_epoch, should_stop=should_stop)
    return training.result(interrupted)


def with_own(recipe: Recipe, model: Model | None, optimizer: Rule | None) -> Recipe:
    """The recipe with the given model and optimizer in place of those that it names.

    Keys that only the replaced ones have get their default values.
    """
    given = {"model": model, "optimizer": optimizer}
    names = {
        key: reference_to(own)
        for key, own in given.items()
        if own is not None and key not in recipe.own
    }
    return replace(recipe, **recipe.left_behind(names) | names)


def build_training(
    recipe: Recipe, data: Dataset, model: Model | None = None, optimizer: Rule | None = None
) -> Training:
    """The training that a recipe describes, before its first step; arguments are as for `train`."""
    refuse_unnamed(recipe, model=model, optimizer=optimizer)
    split_rng, *rngs = map(np.random.default_rng, np.random.SeedSequence(recipe.seed).spawn(4))
    generators = dict(zip(("model", "order", "distortion"), rngs, strict=True))
    training_rows, validation_rows = _rows(recipe, len(data), split_rng)
    network = build_model(recipe, data.inputs, len(data.classes), generators["model"], model)
    few = training_rows[:2]
    if model is not None:
        x = normalize(data.images[few], recipe.normalize)
        try_model(network, x, len(data.classes))
        try_training(network, x, data.labels[few], len(data.classes))
    rule = build_optimizer(recipe, network, optimizer)
    if optimizer is not None:
        try_optimizer(rule, network)
    batches = -(-len(training_rows) // recipe.batch_size)
    return Training(
        network,
        rule,
        build_loss(recipe, len(data.classes)),
        data,
        training_rows,
        validation_rows,
        rngs=generators,
        schedule=build_schedule(recipe, rule, batches),
        distort=build_distortion(recipe),
        distorted_epochs=recipe.epochs - recipe.plain_epochs if recipe.distorts else 0,
        **{key: getattr(recipe, key) for key in OF_TRAINING},
    )


def build_model(
    recipe: Recipe,
    inputs: int,
    classes: int,
    rng: np.random.Generator,
    model: Model | None = None,
) -> nn.Module:
    """The given network, or the untrained one of a recipe: (n, inputs) -> (n, classes)."""
    if model is None and "model" not in recipe.own:
        return _mlp(recipe, inputs, classes, rng)
    if model is None:
        model = _of_package(recipe, "model", nn.Module)
    if isinstance(model, nn.Module):
        return model
    if not callable(model):
        raise OwnCodeError(
            f"A model is a Module or makes one, but this is a {type(model).__name__}."
        )
    fits(model, (inputs, classes), recipe.model_options | {"rng": rng}, (MODEL_HINT, MODEL_HINT))
    with told(model):
        made = model(inputs, classes, rng=rng, **recipe.model_options)
    if not isinstance(made, nn.Module):
        hint = " Does it lack its return?" if made is None else ""
        raise OwnCodeError(
            f"{name_of(model)} made a {type(made).__name__}, expected a Module of nn.{hint}"
        )
    return made


def _mlp(recipe: Recipe, inputs: int, classes: int, rng: np.random.Generator) -> nn.MLP:
    sizes = (inputs, *recipe.hidden, classes)
    numbers = sum((m + 1) * n for m, n in pairwise(sizes))
    if numbers > MOST_NUMBERS:
        raise RecipeError(
            f"hidden makes a network of {numbers:,} numbers, more than {MOST_NUMBERS:,}. "
            "Take fewer or narrower layers."
        )
    kinds = recipe.activation, recipe.output, recipe.initialiser
    return nn.MLP(sizes, *kinds, recipe.dropout, rng=rng)


def refuse_unnamed(recipe: Recipe, **given: Any) -> None:
    """Refuse to run code that a recipe names but that was not given, unless it is the package's."""
    unknown = {
        key: name
        for key, name in recipe.own.items()
        if key in given and given[key] is None and not is_example(name)
    }
    if unknown:
        what = " and ".join(f"the {key} {name}" for key, name in unknown.items())
        options = " ".join(f"--{key} {quoted(name)}" for key, name in unknown.items())
        raise RecipeError(
            f"This recipe uses {what}: a name read from a file, and code is run only if "
            f"this command names it. If you trust it, add {options}"
        )


def _of_package(recipe: Recipe, key: str, kind: type) -> Any:
    """A class from the package's examples; any other code is run only if it is given."""
    refuse_unnamed(recipe, **{key: None})
    reference: str = getattr(recipe, key)
    with opened(reference) as found:
        fits_in = isinstance(found, type) and issubclass(found, kind)
        if fits_in and found.__module__ == reference.partition(":")[0]:
            return found
    raise RecipeError(f"{key} = {reference!r}: there is no such {key} among the examples.")


def build_optimizer(
    recipe: Recipe, model: nn.Module, optimizer: Rule | None = None
) -> optim.Optimizer:
    """The given optimizer, or the one of a recipe; weights decay, biases do not."""
    if isinstance(optimizer, optim.Optimizer):
        return optimizer
    weights = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": params} for params in (weights, others) if params]
    if optimizer is not None:
        return _own_optimizer(recipe, groups, optimizer)
    if "optimizer" in recipe.own:
        rule = _of_package(recipe, "optimizer", optim.Optimizer)
        return _own_optimizer(recipe, groups, rule)
    groups[0]["weight_decay"] = recipe.weight_decay if weights else 0.0
    if recipe.optimizer != "sgd":
        kind = {"adam": optim.Adam, "adamw": optim.AdamW}[recipe.optimizer]
        betas = (recipe.momentum, 0.999)
        return kind(groups, lr=recipe.lr, betas=betas, weight_decay=0.0)
    return optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov)


def _own_optimizer(
    recipe: Recipe, groups: list[dict[str, Any]], make: Callable[..., optim.Optimizer]
) -> optim.Optimizer:
    if not callable(make):
        raise OwnCodeError(f"An optimizer is a class of one, but this is a {type(make).__name__}.")
    changed = {key: getattr(recipe, key) for key in OF_OPTIMIZER}
    changed = {key: value for key, value in changed.items() if value != default_of(key)}
    options = {"lr": recipe.lr} | changed | recipe.optimizer_options
    fits(make, (groups,), options, (OPTIMIZER_HINT, OPTIMIZER_HINT))
    if "weight_decay" in changed:
        groups[-1]["weight_decay"] = 0.0 if len(groups) > 1 else recipe.weight_decay
    with told(make):
        made = make(groups, **options)
    if not isinstance(made, optim.Optimizer):
        raise OwnCodeError(
            f"{name_of(make)} made a {type(made).__name__}, expected an Optimizer of optim."
        )
    return made


def build_schedule(
    recipe: Recipe, optimizer: optim.Optimizer, batches: int
) -> optim.lr_scheduler.LRScheduler:
    """The learning-rate schedule of a recipe whose epochs have this many batches."""
    if recipe.schedule == "one_cycle":
        steps = recipe.epochs * batches
        momentum = any({"momentum", "betas"} & group.keys() for group in optimizer.param_groups)
        return optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=recipe.lr, total_steps=steps, cycle_momentum=momentum
        )
    gamma = recipe.gamma if recipe.schedule == "exponential" else 1.0
    return optim.lr_scheduler.ExponentialLR(optimizer, gamma=gamma)


def build_distortion(
    recipe: Recipe,
) -> Callable[[NDArray[Any], np.random.Generator], NDArray[Any]]:
    """The distortion of a recipe, a function of images and a generator; None if there is none."""
    alpha, sigma = recipe.elastic_alpha, recipe.elastic_sigma
    return partial(distort, alpha=alpha, sigma=sigma, affine=recipe.affine)


def build_loss(recipe: Recipe, classes: int) -> Callable[[Any, NDArray[np.int64]], Any]:
    """The loss of a recipe, as a function of the model's outputs and the labels."""
    if recipe.loss == "cross_entropy":
        return nn.CrossEntropyLoss()
    mse = nn.MSELoss()
    return lambda outputs, labels: mse(outputs, one_hot(labels, classes))


def _rows(
    recipe: Recipe, images: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    training_rows, validation_rows = split(images, recipe.validation, rng)
    if recipe.examples:
        training_rows = np.arange(min(recipe.examples, images))
        validation_rows = validation_rows[validation_rows >= recipe.examples]
    if not (len(training_rows) and len(validation_rows)):
        too_few = "is too few" if images == 1 else "are too few"
        raise DataError(
            f"{counted(images, 'image')} {too_few} to hold out a fraction of {recipe.validation}. "
            "Change validation or examples, or add images."
        )
    return training_rows, validation_rows
