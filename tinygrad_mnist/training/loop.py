"""The training loop: batches forward, gradients back, a step; after each epoch a look at the validation set."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist import nn, optim
from tinygrad_mnist.autodiff import no_grad
from tinygrad_mnist.data import DataError, distort, minibatches, normalize, one_hot, split

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tinygrad_mnist.training.recipe import Recipe


class DivergenceError(ArithmeticError):
    """The loss is no longer a finite number; the message names epoch, batch and learning rate."""


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training examples came to.

    Attributes
    ----------
    epoch : int
        From 1.
    loss, accuracy : float
        Means over the epoch's training batches, as they were seen: with dropout, before each step, without L2 penalty.
    validation_loss, validation_accuracy : float
        On the held-out examples, after the epoch.
    lr : float
        The learning rate of the last step.
    seconds : float
        Wall time of the epoch, validation included.
    """

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    lr: float
    seconds: float


@dataclass(frozen=True)
class Result:
    """A trained model and how it came about.

    Attributes
    ----------
    model : nn.MLP
        With the final weights: after early stopping the best ones.
    history : list of Epoch
        One entry a finished epoch.
    kept_epoch : int
        The epoch whose weights the model has.
    interrupted : str
        Where training was asked to stop, or "".
    """

    model: nn.MLP
    history: list[Epoch]
    kept_epoch: int
    interrupted: str


def build_model(recipe: Recipe, inputs: int, rng: np.random.Generator) -> nn.MLP:
    """The untrained network of a recipe, for `inputs` pixels."""
    return nn.MLP((inputs, *recipe.hidden, 10), recipe.activation, recipe.output, recipe.initialiser, recipe.dropout, rng=rng)


def build_optimizer(recipe: Recipe, model: nn.Module) -> optim.SGD | optim.Adam:
    """The optimizer of a recipe: weights decay, biases do not."""
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adam":
        return optim.Adam(groups, lr=recipe.lr, betas=(recipe.momentum, 0.999))
    return optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov)


def build_schedule(recipe: Recipe, optimizer: Any, batches: int) -> Any:
    """The learning-rate schedule of a recipe whose epochs have so many batches."""
    if recipe.schedule == "one_cycle":
        return optim.lr_scheduler.OneCycleLR(optimizer, max_lr=recipe.lr, total_steps=recipe.epochs * batches)
    return optim.lr_scheduler.ExponentialLR(optimizer, gamma=recipe.gamma if recipe.schedule == "exponential" else 1.0)


def train(
    recipe: Recipe,
    images: NDArray[Any],
    labels: NDArray[np.int64],
    *,
    on_batch: Callable[[int, int, int], object] = lambda epoch, batch, batches: None,
    on_epoch: Callable[[Epoch], object] = lambda epoch: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Result:
    """Train the network of a recipe.

    Parameters
    ----------
    recipe : Recipe
        What to do. The same recipe, data, NumPy and number of threads give the same weights, bit by bit.
    images : ndarray, (n, pixels)
        Bytes or floats; normalised batch by batch.
    labels : ndarray of int, (n,)
        The digits.
    on_batch : callable
        Called after each step with epoch, number of the batch from 1, and batches an epoch.
    on_epoch : callable
        Called after each epoch with its `Epoch`.
    should_stop : callable
        Asked after each step; once it says True, training ends there.

    Returns
    -------
    Result

    Raises
    ------
    DataError
        If nothing is left to train on or to hold out, or images that are not square are to be distorted.
    DivergenceError
        If the loss becomes infinite or NaN.
    """
    seeds = np.random.SeedSequence(recipe.seed).spawn(4)
    split_rng, model_rng, order_rng, distortion_rng = (np.random.default_rng(seed) for seed in seeds)
    training_rows, validation_rows = _rows(recipe, len(images), split_rng)
    model = build_model(recipe, images.shape[1], model_rng)
    optimizer = build_optimizer(recipe, model)
    batches = -(-len(training_rows) // recipe.batch_size)
    schedule = build_schedule(recipe, optimizer, batches)
    loss_fn = _loss(recipe)
    distorted_epochs = recipe.epochs - recipe.plain_epochs if recipe.elastic_alpha or recipe.affine else 0
    history: list[Epoch] = []
    best_loss, best_epoch, best_weights, interrupted = inf, 0, _copy(model), ""
    for epoch in range(1, recipe.epochs + 1):
        started = time.perf_counter()
        loss_sum, correct = 0.0, 0
        for batch, chosen in enumerate(minibatches(len(training_rows), recipe.batch_size, order_rng), start=1):
            rows = training_rows[chosen]
            pixels = images[rows] if epoch > distorted_epochs else _distort(images[rows], recipe, distortion_rng)
            lr = optimizer.param_groups[0]["lr"]
            with np.errstate(over="ignore", invalid="ignore"):
                outputs = model(normalize(pixels, recipe.normalize))
                loss = loss_fn(outputs, labels[rows])
                _check_finite(loss.item(), epoch, batch, lr)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            loss_sum += loss.item() * len(rows)
            correct += int((outputs.data.argmax(axis=1) == labels[rows]).sum())
            on_batch(epoch, batch, batches)
            if recipe.schedule_every == "batch":
                schedule.step()
            if should_stop():
                interrupted = f"in epoch {epoch} after batch {batch} of {batches}"
                break
        if interrupted:
            break
        if recipe.schedule_every == "epoch":
            schedule.step()
        validation_loss, validation_accuracy = _validate(model, loss_fn, images, labels, validation_rows, recipe)
        _check_finite(validation_loss, epoch, batches, lr)
        seconds = time.perf_counter() - started
        means = loss_sum / len(training_rows), correct / len(training_rows)
        history.append(Epoch(epoch, *means, validation_loss, validation_accuracy, lr, seconds))
        on_epoch(history[-1])
        if recipe.patience:
            if validation_loss < best_loss - recipe.min_delta:
                best_loss, best_epoch, best_weights = validation_loss, epoch, _copy(model)
            elif epoch - best_epoch >= recipe.patience:
                break
    kept_epoch = len(history)
    if recipe.patience and best_epoch:
        model.load_state_dict(best_weights)
        kept_epoch = best_epoch
    return Result(model, history, kept_epoch, interrupted)


def _rows(recipe: Recipe, images: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    training_rows, validation_rows = split(images, recipe.validation, rng)
    if recipe.examples:
        training_rows = np.arange(min(recipe.examples, images))
        validation_rows = validation_rows[validation_rows >= recipe.examples]
    if not (len(training_rows) and len(validation_rows)):
        raise DataError(
            f"{images} images are too few to hold out a fraction of {recipe.validation}. Change validation or examples, or add images."
        )
    return training_rows, validation_rows


def _distort(images: NDArray[Any], recipe: Recipe, rng: np.random.Generator) -> NDArray[Any]:
    return distort(images, rng, alpha=recipe.elastic_alpha, sigma=recipe.elastic_sigma, affine=recipe.affine)


def _loss(recipe: Recipe) -> Callable[[Any, NDArray[np.int64]], Any]:
    if recipe.loss == "cross_entropy":
        return nn.CrossEntropyLoss()
    mse = nn.MSELoss()
    return lambda outputs, labels: mse(outputs, one_hot(labels))


def _check_finite(loss: float, epoch: int, batch: int, lr: float) -> None:
    if not isfinite(loss):
        raise DivergenceError(f"The loss became {loss} in epoch {epoch}, batch {batch}, at learning rate {lr:.3g}. Try a smaller lr.")


def _copy(model: nn.Module) -> dict[str, NDArray[Any]]:
    return {name: t.data.copy() for name, t in model.state_dict().items()}


def _validate(
    model: nn.MLP, loss_fn: Callable[..., Any], images: NDArray[Any], labels: NDArray[Any], rows: NDArray[Any], recipe: Recipe
) -> tuple[float, float]:
    loss_sum, correct = 0.0, 0
    model.eval()
    with no_grad(), np.errstate(over="ignore", invalid="ignore"):
        for chosen in minibatches(len(rows), 1000):
            batch = rows[chosen]
            outputs = model(normalize(images[batch], recipe.normalize))
            loss_sum += loss_fn(outputs, labels[batch]).item() * len(batch)
            correct += int((outputs.data.argmax(axis=1) == labels[batch]).sum())
    model.train()
    return loss_sum / len(rows), correct / len(rows)
