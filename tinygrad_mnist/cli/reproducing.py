"""Trainings over several seeds: shown while they run, and written down as soon as each is done."""

from __future__ import annotations

import json as json_module
import sys
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.cli.app import make_room
from tinygrad_mnist.cli.stop import StopOnSignal
from tinygrad_mnist.cli.streams import say_json, say_lines, tell

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tinygrad_mnist.training import Recipe


def reproduced(
    recipes: Sequence[Recipe], seeds: Sequence[int], out: Path | None, json: bool, **how: Any
) -> int:
    """Train, and print and write what came of it; the exit code.

    `how` is given to `tinygrad_mnist.runs.reproduce`.
    """
    from tinygrad_mnist.runs import UnfinishedError, reproduce
    from tinygrad_mnist.runs.reproduction import table
    from tinygrad_mnist.training.progress_of_several import show_several

    if out is not None:
        make_room(out)
    kept, shown = beside(out), show_several(sys.stderr, tell)
    how |= {"unfinished": kept, "watch": shown.watch}
    unfinished: UnfinishedError | None = None
    with StopOnSignal() as stop:
        try:
            results = reproduce(recipes, seeds, shown.report, should_stop=stop.asked, **how)
        except UnfinishedError as error:
            unfinished, results = error, [result for result in error.results if result["runs"]]
        finally:
            shown.close()
    lines = table(results).split("\n") if results else []
    if unfinished:
        tell(*lines, *str(unfinished).split("\n"))
        return 128 + stop.requested if stop.requested else 1
    written(results, out, kept)
    if json:
        say_json(results)
    else:
        say_lines(lines)
    return 0


def written(results: list[dict[str, Any]], out: Path | None, kept: Path | None) -> None:
    """Write all that came of it, which then is kept nowhere else."""
    from tinygrad_mnist.files import write

    if out is not None:
        write(out, json_module.dumps(results, indent=1) + "\n")
    if kept:
        kept.unlink(missing_ok=True)


def beside(out: Path | None) -> Path | None:
    """Where results are kept until all are there; a device has no place beside it."""
    if out is None or (out.exists() and not out.is_file()):
        return None
    return out.with_name(f"{out.stem}.unfinished.json")
