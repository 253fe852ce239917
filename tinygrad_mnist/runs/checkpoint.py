"""A training on disk: everything its next step depends on, in one npz file, checked when read."""

from __future__ import annotations

import hashlib
import io
import json
import os
import warnings
from contextlib import suppress
from dataclasses import asdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from tinygrad_mnist.data import DataError
from tinygrad_mnist.data.errors import cause, printable
from tinygrad_mnist.data.npz import members_of
from tinygrad_mnist.runs.about import About
from tinygrad_mnist.runs.entries import (
    NEWEST,
    PREVIOUS,
    RunFolderError,
    opened,
    refuse_links,
    write,
)
from tinygrad_mnist.training.recipe import Recipe
from tinygrad_mnist.training.state import State

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

FORMAT = 1
ABOUT = "about"
"""The entry for everything that is not an array, as the bytes of a JSON text."""
PARTS = ("recipe", "environment", "data", "numbers", "sha256")
"""The keys of that entry; each value is a dict."""
MOST_TEXT = 1 << 22
"""The most bytes of JSON, and of everything else that does not grow with the network."""


class Checkpoint(NamedTuple):
    """Everything that is needed to continue a training.

    Attributes
    ----------
    recipe : Recipe
        The recipe of the training.
    state : State
        Its state.
    environment : dict
        The software and machine that it ran on.
    data : dict
        The files that replace MNIST's: their ``files``, the ``folder`` that those names are
        relative to, and the ``sha256`` of the training set; empty for MNIST.
    trained : dict
        The table of an `About`.
    """

    recipe: Recipe
    state: State
    environment: dict[str, Any]
    data: dict[str, Any]
    trained: dict[str, Any]


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint into a folder; the last sound one before it is kept beside it.

    Raises
    ------
    WriteError
        If it cannot be written; earlier checkpoints are then still there.
    """
    recipe, (arrays, numbers), environment, data, trained = checkpoint
    about = {
        "format": FORMAT,
        "recipe": asdict(recipe),
        "environment": environment,
        "data": data,
        "trained": trained,
        "numbers": numbers,
        "sha256": {name: digest(array) for name, array in arrays.items()},
    }
    entries = {ABOUT: np.frombuffer(json.dumps(about).encode(), np.uint8)} | arrays

    def fill(file: BinaryIO) -> None:
        np.savez(file, allow_pickle=False, **entries)

    # A damaged checkpoint never replaces the sound one that the training continued from.
    newest = folder / NEWEST
    damaged = os.path.lexists(newest) and not is_sound(newest)
    write(newest, fill, keep=None if damaged else folder / PREVIOUS)


def drop_previous(folder: Path) -> None:
    """Remove the checkpoint before the newest, unless it is the only sound one."""
    if is_sound(folder / NEWEST):
        with suppress(OSError):
            (folder / PREVIOUS).unlink()


def is_sound(path: Path) -> bool:
    """Whether a file is a checkpoint from which a training can continue."""
    try:
        read(path)
    except DataError:
        return False
    return True


def load(folder: Path) -> tuple[Checkpoint, Path, str]:
    """The newest sound checkpoint of a folder, its file, and a notice.

    The notice is "", or says that the newest is damaged and this is the one before it.

    Raises
    ------
    RunFolderError
        If there is no checkpoint, or one of our files in the folder is a link.
    DataError
        If no checkpoint is sound.
    """
    newest, previous = folder / NEWEST, folder / PREVIOUS
    if not any(map(os.path.lexists, (newest, previous))):
        raise RunFolderError(
            f"{folder}: there is no checkpoint to continue from. "
            "`tinygrad-mnist train` begins a training."
        )
    refuse_links(folder)
    try:
        return read(newest), newest, ""
    except DataError as error:
        if not previous.exists():
            raise
        notice = f"{error} Continuing from {previous}, the checkpoint before it."
        return read(previous), previous, notice


def read(path: Path) -> Checkpoint:
    """Read a checkpoint.

    No code in it is executed, and memory use is in proportion to the bytes of the file, whatever
    its headers say.

    Raises
    ------
    DataError
        If it cannot be read, is damaged, or its size is not that of a checkpoint of its network.
    """
    try:
        quiet = warnings.catch_warnings(action="ignore")
        with opened(path) as file, ZipFile(file) as archive, quiet:
            members = _members(path, archive)
            about = _about(path, archive.read(members.pop(ABOUT)))
            recipe = Recipe(**about["recipe"])
            trained = about.get("trained", {})  # old checkpoints lack it
            _check_size(path, recipe, About.read(trained, path))
            arrays = {name: _array(archive.read(info)) for name, info in members.items()}
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # damaged files make NumPy, zipfile and json raise many kinds
        raise DataError(
            f"{path}: damaged, or not a checkpoint: {type(error).__name__} {cause(error)}."
        ) from error
    _compare(path, arrays, about["sha256"])
    if not np.isfinite(arrays.get("history", 0)).all():
        raise DataError(f"{path}: its history holds NaN or infinity.")
    state = State(arrays, about["numbers"])
    return Checkpoint(recipe, state, about["environment"], about["data"], trained)


def _members(path: Path, archive: ZipFile) -> dict[str, ZipInfo]:
    """The entries by name; raises a DataError if one claims more than the file holds."""
    members, size = members_of(path, archive), path.stat().st_size
    for info in members.values():
        if info.compress_type != ZIP_STORED or max(info.compress_size, info.file_size) > size:
            raise DataError(
                f"{path}: damaged, or not a checkpoint: checkpoints are not compressed."
            )
    if ABOUT not in members or members[ABOUT].file_size > MOST_TEXT:
        raise DataError(
            f"{path}: not a checkpoint: it lacks the entry {ABOUT!r} "
            f"of at most {MOST_TEXT:,} bytes."
        )
    return members


def _about(path: Path, content: bytes) -> dict[str, Any]:
    """The entry ABOUT; raises a DataError if a part is missing."""
    about: dict[str, Any] = json.loads(_array(content).tobytes())
    if about["format"] != FORMAT:
        raise DataError(
            f"{path}: a checkpoint of format {about['format']!r:.20}, "
            f"but this version reads format {FORMAT}."
        )
    if not all(isinstance(about[part], dict) for part in PARTS):
        raise DataError(f"{path}: damaged: a part of its entry {ABOUT!r} is missing.")
    if not all(isinstance(value, str | int) for value in about["environment"].values()):
        raise DataError(f"{path}: damaged: what it says about its origin makes no sense.")
    return about


def _compare(path: Path, arrays: dict[str, NDArray[Any]], sums: dict[str, str]) -> None:
    """Refuse arrays whose SHA-256 differs from the saved one."""
    found = {name: digest(array) for name, array in arrays.items()}
    damaged = [
        name
        for name in found.keys() | sums.keys()
        if name not in found or found[name] != sums.get(name)
    ]
    if damaged:
        names = printable(", ".join(sorted(damaged)))
        raise DataError(f"{path}: damaged: {names} is not what was saved: another SHA-256.")


def digest(array: NDArray[Any]) -> str:
    """SHA-256 of an array's type, shape and values."""
    hashed = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    hashed.update(np.ascontiguousarray(array).data)
    return hashed.hexdigest()


def _array(content: bytes) -> NDArray[Any]:
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("an array is not in the plain form")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.kind not in "uif" or min(shape, default=0) < 0:
        raise ValueError(f"an array of {dtype} has the shape {shape}")
    array = np.frombuffer(content, dtype, offset=stream.tell())
    return array.reshape(shape, order="F" if fortran else "C")


def _check_size(path: Path, recipe: Recipe, about: About) -> None:
    """Refuse a file that is too small or too large for its network, if that is the built-in one.

    A file holds at least the weights, and at most four times as much: with two arrays per weight
    for the optimizer, and the best weights.
    """
    if recipe.own:
        return
    size, sizes = path.stat().st_size, (about.inputs, *recipe.hidden, len(about.classes))
    network = 4 * sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))
    epochs = 64 * recipe.epochs
    if not network <= size <= 4 * network + epochs + 2 * MOST_TEXT:
        raise DataError(
            f"{path}: holds {size:,} bytes, which is not the size of a checkpoint "
            f"for hidden = {list(recipe.hidden)}."
        )
