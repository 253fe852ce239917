"""The names of classes: typed with commas, or one per line in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tinygrad_mnist.data.dataset import LONGEST_NAME, MOST_CLASSES, checked_names
from tinygrad_mnist.data.errors import DataError
from tinygrad_mnist.data.stream import opened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike


def read_names(source: str | PathLike[str]) -> tuple[str, ...]:
    """Names of classes, in the order of their labels.

    Parameters
    ----------
    source : str or path
        ``a,b,c``; or the path of a text file with one name per line.

    Raises
    ------
    DataError
        If the file cannot be read, or a name is empty or comes twice.

    Examples
    --------
    >>> read_names("cat, dog, T-shirt/top")
    ('cat', 'dog', 'T-shirt/top')
    """
    typed = str(source)
    if "," in typed and not Path(typed).exists():
        return _checked(typed, typed.split(","))
    path = Path(typed)
    if not path.is_file():
        raise DataError(
            f"{typed}: no such file of class names. "
            "Name one with a name per line, or type the names with commas between."
        )
    most = MOST_CLASSES * LONGEST_NAME
    with opened(path) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise DataError(f"{path}: more than {most:,} bytes, which are too many for class names.")
    try:
        return _checked(path, content.decode("utf-8-sig").rstrip().splitlines())
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file of class names in UTF-8.") from error


def _checked(source: object, names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        raise DataError(f"{source}: no names in it. Write one per line.")
    try:
        return checked_names([name.strip() for name in names])
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
