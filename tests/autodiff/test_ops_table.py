"""The table of ops in the documentation, made from the samples; run as a script, it writes it."""

from pathlib import Path

import numpy as np
from samples import MUTANTS, SAMPLES

from tinygrad_mnist.autodiff import ops
from tinygrad_mnist.autodiff.graph import NUMPY

PAGE = Path(__file__).parents[2] / "docs" / "ops.md"

HEAD = """\
---
hide: [toc]
---

# All ops

Every op is in `tinygrad_mnist/autodiff/ops.py`, with its derivative rules. A call on tensors is
recorded, whether through an operator or method, as `ops.NAME(...)`, or as the NumPy function named
here. This table is made from the samples that drive the tests: each op has its values compared with
NumPy, its first and second derivatives with central differences, and wrong twins of its rules
rejected.

| op | NumPy function | what it computes | an example | wrong rules |
|---|---|---|---|---|
"""


def numpy_function(op):
    """The NumPy function that runs the op, as code, or nothing."""
    aliases = {"clamp": "clip", "norm": "linalg.norm"}
    direct = [function.__name__ for function, stand_in in NUMPY.items() if stand_in is op]
    if direct:
        return f"`np.{direct[0]}`"
    name = aliases.get(op.name, op.name)
    known = {getattr(function, "__name__", "") for function in NUMPY}
    return f"`np.{name}`" if name.split(".")[-1] in known else ""


def in_order(op):
    """Where an op is defined."""
    return list(vars(ops)).index(op.name) if op.name in vars(ops) else 0


def table():
    """The page as Markdown."""
    rows = []
    for op in sorted(SAMPLES, key=in_order):
        sample = SAMPLES[op][0]
        given = [str(np.shape(x)) for x in sample.arguments]
        given += [f"{key}={getattr(x, '__name__', x)}" for key, x in sample.params.items()]
        result = np.shape(op(*sample.arguments, **sample.params))
        summary = (op.__doc__ or "").strip().split("\n")[0].replace("|", "\\|")
        if isinstance(op.forward, np.ufunc):
            summary = f"NumPy's `{op.name}`; no derivative."
        example, mutants = f"{', '.join(given)} → {result}", str(len(MUTANTS.get(op, [])))
        cells = [f"`{op.name}`", numpy_function(op), summary, example, mutants]
        rows.append(f"| {' | '.join(cells)} |\n")
    return HEAD + "".join(rows)


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == table(), (
        "run: PYTHONPATH=tests python tests/autodiff/test_ops_table.py"
    )


if __name__ == "__main__":
    PAGE.write_text(table(), encoding="utf-8")
