"""Somebody's project, tested by the kit: green as it is, red with the cause for each fault.

Continuous integration runs the same against the wheel, each in a pytest of its own.
"""

import importlib
import subprocess
import sys

import foreign
import pytest


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Its tests, imported from a folder with a fault planted."""

    def tests(fault=None):
        foreign.planted(tmp_path, fault)
        monkeypatch.syspath_prepend(tmp_path)
        return importlib.import_module("test_bell")

    yield tests
    for path in foreign.PROJECT.glob("*.py"):
        sys.modules.pop(path.stem, None)


def test_the_page_shows_the_workflow():
    page = foreign.PROJECT.parent / "property-tests.md"
    assert (foreign.PROJECT / "tests.yml").read_text() in page.read_text()


def test_it_passes_as_it_is(project):
    tests = [f for name, f in vars(project()).items() if name.startswith("test_")]
    assert len(tests) == 4
    for test in tests:
        test()


@pytest.mark.parametrize("name", foreign.FAULTS)
def test_a_fault_fails_and_is_named(project, name):
    fault = foreign.FAULTS[name]
    test = getattr(project(fault), f"test_{fault.test}")
    with pytest.raises(AssertionError) as caught:
        test()
    assert fault.cause in str(caught.value)


WITHOUT = "import sys; sys.modules['hypothesis'] = None; import tinygrad_mnist.testing"


def test_without_hypothesis_the_way_out_is_named():
    told = [sys.executable, "-c", WITHOUT]
    done = subprocess.run(told, capture_output=True, text=True, check=False)
    assert "needs Hypothesis: pip install 'tinygrad-mnist[testing]'" in done.stderr
