"""Continue a run: with the same recipe and the same data, or not at all."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import fields, replace
from os.path import normpath, realpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.data import DataError
from tinygrad_mnist.data.errors import printable
from tinygrad_mnist.runs import checkpoint
from tinygrad_mnist.runs.about import About
from tinygrad_mnist.runs.entries import (
    CONFIG,
    LOCK,
    NEWEST,
    PREVIOUS,
    RunFolderError,
    refuse_link,
    unfinished,
)
from tinygrad_mnist.runs.environment import differences, environment
from tinygrad_mnist.runs.folder import locked, resume_command
from tinygrad_mnist.runs.job import NOTHING_OWN, Own, Run
from tinygrad_mnist.runs.sets import MNIST, Sets, fingerprint, found_again, own_sets, training_set
from tinygrad_mnist.training.build import build_training
from tinygrad_mnist.training.recipe import Recipe, RecipeError
from tinygrad_mnist.training.state import put_back

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAY_CHANGE = ("epochs", "lr", "patience")
"""Keys of a recipe that may change in the middle of a training."""
FILES = {"data", "labels", "test_data", "test_labels"}
"""Names of the options that replace MNIST's files."""


@contextmanager
def resumed_run(
    folder: Path,
    recipe: Recipe | None = None,
    settings: Sequence[str] = (),
    own: Own = NOTHING_OWN,
    *,
    overrides: Sequence[str] = (),
    files: Mapping[str, Path] | None = None,
) -> Iterator[Run]:
    """A run as its last checkpoint left it, and the lock on its folder.

    Parameters
    ----------
    folder : Path
        The folder of the run.
    recipe, settings : Recipe, sequence of str
        The recipe that the caller expects; by default any recipe is accepted.
    own : Own, optional
        The network and the optimizer of your own that it was started with.
    overrides : sequence of str
        Changes such as ``"epochs=20"`` to the keys in `MAY_CHANGE`.
    files : mapping, optional
        The files of your own that it was started with, by the name of their option. A name that
        only the checkpoint holds is used only if it is inside the run folder.

    Raises
    ------
    RunFolderError
        If there is no checkpoint, or another process trains there.
    RecipeError
        If ``config.toml`` or `recipe` differs from the recipe of the checkpoint, or an override is
        not possible.
    DataError
        If the checkpoint is damaged, its files are not named, or the data differs from that of the
        checkpoint.
    """
    if not folder.is_dir():
        raise RunFolderError(f"{folder}: there is no such run folder.")
    _refuse_others(folder)
    with locked(folder):
        saved, path, notice = checkpoint.load(folder)
        named = _named(saved.recipe, **own._asdict())
        asked_for = (recipe or saved.recipe).changed((*named, *settings))
        wanted = _agreed(folder, saved.recipe, asked_for, overrides)
        origin, sets = _same_data(path, saved, files or {})
        data = training_set(sets)
        about = About.read(saved.trained, path)
        about = replace(about, files=origin.get("files", {}))
        training = build_training(wanted, data, *own)
        try:
            put_back(training, saved.state)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        run = Run(folder, wanted, about, training, sets, origin)
        changed = about.changed_code(**own._asdict())
        run.notices = (*_notices(run, notice, saved.environment), *changed)
        yield run


def _refuse_others(folder: Path) -> None:
    """Refuse a folder that is not one of our runs, before anything is written to it.

    A run has a sound checkpoint. It also has a ``config.toml``, unless it was killed before that
    was written; then it has no other file.
    """
    checkpoint.load(folder)
    known = {folder / LOCK, folder / NEWEST, folder / PREVIOUS, *unfinished(folder)}
    if not (folder / CONFIG).exists() and (others := set(folder.iterdir()) - known):
        raise RunFolderError(
            f"{folder}: not a run folder: there is no {CONFIG} in it, but "
            f"{printable(min(others).name)!r}. Move the checkpoint to a folder of its own."
        )


def _notices(run: Run, notice: str, then: Mapping[str, Any]) -> Iterator[str]:
    """Notices to show before a training continues."""
    if notice:
        yield notice
    if changed := "; ".join(differences(then, environment(run.recipe.threads))):
        yield f"{changed}. So the result may not be the same, bit by bit."
    if (processes := then.get("processes", 1)) != 1:
        yield (
            f"this training ran on {printable(str(processes), 40)} ranks of MPI. "
            "On another number of them the result is not the same, bit by bit."
        )
    if run.outcome:
        finished = "this training is already finished. To train longer: --override epochs=..."
        yield f"{run.folder}: {finished}"


def _named(saved: Recipe, **own: Any) -> list[str]:
    """Settings that keep the recipe's references to what is given; their files may have moved."""
    references = {key: getattr(saved, key) for key, given in own.items() if given is not None}
    for key, reference in references.items():
        if key not in saved.own:
            raise RecipeError(
                f"This training has the {key} {reference!r}, which is built in. "
                f"Leave out --{key}, or train anew."
            )
    return [f"{key}={reference}" for key, reference in references.items()]


def _agreed(folder: Path, saved: Recipe, asked_for: Recipe, overrides: Sequence[str]) -> Recipe:
    """The recipe to continue with; raises a RecipeError unless folder and caller agree to it."""
    wanted = _overridden(saved, overrides)
    config = folder / CONFIG
    if config.exists():
        _agree(saved, wanted, str(config), Recipe.load(str(config)))
    _agree(saved, wanted, "The recipe asked for", asked_for)
    return wanted


def _overridden(saved: Recipe, overrides: Sequence[str]) -> Recipe:
    wanted = saved.changed(overrides)
    changed = [key for key, _, _ in _differences(saved, wanted)]
    for key in changed:
        if key not in MAY_CHANGE:
            raise RecipeError(
                f"{key} cannot change in the middle of a training, "
                f"only {', '.join(MAY_CHANGE)} can. Train anew instead."
            )
    if "epochs" in changed and (saved.schedule == "one_cycle" or saved.plain_epochs):
        raise RecipeError(
            "epochs cannot change here: the one-cycle schedule, and plain_epochs, "
            "count from the last one. Train anew instead."
        )
    if "patience" in changed and not saved.patience:
        raise RecipeError(
            "patience cannot begin in the middle of a training: "
            "the best weights so far were not kept. Train anew instead."
        )
    return wanted


def _agree(saved: Recipe, wanted: Recipe, name: str, other: Recipe) -> None:
    """Refuse another recipe, unless it differs only in keys that are overridden to its values."""
    overridden = {key for key, _, _ in _differences(saved, wanted)}
    agreed = overridden - {key for key, _, _ in _differences(wanted, other)}
    different = [
        f"{key} is {is_!r}, was {was!r}"
        for key, was, is_ in _differences(saved, other)
        if key not in agreed
    ]
    if different:
        possible = ", ".join(f"--override {key}=..." for key in MAY_CHANGE)
        raise RecipeError(
            f"{name} is not what this training began with: {'; '.join(different)}. "
            f"Put that back, or train anew. What may change: {possible}"
        )


def _differences(one: Recipe, other: Recipe) -> list[tuple[str, Any, Any]]:
    pairs = (
        (field.name, getattr(one, field.name), getattr(other, field.name))
        for field in fields(Recipe)
    )
    return [(key, a, b) for key, a, b in pairs if a != b]


def _same_data(
    path: Path, saved: checkpoint.Checkpoint, moved: Mapping[str, Path]
) -> tuple[dict[str, Any], Sets | None]:
    """The data that replaces MNIST's, if any, read again and compared with the checkpoint."""
    data = saved.data
    if not data:
        if moved:
            raise DataError(
                f"{path}: this training is on MNIST. "
                f"Leave out {', '.join(map(str, moved.values()))}, or train anew."
            )
        return data, None
    try:
        names = _names_now(data["files"], data["folder"], moved)
        paths = found_again(names, data["folder"])
        _refuse_unnamed(path.parent, saved.recipe, paths, moved)
        sets = own_sets(**paths, like=About.read(saved.trained, path))._replace(files=names)
        same = fingerprint(sets) == data["sha256"]
    except (AttributeError, LookupError, TypeError) as error:
        raise DataError(f"{path}: damaged: what it says of its data makes no sense.") from error
    if not same:
        changed = " and ".join(names[name] for name in ("data", "labels") if name in names)
        raise DataError(
            f"{changed or 'MNIST'}: not the images and labels that this training began with: "
            "another SHA-256. Train anew instead."
        )
    return data | {"files": names}, sets


def _names_now(names: Mapping[str, str], folder: str, moved: Mapping[str, Path]) -> dict[str, str]:
    """The names of the files in the checkpoint, with new names for files that moved."""
    if strange := names.keys() - FILES:
        raise LookupError(strange)
    before = found_again(names, folder)
    now = {
        name: str(file if file == MNIST else file.absolute())
        for name, file in moved.items()
        if normpath(file.absolute()) != normpath(before.get(name, ""))
    }
    return {**names, **now}


def _refuse_unnamed(
    folder: Path, recipe: Recipe, paths: Mapping[str, Path], named: Mapping[str, Path]
) -> None:
    """Refuse to read files outside the run folder that only its checkpoint names."""
    if all(name in named or file == MNIST or _within(folder, file) for name, file in paths.items()):
        return
    here = Path.cwd()
    shown = {
        name: str(file.relative_to(here) if file.is_relative_to(here) else file)
        for name, file in paths.items()
    }
    raise DataError(
        f"{folder}: this training is on files of your own, and names that a checkpoint holds are "
        f"not followed. If they are right, name them: {resume_command(folder, recipe, shown)}"
    )


def _within(folder: Path, file: Path) -> bool:
    """Whether a file is in the run folder, and not a link."""
    try:
        within = Path(realpath(file)).is_relative_to(realpath(folder))
    except ValueError:  # a zero byte
        return False
    if within:
        refuse_link(file)
    return within
