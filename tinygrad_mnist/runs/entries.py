"""The files of a run folder, which have known names; links are not followed."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from typing import TYPE_CHECKING, Any

from tinygrad_mnist import files
from tinygrad_mnist.data import DataError
from tinygrad_mnist.data.errors import cause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

LOCK, CONFIG, METRICS, HISTORY = ".lock", "config.toml", "metrics.json", "history.json"
NEWEST, PREVIOUS = "checkpoint.npz", "checkpoint.previous.npz"
FIGURES = "figures"
LOG = "predictions.db"
NAMES = frozenset({
    LOCK, CONFIG, METRICS, HISTORY, NEWEST, PREVIOUS, FIGURES,
    "weights.npz", "model.safetensors", "model.onnx", "report.html", "MODEL_CARD.md",
    "model_card.json", "config.json", "train_history.json",
    LOG, f"{LOG}-wal", f"{LOG}-shm", f"{LOG}-journal",
})  # fmt: skip
"""Every name that the package reads or writes in a run folder."""

NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""Flags to open a file without following a link or waiting for the other end of a pipe."""
MOST_JSON, DEEPEST, LARGEST = 1 << 26, 20, 1 << 53
"""Limits for the JSON files that are read: bytes, nesting, and size of numbers."""

ELSEWHERE = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class RunFolderError(files.WriteError):
    """A run's folder cannot be used; the message says why, and what to do."""


def refuse_links(folder: Path) -> None:
    """Check that our files in a folder are ordinary files, without links to them or from them.

    Raises
    ------
    RunFolderError
        If something under one of our names is a link, a pipe or a device.
    """
    for name in sorted(NAMES):
        refuse_link(folder / name)
    for path in sorted((folder / FIGURES).glob("*.png")):
        refuse_link(path)


def refuse_link(path: Path) -> None:
    """Check that one of our names is a file, a folder, or free; a link is not followed.

    Raises
    ------
    RunFolderError
        If it is a link, a pipe or a device.
    """
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read: {error.strerror}.") from error
    refuse_other_places(path, status)


def refuse_other_places(path: Path, status: os.stat_result) -> None:
    """Refuse a path whose status says that it leads elsewhere, as `refuse_link` does."""
    what = next((what for is_one, what in ELSEWHERE if is_one(status.st_mode)), "")
    if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
        what = "a file that has another name too (a hard link)"
    if what:
        raise RunFolderError(
            f"{path}: {what}. In a run folder nothing is followed: "
            "put a file of its own there, or remove it."
        )


def is_empty(folder: Path) -> bool:
    """Whether a folder holds at most a lock and the unfinished files of a killed training."""
    left = set(unfinished(folder))
    return all(path.name == LOCK or path in left for path in folder.iterdir())


def unfinished(folder: Path) -> Iterator[Path]:
    """The files of a run folder that a killed process did not finish."""
    figures = folder / FIGURES
    for place in (folder, figures):
        if place == figures and (place.is_symlink() or not place.is_dir()):
            continue
        for path in place.iterdir():
            named = re.fullmatch(rf"\.(.+)\.\d+{re.escape(files.UNFINISHED)}", path.name)
            known = named and (named[1].endswith(".png") if place == figures else named[1] in NAMES)
            if known and path.is_file() and not path.is_symlink():
                yield path


def opened(path: Path) -> BinaryIO:
    """A file of a run folder, open for reading."""
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | NO_FOLLOW))


def read_json(path: Path, what: str) -> Any:
    """The content of a JSON file of a run folder; `what` describes it in messages.

    Raises
    ------
    DataError
        If it cannot be read, is not JSON, holds NaN or infinity, or is nested too deeply.
    """
    try:
        with opened(path) as file:
            content = file.read(MOST_JSON + 1)
        if len(content) > MOST_JSON:
            raise ValueError(f"it has more than {MOST_JSON:,} bytes")
        value = json.loads(content, parse_constant=_finite, parse_float=_finite)
        _refuse_depth(value)
        return value
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not {what}: {cause(error)}.") from error


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is not a number")
    return number


def _refuse_depth(value: Any) -> None:
    """Refuse a value that is nested too deeply for recursive functions."""
    inside = [value]
    for _ in range(DEEPEST):
        lists = [list(one.values()) if isinstance(one, dict) else one for one in inside]
        inside = [one for found in lists if isinstance(found, list) for one in found]
    if inside:
        raise ValueError(f"lists in lists, more than {DEEPEST} deep")


def not_numbers(values: Any, kinds: Mapping[str, type]) -> str:
    """The first key whose value is not an int or float, as `kinds` says, of sane size; else ""."""
    for key, kind in kinds.items():
        value: Any = values.get(key) if isinstance(values, dict) else None
        whole = type(value) is int
        if not (whole or (kind is float and type(value) is float)) or abs(value) > LARGEST:
            return key
    return ""


def write(
    path: Path, content: Callable[[Any], object] | str | bytes, keep: Path | None = None
) -> None:
    """Write a file of a run folder, as `files.write` does; a link in its place is replaced.

    Raises
    ------
    WriteError
        If it cannot be written.
    """
    files.write(path, content, keep, follow=False)


def make_figures(folder: Path) -> Path:
    """The folder for the figures of a run, which is made if it is missing.

    Raises
    ------
    RunFolderError
        If something else has its name.
    """
    figures = folder / FIGURES
    try:
        figures.mkdir(exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"{figures}: cannot be made: {error.strerror}.") from error
    refuse_link(figures)
    return figures
