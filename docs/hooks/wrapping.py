"""Code on the pages: a line too long for a screen goes on below, further in than it began."""

from __future__ import annotations

import re
from typing import Any

LINE = re.compile(r'<span id="__span-[\d-]+"(?=>([^\n]*)\n</span>)')
"""A line of code, as the highlighter leaves it."""
TAG = re.compile(r"<[^>]*>")
FITS = 44
"""Columns that are seen on a phone."""


def on_page_content(html: str, **_: Any) -> str:
    """Tell each long line how far in it begins."""
    return LINE.sub(indented, html)


def indented(found: re.Match[str]) -> str:
    """The beginning of a line, with its indentation if it may be too long."""
    text = TAG.sub("", found[1])
    indentation = len(text) - len(text.lstrip())
    if len(text) <= FITS or not indentation:
        return found[0]
    return f'{found[0]} style="--indentation:{indentation}ch"'
