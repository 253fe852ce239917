"""Parameters in the reference: each has the default and the type of its own in the signature.

Where a docstring names several at once (``rtol, atol : float``), or choices (``{"relu", "tanh"}``),
griffe takes the first default of the names, or the first choice, for that of all.
"""

from __future__ import annotations

from typing import Any

from griffe import DocstringSectionParameters, Extension


class Parameters(Extension):
    """Corrects what griffe has read in docstrings."""

    def on_function(self, *, func: Any, **_: Any) -> None:
        """Correct the parameters of a function or method."""
        correct(func)

    def on_class(self, *, cls: Any, **_: Any) -> None:
        """Correct those of a class: its docstring has the parameters of `__init__`."""
        correct(cls)


def correct(documented: Any) -> None:
    """Take defaults, and types that the docstring leaves out, from the signature."""
    sections = documented.docstring.parsed if documented.docstring else []
    for section in sections:
        if isinstance(section, DocstringSectionParameters):
            signature = {own.name: own for own in documented.parameters}
            types = [own.annotation for own in signature.values()]
            for told in section.value:
                own = signature.get(told.name.lstrip("*"))
                if own is None:
                    continue
                told.value = own.default
                if told.annotation in types:
                    told.annotation = own.annotation
