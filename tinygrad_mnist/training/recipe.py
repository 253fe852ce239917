"""A recipe: everything that decides the outcome of a training, as a frozen dataclass or TOML."""

from __future__ import annotations

import re
import tomllib
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.data.errors import cause
from tinygrad_mnist.owncode import is_reference

if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDER = Path(__file__).parent.parent / "recipes"

NAME = r"\w[\w .-]{0,59}"
"""The form of a recipe's name, which is also used for a folder."""
LARGEST_FILE = 1 << 14
HUGE = 1e300
WIDEST, DEEPEST = 10_000, 100
"""The most units in a hidden layer, and the most hidden layers."""
BUILT_IN = {"model": ("mlp",), "optimizer": ("sgd", "adam", "adamw")}
"""The built-in choices; anything else is named as FILE.py:NAME."""
OF_MODEL = ("hidden", "activation", "initialiser", "dropout")
"""Keys that only the built-in network has."""
OF_OPTIMIZER = ("momentum", "nesterov", "weight_decay")
"""Keys that an optimizer of your own may have, if its class takes them."""
OPTIONS = {"model": "model_options", "optimizer": "optimizer_options"}
"""Key of a model or optimizer -> key of the table of options for its class."""
WRITTEN_BY_RUNS = "trained"
"""The table of a run's config.toml that is not part of its recipe."""

CHOICES = {
    "activation": ("sigmoid", "tanh", "relu"),
    "loss": ("cross_entropy", "mse"),
    "initialiser": ("xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal",
                    "standard_normal"),
    "normalize": ("unit", "seed", "standardize"),
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
    "dict[str, Any]": "a table of names and values, as in {width = 64}",
}
"""Type -> its description in messages."""
ABOUT_MODEL = ("description", "published_error", "published_on", "published_in")
"""Keys that describe the network of the recipe, and not a network that replaces it."""


class RecipeError(ValueError):
    """A recipe that does not exist or is not valid; the message says what would be."""


@dataclass(frozen=True)
class Recipe:
    """How to train a network.

    Attributes
    ----------
    name, description : str
        For people.
    model : str
        "mlp", or a network of your own: ``FILE.py:NAME`` or ``package.module:NAME`` of anything
        that is called as ``NAME(inputs, classes, *, rng)`` and returns a `nn.Module` from
        (n, inputs) to (n, classes) logits.
    model_options : dict
        Further arguments of your class, by name.
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
        How training images are distorted, differently in each epoch, as for `data.distort`; not at
        all if alpha and affine are 0.
    plain_epochs : int
        The number of epochs at the end that use undistorted images.
    optimizer : str
        The update rule: "sgd", "adam", "adamw"; or an `optim.Optimizer` of your own, named like a
        model and called as ``NAME(params, lr=...)``. It also receives momentum, nesterov and
        weight_decay if they differ from their defaults.
    optimizer_options : dict
        Further arguments of your class, by name.
    lr : float
        Learning rate: the highest one with the one-cycle schedule, otherwise the first.
    momentum : float
        The momentum of SGD; Adam's first beta.
    nesterov : bool
        Whether SGD uses Nesterov momentum.
    weight_decay : float
        λ of the L2 penalty λ/2 Σ W², on weights and not on biases; with adamw, the fraction of a
        weight that is removed at a step, per unit of learning rate.
    schedule : {"constant", "exponential", "one_cycle"}
        How the learning rate changes; one_cycle moves the momentum too.
    schedule_every : {"epoch", "batch"}
        When it changes.
    gamma : float
        Factor of the exponential schedule.
    epochs, batch_size : int
        Passes over the training examples, and examples per step; for full-batch gradient descent,
        the number of all examples.
    validation : float
        Fraction of the 60 000 training images held out for validation.
    examples : int
        Train on the first images only, this many of them; 0: on all that are not held out.
    patience : int
        Stop after this many epochs without a better validation loss, and return to the best
        weights; 0: never stop.
    min_delta : float
        A validation loss is better if it is lower by more than this.
    seed : int
        Decides split, initial weights, order of examples, dropout masks, and distortions.
    threads : int
        Number of threads for the matrix products. Another number may change the last bits. More
        than one gains little on an idle machine, and loses much on a busy one.
    replay : bool
        Whether a step is recorded once and then repeated, which gives the same numbers faster.
    published_error : float
        The published error of this network in percent, for comparison.
    published_on : {"training", "validation", "test"}
        The images on which it was measured.
    published_in : str
        Where it was published; "" if nowhere.
    """

    name: str
    description: str = ""
    model: str = "mlp"
    model_options: dict[str, Any] = field(default_factory=dict)
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
    optimizer_options: dict[str, Any] = field(default_factory=dict)
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
    replay: bool = False
    published_error: float = 0.0
    published_on: str = "test"
    published_in: str = ""

    def __post_init__(self) -> None:
        for key in fields(self):
            value = _typed(key.name, key.type, getattr(self, key.name))
            object.__setattr__(self, key.name, value)
        self._check_each()
        self._check_owned()
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
                f"and must not begin with . or -, but is {self.name!r:.80}."
            )
        if not all(1 <= width <= WIDEST for width in self.hidden) or len(self.hidden) > DEEPEST:
            raise RecipeError(
                f"hidden lists the widths of at most {DEEPEST} hidden layers, "
                f"each at least 1 and at most {WIDEST}, but is {list(self.hidden)!r:.80}."
            )

    def _check_owned(self) -> None:
        """Refuse keys of the built-in network beside your own, and options without your own."""
        for key, known in BUILT_IN.items():
            chosen, options = getattr(self, key), getattr(self, OPTIONS[key])
            if chosen not in known and not is_reference(chosen):
                raise RecipeError(
                    f"{key} cannot be {chosen!r:.80}. Choose from {', '.join(known)}, "
                    "or name your own as FILE.py:NAME."
                )
            if chosen in known and options:
                raise RecipeError(
                    f"{OPTIONS[key]} are for a {key} of your own, but {key} is {chosen!r}."
                )
        if "model" not in self.own:
            return
        for key in OF_MODEL:
            if getattr(self, key) != default_of(key):
                raise RecipeError(
                    f"{key} is a key of the built-in network, but model is {self.model!r}. "
                    f"Leave it out; what your class takes goes into [{OPTIONS['model']}], "
                    f"or is set as {OPTIONS['model']}.NAME=VALUE."
                )
        if self.loss != "cross_entropy":
            raise RecipeError(
                f"loss = {self.loss!r} needs the sigmoids of the built-in network, "
                f"but model is {self.model!r}, which gives logits. Use cross_entropy."
            )

    def _check_together(self) -> None:
        if self.schedule == "one_cycle" and (self.schedule_every != "batch" or self.patience):
            raise RecipeError(
                "one_cycle needs schedule_every = 'batch' and patience = 0: "
                "a cycle that is stopped early never reaches its end."
            )
        if self.optimizer in ("adam", "adamw") and self.momentum == 1:
            raise RecipeError(
                f"momentum must be below 1 with optimizer = {self.optimizer!r}, whose average "
                "would forget nothing and take nothing in, but is 1.0."
            )
        sgd = self.optimizer not in ("adam", "adamw")
        if self.nesterov and not (sgd and self.momentum):
            raise RecipeError("nesterov needs optimizer = 'sgd' and a momentum above 0.")

    @classmethod
    def load(cls, name: str) -> Recipe:
        """Read a recipe of the package by its name, or any recipe by the path of its TOML file."""
        path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
        if not name.endswith(".toml") and name not in recipe_names():
            raise RecipeError(f"There is no recipe {name!r}. {_suggestion(name, recipe_names())}")
        try:
            if path.stat().st_size > LARGEST_FILE:
                raise RecipeError(f"{path}: more than {LARGEST_FILE} bytes, too many for a recipe.")
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RecipeError(f"{path}: cannot be read: {error.strerror}.") from error
        except RecipeError:
            raise
        except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or nested too deeply
            raise RecipeError(f"{path}: not valid TOML: {cause(error)}.") from error
        try:
            if isinstance(values.get(WRITTEN_BY_RUNS), dict):
                del values[WRITTEN_BY_RUNS]
            return cls(**cls.known({"name": path.stem} | values))
        except RecipeError as error:
            raise RecipeError(f"{path}: {error}") from error

    @staticmethod
    def known(values: dict[str, Any]) -> dict[str, Any]:
        """The same values, if recipes have all their keys; otherwise raises a RecipeError."""
        keys = [key.name for key in fields(Recipe)]
        for key in values:
            if key not in keys:
                raise RecipeError(f"A recipe has no key {key!r:.80}. {_suggestion(key, keys)}")
        return values

    @property
    def output(self) -> str:
        """The output function that the loss needs, as for `nn.MLP`."""
        return "softmax" if self.loss == "cross_entropy" else "sigmoid"

    @property
    def own(self) -> dict[str, str]:
        """The references of a ``model`` and ``optimizer`` of your own, by key."""
        named = {key: getattr(self, key) for key in BUILT_IN}
        return {key: name for key, name in named.items() if name not in BUILT_IN[key]}

    @property
    def distorts(self) -> bool:
        """Whether training images are distorted."""
        return self.elastic_alpha > 0 or self.affine > 0

    def changed(self, settings: Iterable[str]) -> Recipe:
        """A copy with settings like ``"lr=0.05"`` or ``"hidden=[300, 100]"`` replaced."""
        values: dict[str, Any] = {}
        for setting in settings:
            key, equals, text = setting.partition("=")
            if not equals:
                raise RecipeError(f"A setting has the form key=value, but this is {setting!r}.")
            table, dot, option = key.strip().partition(".")
            if dot and table in OPTIONS.values():
                values.setdefault(table, {})[option] = parsed(text.strip())
            else:
                values[key.strip()] = parsed(text.strip())
        for table in OPTIONS.values():
            if isinstance(values.get(table), dict):
                values[table] = getattr(self, table) | values[table]
        return replace(self, **self.left_behind(values) | self.known(values))

    def left_behind(self, values: dict[str, Any]) -> dict[str, Any]:
        """New values for keys that were written for a model or optimizer that is replaced.

        They get their defaults, and the recipe is named after a model of your own.
        """
        model, optimizer = (str(values.get(key, getattr(self, key))) for key in OPTIONS)
        keys: list[str] = []
        if not _same(model, self.model):
            keys += [*OF_MODEL, *ABOUT_MODEL, OPTIONS["model"]]
        own = {optimizer, self.optimizer} - set(BUILT_IN["optimizer"])
        if own and not _same(optimizer, self.optimizer):
            keys += [*OF_OPTIMIZER, OPTIONS["optimizer"]]
        left = {key: default_of(key) for key in keys}
        if "model_options" in left and is_reference(model):
            left["name"] = model.rpartition(":")[2][:60]
            left["description"] = f"trained as {self.name} is"
        return left

    def _repr_html_(self) -> str:
        from tinygrad_mnist.training.html import of_recipe

        return of_recipe(self)

    def to_toml(self) -> str:
        """The recipe as TOML text; `load` reads it back."""
        import tomli_w

        left_out = [table for table in OPTIONS.values() if not getattr(self, table)]
        if "model" in self.own:
            left_out += OF_MODEL
        values = asdict(self) | {"hidden": list(self.hidden)}
        return tomli_w.dumps({key: value for key, value in values.items() if key not in left_out})


def _same(one: str, other: str) -> bool:
    """Whether two references have the same name and file name; the file may have moved."""
    names = {re.split(r"[\\/]", reference)[-1] for reference in (one, other)}
    return len(names) == 1


def recipe_names() -> list[str]:
    """The recipes in the package, by name."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def default_of(key: str) -> Any:
    """The default value of a key."""
    (found,) = (known for known in fields(Recipe) if known.name == key)
    return found.default if found.default is not MISSING else {}


def _suggestion(word: str, known: list[str]) -> str:
    def likeness(name: str) -> tuple[float, int]:
        return SequenceMatcher(None, name, word).ratio(), -abs(len(name) - len(word))

    near = max(known, key=likeness)
    if likeness(near)[0] >= 0.5:
        return f"Did you mean {near!r}?"
    return f"Choose from {', '.join(known)}."


def parsed(text: str) -> Any:
    """A TOML value; any other text is a bare word, so that quotes can be left out."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def _typed(key: str, annotation: Any, value: Any) -> Any:
    """The value in the type of its field; raises a RecipeError that names the type."""
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
    if annotation == "dict[str, Any]" and isinstance(value, dict):
        return dict(value)
    raise RecipeError(f"{key} must be {IN_WORDS[annotation]}, but is {value!r:.80}.")
