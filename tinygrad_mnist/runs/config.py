"""The ``config.toml`` of a run folder: the recipe, and the data that the network was trained on."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from tinygrad_mnist.runs.about import About
from tinygrad_mnist.runs.entries import CONFIG, opened, write
from tinygrad_mnist.training.recipe import WRITTEN_BY_RUNS, Recipe

if TYPE_CHECKING:
    from pathlib import Path


def write_config(folder: Path, recipe: Recipe, about: About) -> None:
    """Write both to a run folder; `Recipe.load` reads the recipe back, `read_config` both."""
    import tomli_w

    table = tomli_w.dumps({WRITTEN_BY_RUNS: about.table})
    write(folder / CONFIG, f"{recipe.to_toml()}\n{table}")


def read_config(folder: Path) -> tuple[Recipe, About]:
    """Read the recipe and the `About` of a run folder.

    Raises
    ------
    RecipeError
        If there is no recipe, or it is not valid.
    DataError
        If the rest is not valid.
    """
    path = folder / CONFIG
    recipe = Recipe.load(str(path))
    with opened(path) as file:
        table = tomllib.load(file).get(WRITTEN_BY_RUNS, {})
    return recipe, About.read(table, path)
