"""What runs read back from their folder is believed only as far as it makes sense."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from tinygrad_mnist import nn
from tinygrad_mnist.data import DataError
from tinygrad_mnist.runs import checkpoint, load_trained, read_history, resumed_run, run
from tinygrad_mnist.training import Recipe

SMALL = Recipe(name="small", hidden=(4,), epochs=1, batch_size=60, schedule="constant", lr=0.1)


@pytest.fixture
def finished(small_runs):
    run(SMALL, Path("run"))
    return Path("run")


def changed(path, change):
    """Edit a JSON file by hand."""
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


# ---------------------------------------------------------------- metrics.json

DEEP = "[" * 900 + "]" * 900
TEXTS = {
    "empty": "",
    "cut short": '{"recipe": "small"',
    "a list": "[]",
    "a number": "3",
    "deep": '{"more": ' + DEEP + "}",
    "far too deep": "[" * 100_000,
    "not a number": '{"epochs": NaN}',
    "infinite": '{"epochs": 1e999}',
    "no text": "\0\0\0",
}
EDITS = {
    "recipe": lambda metrics: metrics.update(recipe="\x1b[2J"),
    "epochs": lambda metrics: metrics.update(epochs="many"),
    "epochs too": lambda metrics: metrics.update(epochs=True),
    "parameters": lambda metrics: metrics.pop("parameters"),
    "training_seconds": lambda metrics: metrics.update(training_seconds=None),
    "training_seconds too": lambda metrics: metrics.update(training_seconds=10**400),
    "accuracy": lambda metrics: metrics["test"].update(accuracy=[]),
    "correct": lambda metrics: metrics["test"].update(correct=1.5),
    "incorrect": lambda metrics: metrics.update(test={"accuracy": 1, "correct": 1}),
    "cross_entropy": lambda metrics: metrics["test"].pop("cross_entropy"),
    "test": lambda metrics: metrics.update(test="all right"),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_results_that_are_not_those_of_a_training_are_refused_by_name(command, finished, text):
    (finished / "metrics.json").write_text(text)
    code, out, err = command("train", "--resume", "run", "--json")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith("error: run/metrics.json: not ")
    assert (finished / "metrics.json").read_text() == text


@pytest.mark.parametrize("key", EDITS)
def test_results_that_were_edited_to_nonsense_are_refused_with_the_way_out(command, finished, key):
    before = json.loads((finished / "metrics.json").read_text())
    changed(finished / "metrics.json", EDITS[key])
    code, _, err = command("train", "--resume", "run")
    named = "accuracy" if key == "test" else key.split()[0]
    said = f"error: run/metrics.json: not what this training wrote: {named} makes no sense. "
    assert (code, err) == (2, f"{said}Remove it: --resume writes it anew.\n")
    (finished / "metrics.json").unlink()
    assert command("train", "--resume", "run")[0] == 0
    assert json.loads((finished / "metrics.json").read_text()) == before


def test_results_without_a_test_are_those_of_an_interrupted_training_and_written_anew(
    command, finished
):
    changed(finished / "metrics.json", lambda metrics: metrics.update(test=None))
    code, out, err = command("train", "--resume", "run")
    assert (code, "of the test images right" in out, err) == (0, True, "")


# ---------------------------------------------------------------- history.json


@pytest.mark.parametrize("value", ["much", None, True, [], 10**400, "NaN"])
@pytest.mark.parametrize("column", ["epoch", "loss", "seconds"])
def test_a_history_of_what_is_no_number_is_refused(finished, column, value):
    changed(finished / "history.json", lambda epochs: epochs[0].update({column: value}))
    with pytest.raises(DataError, match=r"run/history\.json: not the history of a run"):
        read_history(finished)


@pytest.mark.parametrize("text", [*TEXTS.values(), "[[]]", "[3]", "[{}]"])
def test_a_history_that_is_none_is_refused(finished, text):
    (finished / "history.json").write_text(text)
    if text == "[]":
        assert read_history(finished) == []
    else:
        with pytest.raises(DataError, match=r"run/history\.json: not the history of a run"):
            read_history(finished)


def test_a_text_without_end_is_not_read_to_its_end(finished, monkeypatch):
    monkeypatch.setattr("tinygrad_mnist.runs.entries.MOST_JSON", 100)
    with pytest.raises(DataError, match=r"history\.json: .* it has more than 100 bytes"):
        read_history(finished)


# ---------------------------------------------------------------- config.toml

TABLES = {
    "shape": "shape = [0, 28]",
    "shape of nothing": "shape = [nan, 28]",
    "classes": 'classes = ["a", "a"]',
    "classes of numbers": "classes = [1, 2]",
    "files": "files = 3",
    "files of files": "files = {data = {}}",
    "code": "code = []",
    "first": "first = 2",
    "deep": f"classes = {DEEP}",
}


@pytest.mark.parametrize("line", TABLES.values(), ids=TABLES)
def test_a_config_that_says_nonsense_of_its_images_is_refused_by_name(command, finished, line):
    config = finished / "config.toml"
    kept = config.read_text().split("[trained]")[0]
    config.write_text(f"{kept}[trained]\n{line}\n")
    code, out, err = command("evaluate", "run")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith("error: run/config.toml: ")


# ---------------------------------------------------------------- checkpoints


@pytest.mark.parametrize("value", [[], {"a": 1}, None, 1.5])
def test_a_checkpoint_whose_environment_is_no_list_of_words_is_refused(finished, value):
    rewritten(finished, lambda about, _: about["environment"].update(numpy=value))
    with pytest.raises(DataError, match="what it says about its origin makes no sense"):
        resumed(finished)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_checkpoint_whose_history_holds_no_numbers_is_refused(finished, value):
    def spoil(about, entries):
        entries["history"][0, 1] = value
        about["sha256"]["history"] = checkpoint.digest(entries["history"])

    rewritten(finished, spoil)
    with pytest.raises(DataError, match="its history holds NaN or infinity"):
        resumed(finished)


def test_words_of_a_checkpoint_are_printed_without_what_a_terminal_obeys(finished):
    rewritten(finished, lambda about, _: about["environment"].update(numpy="\x1b[2J" * 100))
    with resumed_run(finished) as again:
        assert all(notice.isprintable() and len(notice) < 400 for notice in again.notices)


def rewritten(folder, change):
    """Write a checkpoint's entries anew, after a change, as somebody could who knows the form."""
    with np.load(folder / "checkpoint.npz") as file:
        entries = dict(file)
    about = json.loads(entries["about"].tobytes())
    change(about, entries)
    entries["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(folder / "checkpoint.npz", **entries)


def resumed(folder):
    with resumed_run(folder):
        pytest.fail("went on")


# ---------------------------------------------------------------- numbers of weights


@pytest.mark.parametrize("dtype", [np.complex64, np.float64, np.float16, np.int64])
def test_weights_of_another_type_are_read_or_refused_without_a_warning(finished, dtype):
    path = finished / "model.safetensors"
    arrays = safetensors.numpy.load_file(path)
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    (finished / "weights.npz").unlink()
    filled = 1e300 if dtype is np.float64 else 1
    others = {name: np.full(x.shape, filled, dtype) for name, x in arrays.items()}
    try:
        safetensors.numpy.save_file(others, path, metadata)
    except safetensors.SafetensorError:
        pytest.skip("this safetensors has no complex numbers")
    if dtype in (np.float16, np.int64):
        assert load_trained(finished)
        return
    said = {np.complex64: "complex64", np.float64: "holds 1e+300, too large for float32"}[dtype]
    with pytest.raises(DataError, match=rf"model\.safetensors: .*{re.escape(said)}"):
        load_trained(finished)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.full((3, 2), "1"), "a state_dict takes a tensor, an array, or numbers"),
        (np.full((3, 2), b"1"), "a state_dict takes a tensor, an array, or numbers"),
        (np.full((3, 2), 1j), "in complex128"),
        (np.full((3, 2), 1e300), "holds 1e+300, too large for float32"),
        (np.full((3, 2), -(2.0**200)), "holds -1.61e+60, too large for float32"),
        ([[10**400] * 2] * 3, "a state_dict takes a tensor, an array, or numbers"),
        ("weights", "a state_dict takes a tensor, an array, or numbers"),
    ],
)
def test_a_state_of_what_is_no_number_is_refused_and_changes_nothing(value, said):
    layer = nn.Linear(3, 2, rng=np.random.default_rng(0))
    before = [p.data.copy() for p in layer.parameters()]
    with pytest.raises(RuntimeError, match=rf"weight: .*{re.escape(said)}"):
        layer.load_state_dict({"bias": np.ones(2), "weight": value})
    assert all((p.data == old).all() for p, old in zip(layer.parameters(), before, strict=True))


def test_infinity_and_nan_in_a_state_are_taken_as_they_are():
    layer = nn.Linear(1, 3, bias=False, rng=np.random.default_rng(0))
    layer.load_state_dict({"weight": np.array([[np.nan, np.inf, -np.inf]])})
    np.testing.assert_array_equal(layer.weight.data, [[np.nan, np.inf, -np.inf]])
