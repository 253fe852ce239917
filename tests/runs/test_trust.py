"""Code is run only if this very command names it; a name read from a file is printed, no more."""

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import networks
import numpy as np
import pytest

import tinygrad_mnist.examples
from tinygrad_mnist import nn, optim, runs
from tinygrad_mnist.owncode import OwnCodeError, is_example, is_reference, sums_of
from tinygrad_mnist.runs import Own
from tinygrad_mnist.training import Recipe, RecipeError, train
from tinygrad_mnist.training.build import build_model, build_optimizer

MARK = "\nfrom pathlib import Path\nPath(__file__).with_name('RUN').touch()\n"


@pytest.fixture
def digits(small_runs):
    return small_runs


@pytest.fixture(autouse=True)
def in_a_folder(small_runs):
    shutil.copy(networks.__file__, "mine.py")


@pytest.fixture
def foreign(in_a_folder):
    """A run of somebody else's network, whose file tells if it was run since."""
    recipe = Recipe("theirs", model="mine.py:Swish", optimizer="mine.py:RMSprop", epochs=1, lr=0.01)
    own = Own(networks.Swish, networks.RMSprop)
    runs.run(recipe, Path("run"), own=own)
    Path("theirs.toml").write_text(recipe.to_toml())
    Path("mine.py").write_text(Path("mine.py").read_text() + MARK)


COMMANDS = [
    ("train theirs.toml", "model"),
    ("train theirs.toml", "optimizer"),
    ("train run/config.toml --set lr=0.1", "model"),
    ("train --resume run", "model"),
    ("train --resume run --override epochs=2", "optimizer"),
    ("train theirs.toml --resume run", "model"),
    ("evaluate run", "model"),
    ("evaluate --weights run/model.safetensors", "model"),
    ("predict run --test 0", "model"),
    ("export run", "model"),
    ("export run --format npz", "model"),
    ("compare theirs.toml", "model"),
]


@pytest.mark.parametrize(("asked", "key"), COMMANDS)
def test_a_name_read_from_a_file_is_printed_with_the_way_out_and_not_followed(
    command, foreign, asked, key
):
    code, out, err = command(*asked.split())
    name = {"model": "Swish", "optimizer": "RMSprop"}[key]
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert f"the {key} mine.py:{name}" in err
    assert f" --{key} mine.py:{name}" in err or f"gradcheck mine.py:{name}" in err
    assert not Path("RUN").exists()


def test_a_file_of_weights_alone_says_what_it_is_of_and_is_not_followed(command, foreign):
    Path("deep").mkdir()
    shutil.move("run/model.safetensors", "deep/w.safetensors")
    code, _, err = command("evaluate", "--weights", "deep/w.safetensors")
    assert (code, Path("RUN").exists()) == (2, False)
    assert err.endswith("If you trust it, add --model mine.py:Swish\n")


def test_a_log_of_such_a_run_is_read_without_its_code(command, foreign):
    told = ["run", "--model", "mine.py:Swish"]
    assert command("predict", *told, "--test", "0", "1")[0] == 0
    Path("RUN").unlink()
    assert command("log", "run")[1].count("\n") == 3
    assert not Path("RUN").exists()


def test_one_name_typed_does_not_open_the_other(command, foreign):
    code, _, err = command("train", "theirs.toml", "--model", "mine.py:Swish")
    assert (code, Path("runs").exists()) == (2, False)
    assert "If you trust it, add --optimizer mine.py:RMSprop" in err
    assert "--model" not in err


def test_what_is_typed_is_run(command, foreign):
    assert command("evaluate", "run", "--model", "mine.py:Swish")[0] == 0
    assert Path("RUN").exists()


def test_from_python_only_what_is_given_is_used(digits, foreign):
    recipe = Recipe.load("theirs.toml")
    with pytest.raises(RecipeError, match=r"the model mine\.py:Swish and the optimizer mine"):
        train(recipe, *digits)
    with pytest.raises(RecipeError, match=r"the optimizer mine\.py:RMSprop: a name read"):
        runs.run(recipe, Path("again"), own=Own(networks.Swish))
    assert not Path("RUN").exists()
    assert not Path("again").exists()


# ---------------------------------------------------------------- examples of the package

NOT_EXAMPLES = [
    "tinygrad_mnist.files:write",
    "tinygrad_mnist.nn:MLP",
    "tinygrad_mnist.examples:LeNet",
    "tinygrad_mnist.examples_evil:X",
    "tinygrad_mnist.examples_evil.x:X",
    "tinygrad_mnist.examples.x.py:X",
    "tinygrad_mnist.examples./../../evil.py:X",
    "tinygrad_mnist.examples./evil.py:X",
    " tinygrad_mnist.examples.lenet:LeNet",
    "examples.lenet:LeNet",
]


@pytest.mark.parametrize("reference", NOT_EXAMPLES)
def test_what_looks_like_an_example_is_not_followed(reference, tmp_path):
    evil = f"{MARK}\nfrom tinygrad_mnist import nn\nX = nn.Linear\n"
    for name in ("tinygrad_mnist.examples.x.py", "tinygrad_mnist.examples./evil.py", "evil.py"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(evil)
    with pytest.raises(RecipeError):
        build_model(Recipe("x", model=reference), 4, 2, np.random.default_rng(0))
    assert not list(tmp_path.rglob("RUN"))
    assert not is_example(reference)


@pytest.fixture
def examples(tmp_path, monkeypatch):
    """One module more among the examples of the package."""
    text = "from tinygrad_mnist.nn import Linear\n\n" + Path(networks.__file__).read_text()
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "some.py").write_text(f"{text}\n\ndef made(*args, **how):\n    return 1\n")
    places = tinygrad_mnist.examples.__path__
    monkeypatch.setattr(tinygrad_mnist.examples, "__path__", [*places, str(folder)])
    yield "tinygrad_mnist.examples.some"
    sys.modules.pop("tinygrad_mnist.examples.some", None)


def test_an_example_named_in_a_file_is_followed(command, examples):
    names = {"model": f"{examples}:Swish", "optimizer": f"{examples}:RMSprop"}
    recipe = replace(Recipe("some", epochs=1, lr=0.01), **names)
    Path("some.toml").write_text(recipe.to_toml())
    assert command("train", "some.toml")[0] == 0
    assert command("evaluate", "runs/some")[0] == 0


@pytest.mark.parametrize("name", ["np", "op", "Linear", "made", "RMSprop", "LayerNone", "_s"])
def test_of_an_example_only_a_network_that_it_defines_is_followed(examples, name):
    recipe = Recipe("x", model=f"{examples}:{name}")
    with pytest.raises((RecipeError, OwnCodeError), match=r"no such model|has no function"):
        build_model(recipe, 4, 2, np.random.default_rng(0))


def test_a_network_is_no_optimizer(examples):
    recipe = Recipe("x", optimizer=f"{examples}:Swish")
    with pytest.raises(RecipeError, match="there is no such optimizer among the examples"):
        build_optimizer(recipe, nn.Linear(2, 2))


# ---------------------------------------------------------------- what is printed

ODD = [
    "\x1b[31mred.py:X",
    "a\nb.py:X",
    "a\rb.py:X",
    "\u202eevil.py:X",
    "a\x00.py:X",
    f"{'a' * 900}.py:X",
]


@pytest.mark.parametrize("reference", ODD)
@pytest.mark.parametrize("key", ["model", "optimizer"])
def test_a_name_that_a_terminal_would_obey_is_refused_in_one_short_line(command, key, reference):
    Path("odd.toml").write_text(f"{key} = {json.dumps(reference)}\n")
    code, out, err = command("train", "odd.toml")
    assert (code, out) == (2, "")
    assert err[:-1].isprintable()
    assert len(err) < 400
    assert not is_reference(reference)


def test_the_way_out_can_be_pasted_into_a_shell(command):
    Path("odd.toml").write_text('model = "$(touch RUN) x.py:X"\n')
    _, _, err = command("train", "odd.toml")
    assert err.endswith("add --model '$(touch RUN) x.py:X'\n")


# ---------------------------------------------------------------- a file that has changed


@pytest.mark.parametrize(
    "asked",
    [
        "train --resume run --optimizer mine.py:RMSprop",
        "evaluate run",
        "predict run --test 0",
        "export run",
    ],
)
def test_a_file_that_has_changed_is_named(command, foreign, asked):
    code, _, err = command(*asked.split(), "--model", "mine.py:Swish")
    assert code == 0
    found = re.findall(r"warning: (\S+) of this (\w+) is not what the training began", err)
    assert found[0] == ("mine.py", "model")
    assert (("mine.py", "optimizer") in found) == ("--optimizer" in asked)


def test_a_file_that_the_named_one_imports_through_another_counts_too(command):
    Path("net.py").write_text("from middle import Middle\nclass Net(Middle):\n    pass\n")
    Path("middle.py").write_text("import layer\nclass Middle(layer.Layer):\n    pass\n")
    layer = Path(networks.__file__).read_text().replace("class Swish", "class Layer")
    Path("layer.py").write_text(layer)
    told = ["--model", "net.py:Net"]
    assert command("train", *told, "--set", "epochs=1", "lr=0.01", "--out", "run")[0] == 0
    assert command("evaluate", "run", *told)[2] == ""
    Path("layer.py").write_text(f"{layer}\n# more\n")
    err = command("evaluate", "run", *told)[2]
    assert err.startswith("warning: layer.py of this model is not what the training began with: ")
    assert err.count("\n") == 1


def test_another_name_of_the_same_file_is_said(command, foreign):
    Path("mine.py").write_text(Path("mine.py").read_text() + "\nOther = Swish\n")
    err = command("evaluate", "run", "--model", "mine.py:Other")[2]
    assert (
        "warning: this was trained with the model mine.py:Swish, and you named mine.py:Other" in err
    )


def test_only_files_beside_count_and_none_of_the_package_or_of_installed_ones():
    assert sums_of(networks.Swish).keys() == {"networks.py"}
    assert sums_of(nn.Linear) == sums_of(optim.SGD) == {}
    assert sums_of(np.ndarray).keys() == {"__init__.py"}
    made_here = type("Typed", (nn.Module,), {"__module__": "nowhere"})
    assert sums_of(made_here) == {}
