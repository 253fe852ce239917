"""Your own code: only code that this very command names is run."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tinygrad_mnist.runs import Own
    from tinygrad_mnist.training import Recipe

KEYS = ("model", "optimizer")


def references(settings: Sequence[str], model: str | None, optimizer: str | None) -> dict[str, str]:
    """The references that were typed for your own model and optimizer, as options or after --set.

    The last one counts, and options come after everything that is set.
    """
    from tinygrad_mnist.owncode import is_reference
    from tinygrad_mnist.training.recipe import parsed

    pairs = [(key.strip(), text.strip()) for key, _, text in (s.partition("=") for s in settings)]
    typed = {key: str(parsed(text)) for key, text in pairs if key in KEYS}
    typed |= {key: text for key, text in (("model", model), ("optimizer", optimizer)) if text}
    return {key: text for key, text in typed.items() if is_reference(text)}


def other_names(recipe: Recipe | None, **typed: str | None) -> Iterator[str]:
    """One sentence per typed reference that differs from the one a network was trained with."""
    for key, reference in typed.items():
        was: str = getattr(recipe, key, "")
        if reference and was.rpartition(":")[2] != reference.rpartition(":")[2]:
            yield f"this was trained with the {key} {was or 'mlp'}, and you named {reference}."


@contextmanager
def opened_own(model: str | None = None, optimizer: str | None = None) -> Iterator[Own]:
    """Run the code that was typed, ready to be called; its errors become an OwnCodeError."""
    from tinygrad_mnist.nn import Module
    from tinygrad_mnist.owncode import opened, told
    from tinygrad_mnist.runs import Own

    with ExitStack() as stack:
        named = (model, optimizer)
        own = Own(*(stack.enter_context(opened(text)) if text else None for text in named))
        if own.model is not None:
            stack.enter_context(told(own.model, within=(Module.__call__,)))
        yield own
