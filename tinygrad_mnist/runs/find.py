"""Find a run folder, and read the history of its training."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from tinygrad_mnist.data import DataError
from tinygrad_mnist.runs.entries import (
    CONFIG,
    HISTORY,
    RunFolderError,
    not_numbers,
    read_json,
    refuse_links,
)
from tinygrad_mnist.training.history import Epoch

COLUMNS = {column.name: int if column.name == "epoch" else float for column in fields(Epoch)}
"""Keys of an epoch in the history."""


def find_run(folder: Path | None) -> Path:
    """The given run folder, or if none is given, the only one in ``runs/``.

    Raises
    ------
    RunFolderError
        If it is not a run folder, there is not exactly one to choose, or one of our files in it is
        a link.
    """
    known = sorted(path.parent.as_posix() for path in Path("runs").glob(f"*/{CONFIG}"))
    choice = " `tinygrad-mnist train` makes one."
    if known:
        choice = f" Runs here: {', '.join(known)[:200]}."
    if folder is None:
        if len(known) != 1:
            raise RunFolderError(f"Which run? Name its folder.{choice}")
        folder = Path(known[0])
    refuse_links(folder)
    if not (folder / CONFIG).is_file():
        raise RunFolderError(f"{folder}: not a run folder: there is no {CONFIG} in it.{choice}")
    return folder


def read_history(folder: Path) -> list[Epoch]:
    """The ``history.json`` of a run.

    Raises
    ------
    DataError
        If it is missing or damaged.
    """
    path = folder / HISTORY
    epochs = read_json(path, "the history of a run")
    right = isinstance(epochs, list) and all(
        not not_numbers(epoch, COLUMNS) and len(epoch) == len(COLUMNS) for epoch in epochs
    )
    if not right:
        raise DataError(f"{path}: not the history of a run, which is a JSON list of epochs.")
    return [Epoch(**epoch) for epoch in epochs]
