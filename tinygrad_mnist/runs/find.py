"""Run folders found and read again: which one is meant, and how its training went."""

from __future__ import annotations

import json
from pathlib import Path

from tinygrad_mnist.data import DataError
from tinygrad_mnist.data.errors import cause
from tinygrad_mnist.runs.folder import RunFolderError
from tinygrad_mnist.training.history import Epoch


def find_run(folder: Path | None) -> Path:
    """The run folder named, or if none is, the only one below ``runs/``.

    Raises
    ------
    RunFolderError
        If it is no run folder, or there is not exactly one to choose.
    """
    known = sorted(path.parent.as_posix() for path in Path("runs").glob("*/config.toml"))
    choice = " `tinygrad-mnist train` makes one."
    if known:
        choice = f" Runs here: {', '.join(known)[:200]}."
    if folder is None:
        if len(known) != 1:
            raise RunFolderError(f"Which run? Name its folder.{choice}")
        return Path(known[0])
    if not (folder / "config.toml").is_file():
        raise RunFolderError(f"{folder}: not a run folder: there is no config.toml in it.{choice}")
    return folder


def read_history(folder: Path) -> list[Epoch]:
    """The ``history.json`` of a run.

    Raises
    ------
    DataError
        If it is missing or damaged.
    """
    path = folder / "history.json"
    try:
        return [Epoch(**values) for values in json.loads(path.read_text(encoding="utf-8"))]
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(
            f"{path}: not the history of a run, which is a JSON list of epochs: {cause(error)}."
        ) from error
