"""Code of your own that this very command names: it is run, and nothing else is."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tinygrad_mnist.runs import Own
    from tinygrad_mnist.training import Recipe

KEYS = ("model", "optimizer")


def references(settings: Sequence[str], model: str | None, optimizer: str | None) -> dict[str, str]:
    """What was typed as a model and an optimizer of one's own: as an option, or after --set.

    The last one counts, and options come after all that is set.
    """
    from tinygrad_mnist.owncode import is_reference
    from tinygrad_mnist.training.recipe import parsed

    pairs = [(key.strip(), text.strip()) for key, _, text in (s.partition("=") for s in settings)]
    typed = {key: str(parsed(text)) for key, text in pairs if key in KEYS}
    typed |= {key: text for key, text in (("model", model), ("optimizer", optimizer)) if text}
    return {key: text for key, text in typed.items() if is_reference(text)}


def other_names(recipe: Recipe | None, **typed: str | None) -> Iterator[str]:
    """A sentence for what was typed and is not what a network was trained with, by its name."""
    for key, reference in typed.items():
        was: str = getattr(recipe, key, "")
        if reference and was.rpartition(":")[2] != reference.rpartition(":")[2]:
            yield f"this was trained with the {key} {was or 'mlp'}, and you named {reference}."


@contextmanager
def opened_own(model: str | None = None, optimizer: str | None = None) -> Iterator[Own]:
    """What was typed, run and ready to be called; what it raises when it is called is told."""
    from tinygrad_mnist.nn import Module
    from tinygrad_mnist.owncode import opened, told
    from tinygrad_mnist.runs import Own

    with ExitStack() as stack:
        named = (model, optimizer)
        own = Own(*(stack.enter_context(opened(text)) if text else None for text in named))
        if own.model is not None:
            stack.enter_context(told(own.model, within=(Module.__call__,)))
        yield own
