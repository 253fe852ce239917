"""Threads of the matrix products: one unless told otherwise, restored, and no part of a result."""

import os
import subprocess
import sys

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from tinygrad_mnist.training import Recipe, RecipeError, train

SMALL = Recipe("small", hidden=(32,), epochs=1, examples=1280, dropout=0.2, optimizer="adam")


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.fixture(scope="module")
def digits(mnist):
    return tuple(array[:1500] for array in mnist)


@pytest.mark.parametrize("outside", [1, 2])
@pytest.mark.parametrize("inside", [1, 2])
def test_a_training_runs_on_as_many_threads_as_its_recipe_says(digits, outside, inside):
    seen = []
    with threadpool_limits(limits=outside, user_api="blas"):
        before = blas_threads()
        recipe = SMALL.changed([f"threads={inside}"])
        train(recipe, *digits, on_batch=lambda *_: seen.append(blas_threads()))
        assert blas_threads() == before
    most = os.cpu_count() or 1
    assert {count for counts in seen for count in counts} == {min(inside, most)}


def test_the_callers_threads_come_back_after_an_error(digits):
    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()
        with pytest.raises(ZeroDivisionError):
            train(SMALL, *digits, on_batch=lambda *_: 1 / 0)
        assert blas_threads() == before


def test_one_thread_is_the_default_and_nonsense_is_refused():
    assert SMALL.threads == 1
    assert "threads = 1" in SMALL.to_toml()
    for wrong in ("0", "-1", "1.5", "many"):
        with pytest.raises(RecipeError, match="threads"):
            SMALL.changed([f"threads={wrong}"])


COMMAND = """
from tinygrad_mnist import cli
from tinygrad_mnist.evaluation import figures
figures.draw = lambda *_: {"curves": b"PNG"}  # no part of this
cli.main()
"""


@pytest.mark.parametrize("cores", ["1", "2"])
def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_cores(tmp_path, digits, cores):
    images, labels = digits
    sets = {"x_train": images, "y_train": labels, "x_test": 255 - images[:100]}
    sets["y_test"] = labels[:100]
    np.savez(tmp_path / "mine.npz", **sets)
    arguments = [sys.executable, "-c", COMMAND, "train", "--out", "run", "--data", "mine.npz"]
    arguments += ["--test-data", "mine.npz", "--set", "epochs=1", "examples=1280", "hidden=[300]"]
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    environment["OPENBLAS_NUM_THREADS"] = cores
    subprocess.run(arguments, cwd=tmp_path, env=environment, check=True, capture_output=True)
    found = np.load(tmp_path / "run" / "weights.npz")["W1"]
    recipe = Recipe.load("default").changed(["epochs=1", "examples=1280", "hidden=[300]"])
    result = train(recipe, *digits)
    assert found.tobytes() == result.model[0].weight.data.tobytes()


def test_the_option_is_written_down_and_cannot_change_on_the_way(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["--set", "epochs=1", "--set", "examples=500", "--set", "hidden=[8]"]
    assert command("train", *small, "--out", "run", "--threads", "2")[0] == 0
    assert Recipe.load("run/config.toml").threads == 2
    code, _, err = command("train", "--resume", "run", "--threads", "1")
    assert code == 2
    assert "threads" in err
    assert command("train", *small, "--out", "other", "--threads", "0")[0] == 2
