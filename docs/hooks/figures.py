"""Figures that pages compute when they are built: SVG with its text as text, readable on a phone and in the dark."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"


def subplots(*shape: int, width: float = 5.6, height: float = 2.7, **options: Any) -> Any:
    """A figure and its axes; inches of 72 pixels, so that 5.6 is about as wide as a phone."""
    figure, axes = plt.subplots(*shape, figsize=(width, height), **options)
    for axis in figure.axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def svg(figure: Figure, description: str, *, pictures: bool = False) -> str:
    """The figure as HTML, with a description for those who cannot see it; if it holds `pictures`, the same in the dark."""
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": description})
    figure.tight_layout()
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    plt.close(figure)
    text = file.getvalue()
    kind = "figure pictures" if pictures else "figure"
    return f'<div class="{kind}" role="img" aria-label="{description}">{text[text.index("<svg") :]}</div>'
