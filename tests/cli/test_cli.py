"""The command line as people use it: results, errors of one or two lines, exit codes."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tinygrad_mnist import __version__
from tinygrad_mnist.data import mnist
from tinygrad_mnist.training import progress, recipe_names

COMMAND = [sys.executable, "-m", "tinygrad_mnist"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def digits(mnist):
    images, labels = mnist
    return images[:1000], labels[:1000]


@pytest.fixture
def small_data(digits, monkeypatch):
    """Make `train` see a thousand images only."""
    monkeypatch.setattr("tinygrad_mnist.runs.sets.load_mnist", lambda how: digits)
    monkeypatch.setattr("tinygrad_mnist.runs.sets.load_mnist_test", lambda how: digits)
    monkeypatch.setattr("tinygrad_mnist.runs.reproduction.load_mnist", lambda how: digits)


# ---------------------------------------------------------------- what works


@pytest.mark.usefixtures("small_data")
def test_train_prints_an_epoch_a_line_and_counts(command, tmp_path):
    code, out, err = command("train", "--set", "epochs=2")
    lines = out.splitlines()
    assert (code, err, len(lines)) == (0, "", 5)
    assert lines[1].split()[0] == "1"
    assert "of the test images right" in lines[3]
    test = json.loads((tmp_path / "runs/default/metrics.json").read_text())["test"]
    assert f"({test['correct']:,} correct, {test['incorrect']:,} incorrect)" in lines[3]
    assert "Everything is in runs/default" in lines[4]


@pytest.mark.usefixtures("small_data")
def test_train_prints_json_and_keeps_progress_apart(command):
    asked = "train relu-adam --set epochs=1 batch_size=100 --out here --json"
    code, out, err = command(*asked.split())
    assert (code, json.loads(out)["out"]) == (0, "here")
    assert err.startswith("epoch")


@pytest.mark.usefixtures("small_data")
def test_a_run_can_be_trained_again_from_its_config(command, tmp_path):
    command("train", "seed-a", "--set", "epochs=1", "--out", "first")
    command("train", "first/config.toml", "--out", "second")
    first, second = (tmp_path / name / "weights.npz" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_recipes_lists_all(command):
    code, out, _ = command("recipes")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == recipe_names()
    assert json.loads(command("recipes", "--json")[1])[0]["name"] == "default"


@pytest.mark.usefixtures("small_data")
def test_reproduce_prints_the_table_and_keeps_the_runs(command, tmp_path):
    asked = "reproduce default --seeds 0 1 --out new/results.json"
    code, out, err = command(*asked.split())
    assert code == 0
    assert out.splitlines()[2].startswith("| `default` |  | ")
    assert err.splitlines()[1].startswith("default, seed 1: ")
    (result,) = json.loads((tmp_path / "new/results.json").read_text())
    assert [run["seed"] for run in result["runs"]] == [0, 1]
    code, out, err = command(*asked.split(), "--json")
    assert (code, len(err.splitlines())) == (0, 2)
    assert [run["seed"] for run in json.loads(out)[0]["runs"]] == [0, 1]


def test_compare_agrees_on_real_digits(command):
    code, out, _ = command("compare", "seed-a-two-hidden", "--set", "batch_size=8")
    assert code == 0
    _, *terms, verdict = out.splitlines()
    assert verdict == f"all {len(terms)} terms agree to 1e-10"
    assert "dW3" in out


def test_compare_says_no_with_exit_code_1(command, monkeypatch):
    from tinygrad_mnist import byhand

    right = byhand.MLP.backward

    def wrong(self, t, y):
        return right(self, t, y) | {"db1": t["Z1"].sum(axis=0)}

    monkeypatch.setattr(byhand.MLP, "backward", wrong)
    code, out, _ = command("compare", "--set", "batch_size=8")
    assert code == 1
    assert "first divergence: db1" in out


OPS = """
from tinygrad_mnist.autodiff import op

@op
def cube(x):
    return x**3

cube.vjp(lambda g, out, x: 3 * g * x**2)

@op
def wrong(x):
    return x**3

wrong.vjp(lambda g, out, x: 3 * x**2)

def product(x, y):
    return x @ y
"""


def test_gradcheck_judges_ops_in_a_file(command, tmp_path):
    (tmp_path / "mine.py").write_text(OPS)
    assert command("gradcheck", "mine.py:cube", "--shape", "3,4")[0] == 0
    assert command("gradcheck", "mine.py:product", "--shape", "3,4", "--shape", "4,2")[0] == 0
    code, out, _ = command("gradcheck", "mine.py:wrong", "--shape", "3,4")
    assert code == 1
    assert "Likely cause: the rule forgot the cotangent g" in out


def test_help_shows_examples(command):
    code, out, _ = command("train", "--help")
    assert code == 0
    assert "tinygrad-mnist train seed-a --set epochs=5" in out


def test_module_and_command_are_the_same():
    for start in (COMMAND, [str(Path(sys.executable).with_name("tinygrad-mnist"))]):
        asked = [*start, "--version"]
        done = subprocess.run(asked, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == __version__


# ---------------------------------------------------------------- what does not


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "defualt"], "There is no recipe 'defualt'. Did you mean 'default'?"),
        (["train", "--set", "epoch=3"], "no key 'epoch'. Did you mean 'epochs'?"),
        (["train", "--set", "epochs=many"], "epochs must be a whole number, but is 'many'"),
        (["train", "--set", "epochs"], "form key=value"),
        (["train", "--out", "file/run"], "file/run: cannot be written to: Not a directory"),
        (["train", "--out", "."], "not empty"),
        (["train", "--bogus"], "--bogus"),
        (["tarin"], '"tarin". Did you mean "train"'),
        (["compare", "nothing"], "no recipe 'nothing'"),
        (["reproduce", "nothing"], "no recipe 'nothing'"),
        (["gradcheck", "gone.py:f", "--shape", "2"], "no file 'gone.py'"),
        (["gradcheck", "mine.py:f", "--shape", "2"], "mine.py has no function 'f'. It has product"),
        (["gradcheck", "broken.py:f", "--shape", "2"], "broken.py raised ZeroDivisionError"),
        (["gradcheck", "mine.py:product", "--shape", "2x3"], "A shape is written as 3,4"),
        (["gradcheck", "mine.py:product", "--shape", "2"], "missing a required argument: 'y'"),
    ],
)
def test_wrong_input_is_explained_in_two_lines_at_most(command, tmp_path, arguments, message):
    (tmp_path / "file").write_text("")
    (tmp_path / "mine.py").write_text("def product(x, y):\n    return x * y\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    before = sorted(tmp_path.rglob("*"))
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert len(err.splitlines()) <= 2
    assert sorted(tmp_path.rglob("*")) == before


def test_damaged_data_is_named_before_anything_is_kept(command, tmp_path, monkeypatch):
    for path in mnist.FOLDER.iterdir():
        (tmp_path / "data" / path.name).parent.mkdir(exist_ok=True)
        (tmp_path / "data" / path.name).write_bytes(path.read_bytes()[:-3])
    monkeypatch.setattr(mnist, "FOLDER", tmp_path / "data")
    code, _, err = command("train", "--out", "run")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "train-images-idx3-ubyte.gz: damaged" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("small_data")
def test_divergence_exits_with_3_and_says_how_to_go_on(command, tmp_path):
    code, _, err = command("train", "--set", "lr=1e6", "--set", "hidden=[16, 16]", "--out", "run")
    assert (code, len(err.splitlines())) == (3, 2)
    assert "in epoch 1, batch" in err
    advice = " stays: tinygrad-mnist train --resume run --override lr=1e+05"
    assert err.splitlines()[1].endswith(advice)
    assert not (tmp_path / "run/metrics.json").exists()


def test_ctrl_c_saves_and_says_so(tmp_path):
    asked = "train --set epochs=500 hidden=[16] --out run"
    process = subprocess.Popen([*COMMAND, *asked.split()], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    assert process.stdout.readline().split()[0] == "1"
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    said, where, command = rest.splitlines()[-3:]
    assert said.startswith("Interrupted in epoch ")
    assert "The weights so far are in run" in where
    assert command == "tinygrad-mnist train --resume run"
    assert np.load(tmp_path / "run/weights.npz")["W1"].shape == (784, 16)
    assert json.loads((tmp_path / "run/metrics.json").read_text())["test"] is None


UNDRAWN = """
from tinygrad_mnist import cli
from tinygrad_mnist.evaluation import figures
figures.draw = lambda *_: {"curves": b"PNG"}
cli.main()
"""


def test_a_terminal_shows_live_progress(tmp_path, digits):
    images, labels = digits
    train, test = slice(900), slice(900, None)
    sets = {"x_train": images[train], "y_train": labels[train]}
    sets |= {"x_test": images[test], "y_test": labels[test]}
    np.savez(tmp_path / "mine.npz", **sets)
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    asked = [sys.executable, "-c", UNDRAWN, "train"]
    asked += ["--data", "mine.npz", "--test-data", "mine.npz", "--set", "epochs=1", "hidden=[16]"]
    process = subprocess.Popen(asked, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown, end = b"", time.monotonic() + 60

    def more():
        return time.monotonic() < end and select.select([ours], [], [], 1)[0]

    while more() or process.poll() is None:
        try:
            shown += os.read(ours, 4096)
        except OSError:
            break
    os.close(ours)
    assert process.wait(60) == 0
    assert b"epoch 1 of 1" in shown
    assert b"of the test images right" in shown


# ---------------------------------------------------------------- images of one's own


@pytest.fixture
def own_files(digits, tmp_path):
    """A thousand digits in files: 800 to train on, also as images and labels apart; 200 to test."""
    images, labels = digits
    x_train, y_train, x_test, y_test = images[:800], labels[:800], images[800:], labels[800:]
    both = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    np.savez(tmp_path / "both.npz", **both)
    mine = np.column_stack([y_train, x_train])
    np.savetxt(tmp_path / "mine.csv", mine, fmt="%d", delimiter=",")
    np.savetxt(tmp_path / "images.csv", x_train, fmt="%d", delimiter=",")
    np.savetxt(tmp_path / "labels.csv", y_train, fmt="%d")
    np.savez(tmp_path / "others.npz", images=x_test, labels=y_test)


@pytest.mark.usefixtures("own_files")
def test_train_on_files_of_ones_own_is_the_same_from_every_format(command, tmp_path):
    epochs = "train --set epochs=2 hidden=[16] --test-data both.npz --json"
    apart = ("images.csv", "--labels", "labels.csv")
    sources = {"a": ("both.npz",), "b": ("mine.csv",), "c": apart}
    for out, source in sources.items():
        code, printed, _ = command(*epochs.split(), "--out", out, "--data", *source)
        metrics = json.loads(printed)
        assert code == 0
        assert metrics["test"]["correct"] + metrics["test"]["incorrect"] == 200
        assert metrics["files"]["data"] == source[0]
    files = {"data": "images.csv", "labels": "labels.csv", "test_data": "both.npz"}
    assert metrics["files"] == files
    assert len({(tmp_path / out / "weights.npz").read_bytes() for out in sources}) == 1


@pytest.mark.usefixtures("own_files")
def test_report_and_card_name_the_files_of_ones_own(command, tmp_path):
    files, settings = "--data mine.csv --test-data others.npz", "--set epochs=1 hidden=[16]"
    command("train", *files.split(), *settings.split(), "--out", "run")
    card = (tmp_path / "run" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "On the 200 images of others.npz, opened once" in card
    assert "800 images of mine.csv, of which 10 % were held out" in card
    assert "ylecun/mnist" not in card
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "--data mine.csv</p>" in report
    assert "--test-data others.npz</p>" in report


@pytest.mark.usefixtures("own_files")
def test_the_speed_shown_counts_the_images_that_are_trained_on(command, monkeypatch):
    counted, plain = [], progress.PlainProgress

    def show(images, stream):
        counted.append(images)
        return plain(images, stream)

    monkeypatch.setattr(progress, "PlainProgress", show)
    files = "--data others.npz --test-data images.csv --test-labels labels.csv"
    settings = "--set epochs=1 hidden=[16] validation=0.25 --out run"
    code, _, _ = command("train", *files.split(), *settings.split())
    assert (code, counted) == (0, [150])


@pytest.mark.usefixtures("own_files")
def test_mnist_can_be_asked_for_to_test_on_and_stands_in_to_train_on(command, monkeypatch, digits):
    images, labels = digits
    runs, epoch = "tinygrad_mnist.runs.sets", ("--json", "--set", "epochs=1", "hidden=[16]")
    monkeypatch.setattr(f"{runs}.load_mnist_test", lambda how: (images[900:], labels[900:]))
    files = "--data mine.csv --test-data mnist --out a"
    code, out, _ = command("train", *files.split(), *epoch)
    assert (code, json.loads(out)["files"]) == (0, {"data": "mine.csv", "test_data": "mnist"})
    assert json.loads(out)["test"]["correct"] + json.loads(out)["test"]["incorrect"] == 100
    monkeypatch.setattr(f"{runs}.load_mnist", lambda how: (images[:500], labels[:500]))
    code, out, _ = command("train", "--test-data", "both.npz", "--out", "b", *epoch)
    assert (code, json.loads(out)["files"]) == (0, {"test_data": "both.npz"})


@pytest.mark.usefixtures("own_files")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "--data both.npz --test-data mine.csv",
            "800 of the 800 test images are also training images",
        ),
        ("--data mine.csv --test-data gone.csv", "gone.csv: cannot be read: No such file"),
        ("--data images.csv --test-data mnist", "images.csv: holds images only"),
        ("--data mine.csv", "mine.csv: nothing to test on. Name other images like these: --test"),
        ("--labels labels.csv", "--labels belongs to --data"),
        ("--data mine.csv --test-labels labels.csv", "--test-labels to --test-data"),
        (
            "--data few.csv --test-data both.npz",
            "4 images are too few to hold out a fraction of 0.1",
        ),
    ],
)
def test_what_is_wrong_with_files_of_ones_own_is_said_and_nothing_kept(
    command, tmp_path, arguments, message
):
    lines = (tmp_path / "mine.csv").read_text().splitlines(keepends=True)
    (tmp_path / "few.csv").write_text("".join(lines[:4]))
    code, _, err = command("train", "--out", "run", *arguments.split())
    assert (code, err.startswith("error: ")) == (2, True)
    assert message in err
    assert len(err.splitlines()) <= 2
    assert not (tmp_path / "run").exists()
