"""Requests to stop a training: Ctrl-C, a signal of the system, or a reader that is gone."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.cli.streams import nobody_reads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

BROKEN_PIPE = 13
"""The signal that ends a program whose reader is gone: ``tinygrad-mnist recipes | head -1``."""


@contextmanager
def ended_at_once() -> Iterator[None]:
    """Let Ctrl-C end the process at once, even while SQLite waits; the log stays whole."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class StopOnSignal:
    """Turns the first Ctrl-C or SIGTERM into a request to stop, which the training loop checks.

    A second one ends the program at once.
    """

    SIGNALS = tuple(
        getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
    )
    """The signals that this system has; Ctrl-Break is one of Windows."""

    def __init__(self) -> None:
        self.requested = 0

    def __enter__(self) -> Self:
        self.before = {number: signal.signal(number, self._request) for number in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _request(self, number: int, _: Any) -> None:
        if self.requested:
            sys.exit(128 + number)
        self.requested = number

    def asked(self) -> bool:
        """Whether there was a request to stop."""
        return self.requested != 0

    def guard(self, show: Callable[..., None]) -> Callable[..., None]:
        """The same function, but if nobody reads what it prints, that is a request to stop too."""

        def guarded(*values: Any) -> None:
            try:
                show(*values)
            except OSError as error:
                if not nobody_reads(error):
                    raise
                self.requested = BROKEN_PIPE

        return guarded
