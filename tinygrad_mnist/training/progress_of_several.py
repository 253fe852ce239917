"""What a person sees of several trainings: a live line for each on a terminal, plain lines else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinygrad_mnist.training.recipe import Recipe


class PlainLines:
    """Says a line when a training is done, and nothing while it is under way."""

    def __init__(self, report: Callable[[str], object]) -> None:
        self.report = report

    def watch(self, name: str, part: float) -> None:
        """Nothing to say."""

    def close(self) -> None:
        """Nothing to clear away."""


class LiveLines:
    """The same lines, and below them a bar for each training that is under way."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns: list[Any] = [
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
        ]
        self.bars = Progress(
            *columns, console=Console(file=stream, highlight=False), transient=True
        )
        self.tasks: dict[str, Any] = {}

    def watch(self, name: str, part: float) -> None:
        """Move the bar of a training; a new one appears, and a full one goes."""
        self.bars.start()
        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task(name, total=1.0)
        self.bars.update(self.tasks[name], completed=part)
        if part == 1:
            self.bars.remove_task(self.tasks.pop(name))

    def report(self, line: str) -> None:
        """Print a line of text above the bars."""
        self.bars.console.print(line, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Take the bars away; the lines stay."""
        self.bars.stop()


def show_several(stream: TextIO, report: Callable[[str], object]) -> PlainLines | LiveLines:
    """Live if the stream is a terminal; elsewhere plain lines, given to `report`."""
    return LiveLines(stream) if stream.isatty() else PlainLines(report)


def hundredths(recipe: Recipe, news: Callable[[float], object]) -> Callable[[int, int, int], None]:
    """An `on_batch` that tells how much of a training is done, whenever it is 1 % more."""
    percent = -1

    def on_batch(epoch: int, batch: int, batches: int) -> None:
        nonlocal percent
        part = (epoch - 1 + batch / batches) / recipe.epochs
        if int(100 * part) != percent:
            percent = int(100 * part)
            news(part)

    return on_batch
