"""A trained network read back: from its run folder, or from a file of weights."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_mnist.data import DataError
from tinygrad_mnist.data.errors import cause, printable
from tinygrad_mnist.export import read_npz, read_safetensors
from tinygrad_mnist.training.checkpoint import NEWEST
from tinygrad_mnist.training.folder import RunFolderError, resume_command
from tinygrad_mnist.training.loop import Epoch, build_model
from tinygrad_mnist.training.recipe import Recipe, RecipeError

if TYPE_CHECKING:
    from tinygrad_mnist import nn

PIXELS, CLASSES = 784, 10
SMALL = 1 << 20
"""No network of more parameters is built for a file that holds fewer numbers."""


class Trained(NamedTuple):
    """A trained network.

    Attributes
    ----------
    model : nn.MLP
        Takes 784 pixels, tells ten digits apart.
    recipe : Recipe or None
        What it was trained by, if that is known.
    weights : Path
        The file they were read from.
    """

    model: nn.MLP
    recipe: Recipe | None
    weights: Path

    @property
    def normalize(self) -> str:
        """The range of pixels that it was trained on, as far as is known."""
        return self.recipe.normalize if self.recipe else "unit"

    @property
    def settings(self) -> dict[str, Any]:
        """Every value of the recipe; nothing if that is not known."""
        return asdict(self.recipe) if self.recipe else {}

    @property
    def layers(self) -> str:
        """Widths and units, as in ``784-256-10 sigmoid``."""
        widths = "-".join(str(p.shape[0]) for p in self.model.parameters() if p.ndim > 1)
        return f"{widths}-{CLASSES} {self.recipe.activation if self.recipe else 'sigmoid'}"

    @property
    def hash(self) -> str:
        """SHA-256 of the shapes and values of all parameters, whatever file they came from."""
        digest = hashlib.sha256()
        for p in self.model.parameters():
            little = np.ascontiguousarray(p.data, p.dtype.newbyteorder("<"))
            digest.update(f"{little.dtype.str}{p.shape}".encode() + little.tobytes())
        return digest.hexdigest()


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


def load_trained(run: Path | None = None, weights: Path | None = None) -> Trained:
    """The network of a run, or of a file of weights.

    Parameters
    ----------
    run : Path, optional
        The run folder. With `weights` only its recipe counts.
    weights : Path, optional
        An npz or safetensors file, or another run folder. Without `run`, the recipe is the one in
        the safetensors file, else the ``config.toml`` beside the file; an npz file without one
        is read as sigmoid units and softmax.

    Raises
    ------
    RunFolderError
        If there is no such run.
    RecipeError
        If its recipe makes no sense.
    DataError
        If the file is damaged, does not fit the recipe, is not of 784 pixels and ten digits, holds
        NaN, or nothing says what network it is of.
    """
    if weights is None or weights.is_dir():
        folder = find_run(weights or run)
        weights = folder / "weights.npz"
        if not weights.exists() and (folder / NEWEST).exists():
            raise RunFolderError(
                f"{folder}: its training has not ended. Go on with it: {resume_command(folder)}"
            )
        run = run or folder
    beside = weights.parent if (weights.parent / "config.toml").is_file() else None
    from_run, from_beside = _recipe_of(run), _recipe_of(beside)
    read = _from_npz if _is_zip(weights) else _from_safetensors
    trained = read(weights, from_run, from_beside)
    for name, p in trained.model.named_parameters():
        if not np.isfinite(p.data).all():
            raise DataError(
                f"{weights}: {name} holds NaN or infinity. "
                "Was it saved from a training that diverged?"
            )
    return trained


def _recipe_of(folder: Path | None) -> Recipe | None:
    return Recipe.load(str(find_run(folder) / "config.toml")) if folder else None


def _is_zip(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\3\4"
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error


def _from_npz(path: Path, from_run: Recipe | None, from_beside: Recipe | None) -> Trained:
    recipe = from_run or from_beside
    kind = (recipe.activation, recipe.output, recipe.dropout) if recipe else ()
    model = read_npz(path, *kind)
    shapes = [p.shape for p in model.parameters()]
    inputs, classes = shapes[0][0], shapes[-1][0]
    if (inputs, classes) != (PIXELS, CLASSES):
        raise DataError(
            f"{path}: a network from {inputs} inputs to {classes} classes, "
            f"expected {PIXELS} and {CLASSES}."
        )
    return Trained(model, recipe, path)


def _from_safetensors(path: Path, from_run: Recipe | None, from_beside: Recipe | None) -> Trained:
    arrays, about = read_safetensors(path)
    try:
        recipe = from_run or (Recipe(**about["recipe"]) if "recipe" in about else from_beside)
    except (TypeError, RecipeError) as error:
        raise DataError(
            f"{path}: the recipe in it makes no sense: {printable(str(error), 200)}"
        ) from error
    if recipe is None:
        raise DataError(
            f"{path}: does not say what network it is of. Name the run folder too: its recipe does."
        )
    wanted = sum(n * (m + 1) for m, n in pairwise((PIXELS, *recipe.hidden, CLASSES)))
    found = sum(array.size for array in arrays.values())
    if wanted > max(found, SMALL):
        raise DataError(f"{path}: {found} numbers, but the network of its recipe has {wanted}.")
    model = build_model(recipe, PIXELS, np.random.default_rng(0))
    try:
        model.load_state_dict(arrays)
    except RuntimeError as error:
        raise DataError(f"{path}: {printable(str(error), 250)}") from error
    return Trained(model, recipe, path)


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
