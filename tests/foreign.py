"""A project of somebody's, with an op, two layers and an optimizer, and what may be wrong in it.

``python tests/foreign.py`` runs its tests with the package that is installed: they pass as they
are, and for each fault they fail and name the cause.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parents[1] / "docs" / "howto" / "project"


class Fault(NamedTuple):
    """A text of a file, what stands there instead, which test fails, and what it says."""

    file: str
    right: str
    wrong: str
    test: str
    cause: str


HEAD = "\n\nbell.vjp(\n"
RULE = "    lambda g, out, x, mean: -2 * g * (x - mean) * out,\n"
FORWARD = "    return np.exp(-((x - mean) ** 2))\n"
SUMMED = "    lambda g, out, x, mean: (-2 * g * (x - mean) * out).sum(axis=0),\n"
WRITES = """
def by_x(g, out, x, mean):
    g *= -2 * (x - mean) * out
    return g


bell.vjp(
    by_x,
"""
STASH = """\
    bell.kept = np.exp(-((x - mean) ** 2))
    return bell.kept.copy()
"""
TWICE = """
twice = op(lambda x: 2 * x, name="twice").vjp(lambda g, out, x: 3 * g)

bell.vjp(
    lambda g, out, x, mean: -g * twice(x - mean) * out,
"""
BY_ID = """
    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})
        self.velocity = {}

    def update(self, p, g, group, state):
        m = self.velocity.setdefault(id(p), np.zeros_like(p.data))
"""
INSTEAD = """
    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    def update(self, p, g, group, state):
        m = state.setdefault("m", np.zeros_like(p.data))
"""
NOISE = "        x = x + np.random.normal(size=x.shape)\n"
FAULTS = {
    "wrong sign": Fault(
        "bell_op.py", "-2 * g * (x", "2 * g * (x", "the_op", "the sign is wrong",
    ),
    "cotangent forgotten": Fault(
        "bell_op.py", "-2 * g * (x", "-2 * (x", "the_op", "the rule forgot the cotangent g",
    ),
    "broadcasting undone by hand": Fault(
        "bell_op.py", RULE, SUMMED, "the_op",
        "the rule sums over axis 0 by itself",
    ),
    "stash": Fault(
        "bell_op.py", FORWARD + HEAD + RULE, STASH + HEAD + RULE.replace("* out", "* bell.kept"),
        "the_op", "reads what its forward function stored",
    ),
    "writes its input": Fault(
        "bell_op.py", FORWARD, "    x -= mean\n    return np.exp(-(x**2))\n", "the_op",
        "x += ... or x[...] = ... in place of x = x + ...",
    ),
    "writes its cotangent": Fault(
        "bell_op.py", "\nbell.vjp(\n" + RULE, WRITES, "the_op",
        "A derivative rule of bell writes into the cotangent g",
    ),
    "leaks the batch": Fault(
        "bell_layers.py", ".mean(axis=-1)\n", ".mean(axis=-1) + x.mean()\n", "prototypes",
        "a mean or a maximum over axis 0",
    ),
    "unregistered buffer": Fault(
        "bell_layers.py", 'self.register_buffer("mean", np.zeros(features, np.float32))',
        "self.mean = np.zeros(features, np.float32)", "centred",
        "Make it a buffer",
    ),
    "remembers by id": Fault(
        "bell_optimizer.py", INSTEAD, BY_ID, "the_optimizer",
        "velocity is keyed by id(p), which another process does not know",
    ),
    "float64": Fault(
        "bell_op.py", "    return np.exp(", "    return np.float64(1) * np.exp(", "the_op",
        "a float64 array or np.float64 number inside",
    ),
    "random in evaluation": Fault(
        "bell_layers.py", "        rows = x", NOISE + "        rows = x",
        "prototypes", "random numbers are drawn",
    ),
    "wrong second derivative": Fault(
        "bell_op.py", "\nbell.vjp(\n" + RULE, TWICE, "the_op",
        "in the rule of twice for argument 0: a factor",
    ),
}  # fmt: skip


def planted(folder, fault=None):
    """Write the project into a folder, with a fault or as it is."""
    for path in PROJECT.glob("*.py"):
        shutil.copy(path, folder)
    if fault is not None:
        path = Path(folder, fault.file)
        text = path.read_text()
        assert text.count(fault.right) == 1, f"{fault.right!r} is not in {fault.file} once"
        path.write_text(text.replace(fault.right, fault.wrong))


def tested(folder, *options):
    """What pytest prints in a process of its own."""
    told = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    alone = os.environ | {"PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    alone.pop("PYTHONPATH", None)
    return subprocess.run(
        told, cwd=folder, env=alone, capture_output=True, text=True, check=False
    ).stdout


def main():
    """Run it as it is, with the plugin, and then with each fault."""
    for name, fault in {"as it is": None, **FAULTS}.items():
        with tempfile.TemporaryDirectory() as folder:
            planted(folder, fault)
            plugin = ["-p", "tinygrad_mnist.testing.plugin", "--mutate-gradients"]
            said = tested(folder, *([] if fault else plugin))
        if fault is None:
            assert "4 passed" in said, said
            assert "wrong rules noticed: 100 %" in said, said
        else:
            assert f"FAILED test_bell.py::test_{fault.test}" in said, said
            assert fault.cause in said, said
        sys.stdout.write(f"{name}: {'passes' if fault is None else fault.cause}\n")


if __name__ == "__main__":
    main()
