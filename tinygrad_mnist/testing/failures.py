"""The messages of the assertions: what was seen, the likely cause, the case."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import NoReturn


CAUSE = "\nLikely cause: "
"""Separates what was seen from its cause, here and in the messages of `gradcheck`."""


def fail(seen: str, cause: str, error: Exception | None = None) -> NoReturn:
    """Raise an AssertionError, from `error` if given, that says what was seen and why."""
    raise AssertionError(f"{seen}{CAUSE}{cause}.") from error


@contextmanager
def not_writing(name: str) -> Iterator[None]:
    """Fail with an explanation if the code in the block writes into `read_only` arrays."""
    try:
        yield
    except ValueError as error:
        if "read-only" in str(error) or "output operand" in str(error):
            raise AssertionError(
                f"{name} writes into what it is given\n"
                "Likely cause: x += ... or x[...] = ... in place of x = x + ..."
            ) from error
        raise


def shown(name: str, arguments: tuple[Any, ...], params: Mapping[str, Any]) -> str:
    """A call as one would type it, with the strides of arrays that have an unusual layout."""
    given = [_shown(x) for x in arguments] + [f"{key}={value!r}" for key, value in params.items()]
    return f"{name}({', '.join(given)})"


def _shown(x: Any) -> str:
    array = np.asarray(x)
    if array.size > 100:
        return f"array of {array.dtype}, shape {array.shape}"
    text = " ".join(repr(x).split())
    lies = array.flags.c_contiguous or array.ndim == 0
    return text if lies else f"{text[:-1]}, strides={array.strides})"


def differs(a: Any, b: Any) -> bool:
    """Whether two results, or lists of them, are not the same bits."""
    if isinstance(a, list | tuple):
        alike = isinstance(b, list | tuple) and len(a) == len(b)
        return not alike or any(map(differs, a, b))
    first, second = np.asarray(a), np.asarray(b)
    if first.shape != second.shape or first.dtype != second.dtype:
        return True
    return not np.array_equal(first, second, equal_nan=first.dtype.kind == "f")
