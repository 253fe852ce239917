"""The command that trains a recipe again and again with other settings: sweep."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tinygrad_mnist.cli.app import (
    HIDDEN,
    SEVERAL,
    Json,
    Settings,
    UserFileError,
    command,
    refuse_ending,
)
from tinygrad_mnist.cli.own import references
from tinygrad_mnist.cli.stop import StopOnSignal
from tinygrad_mnist.cli.streams import say, say_json, tell
from tinygrad_mnist.words import file_name, quoted

if TYPE_CHECKING:
    from tinygrad_mnist.training import Recipe

Vary = Annotated[tuple[str, ...], SEVERAL, HIDDEN]


@command(
    "tinygrad-mnist sweep default --vary lr=0.01..1:log --vary hidden=[64],[256] --set epochs=5",
    "tinygrad-mnist sweep my.toml --vary dropout=0..0.5 --trials 50 --jobs 2 --out sweeps/dropout",
    "tinygrad-mnist sweep my.toml --vary lr=0.01..1:log --storage postgresql+psycopg://me@host/db",
)
def sweep(
    recipe: str,
    *,
    vary: Vary = (),
    settings: Settings = (),
    trials: int = 30,
    jobs: int = 1,
    seed: int = 0,
    model: str | None = None,
    optimizer: str | None = None,
    out: Path | None = None,
    storage: str = "",
    json: Json = False,
) -> int:
    """Find good settings: train a recipe with many, and compare them on the validation images.

    Optuna proposes the settings, and ends trainings early that do worse than the median. The test
    set is not used. The same command goes on after an interruption.

    Parameters
    ----------
    recipe
        A name listed by `tinygrad-mnist recipes`, or the path of a TOML file.
    vary
        What varies: key=LOW..HIGH, key=LOW..HIGH:log, or key=VALUE,VALUE,... May be repeated.
    settings
        key=value: replaces a value of the recipe in all trials. May be repeated.
    trials
        How many trials the sweep has in all, with those of earlier commands and other machines.
    jobs
        How many trainings run at once, each in a process of its own. More than the machine has
        cores gain nothing.
    seed
        Decides what is proposed. With one job, the same seed gives the same trials.
    model
        A network of your own in place of that of the recipe, as for train. The file is run.
    optimizer
        An optimizer of your own, as for train. The file is run.
    out
        Folder of the sweep; by default sweeps/RECIPE.
    storage
        Address of a database in which several machines share the trials, as SQLAlchemy writes it;
        by default a journal in the folder. It is never printed with its password.
    json
        Print all trials as JSON instead of a table of the best; progress is on standard error.
    """
    from tinygrad_mnist.training import Recipe

    refuse_ending(out, "", "a folder")
    given = {"model": model, "optimizer": optimizer}
    own = tuple(f"{key}={value}" for key, value in given.items() if value is not None)
    chosen = Recipe.load(recipe).changed((*settings, *own))
    code = references(settings, model, optimizer)
    folder = out or Path("sweeps") / file_name(chosen.name)
    how = {"trials": trials, "jobs": jobs, "seed": seed, "storage": storage, "code": code}
    return swept(chosen, vary, folder, json, **how)


def swept(recipe: Recipe, vary: tuple[str, ...], folder: Path, json: bool, **how: Any) -> int:
    """Sweep, show it meanwhile, and print what was found; the exit code."""
    from tinygrad_mnist.runs import own_options
    from tinygrad_mnist.training.progress_of_several import show_several

    try:
        from tinygrad_mnist.scale.results import BEST, summary, table
        from tinygrad_mnist.scale.sweep import sweep as run
    except ModuleNotFoundError as error:
        raise UserFileError(
            f"a sweep needs the package {error.name}: pip install 'tinygrad-mnist[sweep]'"
        ) from error
    shown = show_several(sys.stderr, tell)
    how |= {"report": shown.report, "watch": shown.watch}
    with StopOnSignal() as stop:
        try:
            results = run(recipe, vary, folder, should_stop=stop.asked, **how)
        finally:
            shown.close()
    if json:
        say_json(results)
    else:
        say(*table(results))
    tell(summary(results))
    if results["best"] is not None:
        best = quoted(str(folder / BEST))
        tell(f"To train the best: tinygrad-mnist train {best}{own_options(recipe)}")
    if stop.requested:
        tell(f"Interrupted. What is finished is in {folder}: the same command goes on from there.")
        return 128 + stop.requested
    return 0 if results["best"] is not None else 1
