"""Class names for people: printable, of bounded width, and in a font that has their letters."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unicodedata import combining, east_asian_width

from tinygrad_mnist.data.dataset import DIGITS
from tinygrad_mnist.data.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def names_of(classes: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """The names of `count` classes; if none are given, their numbers."""
    return tuple(map(str, range(count))) if classes is None else tuple(classes[:count])


def kind_of(classes: Sequence[str]) -> str:
    """The word for a class in prose: "digit" if the classes are the ten digits."""
    return "digit" if tuple(classes) == DIGITS else "class"


def width(text: str) -> int:
    """The number of terminal columns that a text takes; a Chinese character takes two.

    Examples
    --------
    >>> width("shirt"), width("上衣")
    (5, 4)
    """
    return sum(0 if combining(c) else 1 + (east_asian_width(c) in "WF") for c in text)


def shown(name: str, most: int = 40) -> str:
    """A name on one line, at most `most` columns wide, without control characters.

    A long name is shortened in the middle, since names often differ at their ends.

    Examples
    --------
    >>> shown("T-shirt/top"), shown("large T-shirt", 9)
    ('T-shirt/top', 'larg…hirt')
    """
    if len(name) > 4 * most:
        name = f"{name[: 2 * most]}…{name[-2 * most :]}"
    text = printable(name, len(name))
    if width(text) <= most:
        return text
    half = len(text) // 2
    before, after = text[:half], text[half:]
    while width(before) + width(after) > most - 1:
        if width(before) > width(after):
            before = before[:-1]
        else:
            after = after[1:]
    return f"{before}…{after}"


def listed(names: Sequence[str], most: int = 50) -> str:
    """Names separated by commas; the first ones and a count if there are more than `most`."""
    text = ", ".join(shown(name) for name in names[:most])
    return text if len(names) <= most else f"{text} and {len(names) - most:,} more"


def drawable(names: Sequence[str], most: int) -> tuple[list[str], list[str]]:
    """Names as a picture can show them, and the font families to draw them with.

    If matplotlib's own font lacks letters, the installed fonts are searched. A name whose letters
    no font has is shown as the number of its class.
    """
    texts = [shown(name, most) for name in names]
    families, lacking = _families(set("".join(texts)))
    return [
        f"#{number}" if lacking.intersection(text) else text for number, text in enumerate(texts)
    ], families


def _families(letters: set[str]) -> tuple[list[str], set[str]]:
    """The fewest font families that together have these letters, and the letters no font has."""
    from matplotlib.font_manager import findfont, fontManager

    families = ["DejaVu Sans"]
    lacking = letters - _letters_of(findfont("DejaVu Sans"), letters)
    for font in sorted(fontManager.ttflist, key=lambda font: (font.name, font.fname)):
        if not lacking:
            break
        if font.name.startswith("Last Resort"):  # draws every letter as a box
            continue
        gained = _letters_of(font.fname, lacking)
        if gained:
            families.append(font.name)
            lacking -= gained
    return families, lacking


def _letters_of(font: str, letters: Iterable[str]) -> set[str]:
    from matplotlib.font_manager import get_font

    try:
        known = get_font(font).get_charmap()
    except (OSError, RuntimeError):  # removed or damaged since matplotlib listed it
        return set()
    return {letter for letter in letters if ord(letter) in known}
