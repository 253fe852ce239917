"""Property tests for your own ops, layers and optimizers; the tests of this package use them too.

They need Hypothesis, which the extra `testing` installs. Each assertion looks for the smallest case
that fails, and says what was seen, both numbers, and the likely cause.
"""

try:
    import hypothesis as _hypothesis  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "tinygrad_mnist.testing needs Hypothesis: pip install 'tinygrad-mnist[testing]'"
    ) from error

from tinygrad_mnist.testing.modules import assert_module
from tinygrad_mnist.testing.mutants import Survivor, survivors
from tinygrad_mnist.testing.ops import assert_gradients, assert_op
from tinygrad_mnist.testing.optimizers import assert_optimizer
from tinygrad_mnist.testing.strategies import (
    Call,
    arrays,
    broadcastable,
    calls,
    layouts,
    numbers,
    shapes,
)

__all__ = [
    "Call",
    "Survivor",
    "arrays",
    "assert_gradients",
    "assert_module",
    "assert_op",
    "assert_optimizer",
    "broadcastable",
    "calls",
    "layouts",
    "numbers",
    "shapes",
    "survivors",
]
