"""A starting point for your own code: a folder of files that work as they are."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tinygrad_mnist.files import UNFINISHED, WriteError, prepare, refuse_names

HERE = Path(__file__).parent


def starting_point() -> dict[str, str]:
    """A dict from each file's name in the folder to its text."""
    inside, beside = HERE / "new", HERE.parent / "starter"
    if inside.is_dir():  # the package is installed
        found = {path.relative_to(inside).as_posix()[:-4]: path for path in inside.rglob("*.txt")}
    else:
        names = (beside / "FILES").read_text(encoding="utf-8").split()
        found = {name: beside / name for name in names}
    return {name: found[name].read_text(encoding="utf-8") for name in sorted(found)}


def write_starting_point(folder: Path) -> list[str]:
    """Write all files, or none, to a new or empty folder.

    Returns
    -------
    list of str
        The names of the files.

    Raises
    ------
    WriteError
        If there is something in the folder already, or it cannot be written to.
    """
    refuse_names(folder)
    there = folder.exists()
    if there and (not folder.is_dir() or any(folder.iterdir())):
        raise WriteError(f"{folder}: not empty. Nothing is overwritten: name a new folder.")
    texts, around = starting_point(), folder if there else folder.absolute().parent
    prepare(around)
    try:
        with tempfile.TemporaryDirectory(suffix=UNFINISHED, prefix=".", dir=around) as scratch:
            made = Path(scratch) / "made"
            for name, text in texts.items():
                path = made / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            _move(made, folder, there)
    except OSError as error:
        raise WriteError(f"{folder}: cannot be written: {error.strerror or error}.") from error
    return list(texts)


def _move(made: Path, folder: Path, there: bool) -> None:
    """Move a finished folder into place; if the target exists already, entry by entry."""
    if not there:
        made.rename(folder)
        return
    names = [entry.name for entry in made.iterdir()]
    try:
        for name in names:
            (made / name).rename(folder / name)
    except OSError:
        for name in names:
            if (folder / name).exists():
                (folder / name).rename(made / name)
        raise
