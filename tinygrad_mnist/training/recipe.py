"""A recipe: all that decides the outcome of a training, as a frozen dataclass and as TOML."""

from __future__ import annotations

import re
import tomllib
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.data.errors import cause

if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDER = Path(__file__).parent.parent / "recipes"

NAME = r"\w[\w .-]{0,59}"
"""What a recipe may be called: a folder is named after it."""
LARGEST_FILE = 1 << 14
HUGE = 1e300
WIDEST, DEEPEST = 10_000, 100
"""Units of a hidden layer, and hidden layers."""
MOST_NUMBERS = 200_000_000
"""Weights and biases: with gradients and momentum, three times 0.8 GB."""

CHOICES = {
    "activation": ("sigmoid", "tanh", "relu"),
    "loss": ("cross_entropy", "mse"),
    "initialiser": ("xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal",
                    "standard_normal"),
    "normalize": ("unit", "seed", "standardize"),
    "optimizer": ("sgd", "adam", "adamw"),
    "schedule": ("constant", "exponential", "one_cycle"),
    "schedule_every": ("epoch", "batch"),
    "published_on": ("training", "validation", "test"),
}  # fmt: skip

# Key -> smallest and largest allowed value.
LIMITS = {
    "dropout": (0.0, 0.99),
    "elastic_alpha": (0.0, 1000.0),
    "elastic_sigma": (0.1, 100.0),
    "affine": (0.0, 1.0),
    "plain_epochs": (0, 100_000),
    "lr": (0.0, 1e6),
    "momentum": (0.0, 1.0),
    "weight_decay": (0.0, 1e6),
    "gamma": (0.0, 1.0),
    "epochs": (1, 100_000),
    "batch_size": (1, 60_000),
    "validation": (0.001, 0.9),
    "examples": (0, 60_000),
    "patience": (0, 100_000),
    "min_delta": (0.0, 1e6),
    "seed": (0, 2**63),
    "threads": (1, 1024),
    "published_error": (0.0, 100.0),
}


IN_WORDS = {
    "float": "a number",
    "int": "a whole number",
    "str": "a word",
    "bool": "true or false",
    "tuple[int, ...]": "a list of whole numbers, as in [300, 100]",
}
"""What a value of a type is, in messages."""


class RecipeError(ValueError):
    """A recipe that does not exist or makes no sense; the message says what would."""


@dataclass(frozen=True)
class Recipe:
    """How to train a network.

    Attributes
    ----------
    name, description : str
        For people.
    hidden : tuple of int
        Width of each hidden layer; empty for a linear classifier.
    activation, initialiser : str
        As for `nn.MLP`.
    loss : {"cross_entropy", "mse"}
        With softmax or with sigmoid outputs, respectively.
    normalize : {"unit", "seed", "standardize"}
        Range of the pixels.
    dropout : float
        Probability of dropping a hidden activation.
    elastic_alpha, elastic_sigma, affine : float
        How training images are distorted, anew in each epoch, as for `data.distort`; not at all if
        alpha and affine are 0.
    plain_epochs : int
        So many epochs at the end see the images undistorted.
    optimizer : {"sgd", "adam", "adamw"}
        The update rule.
    lr : float
        Learning rate: the highest one with the one-cycle schedule, otherwise the first.
    momentum : float
        Of SGD; Adam's first beta.
    nesterov : bool
        Of SGD.
    weight_decay : float
        λ of the L2 penalty λ/2 Σ W², on weights and not on biases; with adamw, the part of a
        weight that is lost at a step, per unit of learning rate.
    schedule : {"constant", "exponential", "one_cycle"}
        How the learning rate changes; one_cycle moves the momentum too.
    schedule_every : {"epoch", "batch"}
        When it changes.
    gamma : float
        Factor of the exponential schedule.
    epochs, batch_size : int
        Passes over the training examples, and examples per step: as many as there are for
        full-batch gradient descent.
    validation : float
        Fraction of the 60 000 training images held out to watch the training.
    examples : int
        Train on the first so many images only; 0: on all that are not held out.
    patience : int
        Stop after so many epochs without a better validation loss, and go back to the best
        weights; 0: never stop.
    min_delta : float
        A validation loss is better if it is lower by more than this.
    seed : int
        Decides split, initial weights, order of examples, dropout masks, and distortions.
    threads : int
        Of the matrix products. With another number the last bits may be others. More than one
        gains little on an idle machine, and loses much on a busy one.
    published_error : float
        What the network is known to reach, in percent, to compare with.
    published_on : {"training", "validation", "test"}
        Which images that was measured on.
    published_in : str
        Where it was published; "" if nowhere.
    """

    name: str
    description: str = ""
    hidden: tuple[int, ...] = (256,)
    activation: str = "relu"
    initialiser: str = "xavier_uniform"
    loss: str = "cross_entropy"
    normalize: str = "unit"
    dropout: float = 0.0
    elastic_alpha: float = 0.0
    elastic_sigma: float = 4.0
    affine: float = 0.0
    plain_epochs: int = 0
    optimizer: str = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    schedule: str = "constant"
    schedule_every: str = "epoch"
    gamma: float = 1.0
    epochs: int = 10
    batch_size: int = 128
    validation: float = 0.1
    examples: int = 0
    patience: int = 0
    min_delta: float = 0.0
    seed: int = 0
    threads: int = 1
    published_error: float = 0.0
    published_on: str = "test"
    published_in: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = _typed(field.name, field.type, getattr(self, field.name))
            object.__setattr__(self, field.name, value)
        self._check_each()
        self._check_together()

    def _check_each(self) -> None:
        for key, known in CHOICES.items():
            if getattr(self, key) not in known:
                raise RecipeError(
                    f"{key} cannot be {getattr(self, key)!r:.80}. Choose from {', '.join(known)}."
                )
        for key, (low, high) in LIMITS.items():
            if not low <= getattr(self, key) <= high:
                raise RecipeError(
                    f"{key} must lie between {low} and {high}, but is {getattr(self, key)}."
                )
        if not re.fullmatch(NAME, self.name):
            raise RecipeError(
                "name must be at most 60 letters, digits, spaces and . _ -, "
                f"and begin with none of . -, but is {self.name!r:.80}."
            )
        if not all(1 <= width <= WIDEST for width in self.hidden) or len(self.hidden) > DEEPEST:
            raise RecipeError(
                f"hidden lists the widths of at most {DEEPEST} hidden layers, "
                f"each at least 1 and at most {WIDEST}, but is {list(self.hidden)!r:.80}."
            )

    def _check_together(self) -> None:
        if self.schedule == "one_cycle" and (self.schedule_every != "batch" or self.patience):
            raise RecipeError(
                "one_cycle needs schedule_every = 'batch' and patience = 0: "
                "a cycle that is stopped early never reaches its end."
            )
        if self.optimizer != "sgd" and self.momentum == 1:
            raise RecipeError(
                f"momentum must be below 1 with optimizer = {self.optimizer!r}, whose average "
                "would forget nothing and take nothing in, but is 1.0."
            )
        widths = (784, *self.hidden, 10)
        numbers = sum((m + 1) * n for m, n in pairwise(widths))
        if numbers > MOST_NUMBERS:
            raise RecipeError(
                f"hidden makes a network of {numbers:,} numbers, more than {MOST_NUMBERS:,}. "
                "Take fewer or narrower layers."
            )
        if self.nesterov and (self.optimizer != "sgd" or not self.momentum):
            raise RecipeError("nesterov needs optimizer = 'sgd' and a momentum above 0.")

    @classmethod
    def load(cls, name: str) -> Recipe:
        """Read a recipe of the package by its name, or any by the path of its TOML file."""
        path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
        if not name.endswith(".toml") and name not in recipe_names():
            raise RecipeError(f"There is no recipe {name!r}. {_suggestion(name, recipe_names())}")
        try:
            if path.stat().st_size > LARGEST_FILE:
                raise RecipeError(f"{path}: more than {LARGEST_FILE} bytes, which is no recipe.")
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RecipeError(f"{path}: cannot be read: {error.strerror}.") from error
        except RecipeError:
            raise
        except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, lists in lists in lists
            raise RecipeError(f"{path}: not valid TOML: {cause(error)}.") from error
        try:
            return cls(**_known({"name": path.stem} | values))
        except RecipeError as error:
            raise RecipeError(f"{path}: {error}") from error

    @property
    def output(self) -> str:
        """What the loss asks of the last layer, as for `nn.MLP`."""
        return "softmax" if self.loss == "cross_entropy" else "sigmoid"

    def changed(self, settings: Iterable[str]) -> Recipe:
        """A copy with settings like ``"lr=0.05"`` or ``"hidden=[300, 100]"`` replaced."""
        values = {}
        for setting in settings:
            key, equals, text = setting.partition("=")
            if not equals:
                raise RecipeError(f"A setting has the form key=value, but this is {setting!r}.")
            values[key.strip()] = _parse(text.strip())
        return replace(self, **_known(values))

    def to_toml(self) -> str:
        """The recipe as TOML text; `load` reads it back."""
        import tomli_w

        return tomli_w.dumps(asdict(self) | {"hidden": list(self.hidden)})


def recipe_names() -> list[str]:
    """The recipes in the package, by name."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def _known(values: dict[str, Any]) -> dict[str, Any]:
    keys = [field.name for field in fields(Recipe)]
    for key in values:
        if key not in keys:
            raise RecipeError(f"A recipe has no key {key!r:.80}. {_suggestion(key, keys)}")
    return values


def _suggestion(word: str, known: list[str]) -> str:
    near = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else f"Choose from {', '.join(known)}."


def _parse(text: str) -> Any:
    """A TOML value; what is none is a bare word, so that quotes can be left out."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def _typed(key: str, annotation: Any, value: Any) -> Any:
    """The value in the type of its field, or an error that names the type in words."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < HUGE
    if annotation == "float" and number:
        return float(value)
    if annotation == "int" and number and value == int(value):
        return int(value)
    if annotation == "bool" and isinstance(value, bool):
        return value
    if annotation == "str" and isinstance(value, str) and not re.search("[\ud800-\udfff]", value):
        return value
    listed = isinstance(value, (list, tuple)) and all(type(n) is int for n in value)
    if annotation == "tuple[int, ...]" and listed:
        return tuple(value)
    raise RecipeError(f"{key} must be {IN_WORDS[annotation]}, but is {value!r:.80}.")
