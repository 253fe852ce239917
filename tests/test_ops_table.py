"""The table of ops in the documentation, made from the registry of samples. `python tests/test_ops_table.py` writes it."""

from pathlib import Path

import numpy as np
from samples import MUTANTS, SAMPLES

from tinygrad_mnist.autodiff import ops
from tinygrad_mnist.autodiff.graph import NUMPY

PAGE = Path(__file__).parent.parent / "docs" / "ops.md"

HEAD = """\
# All ops

Every op with its derivative rules stands in `tinygrad_mnist/autodiff/ops.py`. A call on tensors is recorded, whether
through an operator or method, as `ops.NAME(...)`, or as the NumPy function named here. This table is made from the
samples that drive the tests: each op has its values compared with NumPy, its first and second derivatives with central
differences, and wrong twins of its rules rejected.

| op | NumPy function | what it computes | an example | own wrong twins |
|---|---|---|---|---|
"""


def numpy_function(op):
    """The NumPy function that runs the op, as code, or nothing."""
    aliases = {"clamp": "clip", "norm": "linalg.norm"}
    direct = [function.__name__ for function, stand_in in NUMPY.items() if stand_in is op]
    named = [
        name
        for name in [aliases.get(op.name, op.name)]
        if any(f"{getattr(f, '__name__', '')}" == name.split(".")[-1] for f in NUMPY)
    ]
    return "".join(f"`np.{name}`" for name in (direct or named)[:1])


def table():
    """The page as Markdown."""
    rows = []
    for op in sorted(
        SAMPLES, key=lambda op: list(vars(ops)).index(op.name) if op.name in vars(ops) else 0
    ):
        sample = SAMPLES[op][0]
        result = np.shape(op(*sample.arguments, **sample.params))
        shapes = ", ".join(str(np.shape(x)) for x in sample.arguments)
        params = "".join(
            f", {key}={getattr(value, '__name__', value)}" for key, value in sample.params.items()
        )
        summary = (
            (op.__doc__ or "").strip().split("\n")[0]
            if op.forward.__class__ is not np.ufunc
            else f"NumPy's `{op.name}`; no derivative."
        )
        cells = [
            f"`{op.name}`",
            numpy_function(op),
            summary.replace("|", "\\|"),
            f"{shapes}{params} → {result}",
            str(len(MUTANTS.get(op, []))),
        ]
        rows.append(f"| {' | '.join(cells)} |\n")
    return HEAD + "".join(rows)


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == table(), "run: python tests/test_ops_table.py"


if __name__ == "__main__":
    PAGE.write_text(table(), encoding="utf-8")
