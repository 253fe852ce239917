"""The rooms, the only arrows allowed between them, and how much code a reader finds in each."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tinygrad_mnist"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# Room -> the rooms it may import. A file of the package itself counts as a room of its own.
ARROWS = {
    "autodiff": set(),
    "byhand": set(),
    "data": {"words"},
    "nn": {"autodiff"},
    "optim": {"autodiff"},
    "bridge": {"autodiff", "nn", "byhand"},
    "evaluation": {"data", "words"},
    "export": {"autodiff", "nn", "data"},
    "recipes": set(),
    "store": set(),
    "words": set(),
    "training": {"autodiff", "nn", "optim", "data", "evaluation", "export"},
    "exercises": set(),
    "tutorials": {"exercises"},
    "benchmark": {"autodiff", "nn", "optim", "bridge", "training", "words"},
    "checking": {"autodiff", "nn", "words"},
    "cli": {
        "benchmark",
        "bridge",
        "checking",
        "data",
        "evaluation",
        "export",
        "store",
        "training",
        "tutorials",
        "words",
    },
    "__init__": {"autodiff", "nn", "optim"},
    "__main__": {"cli"},
}
# What a room may import from outside the package, besides the standard library.
OUTSIDE = {here: {"numpy"} for here in ARROWS} | {
    "data": {"numpy", "PIL"},
    "evaluation": {"numpy", "matplotlib"},
    "export": {"numpy", "onnx", "safetensors"},
    "training": {"numpy", "rich", "threadpoolctl", "tomli_w"},
    "exercises": set(),
    "tutorials": set(),
    "words": set(),
    "cli": {"numpy", "cyclopts"},
}
# Inside the machine: file -> the files it may import.
MACHINE = {
    "memory": set(),
    "mode": set(),
    "variable": {"memory"},
    "dtypes": {"variable"},
    "guard": set(),
    "graph": {"memory", "mode", "variable", "dtypes", "guard"},
    "windows": {"graph"},
    "ops": {"graph", "windows"},
    "numpy_functions": {"mode", "variable", "graph", "ops"},
    "gradient": {"graph", "guard", "variable"},
    "draw": {"graph", "variable"},
    "tensor": {
        "memory",
        "mode",
        "guard",
        "variable",
        "graph",
        "ops",
        "gradient",
        "draw",
        "numpy_functions",
    },
    "check": {"ops", "guard", "gradient", "tensor"},
    "__init__": {"mode", "graph", "gradient", "tensor", "check"},
}

CEILINGS = {
    "autodiff/graph.py": 220,
    "autodiff/numpy_functions.py": 200,
    "autodiff/ops.py": 450,
    "autodiff/tensor.py": 330,
    "byhand/mlp.py": 220,
}


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree):
    """Every module imported, as a dotted name; `from a import b` counts as a.b. Imports for type checkers only are left out."""
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def forbidden(source, here):
    """The imports of a source text that its room is not allowed."""
    for name in imports(ast.parse(source)):
        first, *rest = name.split(".")
        if first == "tinygrad_mnist":
            if rest[0] != here and rest[0] not in ARROWS[here]:
                yield name
        elif first not in sys.stdlib_module_names and first not in OUTSIDE[here]:
            yield name


def code_lines(source):
    """Lines that hold code: no blank lines, comments or docstrings."""
    tree = ast.parse(source)
    prose = set()
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            prose.update(range(node.lineno, node.end_lineno + 1))
    lines = source.splitlines()
    return sum(
        1
        for i, text in enumerate(lines, 1)
        if i not in prose and text.strip() and not text.strip().startswith("#")
    )


def test_every_room_is_named():
    assert {room(path) for path in SOURCES} | {"recipes"} == set(ARROWS)


def test_only_the_bridge_knows_both_derivations():
    machine = {"autodiff", "nn", "optim"}
    assert [
        here for here, allowed in ARROWS.items() if "byhand" in allowed and allowed & machine
    ] == ["bridge"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_arrows(path):
    assert list(forbidden(path.read_text(), room(path))) == []


def test_a_forbidden_arrow_is_seen():
    assert list(forbidden("from tinygrad_mnist.autodiff import ops", "byhand")) == [
        "tinygrad_mnist.autodiff.ops"
    ]
    assert list(forbidden("def f():\n    import scipy.stats", "autodiff")) == ["scipy.stats"]


def test_files_of_the_machine_import_only_downwards():
    for path in (PACKAGE / "autodiff").glob("*.py"):
        names = [
            name.split(".")
            for name in imports(ast.parse(path.read_text()))
            if name.startswith("tinygrad_mnist.autodiff")
        ]
        assert {name[2] for name in names} <= MACHINE[path.stem], path


@pytest.mark.parametrize(("file", "ceiling"), CEILINGS.items())
def test_a_room_stays_small_enough_to_hold_in_mind(file, ceiling):
    assert code_lines((PACKAGE / file).read_text()) <= ceiling


def test_code_lines_leave_out_prose():
    assert (
        code_lines(
            '"""Doc.\n\nMore."""\n\n# comment\nx = 1\n\ndef f():\n    """Doc."""\n    return x  # why\n'
        )
        == 3
    )


def test_every_file_opens_with_a_sentence_that_says_what_it_is():
    for path in SOURCES:
        assert (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0].rstrip(
            ".: "
        ).count(" ") >= 2, path


def test_import_loads_nothing_beyond_numpy():
    script = "import sys, numpy; before = set(sys.modules); import tinygrad_mnist; print(*{m.split('.')[0] for m in set(sys.modules) - before})"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        ).stdout.split()
    )
    assert loaded - set(sys.stdlib_module_names) == {"tinygrad_mnist"}
