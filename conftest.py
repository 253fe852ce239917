"""Test set-up: one BLAS thread (before NumPy is imported), Hypothesis profiles, and every example in the prose as a test."""

import os
import sys

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import hypothesis
import numpy as np
import pytest
from sybil import Sybil
from sybil.parsers.doctest import DocTestParser
from sybil.parsers.markdown import PythonCodeBlockParser

hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.register_profile("deep", deadline=None, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "default"))

pytest_collect_file = (
    Sybil(parsers=[PythonCodeBlockParser(), DocTestParser()], patterns=["*.md"])
    + Sybil(parsers=[DocTestParser()], path="tinygrad_mnist", patterns=["**/*.py"])
).pytest()


@pytest.fixture
def rng():
    """A seeded generator."""
    return np.random.default_rng(0)


def pytest_terminal_summary(terminalreporter):
    """Print the kill matrix of the mutants if they were tested."""
    mutants = sys.modules.get("test_mutants")
    if mutants is not None and mutants.KILLED:
        terminalreporter.section("wrong derivative rules and the checker that rejects them")
        for line in mutants.kill_matrix():
            terminalreporter.write_line(line)
