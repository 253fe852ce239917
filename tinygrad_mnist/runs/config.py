"""The ``config.toml`` of a run folder: the recipe, and what the network was trained on."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from tinygrad_mnist.files import write
from tinygrad_mnist.runs.about import About
from tinygrad_mnist.training.recipe import WRITTEN_BY_RUNS, Recipe

if TYPE_CHECKING:
    from pathlib import Path

NAME = "config.toml"


def write_config(folder: Path, recipe: Recipe, about: About) -> None:
    """Write both to a run folder; `Recipe.load` reads the recipe back, `read_config` both."""
    import tomli_w

    table = tomli_w.dumps({WRITTEN_BY_RUNS: about.table})
    write(folder / NAME, f"{recipe.to_toml()}\n{table}")


def read_config(folder: Path) -> tuple[Recipe, About]:
    """Both from a run folder.

    Raises
    ------
    RecipeError
        If there is no recipe, or it makes no sense.
    DataError
        If the rest makes no sense.
    """
    path = folder / NAME
    recipe = Recipe.load(str(path))
    table = tomllib.loads(path.read_text(encoding="utf-8")).get(WRITTEN_BY_RUNS, {})
    return recipe, About.read(table, path)
