"""The data and code that a network was trained with: the table [trained] of ``config.toml``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.data import DataError, Dataset
from tinygrad_mnist.data.dataset import (
    DIGITS,
    LONGEST_NAME,
    MNIST_SHAPE,
    MOST_CLASSES,
    MOST_PIXELS,
)
from tinygrad_mnist.data.errors import printable
from tinygrad_mnist.owncode import sums_of

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class About:
    """What one needs to know about a trained network besides its recipe.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of the images.
    classes : tuple of str
        The names of the classes.
    files : dict
        The files that replaced MNIST's, by the name of the option; empty for MNIST.
    code : dict
        SHA-256 of the files that a model or optimizer of your own came from; the keys are "model"
        or "optimizer", a blank, and the name of the file.
    first : int
        The label of the first class in those files.
    """

    shape: tuple[int, int] = MNIST_SHAPE
    classes: tuple[str, ...] = DIGITS
    files: dict[str, str] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    first: int = 0

    @classmethod
    def of(cls, data: Dataset, files: Mapping[str, str], **own: Any) -> About:
        """From a data set, the files it came from, and a model or optimizer of your own, by key."""
        return cls(data.shape, data.classes, dict(files), code_of(**own), data.first)

    @classmethod
    def read(cls, table: Any, where: object) -> About:
        """From the result of `table`; an empty one means MNIST, as in old folders.

        Raises
        ------
        DataError
            If it is not valid.
        """
        try:
            known = [one.name for one in fields(cls) if one.name in table]
            about = cls(**{name: table[name] for name in known})
            rows, columns = map(int, about.shape)
            names = tuple(about.classes)
            texts = [*names, *about.files, *about.files.values(), *about.code, *about.code.values()]
            possible = 0 < rows * columns <= MOST_PIXELS and min(rows, columns) > 0
            if not (possible and 0 < len(names) <= MOST_CLASSES and len(set(names)) == len(names)):
                raise ValueError("sizes")
            if not all(isinstance(text, str) for text in texts):
                raise TypeError("texts")
            if about.first not in (0, 1):
                raise ValueError("first")
            if max(map(len, names)) > LONGEST_NAME:
                raise ValueError("names")
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"{where}: what it says of images and classes makes no sense, or is damaged."
            ) from error
        return cls((rows, columns), names, dict(about.files), dict(about.code), int(about.first))

    @property
    def table(self) -> dict[str, Any]:
        """The same as a dict that TOML and JSON can express."""
        return asdict(self) | {"shape": list(self.shape), "classes": list(self.classes)}

    @property
    def inputs(self) -> int:
        """The number of pixels of an image."""
        return self.shape[0] * self.shape[1]

    @property
    def on_mnist(self) -> bool:
        """Whether the network was trained on MNIST's images, whatever it was tested on."""
        return "data" not in self.files

    def sum_of(self, key: str, reference: str) -> str:
        """SHA-256 of the file that a reference names, or "" if that is not known."""
        where = reference.rpartition(":")[0]
        file = Path(where).name if where.endswith(".py") else f"{where.rpartition('.')[2]}.py"
        return self.code.get(f"{key} {file}", "")

    def changed_code(self, **own: Any) -> list[str]:
        """One sentence per file that differs from the one that the network was trained with."""
        sentences = []
        for key in (key for key, given in own.items() if given is not None):
            start, found = f"{key} ", code_of(**{key: own[key]})
            saved = {name: code for name, code in self.code.items() if name.startswith(start)}
            files = [name for name in saved.keys() | found if saved.get(name) != found.get(name)]
            sentences += [
                f"{printable(name.removeprefix(start))} of this {key} is not what the training "
                "began with: another SHA-256. So this may be another network."
                for name in sorted(files if saved else [])
            ]
        return sentences


def code_of(**own: Any) -> dict[str, str]:
    """SHA-256 of the files of your own code, in the form of `About.code`."""
    return {
        f"{key} {file}": code
        for key, given in own.items()
        if given is not None
        for file, code in sums_of(given).items()
    }
