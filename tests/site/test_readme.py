"""What the README promises: its two commands, and no accuracy that was not measured."""

import json
import re
from pathlib import Path
from statistics import mean

import pytest

from tinygrad_mnist.cli.train import summary
from tinygrad_mnist.runs.reproduction import table
from tinygrad_mnist.training import Recipe, recipe_names

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = json.loads((ROOT / "artifacts" / "results.json").read_text())


def test_the_first_screen_has_both_commands():
    first_screen = README[:1500]
    assert "\npip install . && tinygrad-mnist train\n" in first_screen
    assert '\npip install -e ".[test]" && pytest\n' in first_screen


def test_its_result_is_that_of_a_measured_run():
    (default,) = [result for result in RESULTS if result["recipe"] == "default"]
    (run,) = [run for run in default["runs"] if run["seed"] == Recipe.load("default").seed]
    told = "\n".join(summary(run, Path("runs/default")))
    assert f"```text\n{told}\n```" in README


def test_its_table_is_that_of_the_measured_runs():
    assert table(RESULTS) in README


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_names_an_accuracy_that_was_not_measured(page):
    text = page.read_text(encoding="utf-8").replace(table(RESULTS), "")
    runs, parts = [run for result in RESULTS for run in result["runs"]], ("validation", "test")
    measured = {f"{100 * run[part]['accuracy']:.2f}" for run in runs for part in parts}
    assert set(re.findall(r"(\d+\.\d+) ?%", text)) <= measured


def test_every_test_that_the_documentation_names_exists():
    test, defined = re.compile(r"^def (test_\w+)", re.MULTILINE), set()
    for path in ROOT.glob("tests/**/*.py"):
        defined.update(test.findall(path.read_text(encoding="utf-8")))
    for page in ROOT.glob("docs/**/*.md"):
        assert set(re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8"))) <= defined, page


def test_the_measured_runs_are_those_of_the_recipes():
    assert [result["recipe"] for result in RESULTS] == recipe_names()
    assert all(run["seed"] == seed for result in RESULTS for seed, run in enumerate(result["runs"]))


def test_measured_accuracies_are_what_the_recipes_are_for():
    means = {
        result["recipe"]: mean(run["test"]["accuracy"] for run in result["runs"])
        for result in RESULTS
    }
    assert means["default"] >= 0.982
    assert means["seed-a"] >= 0.9764
