"""The rooms, the only arrows allowed between them, and how much code a reader finds in each."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tinygrad_mnist"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# Room -> the rooms it may import. A file of the package itself counts as a room of its own.
ARROWS = {
    "autodiff": set(),
    "byhand": set(),
    "data": {"words"},
    "nn": {"autodiff"},
    "func": {"autodiff", "nn"},
    "optim": {"autodiff"},
    "bridge": {"autodiff", "nn", "byhand"},
    "evaluation": {"data", "words"},
    "export": {"autodiff", "nn", "data"},
    "recipes": set(),
    "store": set(),
    "words": set(),
    "files": {"words"},
    "start": set(),
    "starter": {"files"},
    "testing": {"autodiff", "nn", "func"},
    "owncode": set(),
    "training": {"autodiff", "nn", "optim", "data", "owncode", "words"},
    "runs": {"autodiff", "training", "nn", "data", "evaluation", "export", "files", "owncode",
             "words", "__version__"},
    "examples": {"autodiff", "nn", "Tensor", "no_grad"},  # two by their names at the top
    "exercises": set(),
    "tutorials": {"exercises"},
    "benchmark": {"autodiff", "nn", "optim", "bridge", "runs", "words"},
    "checking": {"autodiff", "func", "nn", "owncode", "words"},
    "sklearn": {"training", "nn", "data"},
    "scale": {"autodiff", "runs", "training", "data", "evaluation", "files", "owncode", "words"},
    "cli": {"autodiff", "benchmark", "bridge", "checking", "data", "evaluation", "export", "files",
            "nn", "owncode", "runs", "scale", "start", "starter", "store", "training", "tutorials",
            "words", "__version__"},
    "__init__": {"autodiff", "func", "nn", "optim", "start"},
    "__main__": {"cli"},
}  # fmt: skip
# What a room may import from outside the package, besides the standard library.
OUTSIDE = {here: {"numpy"} for here in ARROWS} | {
    "data": {"numpy", "PIL", "scipy"},
    "evaluation": {"numpy", "matplotlib"},
    "export": {"numpy", "onnx", "safetensors"},
    "training": {"numpy", "IPython", "rich", "threadpoolctl", "tomli_w"},
    "runs": {"numpy", "threadpoolctl", "tomli_w"},
    "testing": {"numpy", "hypothesis", "pytest", "_pytest"},
    "sklearn": {"numpy", "sklearn"},
    "scale": {"numpy", "matplotlib", "mpi4py", "optuna", "sqlalchemy"},
    "files": set(),
    "start": set(),
    "starter": set(),
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
    "trace": {"graph"},
    "story": {"draw", "trace", "variable"},
    "player": {"draw", "story", "variable"},
    "tensor": {"memory", "mode", "guard", "variable", "graph", "ops", "gradient", "draw",
               "numpy_functions", "player"},
    "differences": set(),
    "causes": {"differences", "gradient", "graph", "tensor"},
    "check": {"ops", "guard", "gradient", "tensor", "differences", "causes"},
    "program": {"mode", "variable", "graph", "ops", "gradient", "tensor"},
    "passes": {"variable"},
    "notes": {"memory", "passes", "variable"},
    "reach": {"variable"},
    "replay": {"memory", "mode", "variable", "graph", "gradient", "passes", "notes", "reach"},
    "__init__": {"mode", "graph", "gradient", "tensor", "check", "program", "notes", "replay"},
}  # fmt: skip

WHOLE = "the package"
# File -> the lines of code it may have: what one can hold in mind.
CEILINGS = {
    "autodiff/graph.py": 245,
    "autodiff/numpy_functions.py": 205,
    "autodiff/program.py": 245,
    "autodiff/ops.py": 490,
    "autodiff/tensor.py": 360,
    "byhand/mlp.py": 200,
    "byhand/two_layer.py": 40,
    "training/loop.py": 180,
    WHOLE: 17_400,
}
MOST = 30
# Function with more lines of code than that -> why it stays in one piece.
LONG = {
    "autodiff/check.py::_compare": "one check after the other, each with what it says",
    "autodiff/check.py::_causes": "the function looked at, then its ops, then numbers",
    "autodiff/draw.py::_place": "one layout, whose passes share all positions",
    "autodiff/graph.py::sweep": "the loop that a page quotes whole, with its bookkeeping",
    "autodiff/passes.py::compiled": "one text, and the names in it",
    "cli/train.py::train": "a table of options, then new or resumed",
    "runs/reproduction.py::reproduce": "a table of settings, then all tasks and what came of them",
    "scale/sweep.py::sweep": "a table of settings, then what has to be open at once",
    "training/loop.py::Training.__init__": "a table of settings, each with its default",
}


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree):
    """Every module imported, as a dotted name; `from a import b` counts as a.b.

    Imports for type checkers only are left out.
    """
    typing_only = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            typing_only.update(ast.walk(node))
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
    """The numbers of the lines that hold code: no blank lines, comments or docstrings."""
    prose = set()
    for node in ast.walk(ast.parse(source)):
        constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if constant and isinstance(node.value.value, str):
            prose.update(range(node.lineno, node.end_lineno + 1))
    texts = enumerate(map(str.strip, source.splitlines()), 1)
    return {i for i, text in texts if text and not text.startswith("#")} - prose


def functions(node, prefix=""):
    """All functions, methods and functions within them, with their qualified names."""
    for child in ast.iter_child_nodes(node):
        inside = prefix
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inside = f"{prefix}{child.name}."
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + child.name, child
        yield from functions(child, inside)


def long_functions(source):
    """The names of the functions with more than `MOST` lines of code, from `def` to the end."""
    code = code_lines(source)
    for name, function in functions(ast.parse(source)):
        if len(code & set(range(function.lineno, function.end_lineno + 1))) > MOST:
            yield name


def test_every_room_is_named():
    assert {room(path) for path in SOURCES} | {"recipes"} == set(ARROWS)


def test_only_the_bridge_knows_both_derivations():
    machine = {"autodiff", "nn", "optim"}
    by_hand = {here: allowed for here, allowed in ARROWS.items() if "byhand" in allowed}
    assert [here for here, allowed in by_hand.items() if allowed & machine] == ["bridge"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_arrows(path):
    assert list(forbidden(path.read_text(), room(path))) == []


def test_a_forbidden_arrow_is_seen():
    found = forbidden("from tinygrad_mnist.autodiff import ops", "byhand")
    assert list(found) == ["tinygrad_mnist.autodiff.ops"]
    assert list(forbidden("def f():\n    import scipy.stats", "autodiff")) == ["scipy.stats"]


def test_what_also_runs_in_a_page_imports_nothing_but_itself():
    for name in ("mistakes", "diagnosis"):
        found = set(imports(ast.parse((PACKAGE / "bridge" / f"{name}.py").read_text())))
        found -= {"__future__.annotations", "typing.TYPE_CHECKING"}
        assert all(each.startswith("tinygrad_mnist.bridge.mistakes.") for each in found)


def test_files_of_the_machine_import_only_downwards():
    for path in (PACKAGE / "autodiff").glob("*.py"):
        names = [name.split(".") for name in imports(ast.parse(path.read_text()))]
        machine = [name for name in names if name[:2] == ["tinygrad_mnist", "autodiff"]]
        assert {name[2] for name in machine} <= MACHINE[path.stem], path


@pytest.mark.parametrize("what", CEILINGS)
def test_a_room_stays_small_enough_to_hold_in_mind(what):
    files = SOURCES if what == WHOLE else [PACKAGE / what]
    assert sum(len(code_lines(path.read_text())) for path in files) <= CEILINGS[what]


def test_a_long_function_has_a_reason_and_no_other_has():
    found = set()
    for path in SOURCES:
        file = path.relative_to(PACKAGE).as_posix()
        found.update(f"{file}::{name}" for name in long_functions(path.read_text()))
    assert sorted(found - LONG.keys()) == [], f"more than {MOST} lines: take apart, or say why not"
    assert sorted(LONG.keys() - found) == [], f"{MOST} lines or fewer: no reason is needed any more"


# A number that belongs to MNIST -> the files that may have it, and why.
OF_MNIST = {
    784: {},
    28: {
        "data/dataset.py": "the shape of MNIST's images",
        "data/images.py": "the side of its images, and an exponent",
    },
    10: {
        "data/augment.py": "how far a smoothed field reaches, in images",
        "evaluation/figures.py": "how many numbers or tiles fit beside each other",
        "evaluation/model_card.py": "a line break, and images in an example",
        "evaluation/metrics.py": "a default, and the length of a list",
        "evaluation/plots.py": "how many images fit beside each other",
        "evaluation/show.py": "a font size",
        "runs/job.py": "a tenth of a learning rate",
        "training/divergence.py": "a tenth of a learning rate",
        "training/loop.py": "epochs",
        "training/recipe.py": "epochs",
    },
}
ROOMS_OF_DATA = {"data", "training", "runs", "evaluation", "cli"}


def numbers(source):
    """All whole numbers that a source text computes with, also those typed into a message."""
    nodes = list(ast.walk(ast.parse(source)))
    widths = [node.format_spec for node in nodes if isinstance(node, ast.FormattedValue)]
    for node in nodes:
        if isinstance(node, ast.Constant) and type(node.value) is int:
            yield node.value
        elif isinstance(node, ast.JoinedStr) and node not in widths:
            texts = [part.value for part in node.values if isinstance(part, ast.Constant)]
            yield from (int(digits) for text in texts for digits in re.findall(r"\b\d+\b", text))


def test_the_size_and_the_classes_of_mnist_stand_where_mnist_is():
    files = [path for path in SOURCES if room(path) in ROOMS_OF_DATA]
    for path in files:
        file, found = path.relative_to(PACKAGE).as_posix(), set(numbers(path.read_text()))
        assert [n for n in found & OF_MNIST.keys() if file not in OF_MNIST[n]] == [], file


def test_a_size_in_code_or_in_a_message_is_seen():
    assert sorted(numbers("x.reshape(-1, 784)")) == [1, 784]
    assert list(numbers('f"{name:>10}: expected 28 x 28"')) == [28, 28]
    assert list(numbers('"""An image of 28 rows."""')) == []


PROSE = '''\
"""Doc.

More."""

# comment
x = 1

def f():
    """Doc."""
    return x  # why
'''


def test_code_lines_leave_out_prose():
    assert code_lines(PROSE) == {6, 8, 10}


def test_a_function_counts_with_the_functions_in_it():
    body = "\n".join(f"            x = {i}" for i in range(MOST - 1))
    inner = f'class A:\n    def f(self):\n        """Doc."""\n\n        def g():\n{body}\n'
    assert list(long_functions(inner)) == ["A.f"]
    longer = f"{inner}            # a comment\n            y = 1\n"
    assert list(long_functions(longer)) == ["A.f", "A.f.g"]


def test_every_file_opens_with_a_sentence_that_says_what_it_is():
    for path in SOURCES:
        first, *_ = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")
        assert first.rstrip(".: ").count(" ") >= 2, path


LOADED = """
import sys, numpy
before = set(sys.modules)
import tinygrad_mnist
print(*{name.split('.')[0] for name in set(sys.modules) - before})
"""


def test_import_loads_nothing_beyond_numpy():
    command = [sys.executable, "-c", LOADED]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) - set(sys.stdlib_module_names) == {"tinygrad_mnist"}
