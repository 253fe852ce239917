"""Figures look the same everywhere: they ignore the user's matplotlib settings."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tinygrad_mnist.data.errors import DataError, cause

if TYPE_CHECKING:
    from collections.abc import Iterator

BACKEND = "MPLBACKEND"


@contextmanager
def as_shipped() -> Iterator[None]:
    """Draw with matplotlib's default settings in a with block, and restore the user's afterwards.

    Raises
    ------
    DataError
        If matplotlib cannot be loaded, because its settings are damaged.
    """
    try:
        _load()
        from matplotlib import style
    except Exception as error:  # reading a damaged settings file may raise anything
        raise DataError(
            f"matplotlib cannot be loaded: {cause(error)}. "
            "Is there a damaged file matplotlibrc here? Remove it."
        ) from error
    with style.context("default"):
        yield


def _load() -> None:
    """Load matplotlib; an unknown backend is ignored, since no figure here needs one."""
    if "matplotlib" in sys.modules:
        return
    asked = os.environ.pop(BACKEND, None)
    try:
        import matplotlib as mpl

        with suppress(ValueError):
            mpl.rcParams.update({"backend": asked} if asked else {})
    finally:
        if asked is not None:
            os.environ[BACKEND] = asked
