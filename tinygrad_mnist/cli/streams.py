"""The output of the commands: every text reaches the terminal through here."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST = 2000
"""The most characters of a line."""


def ready() -> None:
    """Make sure that the three standard streams exist and take any text.

    A stream that the shell has closed (``>&-``) is connected to the null device; otherwise the next
    file to be opened would get its number, and the output with it. A character that an encoding
    lacks, as ASCII lacks ±, is written as its number.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def one_line(text: object) -> str:
    """A text as one line of bounded length, without control characters."""
    from tinygrad_mnist.data.errors import printable

    return printable(str(text), LONGEST)


def say(*lines: object) -> None:
    """Print lines on standard output; each stays one line, whatever it contains."""
    for line in lines:
        print(one_line(line))


def say_lines(lines: Iterable[str]) -> None:
    """Print lines as they come."""
    for line in lines:
        say(line)


def say_json(value: Any, indent: int | None = None) -> None:
    """Print a value as JSON, in which characters outside ASCII are escaped."""
    print(json.dumps(value, indent=indent))


def tell(*lines: object) -> None:
    """Print lines on standard error. If nobody reads them, the work continues."""
    try:
        for line in lines:
            print(one_line(line), file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)


def nobody_reads(error: OSError) -> bool:
    """Whether an error means, on this system, that the reader of a pipe is gone."""
    return isinstance(error, BrokenPipeError) or (os.name == "nt" and error.errno == errno.EINVAL)


def discard(stream: TextIO) -> None:
    """Drop output that nobody reads; otherwise Python would complain about it at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
