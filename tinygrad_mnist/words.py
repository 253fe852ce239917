"""How counts and help texts read: one epoch, two epochs; paragraphs that wrap where they must."""

from __future__ import annotations

import inspect


def counted(number: int, noun: str) -> str:
    """A count and its noun, which has an s unless there is one.

    Examples
    --------
    >>> counted(1, "epoch"), counted(0, "epoch"), counted(12_000, "image")
    ('1 epoch', '0 epochs', '12,000 images')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def reflowed(docstring: str | None) -> str:
    """A docstring with each paragraph on one line, as a terminal of any width can wrap it.

    Paragraphs are what comes before the section ``Parameters``, and the indented descriptions.
    """
    lines: list[str] = []
    head = True
    for line in inspect.cleandoc(docstring or "").splitlines():
        head = head and line != "Parameters"
        described = line.startswith("    ") or (head and line)
        continued = described and lines and lines[-1] and lines[-1][:1].isspace() == (not head)
        if continued:
            lines[-1] += " " + line.strip()
        else:
            lines.append(line)
    return "\n".join(lines)
