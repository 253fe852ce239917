"""Help with the mistakes that a diagnosis names: why each happens, and how to see it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Help:
    """A few lines about one mistake.

    Attributes
    ----------
    title : str
        What it is called.
    why : str
        Why learners make it.
    see : str
        How to see that it is wrong.
    read : str
        The page of the derivations that derives the right line, such as ``activations``.
    seen : str
        The address of a place where somebody met it, or nothing.
    """

    title: str
    why: str
    see: str
    read: str
    seen: str = ""

    def __str__(self) -> str:
        return f"{self.title}. {self.why} {self.see}"


def known_mistakes() -> dict[str, Help]:
    """Every mistake that a diagnosis can name, with its help.

    Returns
    -------
    dict of str to Help
        By the names in ``Comparison.mistakes``.

    Examples
    --------
    >>> from tinygrad_mnist import bridge
    >>> bridge.known_mistakes()["slope-missing"].title
    'The slope of the activation is missing'
    """
    texts = tomllib.loads(Path(__file__).with_name("help.toml").read_text("utf-8"))
    return {name: Help(**text) for name, text in texts.items()}
