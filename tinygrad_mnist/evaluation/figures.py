"""Pictures of a run, for any colour vision and for phones; matplotlib without global state."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.evaluation.calibration import Bin
from tinygrad_mnist.evaluation.mistakes import most_confident_mistakes
from tinygrad_mnist.evaluation.saliency import first_of_each_class

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from tinygrad_mnist.evaluation.metrics import Predictions
    from tinygrad_mnist.evaluation.saliency import Saliency

    Array = NDArray[Any]

BLUE, SKY, ORANGE, GREEN, GREY = "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#595959"
"""Okabe and Ito's colours, which stay apart for the colour-blind; a grey dark enough for text."""

WIDTH, DPI = 5.0, 160
"""Every figure is 800 pixels wide, and 10-point text in it is legible when shown at 350."""

SIDE, GAP = 28, 3
"""Of an image, and between images in a mosaic, in pixels of the images."""

TINY = float(np.finfo(np.float32).tiny)


def training_curves(history: Sequence[Mapping[str, Any]], kept_epoch: int) -> Figure:
    """Loss, accuracy and learning rate over the epochs; dotted, the epoch of the kept weights."""
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


def confusion(matrix: Array) -> Figure:
    """How often each digit was read as each: darker by the logarithm, so that rare ones show."""
    from matplotlib.colors import LogNorm

    figure = _figure(4.9)
    axes = figure.add_subplot()
    largest = max(int(matrix.max()), 2)
    counts, scale = np.ma.masked_equal(matrix, 0), LogNorm(1, largest)
    axes.imshow(counts, norm=scale, cmap="viridis_r", interpolation="nearest")
    for (row, column), count in np.ndenumerate(matrix):
        color = "white" if count > largest**0.5 else "black" if count else GREY
        axes.text(column, row, f"{count}", ha="center", va="center", fontsize=9, color=color)
    classes = range(len(matrix))
    axes.set(xlabel="read as", ylabel="digit", xticks=classes, yticks=classes)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def reliability_diagram(bins: Sequence[Bin]) -> Figure:
    """Accuracy over confidence, with the number of predictions in each bin below."""
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


def saliency_grid(saliency: Saliency) -> Figure:
    """Images, and beneath each how strongly every pixel moves the logit of its class.

    The digit's outline is drawn on top of that.
    """
    columns = 5

    def in_rows(values: Array) -> Array:
        """Each image scaled to a maximum of 1, and the last row filled up."""
        scaled = values / np.maximum(values.max(axis=1, keepdims=True), TINY)
        padding = (0, -len(values) % columns), (0, 0)
        padded = np.pad(scaled, padding, constant_values=np.nan)
        return padded.reshape(-1, columns, SIDE**2)

    def mosaic(upper: Array, lower: Array) -> Array:
        return _mosaic(np.stack((upper, lower), axis=1).reshape(-1, SIDE**2), columns)

    digits, slopes = in_rows(saliency.images), in_rows(saliency.slopes)
    hidden = np.full_like(digits, np.nan)
    picture, outline = mosaic(digits, hidden), mosaic(hidden, digits)
    pattern = mosaic(hidden, slopes)
    figure, axes = _picture(picture.shape)
    axes.imshow(picture, cmap="gray", interpolation="nearest")
    axes.imshow(pattern, cmap="viridis", interpolation="nearest")
    axes.contour(np.nan_to_num(outline), levels=[0.5], colors="white", linewidths=0.7)
    return figure


def mistakes_grid(images: Array, labels: Array, predicted: Array, confidence: Array) -> Figure:
    """Images (n, 784), each with its true class, what it was read as, and with what confidence."""
    columns, room = 5, 13
    if not len(images):
        figure = _figure(1.0)
        figure.text(0.5, 0.5, "No mistakes", ha="center", va="center")
        return figure
    picture = _mosaic(images.astype(np.float64), columns, room)
    figure, axes = _picture(picture.shape)
    axes.imshow(picture, cmap="gray_r", interpolation="nearest")
    for i, (label, guess, sure) in enumerate(zip(labels, predicted, confidence, strict=True)):
        row, column = divmod(i, columns)
        x, y = column * (SIDE + GAP) + SIDE / 2, row * (SIDE + room) + SIDE
        text = f"{label} read as {guess}\n{100 * sure:.1f} % sure"
        axes.text(x, y, text, ha="center", va="top", fontsize=9)
    return figure


def first_layer(weights: Array) -> Figure:
    """What the first layer's units respond to: their weights (784, units) as images.

    At most 64 are shown, those of largest norm first. Orange weights are below 0, purple ones
    above.
    """
    from matplotlib.colors import CenteredNorm

    norms = np.linalg.norm(weights, axis=0)
    shown = np.argsort(-norms, kind="stable")[:64] if len(norms) > 10 else np.arange(len(norms))
    picture = _mosaic(weights.T[shown].astype(np.float64), 8 if len(norms) > 10 else 5)
    figure, axes = _picture(picture.shape)
    scale = float(np.quantile(np.abs(weights), 0.995)) or 1.0
    axes.imshow(picture, cmap="PuOr", interpolation="nearest", norm=CenteredNorm(0, scale))
    return figure


def draw(
    model: Any,
    how: str,
    history: Sequence[Mapping[str, Any]],
    metrics: Mapping[str, Any],
    test: Predictions,
) -> dict[str, bytes]:
    """Every figure of a finished run as PNG, by name.

    Parameters
    ----------
    model : object
        Has ``saliency(images, classes)`` and ``parameters()``, the first layer's weights first.
    how : str
        The normalisation it was trained with.
    history : sequence of mapping
        What ``history.json`` holds.
    metrics : mapping
        What ``metrics.json`` holds.
    test : Predictions
        For the test images.
    """
    rows = most_confident_mistakes(test.probabilities, test.labels)
    images, labels, mistaken = (values[rows] for values in test)
    guesses, confidence = mistaken.argmax(axis=1), mistaken.max(axis=1)
    figures = {
        "curves": training_curves(history, metrics["kept_epoch"]),
        "confusion": confusion(np.array(metrics["test"]["confusion_matrix"])),
        "reliability": reliability_diagram([Bin(**b) for b in metrics["test"]["reliability"]]),
        "mistakes": mistakes_grid(images, labels, guesses, confidence),
        "saliency": saliency_grid(first_of_each_class(model, test.images, test.labels, how)),
        "first_layer": first_layer(next(iter(model.parameters())).data),
    }
    return {name: png(figure) for name, figure in figures.items()}


def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file; the same figure gives the same bytes."""
    file = BytesIO()
    figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()


def _figure(height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure((WIDTH, height), layout="constrained")


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _mosaic(images: Array, columns: int, room: int = 0) -> Array:
    """Images (n, 784) in rows of so many, `room` pixels below each; NaN in between."""
    rows = -(-len(images) // columns)
    tiles = np.full((rows * columns, SIDE + (room or GAP), SIDE + GAP), np.nan)
    tiles[: len(images), :SIDE, :SIDE] = images.reshape(-1, SIDE, SIDE)
    by_row = tiles.reshape(rows, columns, *tiles.shape[1:]).swapaxes(1, 2)
    grid = by_row.reshape(rows * tiles.shape[1], -1)
    return grid[: None if room else -GAP, :-GAP]


def _picture(shape: tuple[int, ...]) -> tuple[Figure, Axes]:
    """A figure with the proportions of an array, filled by one axes without ticks."""
    from matplotlib.figure import Figure

    figure = Figure((WIDTH, WIDTH * shape[0] / shape[1]))
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    axes.set_axis_off()
    return figure, axes
