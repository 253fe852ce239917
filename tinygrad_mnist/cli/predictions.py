"""The command that reads images: predict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tinygrad_mnist.cli.app import (
    Json,
    Positions,
    UserFileError,
    command,
    make_room,
    refuse_ending,
    warn,
)
from tinygrad_mnist.cli.listing import show_list
from tinygrad_mnist.cli.own import opened_own, other_names
from tinygrad_mnist.cli.reading import images_to_read
from tinygrad_mnist.cli.stop import ended_at_once
from tinygrad_mnist.cli.streams import tell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from tinygrad_mnist.cli.reading import Picture

UNSURE = 0.9
"""Below this confidence we print what may be wrong with a picture."""


@command(
    "tinygrad-mnist predict runs/default --test 0 1 2",
    "tinygrad-mnist predict runs/default photo.jpg drawing.png digits.npy",
    "tinygrad-mnist predict runs/default photo.jpg --show seen.png",
    "tinygrad-mnist predict runs/default - < digits.npy",
)
def predict(
    run: Path,
    /,
    *files: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    test: Positions = (),
    model: str | None = None,
    show: Path | None = None,
    db: Path | None = None,
    json: Json = False,
) -> None:
    """Read images, and log the predictions.

    Parameters
    ----------
    run
        The folder of the run whose network reads them.
    files
        PNG or JPEG pictures: photographs of digits on paper, or drawings, dark on bright or bright
        on dark; several digits are read one by one, from left to right. Or npy arrays of images
        like those the network was trained on, for MNIST (28, 28), (784,), (n, 28, 28) or (n, 784).
        Or - for standard input. For a network of another image size, pictures are scaled to it.
    test
        Positions of MNIST test images, from 0 to 9999, for a network trained on MNIST.
    model
        FILE.py:NAME of your own network, if the run trained one. The file is run.
    show
        Draw what the network saw of a picture into this PNG file, which is replaced if it exists.
    db
        The log; by default predictions.db in the run folder. Made if it does not exist.
    json
        Print the predictions as JSON.
    """
    from tinygrad_mnist.data import normalize
    from tinygrad_mnist.runs import load_trained
    from tinygrad_mnist.store import PredictionLog

    refuse_ending(db, ".db", "an SQLite log")
    refuse_ending(show, ".png", "a PNG picture")
    refuse_nothing(files, test)
    with opened_own(model) as own:
        trained = load_trained(run, model=own.model)
        warn((*trained.notices, *other_names(trained.recipe, model=model)))
        sources, images, labels, pictures = images_to_read(files, test, trained.about)
        probabilities = trained.classifier.predict_proba(normalize(images, trained.normalize))
    if show:
        write_seen(show, pictures, probabilities, trained.about.classes)
    known = (run.resolve().name, trained.settings, trained.hash)
    shape, classes = trained.about.shape, trained.about.classes
    with ended_at_once(), PredictionLog(db or run / "predictions.db", create=True) as log:
        rows = log.add(*known, sources, images, probabilities, labels, shape=shape, classes=classes)
    show_list(rows, json)
    say_doubts(pictures, probabilities)


def refuse_nothing(files: tuple[Path, ...], test: tuple[int, ...]) -> None:
    """Raise an error if there is nothing to read."""
    if not files and not test:
        raise UserFileError(
            "Nothing to read: name picture files, or positions of test images after --test."
        )


def write_seen(
    path: Path,
    pictures: Sequence[Picture],
    probabilities: NDArray[np.floating],
    classes: Sequence[str],
) -> None:
    """Draw a picture, the boxes found on it, and the images that the network received."""
    from tinygrad_mnist.evaluation import show_page
    from tinygrad_mnist.files import write

    if len(pictures) != 1:
        raise UserFileError(
            f"--show draws what was seen of one picture, but {len(pictures)} were named. "
            "Name one PNG or JPEG file, for a network of images like MNIST's."
        )
    found = probabilities[pictures[0].rows]
    answers = found.argmax(axis=1).tolist(), found.max(axis=1).tolist()
    make_room(path)
    write(path, show_page(pictures[0].page, *answers, classes))


def say_doubts(pictures: Sequence[Picture], probabilities: NDArray[np.floating]) -> None:
    """Print on standard error what may be wrong with pictures if the network is not sure."""
    for doubt in doubts(pictures, probabilities):
        tell(f"note: {doubt}")


def doubts(pictures: Sequence[Picture], probabilities: NDArray[np.floating]) -> Iterator[str]:
    """Sentences on what may be wrong with pictures if the network is not sure."""
    for picture in pictures:
        sure = probabilities[picture.rows].max(axis=1)
        unsure = [number for number, p in enumerate(sure) if p < UNSURE]
        for number in unsure:
            where = f", digit {number + 1}" if len(sure) > 1 else ""
            hints = picture.page.digits[number].hints or (
                "Nothing that was measured on it is unlike MNIST's digits.",
            )
            yield f"{picture.name}{where}: only {100 * sure[number]:.0f} % sure. {' '.join(hints)}"
        if unsure and picture.page.hints:
            yield f"{picture.name}: {' '.join(picture.page.hints)}"
