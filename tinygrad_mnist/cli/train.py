"""The commands that train: train, recipes, reproduce."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.cli.app import (
    Flag,
    Json,
    Overrides,
    Seeds,
    Settings,
    UserFileError,
    command,
    refuse_ending,
    verdict,
    warn,
)
from tinygrad_mnist.cli.own import opened_own, other_names, references
from tinygrad_mnist.cli.ranks import all_ranks, follow
from tinygrad_mnist.cli.stop import StopOnSignal
from tinygrad_mnist.cli.streams import say, say_json
from tinygrad_mnist.words import counted, file_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tinygrad_mnist.runs import Run


@command(
    "tinygrad-mnist train",
    "tinygrad-mnist train seed-a --set epochs=5 --set hidden=[300] --out runs/wide",
    "tinygrad-mnist train --model my_net.py:Net --optimizer my_opt.py:RMSprop",
    "tinygrad-mnist train --data mine.csv --test-data mine-test.csv",
    "tinygrad-mnist train --data abc.npz --test-data abc.npz --classes abc.txt",
    "tinygrad-mnist train --resume runs/default",
)
def train(
    recipe: str | None = None,
    *,
    settings: Settings = (),
    model: str | None = None,
    optimizer: str | None = None,
    data: Path | None = None,
    labels: Path | None = None,
    test_data: Path | None = None,
    test_labels: Path | None = None,
    classes: str | None = None,
    shape: str | None = None,
    out: Path | None = None,
    resume: Path | None = None,
    override: Overrides = (),
    threads: int | None = None,
    replay: Flag = False,
    mpi: Flag = False,
    json: Json = False,
) -> int:
    """Train a network and use the test images once.

    Parameters
    ----------
    recipe
        A name listed by `tinygrad-mnist recipes`, or the path of a TOML file; by default, default.
    settings
        key=value: replaces a value of the recipe. May be repeated.
    model
        Your own network, the same as --set model=...: FILE.py:NAME or package.module:NAME, which is
        called as NAME(inputs, classes, rng=rng) and returns an nn.Module. The file is run.
    optimizer
        Your own optimizer, the same as --set optimizer=...: called as NAME(params, lr=lr).
    data
        Train on your own images, of any size and any classes: CSV, npz or IDX, as
        `tinygrad_mnist.data.load_dataset` reads them.
    labels
        The file of their labels, if that file holds images only.
    test_data
        Test on your own images, none of which may be a training image. Required with --data; the
        word mnist in place of a file means MNIST's test images.
    test_labels
        The file of their labels, if that file holds images only.
    classes
        The names of the classes of your images, in the order of their labels: a,b,c or a text
        file with one name per line. By default those in the npz file, or 0 to 9, or the labels.
    shape
        Rows and columns of your images, such as 8,16, if the file does not say and they are not
        square.
    out
        Folder for the result; by default a new one, runs/RECIPE.
    resume
        Continue the training in this run folder where it stopped, with its recipe and data.
    override
        key=value: with --resume, replaces epochs, lr, patience or replay from there on. May be
        repeated.
    threads
        Threads for the matrix products, the same as --set threads=N; by default 1. More gain little
        on an idle machine, and lose much on a busy one. The last bits of the result may differ.
    replay
        Record a step once and repeat its calls of NumPy, the same as --set replay=true: faster, and
        the same result, bit by bit. The tape takes over, with a notice, where it must.
    mpi
        Share every batch out over the processes that mpiexec has started, one per core, which pays
        for large batches of large networks: mpiexec -n 2 tinygrad-mnist train ... --mpi
    json
        Print the result as JSON on standard output, and progress on standard error.
    """
    from tinygrad_mnist import runs
    from tinygrad_mnist.training import Recipe

    refuse_ending(out, "", "a folder")
    named = {"data": data, "labels": labels, "test_data": test_data, "test_labels": test_labels}
    files: dict[str, Any] = {name: path for name, path in named.items() if path}
    refuse_strays(files, resume, out, override)
    typed = references(settings, model, optimizer)
    given = {"model": model, "optimizer": optimizer, "threads": threads}
    more = tuple(f"{key}={value}" for key, value in given.items() if value is not None)
    if replay and resume:
        override = (*override, "replay=true")
    elif replay:
        more = (*more, "replay=true")
    with ExitStack() as stack:
        ranks = stack.enter_context(all_ranks()) if mpi else None
        if ranks and ranks.rank:
            return follow(ranks, **typed)
        kind = kind_of_images(classes, shape, None if resume else data)
        own = stack.enter_context(opened_own(**typed))
        if resume:
            asked_for = Recipe.load(recipe) if recipe else None
            same = tuple(s for s in (*settings, *more) if s.partition("=")[0].strip() not in typed)
            opened = runs.resumed_run(resume, asked_for, same, own, overrides=override, files=files)
            run = stack.enter_context(opened)
            warn(other_names(run.recipe, **typed))
        else:
            chosen = Recipe.load(recipe or "default").changed((*settings, *more))
            sets = runs.own_sets(**files, **kind) if files else None
            opened = runs.new_run(
                chosen, out or runs.free_folder(file_name(chosen.name)), sets, own
            )
            run = stack.enter_context(opened)
        if ranks:
            ranks.share(run)
        return completed(run, json)


def refuse_strays(
    files: Mapping[str, Path], resume: Path | None, out: Path | None, override: Sequence[str]
) -> None:
    """Refuse options that do not belong together."""
    if override and not resume:
        raise UserFileError("--override belongs to --resume RUN. For a new training, use --set.")
    if resume and out:
        raise UserFileError(f"--resume continues in its own folder, {resume}: leave out --out.")
    for images, labels in (("data", "labels"), ("test_data", "test_labels")):
        if labels in files and images not in files and not resume:
            raise UserFileError(
                "--labels belongs to --data, and --test-labels to --test-data: name the images too."
            )


def kind_of_images(classes: str | None, shape: str | None, data: Path | None) -> dict[str, Any]:
    """The values of --classes and --shape, as arguments of `own_sets`."""
    from tinygrad_mnist.data import read_names

    kind: dict[str, Any] = {}
    for name, value in (("classes", classes), ("shape", shape)):
        if value is not None and not data:
            raise UserFileError(
                f"--{name} belongs to --data: it describes your own images. "
                "A training that is continued knows that already."
            )
    if shape is not None:
        sides = [side.strip() for side in shape.split(",")]
        if len(sides) != 2 or not all(side.isdecimal() and int(side) for side in sides):
            raise UserFileError(
                f"--shape is rows and columns, as 8,16 for 8 rows of 16 pixels, but is {shape!r}."
            )
        kind["shape"] = tuple(map(int, sides))
    if classes is not None:
        kind["classes"] = read_names(classes)
    return kind


def completed(run: Run, json: bool) -> int:
    """Train to the end, show the progress, print the outcome, and return the exit code."""
    from tinygrad_mnist.training.progress import show

    warn(run.notices)
    shown = show(run.recipe, sys.stderr if json else sys.stdout, len(run.training.data))
    with StopOnSignal() as stop:
        try:
            metrics = run.complete(
                on_batch=stop.guard(shown.on_batch),
                on_epoch=stop.guard(shown.on_epoch),
                should_stop=stop.asked,
            )
        finally:
            shown.close()
    lines, values = summary(metrics, run.folder), metrics | {"out": str(run.folder)}
    if metrics["interrupted"]:
        again = run.resume_command
        lines, values = (*lines, again), values | {"resume": again}
    if json:
        say_json(values)
    else:
        say(*lines)
    return 128 + stop.requested if metrics["interrupted"] else 0


def summary(metrics: dict[str, Any], folder: Path) -> tuple[str, ...]:
    """The outcome of a run in two lines."""
    test = metrics["test"]
    if test is None:
        return (
            f"Interrupted {metrics['interrupted']}.",
            f"The weights so far are in {folder}; the test set was not opened. To continue:",
        )
    told = (
        f"{counted(metrics['epochs'], 'epoch')} in {metrics['training_seconds']:.1f} s, "
        f"{counted(metrics['parameters'], 'parameter')}. Everything is in {folder}."
    )
    return verdict(metrics["recipe"], test), told


@command()
def recipes(*, json: Json = False) -> None:
    """List the recipes.

    Parameters
    ----------
    json
        Print them with all their values as JSON.
    """
    from dataclasses import asdict

    from tinygrad_mnist.training import Recipe, recipe_names

    every = [Recipe.load(name) for name in recipe_names()]
    if json:
        say_json([asdict(recipe) for recipe in every])
    else:
        say(*(f"{recipe.name:<20}{recipe.description}" for recipe in every))


@command(
    "tinygrad-mnist reproduce default seed-a --out artifacts/results.json",
    "tinygrad-mnist reproduce default --jobs 2 --model my_net.py:Net",
)
def reproduce(
    *recipes: str,
    seeds: Seeds = (0, 1, 2, 3, 4),
    jobs: int = 1,
    model: str | None = None,
    optimizer: str | None = None,
    out: Path | None = None,
    json: Json = False,
) -> int:
    """Train recipes over several seeds and print a table of mean ± standard deviation.

    Parameters
    ----------
    recipes
        Names of recipes; by default all of them.
    seeds
        One training per seed.
    jobs
        How many trainings run at once, each in a process of its own. More than the machine has
        cores gain nothing. The results are the same for any number.
    model
        A network of your own in place of that of the recipes, as for train. The file is run.
    optimizer
        An optimizer of your own, as for train. The file is run.
    out
        JSON file for the single results, which is replaced if it exists. What is finished is kept
        beside it until all is, so that the same command goes on after an interruption.
    json
        Print the single results as JSON instead of the table; progress is on standard error.
    """
    from tinygrad_mnist import training
    from tinygrad_mnist.cli.reproducing import reproduced

    refuse_ending(out, ".json", "JSON")
    named = {"model": model, "optimizer": optimizer}
    settings = [f"{key}={value}" for key, value in named.items() if value is not None]
    chosen = [
        training.Recipe.load(name).changed(settings) for name in recipes or training.recipe_names()
    ]
    return reproduced(chosen, seeds, out, json, jobs=jobs, code=references((), model, optimizer))
