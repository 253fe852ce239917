"""The text of counts, help, commands and file names, on this and on other systems."""

from __future__ import annotations

import inspect
import os
import re
import shlex

DEVICES = re.compile(
    r"(con|prn|aux|nul|com[\d¹²³]|lpt[\d¹²³]|conin\$|conout\$)\s*(\..*)?", re.IGNORECASE
)
"""Names that Windows reads as devices, whatever ending they have."""
FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
"""Characters that no name can have on Windows."""


def counted(number: int, noun: str) -> str:
    """A count and its noun, with an s unless the count is 1.

    Examples
    --------
    >>> counted(1, "epoch"), counted(0, "epoch"), counted(12_000, "image")
    ('1 epoch', '0 epochs', '12,000 images')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def reflowed(docstring: str | None) -> str:
    """A docstring with each paragraph on one line, so that a terminal of any width can wrap it.

    Paragraphs are the text before the section ``Parameters``, and the indented descriptions.
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


def quoted(text: str) -> str:
    """A word of a printed command, quoted for the shell of this system.

    Examples
    --------
    >>> quoted("runs/default"), quoted("my runs/1")
    ('runs/default', "'my runs/1'")
    """
    if os.name != "nt":
        return shlex.quote(text)
    if re.fullmatch(r"[\w.:\\/+-]+", text):
        return text
    text = re.sub(r'(\\*)"', r'\1\1\\"', text)  # as programs there read their arguments
    return '"' + re.sub(r"(\\+)$", r"\1\1", text) + '"'


def file_name(text: str) -> str:
    """A text as the name of a file or folder, the same on every system.

    Examples
    --------
    >>> file_name("default"), file_name("a/b: c."), file_name("NUL.txt")
    ('default', 'a_b_ c_', '_NUL.txt')
    """
    name = re.sub(r'[<>:"/\\|?*]|[^\S ]|[. ]$|^[. ]', "_", text)
    name = "".join(c if c.isprintable() else "_" for c in name) or "_"
    return f"_{name}" if DEVICES.fullmatch(name) else name


def fault(name: str) -> str:
    """The reason why Windows cannot have a file or folder of this name; empty if it can.

    Examples
    --------
    >>> fault("aux.csv"), fault("tables.csv")
    ('AUX is a device there', '')
    """
    if found := FORBIDDEN.search(name):
        return f"no name has {found[0]!r} there"
    if device := DEVICES.fullmatch(name):
        return f"{device[1].upper()} is a device there"
    return "no name ends in a dot or a space there" if name.endswith((".", " ")) else ""
