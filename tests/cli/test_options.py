"""Every number on the command line: taken, or refused in one or two lines, with no traceback."""

import io
import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
from cyclopts.completion.detect import ShellDetectionError
from rich.console import Console

from tinygrad_mnist import benchmark, data, evaluation, nn
from tinygrad_mnist.cli import train
from tinygrad_mnist.cli.exits import app
from tinygrad_mnist.data import Dataset
from tinygrad_mnist.runs import RunFolderError, run
from tinygrad_mnist.runs.job import Run
from tinygrad_mnist.store import PredictionLog
from tinygrad_mnist.training import Epoch, Recipe, RecipeError, build_training, progress, recipe
from tinygrad_mnist.training.build import build_model

NUMBERS = ["-1", "0", "1", "1.5", "1e30", "-1e30", "9" * 30, "nan", "inf", "", " ", "text", "1_0"]
KEYS = sorted(recipe.LIMITS)
SMALL = "hidden=[4]"


@pytest.fixture(scope="module")
def digits(mnist):
    images, labels = mnist
    return images[:200], labels[:200]


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinygrad_mnist.runs.sets.load_mnist", lambda how: digits)
        patch.setattr("tinygrad_mnist.runs.sets.load_mnist_test", lambda how: digits)
        run(Recipe.load("default").changed(["epochs=1", SMALL]), folder)
    image, p = np.zeros((1, 784), np.uint8), np.full((1, 10), 0.1)
    with PredictionLog(folder / "predictions.db", create=True) as log:
        log.add("run", {}, "hash", ["mine"], image, p, [3])
    return folder


@pytest.fixture(autouse=True)
def one_step_only(digits, trained, tmp_path, monkeypatch):
    """An empty folder, little data, and a training that ends after its first step."""

    def one_step(self, **_):
        if not self.training.finished:
            self.training.step(next(self.training.remaining_batches()))
        raise RunFolderError("this is as far as we go")

    def no_training(*_, **__):
        raise RecipeError("this is as far as we go")

    monkeypatch.chdir(tmp_path)
    for place in ("runs.sets.load_mnist", "runs.reproduction.load_mnist", "data.load_mnist"):
        monkeypatch.setattr(f"tinygrad_mnist.{place}", lambda how="unit": digits)
    for place in ("runs.sets", "data"):
        monkeypatch.setattr(f"tinygrad_mnist.{place}.load_mnist_test", lambda how: digits)
    monkeypatch.setattr(Run, "complete", one_step)
    monkeypatch.setattr("tinygrad_mnist.runs.reproduction.train", no_training)
    monkeypatch.setattr(benchmark, "report", lambda training, rounds: {})
    monkeypatch.setattr(benchmark, "text", str)
    (tmp_path / "mine.py").write_text("def f(x):\n    return x * x\n")
    shutil.copytree(trained, "run")


ASKED = [
    *(("train", "--out", "new", "--set", SMALL, f"{key}=%s") for key in KEYS),
    *(("train", "--resume", "run", "--override", f"{key}=%s") for key in KEYS),
    ("compare", "--set", SMALL, "batch_size=%s"),
    ("compare", "--set", SMALL, "weight_decay=%s"),
    ("compare", "--set", "seed=%s", SMALL),
    ("train", "--out", "new", "--set", "hidden=[%s]"),
    ("train", "--out", "new", "--set", "hidden=%s"),
    ("reproduce", "default", "--seeds", "%s"),
    ("reproduce", "default", "--seeds", "0", "%s"),
    ("reproduce", "default", "--seeds=%s"),
    ("bench", "--rounds", "%s"),
    ("bench", "--rounds=%s"),
    ("gradcheck", "mine.py:f", "--shape", "%s"),
    ("gradcheck", "mine.py:f", "--shape=%s"),
    ("gradcheck", "mine.py:f", "--shape=2,%s"),
    ("gradcheck", "mine.py:f", "--shape", "2", "--seed", "%s"),
    ("gradcheck", "mine.py:f", "--shape", "2", "--seed=%s"),
    ("gradcheck", "mine.py:f", "--shape", "2", "--arg", "%s"),
    ("gradcheck", "mine.py:f", "--shape", "2", "--arg", "x=%s"),
    ("log", "run", "--digit", "%s"),
    ("log", "run", "--digit=%s"),
    ("predict", "run", "--test", "%s"),
    ("predict", "run", "--test=%s"),
]


@pytest.mark.parametrize("asked", ASKED, ids=" ".join)
def test_any_number_is_taken_or_explained(command, asked):
    for number in NUMBERS:
        arguments = [part.replace("%s", number) for part in asked]
        code, _, err = command(*arguments)
        assert code in (0, 2), arguments
        lines = [line for line in err.splitlines() if not line.startswith("warning: ")]
        assert len(lines) <= 2, arguments
        assert code == 0 or lines[0].startswith("error: "), arguments
        assert "Traceback" not in err


@pytest.mark.parametrize(
    "asked", ["reproduce default --seeds", "predict run --test", "log --digit"]
)
def test_an_option_without_its_numbers_says_so(command, asked):
    code, _, err = command(*asked.split())
    assert code == 2
    assert len(err.splitlines()) <= 2


OPTIMIZERS, SCHEDULES = ("sgd", "adam", "adamw"), ("constant", "exponential", "one_cycle")
KINDS = list(itertools.product(OPTIMIZERS, SCHEDULES, ("cross_entropy", "mse")))


@pytest.mark.parametrize("kinds", KINDS, ids=" ".join)
def test_a_recipe_that_is_taken_can_be_trained(digits, kinds):
    names = ("optimizer", "schedule", "loss")
    fixed = [f"{name}={kind}" for name, kind in zip(names, kinds, strict=True)]
    if "one_cycle" in kinds:
        fixed += ["schedule_every=batch"]
    for key in KEYS:
        for bound in recipe.LIMITS[key]:
            try:
                chosen = Recipe("x", hidden=(4,)).changed([*fixed, f"{key}={bound}"])
            except RecipeError:
                continue
            try:
                training = build_training(chosen, Dataset.of(*digits))
            except data.DataError:
                continue
            with np.errstate(all="ignore"):
                training.step(next(training.remaining_batches()))


def test_a_network_too_large_for_any_machine_is_refused_before_it_is_built(monkeypatch):
    built, rng = [], np.random.default_rng(0)
    monkeypatch.setattr(nn, "MLP", lambda sizes, *_, **how: built.append(sizes))
    message = "hidden makes a network of 8,108,760,010 numbers, more than 200,000,000"
    with pytest.raises(RecipeError, match=message):
        build_model(Recipe("x", hidden=(10_000,) * 82), 784, 10, rng)
    assert built == []
    build_model(Recipe("x", hidden=(10_000, 10_000)), 784, 10, rng)
    assert built == [(784, 10_000, 10_000, 10)]


def test_memory_that_is_not_there_is_no_traceback(command, monkeypatch):
    def too_much(self, **_):
        np.zeros((1 << 40, 1 << 19), np.uint8)

    monkeypatch.setattr(Run, "complete", too_much)
    code, _, err = command("train", "--out", "new", "--set", SMALL)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "memory" in err


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_a_momentum_of_1_is_refused_where_it_is_an_average(optimizer):
    with pytest.raises(RecipeError, match=r"momentum must be below 1 .*, but is 1.0"):
        Recipe("x", optimizer=optimizer, momentum=1)
    assert Recipe("x", optimizer="sgd", momentum=1).momentum == 1


def test_a_seed_that_comes_twice_is_refused_before_anything_is_trained(command):
    for seeds in (["1", "1"], ["0", "-1"]):
        code, _, err = command("reproduce", "default", "--seeds", *seeds)
        assert (code, "as far as we go" in err) == (2, False)
    assert "The seeds must be different" in command("reproduce", "--seeds", "1", "1")[2]


# ---------------------------------------------------------------- help, counts, completion

COMMANDS = [
    "train",
    "evaluate",
    "export",
    "predict",
    "log",
    "recipes",
    "reproduce",
    "compare",
    "gradcheck",
    "bench",
    "tutorials",
]


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_breaks_a_line_only_where_it_is_full(columns, name):
    file = io.StringIO()
    app.help_print([name], console=Console(width=columns, file=file))
    lines = file.getvalue().splitlines()
    for line, following in itertools.pairwise(lines):
        assert len(line) <= columns
        if not (line.startswith("│") and following.startswith("│")):
            continue
        text = following.strip("│")
        start = len(text) - len(text.lstrip())
        if start > 12:  # it goes on with the description above
            first = text.split()[0]
            assert len(line.rstrip("│ ")) + 1 + len(first) > columns - 2, (line, following)
    examples = lines[lines.index("Examples:") + 1 :] if "Examples:" in lines else []
    assert all(example.startswith("  tinygrad-mnist ") for example in examples if example)


def test_one_epoch_is_one_epoch_and_no_number_is_minus_zero():
    test = {"accuracy": 1.0, "correct": 1, "incorrect": 0, "cross_entropy": -0.0}
    metrics = {"test": test, "recipe": "x", "epochs": 1, "parameters": 1, "training_seconds": 1.0}
    text = "\n".join(train.summary(metrics, Path("run")))
    assert "\n1 epoch in 1.0 s, 1 parameter. " in text
    assert "cross-entropy 0.0000." in text
    sure = np.array([[1.0, 0.0], [np.nextafter(np.float32(1), 2), 0.0]], np.float32)
    for rows in (sure, sure[:1], sure[1:]):
        found = evaluation.score(rows, np.zeros(len(rows), int))["cross_entropy"]
        assert (found, np.signbit(found)) == (0, False)
    row = Epoch(1, -0.0, 1.0, -1e-9, 1.0, 0.1, 1.0)
    assert "-0" not in progress.line(row, 10)


@pytest.mark.parametrize(("shell", "file"), [("bash", ".bashrc"), ("zsh", ".zshrc")])
def test_completion_is_installed_for_the_shell_in_use(command, tmp_path, monkeypatch, shell, file):
    monkeypatch.setenv("HOME", str(tmp_path))
    code, out, err = command("--install-completion", "--shell", shell)
    assert (code, err) == (0, "")
    assert (tmp_path / file).exists()
    assert "tinygrad" in out
    script = app.generate_completion(shell=shell)
    for word in (*COMMANDS, "--test-data", "safetensors"):
        assert word in script


def test_a_shell_that_is_not_known_is_said_in_one_line(command, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("cyclopts.completion.detect.detect_shell", no_shell)
    code, _, err = command("--install-completion")
    assert (code, len(err.splitlines())) == (1, 1)
    assert "--shell" in err
    assert command("--install-completion", "--shell", "tcsh")[0] == 2


def no_shell():
    raise ShellDetectionError("unknown")
