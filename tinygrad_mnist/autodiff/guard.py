"""Guard against derivative rules that write into a cotangent whose memory others may share."""

from __future__ import annotations

import dis
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinygrad_mnist.autodiff.variable import Array


class ReadOnlyError(ValueError):
    """A derivative rule writes into the cotangent that it was given."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"A derivative rule of {name} writes into the cotangent g, which other tensors share. "
            "Return a new array: g * (x > 0) instead of g[x <= 0] = 0."
        )


def read_only(array: Array) -> Array:
    """A read-only view of an array."""
    view = array.view()
    view.setflags(write=False)
    return view


def may_write(rule: Callable[..., Any]) -> bool:
    """Whether a rule could write into its cotangent; a rule made of operators alone cannot."""
    if not hasattr(rule, "__code__"):
        return True
    steps = dis.get_instructions(rule)
    return any(
        step.opname.startswith(("CALL", "STORE", "DELETE")) or step.argrepr.endswith("=")
        for step in steps
    )
