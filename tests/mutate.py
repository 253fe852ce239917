"""Change a line at a time in named files, and see which changes no test notices.

``python tests/mutate.py tinygrad_mnist/data/batches.py --tests tests/data/test_data.py`` draws a
sample of the mutants that `mutmut <https://mutmut.readthedocs.io>`_ makes of each file, runs the
tests that reach them, and shows those that survive. All of it happens in a copy. A survivor is a
gap in the tests, or as right as the original. Defaults are left to ``tests/defaults.txt``: mutmut
keeps the signature of what it changes.
"""

import argparse
import ast
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from math import inf
from pathlib import Path

ROOT = Path(__file__).parent.parent
NEEDED = ["tests", "docs", "exercises", "tutorials", "starter", "artifacts"]
NEEDED += ["README.md", "conftest.py"]
OTHERS = {
    *("accuracy", "architecture", "artifacts", "benchmark", "cli", "cli_predictions", "draw"),
    *("faults", "figures", "hostile", "hostile_recipes", "ops_table", "readme", "soak"),
    "tutorials",
}
"""Tests that start programs or read sources: they are slow, or see no mutant."""
SURVIVED = (0, 33)
"""Exit codes: the tests passed, or there was none to run."""
TABLE = (
    "tests/whole/test_defaults.py::test_every_default_of_a_public_function_is_the_one_written_down"
)
CONFIG = """
[tool.mutmut]
source_paths = ["tinygrad_mnist"]
only_mutate = {files}
pytest_add_cli_args = ["-p", "no:cacheprovider", "--deselect", "{table}"]
pytest_add_cli_args_test_selection = {tests}
also_copy = {needed}
"""


def tests_of(file):
    """The test files that say the name of something defined in a file."""
    names = re.findall(
        r"^(?:    )?(?:def|class) ([a-zA-Z]\w*)", Path(file).read_text(), re.MULTILINE
    )
    said = re.compile(rf"\b({'|'.join(names)})\b")
    for path in sorted((ROOT / "tests").glob("*/test_*.py")):
        other = path.parent.name in ("browser", "oracle")
        if other or path.stem.removeprefix("test_") in OTHERS:
            continue
        if said.search(path.read_text()):
            yield path.relative_to(ROOT).as_posix()


def changed():
    """The files of the package changed since this branch left main."""
    since_then = ["--merge-base", "main", "--name-only", "--diff-filter=AM"]
    command = ["git", "diff", *since_then, "--", "tinygrad_mnist/*.py"]
    return subprocess.check_output(command, cwd=ROOT, text=True).split()


def mutmut(copy, *arguments, until=inf):
    """What mutmut says; it is stopped when the time has come."""
    paths = os.pathsep.join([str(copy), *filter(None, [os.environ.get("PYTHONPATH")])])
    one_thread = {"PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1", "HYPOTHESIS_PROFILE": "ci"}
    process = subprocess.Popen(
        [sys.executable, "-m", "mutmut", *arguments],
        cwd=copy, env=os.environ | one_thread, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        return process.communicate(timeout=min(until - time.monotonic(), 600))[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        return process.communicate()[0]


def outcomes(copy):
    """Mutant -> the exit code of the tests, None if they were not run."""
    found = {}
    for meta in copy.glob("mutants/**/*.py.meta"):
        found |= json.loads(meta.read_text())["exit_code_by_key"]
    return found


def of_defaults(copy):
    """The mutants in which the signature is what differs."""
    for path in copy.glob("mutants/tinygrad_mnist/**/*.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        arguments = {n.name: ast.dump(n.args) for n in nodes if isinstance(n, ast.FunctionDef)}
        for name, signature in arguments.items():
            original = f"{name.rpartition('__mutmut_')[0]}__mutmut_orig"
            if arguments.get(original, signature) != signature:
                yield name


def sample(copy, tests, given, until):
    """Names of mutants, made and drawn."""
    for name in ["tinygrad_mnist", *NEEDED]:
        place = ROOT / name
        (shutil.copytree if place.is_dir() else shutil.copy)(place, copy / name)
    config = CONFIG.format(files=given.files, tests=tests, needed=NEEDED, table=TABLE)
    (copy / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text() + config)
    said = mutmut(copy, "run", "none of them", until=until)  # makes them all, and times the tests
    kept_by_table = set(of_defaults(copy))
    mutants = sorted(n for n in outcomes(copy) if n.rpartition(".")[2] not in kept_by_table)
    if not mutants or "failed to collect stats" in said:
        sys.exit(f"mutmut cannot begin:\n{said[-2000:]}")
    return random.Random(given.seed).sample(mutants, min(given.mutants, len(mutants)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="*", help="by default those changed since main")
    parser.add_argument("--tests", nargs="*", help="by default those that name what is changed")
    parser.add_argument("--mutants", type=int, default=60, help="how many to draw")
    parser.add_argument("--minutes", type=float, default=5, help="stop after so many")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.files = given.files or changed()
    until = time.monotonic() + 60 * given.minutes
    tests = given.tests or sorted({test for file in given.files for test in tests_of(file)})
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        drawn = sample(copy, tests, given, until)
        mutmut(copy, "run", "--max-children", "1", *drawn, until=until)
        codes = {name: code for name, code in outcomes(copy).items() if code is not None}
        survivors = [name for name, code in codes.items() if code in SURVIVED]
        sys.stdout.writelines(f"{mutmut(copy, 'show', name)}\n" for name in survivors)
    sys.stdout.write(f"{len(codes) - len(survivors)} of {len(codes)} sampled mutants noticed\n")


if __name__ == "__main__":
    main()
