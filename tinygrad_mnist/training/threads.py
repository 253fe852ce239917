"""Limit the threads of a training's matrix products to the number in its recipe."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Limit NumPy's BLAS to `count` threads inside a ``with`` block.

    One thread computes the same bits on any number of cores, and is not held up when another
    program keeps one of the cores busy.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=count, user_api="blas"):
        yield
