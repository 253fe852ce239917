"""Figures of the site: curves by matplotlib, in the colours and letters of the page around."""

from __future__ import annotations

import io
import re
from html import escape
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Callable

INK = "#010203"
"""Stands for the colour of the text."""

BLUE, ORANGE, GREEN = COLORS = ("#2a7fd4", "#d9622b", "#2e9e6b")
"""Of curves; each can be told from white, from black, and from each other."""

STYLE = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "font.size": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",
    "text.color": INK,
    "axes.prop_cycle": cycler(color=COLORS),
    "xtick.color": INK,
    "ytick.color": INK,
}

FAINT = "color-mix(in srgb, currentColor 70%, transparent)"
INKS = {INK: "currentColor", "#000000": "currentColor", "#595959": FAINT}
"""What ink becomes: the colour of the text, and grey a fainter one."""

WHITE_GROUND = re.compile(
    r'(<g id="(?:figure|axes)_\d+">\s*<g id="patch_\d+">\s*<path [^>]*fill: )#ffffff'
)
"""Of a figure, and of the axes in it."""
WHITE_BEHIND_TEXT = re.compile(
    r'(<g id="text_\d+">\s*<g id="patch_\d+">\s*<path [^>]*fill: )#ffffff'
)


def curves(
    name: str,
    draw: Callable[..., None],
    label: str,
    caption: str,
    *,
    panels: int = 1,
    height: float = 2.4,
) -> str:
    """An HTML figure of panels beneath each other, as wide as a phone.

    Parameters
    ----------
    name : str
        Unlike that of any other figure: what is inside is found by it.
    draw : callable
        Is called with the axes of all panels.
    label, caption : str
        What is seen, for those who cannot see it, and the text beneath, which may be HTML.
    height : float
        Of a panel, in inches; it is 4.6 wide.
    """
    with mpl.rc_context(STYLE):
        figure = Figure((4.6, height * panels), layout="constrained")
        draw(*(figure.add_subplot(panels, 1, n + 1) for n in range(panels)))
    return svg(figure, label, name=name, caption=caption)


def subplots(*shape: int, width: float = 5.6, height: float = 2.7) -> Any:
    """A figure and its axes, side by side; 5.6 inches are about as wide as a phone."""
    with mpl.rc_context(STYLE):
        figure = Figure((width, height), layout="constrained")
        return figure, figure.subplots(*shape)


def svg(figure: Figure, label: str, *, caption: str, name: str = "") -> str:
    """A figure as HTML: what is seen, in words, and the text beneath, which may be HTML."""
    with mpl.rc_context(STYLE | {"svg.hashsalt": name or label}):
        FigureCanvasSVG(figure)
        out = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(out, format="svg", transparent=True, metadata=nothing)
    drawing = inline(out.getvalue(), label)
    return f'<figure style="width:100%">{drawing}<figcaption>{caption}</figcaption></figure>'


def inline(text: str, label: str) -> str:
    """An SVG file of matplotlib's as a part of a page, in its ink and letters, on its ground."""
    text = text[text.index("<svg") :]
    text = WHITE_GROUND.sub(r"\1none", text)
    text = WHITE_BEHIND_TEXT.sub(r"\1var(--md-default-bg-color)", text)
    for color, ink in INKS.items():
        text = text.replace(color, ink)
    used = set(re.findall(r"#([\w-]+)", text))
    text = re.sub(r' id="([\w.-]+)"', lambda found: found[0] if found[1] in used else "", text)
    text = re.sub(r"font-family: [^;\"]*", "font-family: inherit", text)
    text = re.sub(r"(font: [\d.]+px) [^;\"]*", r"\1 inherit", text)
    text = re.sub(r"<(metadata|style).*?</\1>", "", text, flags=re.DOTALL)
    view = re.search(r'viewBox="[^"]*"', text)
    assert view is not None
    style = "width:100%;max-width:34rem;height:auto;stroke-linejoin:round"
    style += ";fill:currentColor"  # black is what matplotlib does not write
    opening = f'<svg {view[0]} style="{style}" role="img" aria-label="{escape(label)}">'
    return opening + text[text.index(">") + 1 :]
