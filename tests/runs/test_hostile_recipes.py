"""Recipes and runs of strangers: read or refused; names are no places, and sizes no orders."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_hostile import (
    PICKLES,
    SOME_AND_ALL,
    Reader,
    assert_kind,
    bytes_of,
    flipped,
    outcome,
    places,
    state,
)

from tinygrad_mnist import cli, export, nn
from tinygrad_mnist.data import DataError
from tinygrad_mnist.runs import load_trained, read_history
from tinygrad_mnist.training import Recipe, RecipeError, recipe_names

READ_TOML = Reader(b"", lambda path: vars(Recipe.load(str(path))), RecipeError)
RIGHT = Recipe.load("default").to_toml()

# ---------------------------------------------------------------- garbage


@given(st.binary(max_size=300))
def test_garbage_is_no_recipe(tmp_path_factory, content):
    outcome(READ_TOML, tmp_path_factory.mktemp("recipe") / "mine.toml", content)


SIGNS = ["=", "[", "]", "{", "}", '"', "'", "\n", "#"]
VALUES = [
    "-", "1e999", "nan", "-inf", "9" * 400, "0x", "1979-05-27", "true", "\\u001b", "\\ud800", "\0",
]  # fmt: skip
INSERTED = st.lists(st.sampled_from(SIGNS + VALUES), max_size=3)
EDIT = st.tuples(st.integers(0, 1 << 10), st.integers(0, 6), INSERTED)
EDITS = st.lists(EDIT, min_size=1, max_size=4)


@given(EDITS)
def test_a_recipe_that_is_nearly_right_is_read_or_refused(tmp_path_factory, edits):
    text = RIGHT
    for place, length, inserted in edits:
        place %= len(text)
        text = text[:place] + "".join(inserted) + text[place + length :]
    outcome(READ_TOML, tmp_path_factory.mktemp("recipe") / "mine.toml", text.encode())


KEYS = sorted(vars(Recipe("x")))
VALUES += ["[[1]]", "[" * 3000, "{a=1}", "'\x1b[2J'", "x" * 5000, "[1e3]", "[true]"]


@given(st.sampled_from(KEYS), st.sampled_from(VALUES))
def test_any_value_of_any_key_is_taken_or_explained(key, value):
    said = "nothing"
    try:
        Recipe("x").changed([f"{key}={value}"])
    except RecipeError as error:
        said = str(error)
    assert len(said) < 600
    assert said.isprintable()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 15_000, "not valid TOML: "),
        ("a" + ".a" * 800 + " = 1", "A recipe has no key .a."),
        ("a" + ".a" * 8000 + " = 1", "A recipe has no key .a.|not valid TOML: TOML key has more"),
        ("epochs = inf", "epochs must be a whole number"),
        ("epochs = nan", "epochs must be a whole number"),
        (f"lr = {'9' * 400}", "lr must be a number"),
        ("hidden = [1000000000]", "at most 10000"),
        (f"hidden = {[1] * 101}", "at most 100 hidden layers"),
        ("name = ''", "name must be"),
        ("x" * 5000 + " = 1", "A recipe has no key"),
        ("#" * (1 << 17), "more than 16384 bytes"),
    ],
)
def test_what_a_recipe_cannot_be_is_said(tmp_path, text, message):
    (tmp_path / "mine.toml").write_text(text)
    assert outcome(READ_TOML, tmp_path / "mine.toml", text.encode()) is None
    with pytest.raises(RecipeError, match=message):
        Recipe.load(str(tmp_path / "mine.toml"))


# ---------------------------------------------------------------- names


GOOD = [*recipe_names(), "x", "my recipe", "mañana", "a.b-c_2", "10", "手書き数字", "n" * 60]


@pytest.mark.parametrize("name", GOOD)
def test_names_that_make_good_folders_are_taken(name):
    assert Recipe(name).name == name


BAD = [
    "", ".", "..", "../../x", "/x", "a/b", "a\\b", "C:x", "-rf", ".hidden", " x", "x\n", "x\0",
    "\x1b[2J", "n" * 61, "a|b", "<b>", "`x`", "\u202ex", "😀", "~",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_names_that_could_be_something_else_are_refused(name):
    message = "name must be at most 60 letters, digits, spaces"
    with pytest.raises(RecipeError, match=message) as caught:
        Recipe(name)
    assert str(caught.value).isprintable()


def test_a_description_is_text():
    with pytest.raises(RecipeError, match="description must be a word"):
        Recipe("x").changed(["description=\udcff"])


def test_a_recipe_writes_nowhere_but_to_its_run_folder(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    (folder / "evil.toml").write_text('name = "../../../outside"\nepochs = 1\n')
    (folder / "..evil.toml").write_text("epochs = 1\n")
    for name in ("evil.toml", "..evil.toml"):
        with pytest.raises(SystemExit) as exited:
            cli.main(["train", name])
        assert exited.value.code == 2
        assert "name must be" in capsys.readouterr().err
    left = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["..evil.toml", "evil.toml"]


# ---------------------------------------------------------------- weights that bring their recipe

LINEAR = nn.MLP((784, 10), rng=np.random.default_rng(0))


def weights(recipe, model=LINEAR):
    return bytes_of(lambda file: export.write_safetensors(model, file, {"recipe": recipe}))


RIGHT_WEIGHTS = weights({"name": "x", "hidden": []})
READ_WEIGHTS = Reader(RIGHT_WEIGHTS, lambda path: state(load_trained(None, path).model))


@pytest.mark.parametrize("some", SOME_AND_ALL)
def test_a_changed_byte_in_a_description_is_noticed_or_changes_what_it_says(tmp_path, some):
    content, path = READ_WEIGHTS.content, tmp_path / "file"
    header = 8 + int.from_bytes(content[:8], "little")
    tracemalloc.start()
    assert outcome(READ_WEIGHTS, path, content) is not None
    for place in places(content[:header], some):
        for flip in (0xFF, 0x01, 0x20):
            outcome(READ_WEIGHTS, path, flipped(content, place, flip))
    tracemalloc.stop()


@pytest.mark.parametrize(
    "recipe",
    [
        {"name": "x", "hidden": [10_000] * 100},
        {"name": "x", "hidden": [10_000]},
        {"name": "x", "hidden": [1 << 60]},
        {"name": "../../x", "hidden": []},
        {"name": "x", "\x1b[2J": 1},
        {"x": 1},
        [1],
        5,
        None,
    ],
)
def test_a_recipe_that_comes_with_weights_orders_no_memory(tmp_path, recipe):
    tracemalloc.start()
    assert outcome(READ_WEIGHTS, tmp_path / "file", weights(recipe)) is None
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("content", PICKLES.values(), ids=PICKLES)
def test_weights_are_never_unpickled(tmp_path, content):
    assert outcome(READ_WEIGHTS, tmp_path / "file", content) is None


def test_a_history_of_lists_in_lists_is_refused(tmp_path):
    (tmp_path / "history.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="not the history of a run") as caught:
        read_history(tmp_path)
    assert_kind(str(caught.value), Path(tmp_path / "history.json"))
    (tmp_path / "history.json").write_text(json.dumps([{"\x1b[2J" * 1000: 1}]))
    with pytest.raises(DataError, match="not the history of a run") as caught:
        read_history(tmp_path)
    assert_kind(str(caught.value), Path(tmp_path / "history.json"))
