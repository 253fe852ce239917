"""What differs between systems: names that a file may have, texts for a shell, closed pipes."""

from __future__ import annotations

import errno
import os
import re
import shlex

WINDOWS = os.name == "nt"
DEVICE = re.compile(
    r"(con|prn|aux|nul|com[1-9¹²³]|lpt[1-9¹²³]|conin\$|conout\$) *(\.|$)", re.IGNORECASE
)
FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
PLAIN = re.compile(r"[\w@+=:,./\\-]+", re.ASCII)
"""What neither shell of Windows takes for anything but text."""


def fault(name: str) -> str:
    """Why Windows has no file or folder of this name; empty if it can have one.

    Examples
    --------
    >>> fault("aux.csv"), fault("tables.csv")
    ('AUX is a device there', '')
    """
    if found := FORBIDDEN.search(name):
        return f"no name has {found[0]!r} there"
    if device := DEVICE.match(name):
        return f"{device[1].upper()} is a device there"
    return "no name ends in a dot or a space there" if name.endswith((".", " ")) else ""


def possible(name: str) -> str:
    """A name of ours as it may stand on every system.

    Examples
    --------
    >>> possible("wide."), possible("Aux"), possible("seed-a")
    ('wide', 'run-Aux', 'seed-a')
    """
    name = FORBIDDEN.sub("-", name).rstrip(". ")
    return f"run-{name}" if not name or fault(name) else name


def quoted(text: str) -> str:
    """A text as one word for the shell of this system, in a command that people may copy.

    On Windows that is cmd or PowerShell: both take double quotes, and backslashes as they are.
    """
    if not WINDOWS:
        return shlex.quote(text)
    if PLAIN.fullmatch(text):
        return text
    text = re.sub(r'(\\*)"', r'\1\1\\"', text)
    return '"' + re.sub(r"(\\+)$", r"\1\1", text) + '"'


def nobody_reads(error: OSError) -> bool:
    """Whether output could not be written because the program that reads it has ended."""
    return isinstance(error, BrokenPipeError) or (WINDOWS and error.errno == errno.EINVAL)
