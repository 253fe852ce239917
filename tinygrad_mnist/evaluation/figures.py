"""Pictures of a run for any colour vision and for phones, without matplotlib's global state."""

from __future__ import annotations

from io import BytesIO
from math import ceil, isqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.evaluation.calibration import Bin
from tinygrad_mnist.evaluation.metrics import MOST_CROSSED
from tinygrad_mnist.evaluation.mistakes import most_confident_mistakes
from tinygrad_mnist.evaluation.names import drawable, kind_of, names_of
from tinygrad_mnist.evaluation.saliency import first_of_each_class
from tinygrad_mnist.evaluation.style import as_shipped
from tinygrad_mnist.evaluation.subject import MNIST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from tinygrad_mnist.evaluation.metrics import Predictions
    from tinygrad_mnist.evaluation.saliency import Saliency
    from tinygrad_mnist.evaluation.subject import Subject

    Array = NDArray[Any]

BLUE, SKY, ORANGE, GREEN, GREY = "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#595959"
"""Okabe and Ito's colours, distinct for the colour-blind; a grey dark enough for text."""

NEAR_BLACK = "#1a1a1a"
"""Of text on a coloured ground: the site gives black the ink of its page, which may be white."""

WIDTH, DPI = 5.0, 160
"""Figures are 800 pixels wide, and 10-point text in them is legible when shown at 350."""

MOST_COUNTED, MOST_NAMED = 10, 50
"""A confusion matrix of more classes has no numbers; with still more, it leaves out some names."""

MOST_PIXELS, FLATTEST, TALLEST = 128, 4, 2
"""Most pixels on a side of a shown image; largest width / height, and largest height / width."""

LINE = 0.14
"""Height of a line of small text, in inches."""

TINY = float(np.finfo(np.float32).tiny)


def training_curves(history: Sequence[Mapping[str, Any]], kept_epoch: int) -> Figure:
    """Loss, accuracy and learning rate per epoch; a dotted line marks the kept weights."""
    from matplotlib.ticker import MaxNLocator

    figure = _figure(6.0)
    heights = {"height_ratios": [3, 3, 2]}
    loss, accuracy, rate = figure.subplots(3, 1, sharex=True, gridspec_kw=heights)
    epochs = [row["epoch"] for row in history]
    for axes, key, factor in ((loss, "loss", 1), (accuracy, "accuracy", 100)):
        training = [factor * row[key] for row in history]
        validation = [factor * row[f"validation_{key}"] for row in history]
        axes.plot(epochs, training, "o-", color=BLUE, ms=3, label="training")
        axes.plot(epochs, validation, "s--", color=ORANGE, ms=3, label="validation")
    loss.set_ylabel("loss")
    accuracy.set_ylabel("accuracy, %")
    rate.plot(epochs, [row["lr"] for row in history], "o-", color=GREEN, ms=3)
    rate.set(ylabel="learning rate", xlabel="epoch")
    loss.legend(frameon=False)
    loss.set_ylim(bottom=0)
    rate.set_ylim(bottom=0)
    rate.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    for axes in (loss, accuracy, rate):
        _plain(axes)
        axes.grid(alpha=0.3)
        if kept_epoch:
            axes.axvline(kept_epoch, color=GREY, ls=":", lw=1)
    figure.align_ylabels()
    return figure


def confusion(matrix: Array, classes: Sequence[str] | None = None) -> Figure:
    """How often each class was read as each: mistakes in orange, what is right in pale blue.

    An orange is darker where there are more of them. With many classes the figure is larger and
    has no numbers.
    """
    from matplotlib.colors import PowerNorm

    names = names_of(classes, len(matrix))
    figure, axes = _labelled_square(names)
    right = np.eye(len(matrix), dtype=bool)
    wrong = np.ma.masked_where(right | (matrix == 0), matrix)
    most = max(int(wrong.max()) if wrong.count() else 0, 1)
    exact: dict[str, Any] = {"interpolation": "nearest"}
    axes.imshow(np.where(right, 0.25, np.nan), vmin=0, vmax=1, cmap="Blues", **exact)
    axes.imshow(wrong, norm=PowerNorm(0.7, 0, 1.2 * most), cmap="Oranges", **exact)
    if len(names) <= MOST_COUNTED:
        for (row, column), count in np.ndenumerate(matrix):
            dark = row != column and count > 0.65 * most
            color = "white" if dark else NEAR_BLACK if count or row == column else GREY
            axes.text(column, row, f"{count}", ha="center", va="center", fontsize=9, color=color)
    axes.set(xlabel="read as", ylabel=kind_of(names))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def _labelled_square(names: Sequence[str]) -> tuple[Figure, Axes]:
    """Square axes, with a name for each row and column if the names are legible."""
    texts, families = drawable(names, 16)
    longest = max(map(len, texts))
    count, upright = len(names), longest <= 2
    wide = max(WIDTH, 0.16 * min(count, MOST_NAMED) + 1.2) + (0 if upright else 0.08 * longest)
    figure = _figure(wide - 0.1, wide)
    axes = figure.add_subplot()
    step = ceil(count / MOST_NAMED)
    places = range(0, count, step)
    style: dict[str, Any] = {"parse_math": False, "fontfamily": families}
    size = 10 if count <= MOST_COUNTED else 8
    turned = 0 if upright else 90
    axes.set_xticks(places, texts[::step], fontsize=size, rotation=turned, **style)
    axes.set_yticks(places, texts[::step], fontsize=size, **style)
    return figure, axes


def reliability_diagram(bins: Sequence[Bin]) -> Figure:
    """Accuracy against confidence; below it, the number of predictions in each bin."""
    figure = _figure(5.6)
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1.3]})
    full = [b for b in bins if b.predictions]
    lows, highs, counts, confidence, accuracy = map(np.array, zip(*full, strict=True))
    bars = {"width": highs - lows, "align": "edge", "edgecolor": "white"}
    upper.bar(lows, accuracy, color=SKY, label="accuracy", **bars)
    dots = {"color": ORANGE, "ms": 5, "mec": "white", "clip_on": False}
    upper.plot(confidence, accuracy, "o", label="at mean confidence", **dots)
    upper.plot([0, 1], [0, 1], color="black", ls="--", lw=1, label="calibrated")
    upper.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    above = {"loc": "lower center", "bbox_to_anchor": (0.5, 1), "ncols": 3}
    upper.legend(frameon=False, columnspacing=1, handlelength=1.5, **above)
    lower.bar(lows, counts, color=GREY, **bars)
    lower.set(yscale="log", ylabel="predictions", xlabel="confidence", ylim=(0.5, 30 * max(counts)))
    lower.tick_params(axis="y", which="both", left=False, labelleft=False)
    upright = {"ha": "center", "va": "bottom", "rotation": 90, "fontsize": 9}
    for low, high, count in zip(lows, highs, counts, strict=True):
        lower.text((low + high) / 2, count * 1.4, f"{count:,}", **upright)
    for axes in (upper, lower):
        _plain(axes)
    return figure


def saliency_grid(
    saliency: Saliency,
    shape: tuple[int, int] | None = None,
    classes: Sequence[str] | None = None,
) -> Figure:
    """Images, and below each how strongly every pixel moves the logit of its class.

    The image's outline is drawn on top of the lower picture, and below it the name of its class if
    `classes` are given.
    """
    images, slopes = (
        _shown(values / np.maximum(values.max(axis=1, keepdims=True), TINY), shape)
        for values in (saliency.images, saliency.slopes)
    )
    _, rows, columns = images.shape
    gap = np.full((len(images), _gap(columns), columns), np.nan)
    hidden = np.full_like(images, np.nan)
    room = _room(columns, 1) if classes else 0
    picture, outline, pattern = (
        _mosaic(np.concatenate((upper, gap, lower), axis=1), 5, room)
        for upper, lower in ((images, hidden), (hidden, images), (hidden, slopes))
    )
    figure, axes = _picture(picture.shape)
    axes.imshow(picture, cmap="gray", interpolation="nearest")
    axes.imshow(pattern, cmap="viridis", interpolation="nearest")
    axes.contour(np.nan_to_num(outline), levels=[0.5], colors="white", linewidths=0.7)
    if classes:
        texts, families = drawable(classes, 13)
        tile = 2 * rows + _gap(columns), columns, room
        _captions(axes, [texts[c] for c in saliency.classes], families, tile)
    return figure


def mistakes_grid(
    images: Array,
    labels: Array,
    predicted: Array,
    confidence: Array,
    shape: tuple[int, int] | None = None,
    classes: Sequence[str] | None = None,
) -> Figure:
    """Images (n, pixels), each with its class, the class it was read as, and the confidence."""
    if not len(images):
        figure = _figure(1.0)
        figure.text(0.5, 0.5, "No mistakes", ha="center", va="center")
        return figure
    texts, families = drawable(names_of(classes, max(*labels, *predicted) + 1), 13)
    short = max(map(len, texts)) <= 2
    as_ = " read as " if short else "\nas "
    captions = [
        f"{texts[label]}{as_}{texts[guess]}\n{100 * sure:.1f} % sure"
        for label, guess, sure in zip(labels, predicted, confidence, strict=True)
    ]
    tiles = _shown(images.astype(np.float64), shape)
    _, rows, columns = tiles.shape
    room = _room(columns, 2 if short else 3)
    picture = _mosaic(tiles, 5, room)
    figure, axes = _picture(picture.shape)
    axes.imshow(picture, cmap="gray_r", interpolation="nearest")
    _captions(axes, captions, families, (rows, columns, room))
    return figure


def _captions(
    axes: Axes, texts: Sequence[str], families: Sequence[str], tile: tuple[int, int, int]
) -> None:
    """Write text below each tile of a mosaic; `tile` has rows, columns, and the space below."""
    rows, columns, room = tile
    style: dict[str, Any] = {"ha": "center", "va": "top", "parse_math": False}
    style |= {"fontfamily": families, "fontsize": 9}
    available = 0.98 * axes.get_window_extent().width / 5
    for i, text in enumerate(texts):
        down, across = divmod(i, 5)
        x = across * (columns + _gap(columns)) + (columns - 1) / 2
        y = down * (rows + room) + rows + columns / 40
        caption = axes.text(x, y, text, **style)
        wide = caption.get_window_extent().width
        if wide > available:
            caption.set_fontsize(9 * available / wide)


def first_layer(weights: Array, shape: tuple[int, int] | None = None) -> Figure:
    """The patterns to which the first layer's units respond: weights (pixels, units) as images.

    At most 64 are shown, those of largest norm first. Orange weights are below 0, purple ones
    above.
    """
    from matplotlib.colors import CenteredNorm

    norms = np.linalg.norm(weights, axis=0)
    shown = np.argsort(-norms, kind="stable")[:64] if len(norms) > 10 else np.arange(len(norms))
    tiles = _shown(weights.T[shown].astype(np.float64), shape)
    picture = _mosaic(tiles, 8 if len(norms) > 10 else 5)
    figure, axes = _picture(picture.shape)
    scale = float(np.quantile(np.abs(weights), 0.995)) or 1.0
    axes.imshow(picture, cmap="PuOr", interpolation="nearest", norm=CenteredNorm(0, scale))
    return figure


@as_shipped()
def draw(
    model: Any,
    how: str,
    history: Sequence[Mapping[str, Any]],
    metrics: Mapping[str, Any],
    test: Predictions,
    subject: Subject = MNIST,
) -> dict[str, bytes]:
    """Every figure of a finished run, as a dict from names to PNG files.

    The confusion matrix is left out if there are too many classes, and the first layer unless it
    is a matrix from the pixels, or kernels that slide over one image.

    Parameters
    ----------
    model : object
        Has ``saliency(images, classes)`` and ``parameters()``, the first layer's weights first.
    how : str
        The normalisation it was trained with.
    history : sequence of mapping
        The content of ``history.json``.
    metrics : mapping
        The content of ``metrics.json``.
    test : Predictions
        The predictions for the test images.
    subject : Subject
        The shape of the images and the names of the classes; by default those of MNIST.
    """
    shape, classes = subject.shape, subject.classes
    rows = most_confident_mistakes(test.probabilities, test.labels)
    images, labels, mistaken = (values[rows] for values in test)
    guesses, confidence = mistaken.argmax(axis=1), mistaken.max(axis=1)
    saliency = first_of_each_class(model, test.images, test.labels, how)
    named = None if kind_of(classes) == "digit" else classes  # a digit needs no name
    figures = {"curves": training_curves(history, metrics["kept_epoch"])}
    if len(classes) <= MOST_CROSSED:
        figures["confusion"] = confusion(np.array(metrics["test"]["confusion_matrix"]), classes)
    figures |= {
        "reliability": reliability_diagram([Bin(**b) for b in metrics["test"]["reliability"]]),
        "mistakes": mistakes_grid(images, labels, guesses, confidence, shape, classes),
        "saliency": saliency_grid(saliency, shape, named),
    }
    first = next(iter(model.parameters())).data
    if first.ndim == 2 and len(first) == shape[0] * shape[1]:
        figures["first_layer"] = first_layer(first, shape)
    elif first.ndim == 4 and first.shape[1] == 1:
        figures["kernels"] = first_layer(first.reshape(len(first), -1).T, first.shape[2:])
    return {name: png(figure) for name, figure in figures.items()}


def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file; the same figure gives the same bytes."""
    file = BytesIO()
    figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()


def _figure(height: float, width: float = WIDTH) -> Figure:
    from matplotlib.figure import Figure

    return Figure((width, height), layout="constrained")


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _shown(images: Array, shape: tuple[int, int] | None) -> Array:
    """Images (n, pixels) as (n, rows, columns), in a size that can be looked at.

    Without a shape they are square if possible. A large image is shown with every k-th pixel
    only, and a very flat or narrow one is made higher or wider.
    """
    pixels = images.shape[1]
    side = isqrt(pixels)
    rows, columns = shape or ((side, side) if side * side == pixels else (1, pixels))
    step = ceil(max(rows, columns) / MOST_PIXELS)
    fewer = images.reshape(-1, rows, columns)[:, ::step, ::step]
    _, rows, columns = fewer.shape
    higher, wider = ceil(columns / (FLATTEST * rows)), ceil(rows / (TALLEST * columns))
    return fewer.repeat(higher, axis=1).repeat(wider, axis=2)


def _gap(columns: int) -> int:
    """The gap between images with this number of columns, in pixels of the images."""
    return max(1, round(columns / 10))


def _room(columns: int, lines: int) -> int:
    """The space for lines of text below an image, five in a row, in pixels of the images."""
    inch = 5 * (columns + _gap(columns)) / WIDTH
    return ceil(inch * LINE * (lines + 1) - 0.1)


def _mosaic(tiles: Array, columns: int, room: int = 0) -> Array:
    """Images (n, height, width) in rows of `columns`, `room` pixels below each; gaps are NaN."""
    count, height, width = tiles.shape
    rows, gap = -(-count // columns), _gap(width)
    spaced = np.full((rows * columns, height + (room or gap), width + gap), np.nan)
    spaced[:count, :height, :width] = tiles
    by_row = spaced.reshape(rows, columns, *spaced.shape[1:]).swapaxes(1, 2)
    grid = by_row.reshape(rows * spaced.shape[1], -1)
    return grid[: None if room else -gap, :-gap]


def _picture(shape: tuple[int, ...]) -> tuple[Figure, Axes]:
    """A figure with the proportions of an array, filled by one axes without ticks."""
    from matplotlib.figure import Figure

    figure = Figure((WIDTH, WIDTH * shape[0] / shape[1]))
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    axes.set_axis_off()
    return figure, axes
