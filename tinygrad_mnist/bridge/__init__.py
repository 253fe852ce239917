"""Compare the hand derivation with the tape, term by term, and name the mistake in a wrong term."""

from tinygrad_mnist.bridge.compare import (
    Comparison,
    Row,
    compare,
    magnitudes,
    right_of,
    tape_terms,
    to_module,
    to_paper,
)
from tinygrad_mnist.bridge.help import Help, known_mistakes

__all__ = [
    "Comparison",
    "Help",
    "Row",
    "compare",
    "known_mistakes",
    "magnitudes",
    "right_of",
    "tape_terms",
    "to_module",
    "to_paper",
]
