"""The training loop: batches forward, gradients back, a step; after each epoch, validation."""

from __future__ import annotations

import time
from itertools import islice
from math import inf, isfinite, nan
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist import autodiff, optim
from tinygrad_mnist.autodiff import no_grad
from tinygrad_mnist.data import minibatches, normalize
from tinygrad_mnist.nn.module import evaluating
from tinygrad_mnist.training.divergence import diagnose
from tinygrad_mnist.training.history import Epoch, Result, UnderWay
from tinygrad_mnist.training.threads import blas_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from tinygrad_mnist import nn
    from tinygrad_mnist.autodiff import Tensor
    from tinygrad_mnist.data import Dataset
    from tinygrad_mnist.training.divergence import DivergenceError

    Rows = NDArray[np.intp]


class Training:
    """A training that can be interrupted after any step and continued later.

    The outcome is the same, bit by bit, as without the interruption.

    Parameters
    ----------
    model : Module
        From (n, pixels) to (n, classes).
    optimizer : Optimizer
        The optimizer of its parameters.
    loss_fn : callable
        Takes the model's outputs and the labels (n,), and returns a scalar tensor.
    data : Dataset
        The images and labels.
    training_rows, validation_rows : ndarray of int
        The images to train on, and the images held out for validation. If none are held out, their
        loss and accuracy are NaN.
    rngs : mapping of numpy.random.Generator
        ``"order"`` shuffles the examples, ``"distortion"`` is for `distort`; others, such as the
        one that the model draws from, are saved with the training.
    schedule : LRScheduler, optional
        A schedule of the optimizer; by default the learning rate is constant.
    schedule_every : {"epoch", "batch"}
        When the schedule takes a step.
    epochs, batch_size : int
        Passes over the training examples, and examples per step.
    normalize : {"unit", "seed", "standardize"} or None
        Range of the pixels that the model receives; None leaves them as they are.
    distort : callable, optional
        Takes images (n, pixels) and a generator, and returns distorted images of the same shape.
    distorted_epochs : int
        The number of epochs that use `distort`, from the first.
    patience : int
        Stop after this many epochs without a better validation loss; 0: never.
    min_delta : float
        A validation loss is better if it is lower by more than this.
    threads : int
        Number of threads for the matrix products.
    replay : bool
        Record a step once and repeat its calls of NumPy, which gives the same numbers faster; the
        first batch of every epoch is compared with the tape.

    Attributes
    ----------
    history : list of Epoch
        The finished epochs.
    under_way : UnderWay
        The unfinished one.
    best_epoch, best_weights : int, dict
        The weights that early stopping returns to, and their epoch; empty and 0 without it.
    processes : int
        How many processes share each batch.
    """

    processes = 1

    def __init__(
        self,
        model: nn.Module,
        optimizer: optim.Optimizer,
        loss_fn: Callable[[Any, NDArray[np.int64]], Any],
        data: Dataset,
        training_rows: Rows,
        validation_rows: Rows,
        *,
        rngs: Mapping[str, np.random.Generator],
        schedule: optim.lr_scheduler.LRScheduler | None = None,
        schedule_every: str = "epoch",
        epochs: int = 10,
        batch_size: int = 128,
        normalize: str | None = "unit",
        distort: Callable[[NDArray[Any], np.random.Generator], NDArray[Any]] | None = None,
        distorted_epochs: int = 0,
        patience: int = 0,
        min_delta: float = 0.0,
        threads: int = 1,
        replay: bool = False,
    ) -> None:
        self.model, self.optimizer, self.loss_fn, self.data = model, optimizer, loss_fn, data
        self.training_rows, self.validation_rows = training_rows, validation_rows
        self.rngs = dict(rngs)
        self.schedule = schedule or optim.lr_scheduler.ExponentialLR(optimizer, gamma=1.0)
        self.schedule_every, self.epochs, self.batch_size = schedule_every, epochs, batch_size
        self.normalize, self.distort = normalize, distort
        self.distorted_epochs = distorted_epochs if distort else 0
        self.patience, self.min_delta, self.threads = patience, min_delta, threads
        self.replayed = autodiff.replay(self.forward_pass()) if replay else None
        self.first_lr = max(group["lr"] for group in optimizer.param_groups)
        self.batches = -(-len(training_rows) // batch_size)
        self.history: list[Epoch] = []
        self.under_way = UnderWay()
        self.drawn_from = self.rngs["order"].bit_generator.state  # gives the order of this epoch
        self.best_epoch = 0
        self.best_weights: dict[str, NDArray[Any]] = {}

    @property
    def epoch(self) -> int:
        """The number of the epoch under way, from 1."""
        return len(self.history) + 1

    @property
    def finished(self) -> bool:
        """Whether no epoch is left, or the patience with the validation loss is used up."""
        since_best = len(self.history) - self.best_epoch
        return self.epoch > self.epochs or 0 < self.patience <= since_best

    def run(
        self,
        *,
        on_batch: Callable[[int, int, int], object] = lambda epoch, batch, batches: None,
        on_epoch: Callable[[Epoch], object] = lambda epoch: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> str:
        """Train to the end, or until asked to stop; return where it stopped, or ""."""
        with blas_threads(self.threads):
            while not self.finished:
                started = time.perf_counter() - self.under_way.seconds
                if self.replayed:
                    self.replayed.verify()
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

    def remaining_batches(self) -> Iterator[Rows]:
        """The remaining batches of the epoch, as rows of the images."""
        self.rngs["order"].bit_generator.state = self.drawn_from
        batches = minibatches(len(self.training_rows), self.batch_size, self.rngs["order"])
        return (self.training_rows[rows] for rows in islice(batches, self.under_way.batch, None))

    def step(self, rows: Rows) -> None:
        """One step along the gradient of one batch."""
        with np.errstate(over="ignore", invalid="ignore"):
            self.find_gradients(rows)
            self.apply_gradients()

    def find_gradients(self, rows: Rows) -> None:
        """Compute the gradients of one batch's mean loss, and leave them in the parameters."""
        now, x, labels = self.under_way, self._inputs(rows), self.data.labels[rows]
        if self.replayed:  # leaves its gradients at once
            self.optimizer.zero_grad()
        loss, outputs = (self.replayed or self.forward_pass())(x, labels)
        now.lr = self.optimizer.param_groups[0]["lr"]
        if not isfinite(loss.item()):
            raise self.diverged(f"loss became {loss.item()}", x, now.batch + 1)
        if not self.replayed:
            self.optimizer.zero_grad()
            loss.backward()
        now.loss_sum += loss.item() * len(rows)
        now.correct += int((outputs.data.argmax(axis=1) == labels).sum())

    def forward_pass(self) -> Callable[[Any, Any], tuple[Tensor, Tensor]]:
        """The loss and the outputs, as a function of inputs and labels that knows nothing else."""
        model, loss_fn = self.model, self.loss_fn

        def forward(x: Any, labels: Any) -> tuple[Tensor, Tensor]:
            outputs = model(x)
            return loss_fn(outputs, labels), outputs

        return forward

    def apply_gradients(self) -> None:
        """Take a step of the optimizer, and one of the schedule if it changes every batch."""
        self.optimizer.step()
        self.under_way.batch += 1
        if self.schedule_every == "batch":
            self.schedule.step()

    def _inputs(self, rows: Rows) -> NDArray[Any]:
        pixels = self.data.images[rows]
        if self.distort and self.epoch <= self.distorted_epochs:
            pixels = self.distort(pixels, self.rngs["distortion"])
        return normalize(pixels, self.normalize)

    def end_epoch(self, started: float) -> None:
        """Compute the validation loss, and record the results of the epoch.

        The epoch began at `started`, a time of `time.perf_counter`.
        """
        if self.schedule_every == "epoch":
            self.schedule.step()
        loss, accuracy = self.validate()
        now, examples = self.under_way, len(self.training_rows)
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
        if self.patience:
            best = self.history[self.best_epoch - 1].validation_loss if self.best_epoch else inf
            if loss < best - self.min_delta:
                self.best_epoch, self.best_weights = len(self.history), self.weights()

    def validate(self) -> tuple[float, float]:
        """Mean loss and accuracy on the held-out images."""
        rows = self.validation_rows
        if not len(rows):
            return nan, nan
        loss_sum, correct = self.totals(rows)
        if not isfinite(loss_sum):
            x = normalize(self.data.images[rows], self.normalize)
            raise self.diverged(f"validation loss became {loss_sum / len(rows)}", x)
        return loss_sum / len(rows), correct / len(rows)

    def totals(self, rows: Rows) -> tuple[float, int]:
        """Sum of the losses, and number of right answers, on some images, without dropout."""
        loss_sum, correct = 0.0, 0
        with evaluating(self.model), no_grad(), np.errstate(over="ignore", invalid="ignore"):
            for chosen in minibatches(len(rows), 1000):
                labels = self.data.labels[rows[chosen]]
                outputs = self.model(normalize(self.data.images[rows[chosen]], self.normalize))
                loss_sum += self.loss_fn(outputs, labels).item() * len(chosen)
                correct += int((outputs.data.argmax(axis=1) == labels).sum())
        return loss_sum, correct

    def weights(self) -> dict[str, NDArray[Any]]:
        """A copy of the model's parameters and buffers."""
        return {name: t.data.copy() for name, t in self.model.state_dict().items()}

    def result(self, interrupted: str = "") -> Result:
        """The outcome of the training.

        With early stopping, this puts the best weights into the model, so do not train it
        afterwards.
        """
        kept_epoch = len(self.history)
        if self.patience and self.best_epoch:
            self.model.load_state_dict(self.best_weights)
            kept_epoch = self.best_epoch
        return Result(self.model, self.history, kept_epoch, interrupted)

    def diverged(
        self, what: str, x: NDArray[Any] | None = None, batch: int | None = None
    ) -> DivergenceError:
        """The error to raise, which says where the numbers went wrong."""
        where = f"epoch {self.epoch}, batch {self.under_way.batch if batch is None else batch}"
        return diagnose(self.model, what, where, self.under_way.lr, self.first_lr, x)
