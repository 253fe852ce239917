"""Whether operations are recorded; `no_grad` switches it off in a block, function or generator.

`everything` records even operations without a derivative, which a gradient does not need.
"""

from __future__ import annotations

import inspect
import threading
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

F = TypeVar("F", bound="Callable[..., Any]")


class _Mode(threading.local):
    """The switch; each thread has its own."""

    def __init__(self) -> None:
        self.recording = True
        self.everything = False
        self.outer: list[bool] = []


mode = _Mode()


class Recording:
    """Switch recording on or off in a ``with`` block or a function; leaving it switches back."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled

    def __enter__(self) -> None:
        mode.outer.append(mode.recording)
        mode.recording = self.enabled

    def __exit__(self, *_: object) -> None:
        mode.recording = mode.outer.pop()

    def __call__(self, function: F) -> F:
        """Decorate a function or generator, so that it runs inside the block."""

        @wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            with self:
                return function(*args, **options)

        @wraps(function)
        def generate(*args: Any, **options: Any) -> Iterator[Any]:
            """Run each step inside the block, and the caller's code between steps outside it."""
            generator = function(*args, **options)
            resume, value = generator.send, None
            while True:
                with self:
                    try:
                        found = resume(value)
                    except StopIteration as end:
                        return end.value
                try:
                    resume, value = generator.send, (yield found)
                except BaseException as error:  # noqa: BLE001 - the generator is to see all of them
                    resume, value = generator.throw, error

        inside: Any = generate if inspect.isgeneratorfunction(function) else call
        return inside


@overload
def no_grad(function: None = None) -> Recording: ...
@overload
def no_grad(function: F) -> F: ...
def no_grad(function: Callable[..., Any] | None = None) -> Any:
    """Switch recording off: ``with no_grad():``, or ``@no_grad`` above a function or generator.

    Each thread has its own state, and an exception restores it.

    Parameters
    ----------
    function : callable, optional
        Given by ``@no_grad``; ``@no_grad()`` means the same.

    Examples
    --------
    >>> from tinygrad_mnist import no_grad, tensor
    >>> w = tensor([1.0], requires_grad=True)
    >>> with no_grad():
    ...     w -= 0.5
    >>> w
    Tensor([0.5], requires_grad)
    """
    return Recording(False) if function is None else Recording(False)(function)


@contextmanager
def everything() -> Iterator[None]:
    """Record comparisons and other operations without a derivative too, inside a with block.

    A gradient passes through none of them, but a listing of the computation needs them.
    """
    before, mode.everything = mode.everything, True
    try:
        yield
    finally:
        mode.everything = before
