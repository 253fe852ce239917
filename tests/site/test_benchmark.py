"""The benchmark: contestants take turns at the same work, and the page shows what was measured."""

import importlib
import json
import os
import runpy
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from tinygrad_mnist import benchmark
from tinygrad_mnist.cli import main

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
QUESTIONS = [path.stem for path in (BENCHMARKS / "results").glob("*.json")]


@pytest.fixture
def small(rng):
    """Training on 300 examples, in batches that do not come out even."""
    images, labels = rng.random((300, 784), np.float32), rng.integers(0, 10, 300)
    return benchmark.Training(images, labels, hidden=16, batch_size=64, examples=300)


def test_contestants_take_turns_and_the_first_round_does_not_count():
    seen = []

    def run(name, number):
        seen.append((number, name))
        return len(seen)

    times = benchmark.race({name: partial(run, name) for name in "ab"}, rounds=2)
    assert seen == [(0, "a"), (0, "b"), (1, "a"), (1, "b"), (2, "a"), (2, "b")]
    assert times == {"a": [3, 5], "b": [4, 6]}


def test_both_derivations_do_the_same_work(small, rng):
    new = rng.random((200, 784), np.float32)
    _, by_tape = benchmark.train_by_tape(small, 3)
    _, by_hand = benchmark.train_by_hand(small, 3)
    assert np.array_equal(by_tape(new), by_hand(new))


def test_an_epoch_shows_every_example_once_in_an_order_of_its_round(small):
    first, second = (np.concatenate(small.batches(number)) for number in (1, 2))
    assert sorted(first) == list(range(300))
    assert not np.array_equal(first, second)


def test_the_report_has_positive_figures_and_a_text(small):
    measured = benchmark.report(small, rounds=1)
    parts = ("epoch", "op", "import", "inference")
    figures = [value for part in parts for value in measured[part].values()]
    assert len(figures) == 9
    assert min(figures) > 0
    assert measured["machine"]["numpy"] in benchmark.text(measured)


def test_no_rounds_are_refused(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["bench", "--rounds", "0"])
    assert exit_.value.code == 2
    said = "error: For a median, --rounds must lie between 1 and 1000, but is 0.\n"
    assert capsys.readouterr().err == said


def test_the_page_shows_what_was_measured(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    made = runpy.run_path(str(BENCHMARKS / "page.py"))["page"]()
    shown = (BENCHMARKS.parent / "docs/performance.md").read_text(encoding="utf-8")
    assert shown == made, "run: python benchmarks/page.py"


def test_contestants_had_equal_accuracies():
    cells = {}
    for row in json.loads((BENCHMARKS / "results/epoch.json").read_text())["rows"]:
        if row["accuracy"] is not None:
            cells.setdefault((row["batch"], row["hidden"]), []).append(row["accuracy"])
    assert len(cells) == 9
    assert all(max(of) - min(of) <= 1e-3 for of in cells.values())


# ---------------------------------------------------------------- one thread for each


@pytest.fixture
def threads(monkeypatch):
    """What holds all libraries to one thread; the environment that it changes is put back."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    module = importlib.import_module("threads")
    for name in module.ONE:
        monkeypatch.setenv(name, "")
    return module


def test_contestants_race_on_one_thread(threads):
    with threadpool_limits(limits=2):
        seen = []
        threads.race({"a": lambda number: seen.append(threads.threads()["NumPy"]) or 1.0}, rounds=1)
    assert seen == [1, 1]
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_a_contestant_with_several_threads_is_refused(threads):
    threads.check("a", busy=10.5, seconds=10.0)
    with pytest.raises(AssertionError, match=r"^a kept 1\.9 cores busy"):
        threads.check("a", busy=19.0, seconds=10.0)


def test_every_turn_is_looked_at(threads, monkeypatch):
    seen = []
    monkeypatch.setattr(threads, "check", lambda name, busy, seconds: seen.append((name, busy)))
    threads.race(dict.fromkeys("ab", lambda number: sum(range(10**6))), rounds=1)
    assert [name for name, busy in seen if busy > 0.01] == ["a", "b"]


def shown_threads(monkeypatch, recorded):
    """What the page says of the threads, where the results hold those of `recorded`."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    said = runpy.run_path(str(BENCHMARKS / "page.py"))["threads"]
    monkeypatch.setitem(said.__globals__, "load", lambda question: recorded.get(question, {}))
    return said()


def test_the_page_says_what_the_results_do_not(monkeypatch):
    said = shown_threads(monkeypatch, {"op": {"threads": {"NumPy": 1}}})
    assert "Some results do not say on how many threads" in said
    assert said.endswith(": `epoch`, `step`, `process`, `curvature`, `inference`, `growth`.")


def test_the_page_says_the_threads_of_each_library(monkeypatch):
    both = {name: {"threads": {"PyTorch": 1, "NumPy": 1}} for name in QUESTIONS}
    assert "Threads of each library: NumPy 1, PyTorch 1." in shown_threads(monkeypatch, both)
