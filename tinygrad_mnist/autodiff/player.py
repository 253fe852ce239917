"""A page in which a recorded graph is walked, forward and back, one step at a time.

`story.Story` knows what happens in each step, and `page/player.js` shows it.
"""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.autodiff.draw import layout, svg
from tinygrad_mnist.autodiff.story import Story
from tinygrad_mnist.autodiff.variable import Variable

if TYPE_CHECKING:
    from os import PathLike


PAGE = Path(__file__).parent / "page"


class Player:
    """A page in which a graph is walked. Notebooks show it; `str` gives the HTML of the page.

    The page needs nothing else: it can be opened from disk, and sent by mail.
    """

    def __init__(self, figure: str) -> None:
        self.figure = figure
        """The part of the page that is the player, for a page that has `page/player.js`."""

    def __str__(self) -> str:
        style = (PAGE / "player.css").read_text(encoding="utf-8")
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width">'
            f"<title>A graph, step by step</title><style>{style}</style></head>"
            f'<body>{self.figure}<script type="module">{script()}</script></body></html>'
        )

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{escape(str(self))}" title="A graph, step by step" '
            'style="width: 100%; height: 40rem; border: 0"></iframe>'
        )

    def save(self, path: str | PathLike[str]) -> None:
        """Write the page to an HTML file."""
        Path(path).write_text(str(self), encoding="utf-8")


def player(result: Variable, names: dict[str, Any]) -> Player:
    """Let the graph of a single number be walked; see `Tensor.player`."""
    placed = layout(result, True, names)
    if not result._requires_grad:
        raise ValueError(
            "There is no way back: nothing that this tensor was computed from requires grad."
        )
    drawn = set(placed.tensors)
    if any(isinstance(x, Variable) and x not in drawn for t in drawn for x in t.inputs or ()):
        raise ValueError(
            f"The graph has more than {len(drawn)} tensors, too many to be followed by eye. "
            "Walk a smaller case: fewer layers, or fewer steps."
        )
    told = json.dumps(Story(result, placed).told(), allow_nan=False)
    told = told.replace("&", "\\u0026").replace("<", "\\u003c")
    return Player(
        f'<div class="walk"><tape-player><div class="stage">{svg(placed)}</div>'
        f"<template>{told}</template></tape-player></div>"
    )


def script() -> str:
    """The player's JavaScript as one module."""
    parts = [(PAGE / name).read_text(encoding="utf-8") for name in ("steps.js", "player.js")]
    return re.sub(r"^import .*\n|^export ", "", "\n".join(parts), flags=re.MULTILINE)
