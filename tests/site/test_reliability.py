"""The page of promises: each names the tests that hold it, and these are there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
NOT_PROMISED = "\n## What is not promised\n"


def existing(folder):
    """The names of all tests in a folder."""
    for path in folder.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield node.name


def named(text):
    """The tests that a text names."""
    return re.findall(r"`(test_\w+)`", text)


def promises(page):
    """The paragraphs, lists and rows of tables that say what is done; not what is not promised.

    A paragraph goes on with a list, code or a table that follows its colon.
    """
    body = page.split(NOT_PROMISED)[0].partition("\n## ")[2].partition("\n")[2]
    whole = re.sub(r"(?<=:)\n\n(?=- |```|\|)|(?<=\n```)\n\n(?=[a-z])|\n\n(?=- )", "\n", body)
    for block in re.split(r"\n\n+", whole):
        lines = [line for line in block.splitlines() if not line.startswith(("#", "|---"))]
        rows = [line for line in lines if line.startswith("| ")][1:]
        yield from rows if rows and not named(lines[0]) else ["\n".join(lines)]


PROMISES = [text for text in promises(PAGE) if len(text.split()) > 3]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda text: text[:40])
def test_every_promise_names_a_test_that_holds_it(promise):
    assert named(promise), promise


def test_every_test_that_a_promise_names_exists():
    assert sorted(set(named(PAGE)) - set(existing(ROOT / "tests"))) == []


def test_every_file_of_tests_that_is_named_exists():
    files = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert set(re.findall(r"test_\w+\.py", PAGE)) <= files


def test_a_promise_without_a_test_is_seen():
    page = (
        "# Page\n\n## A\n\nHeld: `test_x`.\n\nAlso:\n\n- `test_y`\n\nFree.\n"
        + NOT_PROMISED
        + "More."
    )
    assert [named(text) for text in promises(page)] == [["test_x"], ["test_y"], []]


def test_the_suite_runs_in_development_mode_before_a_change_is_merged():
    assert "PYTHONDEVMODE=1 command pytest" in (ROOT / ".ci" / "run").read_text()
