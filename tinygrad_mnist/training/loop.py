"""The training loop: batches forward, gradients back, a step; after each epoch, validation."""

from __future__ import annotations

import time
from dataclasses import asdict, astuple, dataclass, fields
from itertools import islice
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_mnist import nn, optim
from tinygrad_mnist.autodiff import no_grad
from tinygrad_mnist.data import DataError, distort, minibatches, normalize, one_hot, split
from tinygrad_mnist.nn.module import evaluating
from tinygrad_mnist.training.threads import blas_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from tinygrad_mnist.training.recipe import Recipe


UNFIT = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What loading the state of something else may raise."""


class DivergenceError(ArithmeticError):
    """The loss is no longer a finite number.

    The message names epoch, batch, learning rate, layer, gradient norm, and a way out.
    """


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training examples came to.

    Attributes
    ----------
    epoch : int
        From 1.
    loss, accuracy : float
        Means over the epoch's training batches, as they were seen: with dropout, before each step,
        without L2 penalty.
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
    sizes, kinds = (inputs, *recipe.hidden, 10), (recipe.activation, recipe.output)
    return nn.MLP(sizes, *kinds, recipe.initialiser, recipe.dropout, rng=rng)


def build_optimizer(recipe: Recipe, model: nn.Module) -> optim.SGD | optim.Adam:
    """The optimizer of a recipe: weights decay, biases do not."""
    weights = [p for p in model.parameters() if p.ndim > 1]
    biases = [p for p in model.parameters() if p.ndim == 1]
    groups = [
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": biases, "weight_decay": 0.0},
    ]
    if recipe.optimizer != "sgd":
        kind = {"adam": optim.Adam, "adamw": optim.AdamW}[recipe.optimizer]
        return kind(groups, lr=recipe.lr, betas=(recipe.momentum, 0.999))
    return optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov)


def build_schedule(recipe: Recipe, optimizer: Any, batches: int) -> Any:
    """The learning-rate schedule of a recipe whose epochs have so many batches."""
    if recipe.schedule == "one_cycle":
        steps = recipe.epochs * batches
        return optim.lr_scheduler.OneCycleLR(optimizer, max_lr=recipe.lr, total_steps=steps)
    gamma = recipe.gamma if recipe.schedule == "exponential" else 1.0
    return optim.lr_scheduler.ExponentialLR(optimizer, gamma=gamma)


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
        What to do. The same recipe, data and NumPy give the same weights, bit by bit, on any
        number of cores.
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
        If nothing is left to train on or to hold out, or images that are not square are to be
        distorted.
    DivergenceError
        If the loss becomes infinite or NaN.
    """
    training = Training(recipe, images, labels)
    interrupted = training.run(on_batch=on_batch, on_epoch=on_epoch, should_stop=should_stop)
    return training.result(interrupted)


class State(NamedTuple):
    """A training at rest between two steps.

    Attributes
    ----------
    arrays : dict
        Name -> ndarray of numbers.
    numbers : dict
        Everything else, as JSON can express it.
    """

    arrays: dict[str, NDArray[Any]]
    numbers: dict[str, Any]


@dataclass
class UnderWay:
    """How far an epoch has come."""

    batch: int = 0  # how many are done
    loss_sum: float = 0.0  # over their examples
    correct: int = 0
    lr: float = 0.0  # of the last step
    seconds: float = 0.0  # of wall time


class Training:
    """A training that can be put aside after any step and taken up again.

    The outcome is the same, bit by bit.

    Parameters
    ----------
    recipe, images, labels
        As for `train`, which also says what can go wrong.

    Attributes
    ----------
    model, optimizer, schedule
        What the steps change.
    rngs : dict of numpy.random.Generator
        For the model (initial weights, dropout masks), the order of the examples, and distortions.
    history : list of Epoch
        The finished epochs.
    under_way : UnderWay
        The unfinished one.
    best_epoch, best_weights : int, dict
        What early stopping goes back to; 0 and empty without it.
    """

    def __init__(self, recipe: Recipe, images: NDArray[Any], labels: NDArray[np.int64]) -> None:
        self.recipe, self.images, self.labels = recipe, images, labels
        split_rng, *rngs = map(np.random.default_rng, np.random.SeedSequence(recipe.seed).spawn(4))
        self.rngs = dict(zip(("model", "order", "distortion"), rngs, strict=True))
        self.training_rows, self.validation_rows = _rows(recipe, len(images), split_rng)
        self.batches = -(-len(self.training_rows) // recipe.batch_size)
        distorts = recipe.elastic_alpha or recipe.affine
        self.distorted_epochs = recipe.epochs - recipe.plain_epochs if distorts else 0
        self.model = build_model(recipe, images.shape[1], self.rngs["model"])
        self.optimizer = build_optimizer(recipe, self.model)
        self.schedule = build_schedule(recipe, self.optimizer, self.batches)
        self.loss_fn = _loss(recipe)
        self.history: list[Epoch] = []
        self.under_way = UnderWay()
        self.drawn_from = self.rngs["order"].bit_generator.state  # orders the epoch under way
        self.best_epoch = 0
        self.best_weights: dict[str, NDArray[Any]] = {}

    @property
    def epoch(self) -> int:
        """The number of the epoch under way, from 1."""
        return len(self.history) + 1

    @property
    def finished(self) -> bool:
        """Whether there is no epoch left, or the patience with the validation loss is used up."""
        since_best = len(self.history) - self.best_epoch
        return self.epoch > self.recipe.epochs or 0 < self.recipe.patience <= since_best

    def run(
        self,
        *,
        on_batch: Callable[[int, int, int], object],
        on_epoch: Callable[[Epoch], object],
        should_stop: Callable[[], bool],
    ) -> str:
        """Train to the end, or until asked to stop; returns where that was, or ""."""
        with blas_threads(self.recipe.threads):
            while not self.finished:
                started = time.perf_counter() - self.under_way.seconds
                for rows in self.remaining_batches():
                    self.step(rows)
                    self.under_way.seconds = time.perf_counter() - started
                    on_batch(self.epoch, self.under_way.batch, self.batches)
                    if should_stop():
                        at = f"after batch {self.under_way.batch} of {self.batches}"
                        return f"in epoch {self.epoch} {at}"
                self.end_epoch(started)
                on_epoch(self.history[-1])
        return ""

    def remaining_batches(self) -> Iterator[NDArray[np.intp]]:
        """The batches that the epoch still has, as rows of the images."""
        self.rngs["order"].bit_generator.state = self.drawn_from
        batches = minibatches(len(self.training_rows), self.recipe.batch_size, self.rngs["order"])
        remaining = islice(batches, self.under_way.batch, None)
        return (self.training_rows[chosen] for chosen in remaining)

    def step(self, rows: NDArray[np.intp]) -> None:
        """One step along the gradient of one batch."""
        recipe, now = self.recipe, self.under_way
        pixels, labels = self.images[rows], self.labels[rows]
        if self.epoch <= self.distorted_epochs:
            pixels = distort(
                pixels,
                self.rngs["distortion"],
                alpha=recipe.elastic_alpha,
                sigma=recipe.elastic_sigma,
                affine=recipe.affine,
            )
        x = normalize(pixels, recipe.normalize)
        now.lr = self.optimizer.param_groups[0]["lr"]
        with np.errstate(over="ignore", invalid="ignore"):
            outputs = self.model(x)
            loss = self.loss_fn(outputs, labels)
            if not isfinite(loss.item()):
                raise self._diverged(f"loss became {loss.item()}", now.batch + 1, x)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        now.batch += 1
        now.loss_sum += loss.item() * len(rows)
        now.correct += int((outputs.data.argmax(axis=1) == labels).sum())
        if recipe.schedule_every == "batch":
            self.schedule.step()

    def end_epoch(self, started: float) -> None:
        """Look at the validation images, and write down what came of the epoch.

        It began at `started`, as `time.perf_counter` says it.
        """
        recipe, now, examples = self.recipe, self.under_way, len(self.training_rows)
        if recipe.schedule_every == "epoch":
            self.schedule.step()
        held_out = self.validation_rows
        loss, accuracy = _validate(
            self.model, self.loss_fn, self.images, self.labels, held_out, recipe
        )
        if not isfinite(loss):
            x = normalize(self.images[held_out], recipe.normalize)
            raise self._diverged(f"validation loss became {loss}", now.batch, x)
        self.history.append(
            Epoch(
                epoch=self.epoch,
                loss=now.loss_sum / examples,
                accuracy=now.correct / examples,
                validation_loss=loss,
                validation_accuracy=accuracy,
                lr=now.lr,
                seconds=time.perf_counter() - started,
            )
        )
        self.under_way = UnderWay()
        self.drawn_from = self.rngs["order"].bit_generator.state
        if recipe.patience:
            best = self.best_epoch
            best_loss = self.history[best - 1].validation_loss if best else inf
            if loss < best_loss - recipe.min_delta:
                self.best_epoch, self.best_weights = len(self.history), _copy(self.model)

    def result(self, interrupted: str = "") -> Result:
        """The outcome.

        With early stopping, puts the best weights into the model: nothing is to be trained after
        that.
        """
        kept_epoch = len(self.history)
        if self.recipe.patience and self.best_epoch:
            self.model.load_state_dict(self.best_weights)
            kept_epoch = self.best_epoch
        return Result(self.model, self.history, kept_epoch, interrupted)

    def state(self) -> State:
        """Everything that the steps to come depend on, beside recipe and data, in copies.

        Raises
        ------
        DivergenceError
            If a weight is infinite or NaN: the step before spoiled it, and the next one would see.
        """
        arrays = {f"model.{name}": array for name, array in _copy(self.model).items()}
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise self._diverged("weights became infinite or NaN", self.under_way.batch, None)
        arrays |= {f"best.{name}": array for name, array in self.best_weights.items()}
        for i, remembered in self.optimizer.state_dict()["state"].items():
            for name, value in remembered.items():
                arrays[f"optimizer.{i}.{name}"] = np.asarray(value)
        history = np.array([astuple(epoch) for epoch in self.history], np.float64)
        arrays["history"] = history.reshape(-1, len(fields(Epoch)))
        generators = {name: rng.bit_generator.state for name, rng in self.rngs.items()}
        numbers = {
            "schedule": self.schedule.last_epoch,
            "under_way": asdict(self.under_way),
            "best_epoch": self.best_epoch,
            "rngs": generators | {"order": self.drawn_from},
        }
        return State(arrays, numbers)

    def load_state(self, state: State) -> None:
        """Go on from where `state` was taken, by a training of the same recipe and data.

        Learning rates and the like are not in the state: they follow from the recipe and the
        number of steps taken.

        Raises
        ------
        DataError
            If the state is not of such a training.
        """
        try:
            self._load_state(*state)
        except UNFIT as error:
            first, *_ = str(error).splitlines() or ["?"]
            raise DataError(f"not the state of such a training: {first[:200]}.") from error

    def _load_state(self, arrays: dict[str, NDArray[Any]], numbers: dict[str, Any]) -> None:
        parts: dict[str, dict[str, NDArray[Any]]] = {"model": {}, "best": {}, "optimizer": {}}
        for key, array in arrays.items():
            if key != "history":
                part, name = key.split(".", 1)
                parts[part][name] = array
        remembered: dict[int, dict[str, NDArray[Any]]] = {}
        for key, array in parts["optimizer"].items():
            i, name = key.split(".")
            remembered.setdefault(int(i), {})[name] = array
        if parts["best"]:
            self.model.load_state_dict(parts["best"])  # see whether they fit
        self.model.load_state_dict(parts["model"])
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": remembered, "param_groups": groups})
        self.schedule.last_epoch = int(numbers["schedule"]) - 1
        self.schedule.step()  # sets the learning rate
        self.history = [Epoch(int(row[0]), *map(float, row[1:])) for row in arrays["history"]]
        now = numbers["under_way"]
        self.under_way = UnderWay(
            batch=int(now["batch"]),
            loss_sum=float(now["loss_sum"]),
            correct=int(now["correct"]),
            lr=float(now["lr"]),
            seconds=float(now["seconds"]),
        )
        self.best_epoch, self.best_weights = int(numbers["best_epoch"]), parts["best"]
        begun = len(self.history) + (self.under_way.batch > 0)
        if begun > self.recipe.epochs or not 0 <= self.under_way.batch <= self.batches:
            raise ValueError(
                f"epoch {begun} has begun, batch {self.under_way.batch}: "
                f"more than {self.recipe.epochs} of {self.batches}"
            )
        has_best = self.best_epoch > 0
        if not 0 <= self.best_epoch <= len(self.history) or has_best != bool(self.best_weights):
            raise ValueError(f"the weights of epoch {self.best_epoch} are not there")
        for name, rng in self.rngs.items():
            rng.bit_generator.state = numbers["rngs"][name]
        self.drawn_from = self.rngs["order"].bit_generator.state

    def _diverged(self, what: str, batch: int, x: NDArray[Any] | None) -> DivergenceError:
        """Where the numbers went wrong; found afterwards, so a sound training pays nothing."""
        layer = self._first_layer_not_finite(x)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), inf).item()  # clips nothing
        return DivergenceError(
            f"The {what} in epoch {self.epoch}, batch {batch}, "
            f"at learning rate {self.under_way.lr:.3g}. {layer} "
            f"The gradient of the step before had norm {norm:.3g}. "
            f"Try a smaller lr, such as {self.recipe.lr / 10:.3g}."
        )

    def _first_layer_not_finite(self, x: Any) -> str:
        with no_grad(), np.errstate(over="ignore", invalid="ignore"):
            for name, layer in self.model.named_children():
                numbers: dict[str, Any] = {}
                for p, t in layer.named_parameters():
                    numbers[f"{p}'s gradient"] = t.grad
                numbers |= layer.named_parameters()
                if x is not None:
                    x = numbers["output"] = layer(x)
                for what, t in numbers.items():
                    if t is not None and not np.isfinite(t.data).all():
                        where = f"the {what} of layer {name} ({type(layer).__name__})"
                        return f"First not finite: {where}."
        return "Every layer's output was finite, only their loss was not."


def _rows(
    recipe: Recipe, images: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    training_rows, validation_rows = split(images, recipe.validation, rng)
    if recipe.examples:
        training_rows = np.arange(min(recipe.examples, images))
        validation_rows = validation_rows[validation_rows >= recipe.examples]
    if not (len(training_rows) and len(validation_rows)):
        raise DataError(
            f"{images} images are too few to hold out a fraction of {recipe.validation}. "
            "Change validation or examples, or add images."
        )
    return training_rows, validation_rows


def _loss(recipe: Recipe) -> Callable[[Any, NDArray[np.int64]], Any]:
    if recipe.loss == "cross_entropy":
        return nn.CrossEntropyLoss()
    mse = nn.MSELoss()
    return lambda outputs, labels: mse(outputs, one_hot(labels))


def _copy(model: nn.Module) -> dict[str, NDArray[Any]]:
    return {name: t.data.copy() for name, t in model.state_dict().items()}


def _validate(
    model: nn.MLP,
    loss_fn: Callable[..., Any],
    images: NDArray[Any],
    labels: NDArray[Any],
    rows: NDArray[Any],
    recipe: Recipe,
) -> tuple[float, float]:
    loss_sum, correct = 0.0, 0
    with evaluating(model), no_grad(), np.errstate(over="ignore", invalid="ignore"):
        for chosen in minibatches(len(rows), 1000):
            batch = rows[chosen]
            outputs = model(normalize(images[batch], recipe.normalize))
            loss_sum += loss_fn(outputs, labels[batch]).item() * len(batch)
            correct += int((outputs.data.argmax(axis=1) == labels[batch]).sum())
    return loss_sum / len(rows), correct / len(rows)
