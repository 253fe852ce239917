"""A training on disk: everything its next step depends on, in one npz file that is checked when it is read back."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from dataclasses import asdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple
from zipfile import ZIP_STORED, ZipFile

import numpy as np

from tinygrad_mnist.data import DataError
from tinygrad_mnist.data.errors import cause, printable
from tinygrad_mnist.data.stream import PIXELS
from tinygrad_mnist.training.folder import RunFolderError, write
from tinygrad_mnist.training.loop import State
from tinygrad_mnist.training.recipe import Recipe

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NEWEST, PREVIOUS = "checkpoint.npz", "checkpoint.previous.npz"
FORMAT = 1
ABOUT = "about"
"""The entry that says in JSON what is not an array: the bytes of a text."""
MOST_TEXT = 1 << 22
"""Bytes of JSON, and of everything in the file that does not grow with the network."""


class Checkpoint(NamedTuple):
    """What is needed to go on with a training.

    Attributes
    ----------
    recipe : Recipe
        What it follows.
    state : State
        How far it has come.
    environment : dict
        Where that was.
    data : dict
        Which files replace MNIST's: their ``files``, the ``folder`` those names start from, and the ``sha256`` of what is trained
        on; empty for MNIST.
    """

    recipe: Recipe
    state: State
    environment: dict[str, Any]
    data: dict[str, Any]


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint into a folder; the one before stays beside it.

    Raises
    ------
    RunFolderError
        If it cannot be written; then those that were there still are.
    """
    recipe, (arrays, numbers), environment, data = checkpoint
    about = {
        "format": FORMAT,
        "recipe": asdict(recipe),
        "environment": environment,
        "data": data,
        "numbers": numbers,
        "sha256": {name: digest(array) for name, array in arrays.items()},
    }
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    write(
        folder / NEWEST,
        lambda file: np.savez(file, allow_pickle=False, **{ABOUT: text}, **arrays),
        keep=folder / PREVIOUS,
    )


def load(folder: Path) -> tuple[Checkpoint, Path, str]:
    """The newest checkpoint of a folder and its file, or the one before it if the newest is damaged; then also a notice that says so.

    Raises
    ------
    RunFolderError
        If there is none.
    DataError
        If there is no sound one.
    """
    newest, previous = folder / NEWEST, folder / PREVIOUS
    if not (newest.exists() or previous.exists()):
        raise RunFolderError(
            f"{folder}: there is no checkpoint to go on from. `tinygrad-mnist train` begins a training."
        )
    try:
        return read(newest), newest, ""
    except DataError as error:
        if not previous.exists():
            raise
        return (
            read(previous),
            previous,
            f"{error} Going on from {previous}, the checkpoint before it.",
        )


def read(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Nothing in it is executed, and memory is taken in proportion to the bytes of the file, whatever it announces.

    Raises
    ------
    DataError
        If it cannot be read, is damaged, or its size is not that of a checkpoint of its network.
    """
    try:
        with (
            path.open("rb") as file,
            ZipFile(file) as archive,
            warnings.catch_warnings(action="ignore"),
        ):
            size = path.stat().st_size
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if any(
                info.compress_type != ZIP_STORED or max(info.compress_size, info.file_size) > size
                for info in members.values()
            ):
                raise DataError(f"{path}: damaged, or not a checkpoint: those are not compressed.")
            if ABOUT not in members or members[ABOUT].file_size > MOST_TEXT:
                raise DataError(
                    f"{path}: not a checkpoint: it lacks the entry {ABOUT!r} of at most {MOST_TEXT:,} bytes."
                )
            about = json.loads(_array(archive.read(members.pop(ABOUT))).tobytes())
            if about["format"] != FORMAT:
                raise DataError(
                    f"{path}: a checkpoint of format {about['format']!r:.20}, but this version reads format {FORMAT}."
                )
            if not all(
                isinstance(about[part], dict)
                for part in ("recipe", "environment", "data", "numbers", "sha256")
            ):
                raise DataError(f"{path}: damaged: a part of its entry {ABOUT!r} is missing.")
            recipe = Recipe(**about["recipe"])
            _check_size(path, size, recipe)
            arrays = {name: _array(archive.read(info)) for name, info in members.items()}
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except (
        Exception
    ) as error:  # on damaged files, zipfile, json and NumPy's reader of headers raise many kinds
        raise DataError(
            f"{path}: damaged, or not a checkpoint: {type(error).__name__} {cause(error)}."
        ) from error
    if damaged := sorted(
        name
        for name in arrays.keys() | about["sha256"].keys()
        if name not in arrays or digest(arrays[name]) != about["sha256"].get(name)
    ):
        raise DataError(
            f"{path}: damaged: {printable(', '.join(damaged))} is not what was saved: another SHA-256."
        )
    return Checkpoint(recipe, State(arrays, about["numbers"]), about["environment"], about["data"])


def digest(array: NDArray[Any]) -> str:
    """SHA-256 of an array: of its type, its shape and its values."""
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
    return np.frombuffer(content, dtype, offset=stream.tell()).reshape(
        shape, order="F" if fortran else "C"
    )


def _check_size(path: Path, size: int, recipe: Recipe) -> None:
    """A network takes its room once; with what the optimizer remembers of it, and its best weights, four times at most."""
    network = 4 * sum((n_in + 1) * n_out for n_in, n_out in pairwise((PIXELS, *recipe.hidden, 10)))
    epochs = 64 * recipe.epochs
    if not network <= size <= 4 * network + epochs + 2 * MOST_TEXT:
        raise DataError(
            f"{path}: holds {size:,} bytes, which is not the size of a checkpoint for hidden = {list(recipe.hidden)}."
        )
