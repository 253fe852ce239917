"""A trained network read back: from its run folder, or from a file of weights."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_mnist import nn
from tinygrad_mnist.data import DataError
from tinygrad_mnist.data.errors import printable
from tinygrad_mnist.export import read_npz, read_safetensors
from tinygrad_mnist.runs.about import About
from tinygrad_mnist.runs.config import read_config
from tinygrad_mnist.runs.entries import CONFIG, NEWEST, RunFolderError
from tinygrad_mnist.runs.find import find_run
from tinygrad_mnist.runs.folder import resume_command
from tinygrad_mnist.training.build import build_model
from tinygrad_mnist.training.recipe import Recipe, RecipeError
from tinygrad_mnist.training.trial import try_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tinygrad_mnist.training.build import Model

SMALL = 1 << 20
"""A larger network is built only if the file holds as many numbers as it has parameters."""


class Trained(NamedTuple):
    """A trained network.

    Attributes
    ----------
    model : nn.Module
        The network, from pixels to one logit per class.
    recipe : Recipe or None
        The recipe of its training, if it is known.
    weights : Path
        The file that the weights were read from.
    about : About
        The images and classes that it is for.
    notices : tuple of str
        Notices to show to the user.
    """

    model: nn.Module
    recipe: Recipe | None
    weights: Path
    about: About
    notices: tuple[str, ...] = ()

    @property
    def classifier(self) -> nn.Classifier:
        """The network, ready to read images."""
        return nn.Classifier(self.model)

    @property
    def normalize(self) -> str:
        """The normalisation that it was trained with; "unit" if that is not known."""
        return self.recipe.normalize if self.recipe else "unit"

    @property
    def settings(self) -> dict[str, Any]:
        """Every value of the recipe; empty if it is not known."""
        return asdict(self.recipe) if self.recipe else {}

    @property
    def layers(self) -> str:
        """Widths and units, as in ``784-256-10 sigmoid``, or the name of your own network."""
        if not isinstance(self.model, nn.MLP):
            return type(self.model).__name__
        widths = "-".join(str(p.shape[0]) for p in self.model.parameters() if p.ndim > 1)
        units = self.recipe.activation if self.recipe else "sigmoid"
        return f"{widths}-{len(self.about.classes)} {units}"

    @property
    def hash(self) -> str:
        """SHA-256 of the shapes and values of all weights, whatever file they came from."""
        digest = hashlib.sha256()
        for p in self.model.state_dict().values():
            little = np.ascontiguousarray(p.data, p.dtype.newbyteorder("<"))
            digest.update(f"{little.dtype.str}{p.shape}".encode() + little.tobytes())
        return digest.hexdigest()


def load_trained(
    run: Path | None = None, weights: Path | None = None, model: Model | None = None
) -> Trained:
    """Load the network of a run, or of a file of weights.

    Parameters
    ----------
    run : Path, optional
        The run folder. If `weights` is given, only its recipe is used.
    weights : Path, optional
        An npz or safetensors file, or another run folder. Without `run`, the recipe is the one in
        the safetensors file, or the ``config.toml`` beside the file; an npz file without one is
        read as sigmoid units and softmax.
    model : Module, or callable that makes one, optional
        Your own network, whose weights they are, as for `tinygrad_mnist.training.train`.

    Raises
    ------
    RunFolderError
        If there is no such run.
    RecipeError
        If its recipe is not valid, or names a network of your own that was not given.
    DataError
        If the file is damaged, does not fit the recipe, holds NaN, or does not say which network
        it belongs to.
    OwnCodeError
        If `model` is not a network for these images and classes.
    """
    if weights is None or weights.is_dir():
        folder = find_run(weights or run)
        weights = _weights_in(folder)
        run = run or folder
    beside = weights.parent if (weights.parent / CONFIG).is_file() else None
    known = _config_of(run), _config_of(beside)
    if _is_zip(weights):
        if model is not None:
            raise DataError(
                f"{weights}: npz holds the weights of the built-in network only. "
                "Leave out the model, or name the safetensors file."
            )
        trained = _from_npz(weights, known[0] or known[1])
    else:
        trained = _from_safetensors(weights, *known, model)
    for name, t in trained.model.state_dict().items():
        if not np.isfinite(t.data).all():
            raise DataError(
                f"{weights}: {name} holds NaN or infinity. "
                "Was it saved from a training that diverged?"
            )
    return trained


def _weights_in(folder: Path) -> Path:
    for name in ("weights.npz", "model.safetensors"):
        if (folder / name).exists():
            return folder / name
    if (folder / NEWEST).exists():
        recipe, about = read_config(folder)
        again = resume_command(folder, recipe, about.files)
        raise RunFolderError(f"{folder}: its training has not ended. Continue it: {again}")
    return folder / "weights.npz"


def _config_of(folder: Path | None) -> tuple[Recipe, About] | None:
    return read_config(find_run(folder)) if folder else None


def _is_zip(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\3\4"
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error


def _from_npz(path: Path, known: tuple[Recipe, About] | None) -> Trained:
    recipe, about = known or (None, About())
    kind = (recipe.activation, recipe.output, recipe.dropout) if recipe else ()
    model = read_npz(path, *kind)
    shapes = [p.shape for p in model.parameters()]
    inputs, classes = shapes[0][0], shapes[-1][0]
    if (inputs, classes) != (about.inputs, len(about.classes)):
        raise DataError(
            f"{path}: a network from {inputs} inputs to {classes} classes, "
            f"expected {about.inputs} and {len(about.classes)}."
        )
    return Trained(model, recipe, path, about)


def _from_safetensors(
    path: Path,
    from_run: tuple[Recipe, About] | None,
    from_beside: tuple[Recipe, About] | None,
    own: Model | None,
) -> Trained:
    arrays, content = read_safetensors(path)
    recipe, about = from_run or _described(path, content) or from_beside or (None, About())
    if recipe is None and own is None:
        raise DataError(
            f"{path}: does not say which network it belongs to. Name the run folder, whose recipe "
            "does."
        )
    recipe = recipe or Recipe("own")
    if own is None and "model" not in recipe.own:
        _check_size(path, recipe, about, arrays)
    model = build_model(recipe, about.inputs, len(about.classes), np.random.default_rng(0), own)
    try:
        model.load_state_dict(arrays)
    except RuntimeError as error:
        raise DataError(f"{path}: {printable(str(error), 250)}") from error
    if own is not None:
        try_model(model, np.zeros((2, about.inputs), np.float32), len(about.classes))
    return Trained(model, recipe, path, about, tuple(about.changed_code(model=own)))


def _described(path: Path, content: dict[str, Any]) -> tuple[Recipe, About] | None:
    """The recipe and `About` in a safetensors file; None if it has no recipe."""
    if "recipe" not in content:
        return None
    try:
        recipe = Recipe(**content["recipe"])
    except (TypeError, RecipeError) as error:
        raise DataError(
            f"{path}: the recipe in it makes no sense: {printable(str(error), 200)}"
        ) from error
    return recipe, About.read(content.get("trained", {}), path)


def _check_size(path: Path, recipe: Recipe, about: About, arrays: dict[str, NDArray[Any]]) -> None:
    """Refuse a file with too few numbers before a large network is built for it."""
    sizes = (about.inputs, *recipe.hidden, len(about.classes))
    wanted = sum(n * (m + 1) for m, n in pairwise(sizes))
    found = sum(array.size for array in arrays.values())
    if wanted > max(found, SMALL):
        raise DataError(f"{path}: {found} numbers, but the network of its recipe has {wanted}.")
