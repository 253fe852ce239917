"""What the commands say: the one gate between texts of others and the terminal."""

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
"""Characters of a line."""


def ready() -> None:
    """See that there are three streams that take any text.

    What the shell has closed (``>&-``) is opened to nowhere: else the next file that is written
    would get its number, and with it what was to be said. A character that an encoding lacks, as
    ASCII lacks ±, is written by its number.
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
    """A text as one line of bounded length, without what a terminal would obey."""
    from tinygrad_mnist.data.errors import printable

    return printable(str(text), LONGEST)


def say(*lines: object) -> None:
    """Print lines on standard output; whatever is in one of them, it stays one."""
    for line in lines:
        print(one_line(line))


def say_lines(lines: Iterable[str]) -> None:
    """Print lines as they come."""
    for line in lines:
        say(line)


def say_json(value: Any, indent: int | None = None) -> None:
    """Print a value as JSON, in which all that is not ASCII is spelled out."""
    print(json.dumps(value, indent=indent))


def tell(*lines: object) -> None:
    """Print lines on standard error. If nobody reads them, the work goes on."""
    try:
        for line in lines:
            print(one_line(line), file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)


def nobody_reads(error: OSError) -> bool:
    """Whether an error says that the reader of a pipe is gone, in the words of this system."""
    return isinstance(error, BrokenPipeError) or (os.name == "nt" and error.errno == errno.EINVAL)


def discard(stream: TextIO) -> None:
    """Let Python forget what nobody reads: at the end it would complain of it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
