"""What a sweep varies: ranges and choices as they are typed, turned into Optuna's distributions."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from tinygrad_mnist.owncode import is_example, is_reference
from tinygrad_mnist.training.recipe import ABOUT_MODEL, BUILT_IN, Recipe, RecipeError, parsed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Space = dict[str, BaseDistribution]

RANGE = re.compile(r"(?P<low>[^,\[\]]*?)\.\.(?P<high>[^,\[\]:]*)(:(?P<how>.*))?")
"""``LOW..HIGH`` or ``LOW..HIGH:log``."""
BETWEEN_CHOICES = re.compile(r",(?![^\[]*\])")
"""A comma that is not inside brackets."""
NEVER_VARIED = {
    **dict.fromkeys(("name", *ABOUT_MODEL), "it only describes the network"),
    **dict.fromkeys(
        ("seed", "validation", "examples"),
        "it decides which images are held out, so that trials could not be compared",
    ),
    "threads": "it changes no more than the last bits",
}
"""Setting -> the reason why no sweep varies it."""


def space_of(vary: Sequence[str], recipe: Recipe) -> Space:
    """The distributions that texts like ``"lr=0.01..1:log"`` and ``"hidden=[64],[256]"`` describe.

    Parameters
    ----------
    vary : sequence of str
        One text per setting of the recipe: ``KEY=LOW..HIGH``, the same with ``:log`` behind it, or
        ``KEY=VALUE,VALUE,...``.
    recipe : Recipe
        The recipe whose settings they replace.

    Returns
    -------
    dict of BaseDistribution
        By setting, in the order of the texts. The choices are kept as texts.

    Raises
    ------
    RecipeError
        If a text has another form, or the recipe cannot have what it describes.
    """
    if not vary:
        raise RecipeError("Say what to vary, as in --vary lr=0.01..1:log")
    space: Space = {}
    for text in vary:
        key, _, values = (part.strip() for part in text.partition("="))
        try:
            if key in space:
                raise RecipeError(f"{key} comes twice.")
            space[key] = _distribution(key, values)
        except RecipeError as error:
            raise RecipeError(f"--vary {text}: {error}") from error
    _refuse_impossible(space, recipe)
    return space


def text_of(distribution: BaseDistribution) -> str:
    """The text that describes a distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return ",".join(distribution.choices)
    return f"{distribution.low}..{distribution.high}{':log' if distribution.log else ''}"


def settings_of(params: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of a trial as `Recipe.changed` reads them: by setting, the text of a value."""
    return {key: value if isinstance(value, str) else repr(value) for key, value in params.items()}


def changed(recipe: Recipe, settings: Mapping[str, str]) -> Recipe:
    """The recipe with the settings of a trial."""
    return recipe.changed([f"{key}={text}" for key, text in settings.items()])


def _distribution(key: str, text: str) -> BaseDistribution:
    if key in NEVER_VARIED:
        raise RecipeError(f"{key} cannot be varied: {NEVER_VARIED[key]}.")
    if found := RANGE.fullmatch(text):
        return _range(key, *found.group("low", "high", "how"))
    if not key:
        raise RecipeError("name a setting, as in lr=0.01..1:log")
    choices = [choice.strip() for choice in BETWEEN_CHOICES.split(text)]
    if not all(choices):
        raise RecipeError("expected a range such as lr=0.01..1:log, or choices: hidden=[64],[256]")
    if len(choices) == 1:
        raise RecipeError(f"one value varies nothing. To set it in all trials: --set {key}={text}")
    if len(set(choices)) < len(choices):
        raise RecipeError("a choice comes twice.")
    for choice in choices:
        if key in BUILT_IN and is_reference(choice) and not is_example(choice):
            raise RecipeError(
                f"code of your own is not varied. Name it with --{key}, "
                f"and vary what it takes: --vary {key}_options.NAME=..."
            )
    return CategoricalDistribution(choices)


def _range(key: str, *texts: str | None) -> BaseDistribution:
    low, high = (parsed((text or "").strip()) for text in texts[:2])
    how = texts[2]
    if how not in (None, "log"):
        raise RecipeError(f"a range ends with :log or with nothing, but here with :{how}")
    for end in (low, high):
        if type(end) not in (int, float):
            raise RecipeError(f"a range is between two numbers, but {end!r:.40} is not one.")
    kinds = {known.name: known.type for known in fields(Recipe)}
    whole_ends = type(low) is type(high) is int
    is_whole = kinds.get(key) == "int" or (kinds.get(key) != "float" and whole_ends)
    if is_whole and not whole_ends:
        raise RecipeError(f"{key} is a whole number, so {low} and {high} must be too.")
    if not low < high:
        raise RecipeError(f"a range goes up, but {high} is not above {low}.")
    if how and low <= 0:
        raise RecipeError(f"a logarithm needs numbers above 0, but {low} is not.")
    if is_whole:
        return IntDistribution(low, high, log=bool(how))
    return FloatDistribution(float(low), float(high), log=bool(how))


def _refuse_impossible(space: Space, recipe: Recipe) -> None:
    """Refuse a value that fits neither the first values of all others nor the last.

    Rules between settings, as that Nesterov needs a momentum, are kept by some combinations only.
    """
    every = {key: _values(distribution) for key, distribution in space.items()}
    ends = [{key: values[end] for key, values in every.items()} for end in (0, -1)]
    for key, values in every.items():
        for value in values:
            refused = [_refusal(recipe, settings_of(end | {key: value})) for end in ends]
            if all(refused):
                raise RecipeError(f"--vary {key}: {refused[0]}") from refused[0]


def _values(distribution: BaseDistribution) -> Sequence[Any]:
    """The choices, or the ends of the range."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    return distribution.low, distribution.high


def _refusal(recipe: Recipe, settings: Mapping[str, str]) -> RecipeError | None:
    try:
        changed(recipe, settings)
    except RecipeError as error:
        return error
    return None
