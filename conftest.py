"""Test set-up: one BLAS thread (before NumPy is imported), and each example in prose as a test."""

import contextlib
import io
import os
import signal
import sys

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import hypothesis
import numpy as np
import pytest
from sybil import Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.doctest import DocTestParser
from sybil.parsers.markdown import CodeBlockParser

hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.register_profile("deep", deadline=None, max_examples=2000)
hypothesis.settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "default")
)


class PrintedEvaluator(PythonEvaluator):
    """Runs a code block of the prose, and compares what it prints with the comments behind.

    A comment is the printed line, or that and an explanation:
    ``print(x > 0)  # True: it has grown``.
    """

    def __call__(self, example):
        """Run the block and compare."""
        printed, promised, prints = io.StringIO(), [], False
        with contextlib.redirect_stdout(printed):
            super().__call__(example)
        for line in example.parsed.splitlines():
            prints = prints or "print(" in line
            if prints and line.startswith("# "):
                promised.append(line[2:])
            elif "print(" in line:
                promised += line.split("  # ")[1:]
        actual = printed.getvalue().splitlines()
        assert len(promised) == len(actual), f"printed {actual}, promised {promised}"
        for line, promise in zip(actual, promised, strict=True):
            kept = promise == line or promise.startswith(f"{line}: ")
            assert kept, f"printed {line!r}, promised {promise!r}"


OPS = {}


def before_page(namespace):
    """Remember what NumPy functions do to tensors."""
    from tinygrad_mnist.autodiff.graph import NUMPY

    OPS.clear()
    OPS.update(NUMPY)


def after_page(namespace):
    """Forget what a page has defined, its ops with ``@op(numpy=...)``, and files beside it."""
    from tinygrad_mnist.autodiff.graph import NUMPY

    NUMPY.clear()
    NUMPY.update(OPS)
    namespace.clear()
    for name in [name for name in sys.modules if name.startswith(("my_", "bell_"))]:
        del sys.modules[name]


pytest_collect_file = (
    Sybil(
        parsers=[CodeBlockParser(language="python", evaluator=PrintedEvaluator())],
        patterns=["*.md"],
        setup=before_page,
        teardown=after_page,
    )
    + Sybil(parsers=[DocTestParser()], path="tinygrad_mnist", patterns=["*.py", "**/*.py"])
).pytest()


@pytest.fixture
def rng():
    """A seeded generator."""
    return np.random.default_rng(0)


@pytest.fixture
def command(capsys):
    """Run a command in this process: returns exit code, standard output, standard error."""
    from tinygrad_mnist import cli

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(*arguments):
        with pytest.raises(SystemExit) as exited:
            cli.main(list(arguments))
        return exited.value.code or 0, *capsys.readouterr()

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Under ``pytest -n``, a file stays with one worker: the examples in it share their names."""
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log) if config.option.dist == "load" else None
