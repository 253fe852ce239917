"""The progress of a training: a line per epoch, and a bar on a terminal and in a notebook."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from tinygrad_mnist.training.history import Epoch
    from tinygrad_mnist.training.recipe import Recipe

STEPS = 20
"""Of the bar in a notebook, per epoch."""
HEADER = "epoch    loss   train %   val loss   val %   learning rate   images/s"


def line(row: Epoch, images: int) -> str:
    """An epoch over `images` training images, as one line under `HEADER`."""
    return (
        f"{row.epoch:>5}{row.loss:>z8.4f}{100 * row.accuracy:>10.2f}{row.validation_loss:>z11.4f}"
        f"{100 * row.validation_accuracy:>8.2f}{row.lr:>16.3g}{images / row.seconds:>11,.0f}"
    )


class PlainProgress:
    """Prints each epoch as a line to `stream`."""

    def __init__(self, images: int, stream: TextIO) -> None:
        self.images, self.stream, self.started = images, stream, False

    def on_batch(self, epoch: int, batch: int, batches: int) -> None:
        """Print the header before the first epoch."""
        if not self.started:
            self.started = True
            print(HEADER, file=self.stream, flush=True)

    def on_epoch(self, row: Epoch) -> None:
        """Print the epoch."""
        print(line(row, self.images), file=self.stream, flush=True)

    def close(self) -> None:
        """Do nothing: there is no bar to remove."""


class LiveProgress:
    """The same lines, with a bar below them that shows the epoch under way and the time left."""

    def __init__(self, images: int, stream: TextIO, epochs: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.images, self.epochs = images, epochs
        columns: list[Any] = [
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
        ]
        self.bar = Progress(*columns, console=Console(file=stream, highlight=False), transient=True)
        self.task = self.bar.add_task("", total=None)

    def on_batch(self, epoch: int, batch: int, batches: int) -> None:
        """Move the bar; before the first epoch, print the header."""
        if not self.bar.live.is_started:
            self.bar.start()
            self.bar.console.print(HEADER, style="bold")
        done, total = (epoch - 1) * batches + batch, self.epochs * batches
        now = f"epoch {epoch} of {self.epochs}"
        self.bar.update(self.task, completed=done, total=total, description=now)

    def on_epoch(self, row: Epoch) -> None:
        """Print the epoch above the bar."""
        self.bar.console.print(line(row, self.images))

    def close(self) -> None:
        """Remove the bar; the lines stay."""
        self.bar.stop()


class NotebookProgress(PlainProgress):
    """The same lines, and above them a bar of all epochs."""

    def __init__(self, images: int, stream: TextIO, epochs: int) -> None:
        from IPython.display import ProgressBar

        super().__init__(images, stream)
        self.bar = ProgressBar(epochs * STEPS)
        self.bar.display()

    def on_batch(self, epoch: int, batch: int, batches: int) -> None:
        """Move the bar, a few times per epoch."""
        super().on_batch(epoch, batch, batches)
        done = (epoch - 1) * STEPS + batch * STEPS // batches
        if done != self.bar.progress:
            self.bar.progress = done


def show(recipe: Recipe, stream: TextIO, examples: int = 60_000) -> PlainProgress | LiveProgress:
    """A bar on a terminal and in a notebook, plain lines elsewhere.

    `examples` includes the held-out ones.
    """
    images = recipe.examples or round(examples * (1 - recipe.validation))
    if stream.isatty():
        return LiveProgress(images, stream, recipe.epochs)
    if in_notebook():
        return NotebookProgress(images, stream, recipe.epochs)
    return PlainProgress(images, stream)


def in_notebook() -> bool:
    """Whether this program runs in the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")
