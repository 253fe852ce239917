"""`tinygrad-mnist new`: its files work as they are, and their tests find what is wrong in them."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tinygrad_mnist import starter
from tinygrad_mnist.evaluation import figures
from tinygrad_mnist.files import WriteError
from tinygrad_mnist.training import Recipe

ROOT = Path(__file__).parents[2]
OWN = ["--model", "my_net.py:Net", "--optimizer", "my_optimizer.py:RMSprop"]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def files_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def prints_of_pytest(folder, *options):
    """What pytest prints in a process of its own."""
    alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    told = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, folder]
    return subprocess.run(told, env=alone, capture_output=True, text=True, check=False).stdout


def failed_tests(folder):
    """The names of those that fail, of at least seven."""
    printed = prints_of_pytest(folder)
    counts = [int(n) for n in re.findall(r"(\d+) (?:passed|failed)", printed)]
    assert sum(counts) >= 7, printed
    return set(re.findall(r"^FAILED .*::test_(\w+)", printed, re.MULTILINE))


# Change -> the tests that find it: in each set, all changes at once.
OP, LAYER = {"the_op", "the_network"}, {"the_layer", "the_network"}
STEP, RESUME = {"the_first_step_of_the_optimizer_is_that_of_the_formula"}, {"the_optimizer"}
LEARNS = {"the_network_learns_by_its_recipe"}
MISTAKES = {
    "nothing": {},
    "a lacking term, a constant too many, a wrong sign": {
        ("my_op.py", " + x * sigmoid(x) * (1 - sigmoid(x))", ""): OP,
        ("my_layer.py", "keepdims=True)", "keepdims=True).detach()"): LAYER,
        ("my_optimizer.py", "p.data -= ", "p.data += "): STEP | RESUME | LEARNS,
    },
    "without g, no parameter, nothing remembered": {
        ("my_op.py", "g * slope(x)", "slope(x)"): OP,
        ("my_layer.py", "nn.Parameter(np.ones(features, np.float32))", "np.ones(features)"): LAYER,
        ("my_optimizer.py", 'remembers = ("square_avg",)', "remembers = ()"): RESUME | LEARNS,
    },
    "another function, another axis, no square": {
        ("my_op.py", "return x * sigmoid(x)\n", "return x + sigmoid(x)\n"): OP,
        ("my_layer.py", "axis=-1", "axis=0"): LAYER
        | {"the_layer_gives_each_row_the_root_mean_square_1"},
        ("my_optimizer.py", "* g * g", "* g"): STEP,
    },
}


@pytest.mark.parametrize("mistakes", MISTAKES)
def test_its_tests_pass_as_they_are_and_find_each_mistake(mistakes):
    starter.write_starting_point(Path("mine"))
    expected = set()
    for (name, right, wrong), tests in MISTAKES[mistakes].items():
        text = Path("mine", name).read_text()
        assert text.count(right) == 1
        Path("mine", name).write_text(text.replace(right, wrong))
        expected |= tests
    found = failed_tests("mine")
    assert expected <= found
    assert bool(found) == bool(expected)


@pytest.mark.slow
def test_its_workflow_finds_that_every_wrong_rule_is_noticed():
    starter.write_starting_point(Path("mine"))
    (run,) = re.findall(r"run: pytest (.*)", Path("mine/.github/workflows/tests.yml").read_text())
    printed = prints_of_pytest("mine", *run.split())
    assert re.search(r"^swish +arg 0 ", printed, re.MULTILINE)
    assert "7 of 7 wrong rules noticed: 100 %" in printed


def test_the_commands_of_its_readme_run_from_new_to_export(command, monkeypatch):
    monkeypatch.setattr(figures, "draw", lambda *_: {"curves": b"PNG"})
    code, out, err = command("new", "mine")
    assert (code, err) == (0, "")
    monkeypatch.chdir("mine")
    few = ["--set", "examples=500", "epochs=1"]
    *_, tests, train = out.splitlines()
    assert tests.replace(" && ", "\n") in Path("README.md").read_text()
    told = train.split()[1:]
    assert told == ["train", "recipe.toml", *OWN]
    assert command(*told, *few)[0] == 0
    lines = re.findall(r"^tinygrad-mnist (.*)$", Path("README.md").read_text(), re.MULTILINE)
    assert lines.pop(0).split() == told
    for line in lines:
        code, _, err = command(*line.split())
        assert code == 0, (line, err)


def test_it_trains_from_any_folder_with_the_options_of_its_recipe(command, monkeypatch):
    monkeypatch.setattr(figures, "draw", lambda *_: {"curves": b"PNG"})
    starter.write_starting_point(Path("mine"))
    Path("mine/recipe.toml").write_text(
        Path("mine/recipe.toml").read_text().replace("width = 64", "width = 7")
    )
    told = ["--model", "mine/my_net.py:Net", "--optimizer", "mine/my_optimizer.py:RMSprop"]
    assert command("train", "mine/recipe.toml", *told, "--set", "examples=200", "epochs=1")[0] == 0
    saved = Recipe.load("runs/my-net/config.toml")
    assert (saved.model_options, saved.lr) == ({"width": 7}, 0.002)


PAGE = (ROOT / "docs/howto/own-network.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(bash|text)\n(.*?)```", PAGE, re.DOTALL)
FEW = ["--set", "examples=500", "epochs=1"]


@pytest.fixture
def carried_out(command, monkeypatch):
    """Carry out a line of a page, trainings with few images, and return what it prints.

    The tests of the folder run above.
    """

    def run(line):
        name, *told = line.split()
        if name == "tinygrad-mnist":
            few = FEW if told[:2] == ["train", "recipe.toml"] else []
            code, out, err = command(*told, *few)
            assert code == (2 if told == ["evaluate", "runs/my-net"] else 0), err
            return err + out
        assert name in {"cd", "pip", "pytest", "echo"}
        if name == "cd":
            monkeypatch.chdir(*told)
        elif name == "echo":
            subprocess.run(["bash", "-c", line], check=True)
        return ""

    return run


def test_the_commands_of_the_page_run_in_order_and_print_what_it_shows(carried_out):
    printed = ""
    for kind, text in BLOCKS:
        if kind == "bash":
            printed = "".join(map(carried_out, text.splitlines()))
        else:
            assert printed == text


# ---------------------------------------------------------------- whole or not at all


def test_a_new_folder_and_an_empty_one_are_filled(command):
    Path("empty").mkdir()
    for folder in ("empty", "new", "deep/er"):
        code, out, _ = command("new", folder)
        assert code == 0
        assert out.splitlines()[: len(starter.starting_point())] == sorted(
            f"{folder}/{name}" for name in files_in(Path(folder))
        )
    assert files_in(Path("empty")) == files_in(Path("deep/er")) == set(starter.starting_point())
    assert sorted(Path().iterdir()) == [Path("deep"), Path("empty"), Path("new")]


@pytest.mark.parametrize("there", ["mine", "mine/my_net.py", "mine/.git", "mine/other.txt"])
def test_nothing_is_overwritten(command, there):
    Path(there).parent.mkdir(exist_ok=True)
    Path(there).write_text("work of mine")
    code, out, err = command("new", "mine")
    assert (code, out) == (2, "")
    assert err == "error: mine: not empty. Nothing is overwritten: name a new folder.\n"
    assert (Path(there).read_text(), len(list(Path().rglob("*")))) == (
        "work of mine",
        len(Path(there).parts),
    )


@pytest.mark.parametrize("before", [[], ["mine"]])
@pytest.mark.parametrize("call", ["write_text", "rename"])
def test_if_something_fails_nothing_is_left(monkeypatch, before, call):
    for name in before:
        Path(name).mkdir()
    calls, does = [], getattr(Path, call)

    def full(self, *given, **how):
        calls.append(self)
        if len(calls) == (3 if before or call == "write_text" else 1):
            raise OSError(28, "No space left on device")
        return does(self, *given, **how)

    monkeypatch.setattr(Path, call, full)
    with pytest.raises(WriteError, match=r"^mine: cannot be written: No space left on device"):
        starter.write_starting_point(Path("mine"))
    assert [path.name for path in Path().rglob("*")] == before


def test_a_folder_that_cannot_be_written_to_is_said(command):
    Path("file").write_text("")
    code, _, err = command("new", "file/mine")
    assert (code, err.count("\n")) == (2, 1)
    assert "cannot be written to" in err


# ---------------------------------------------------------------- what is written


def test_every_file_of_the_starting_point_is_in_the_list_that_wheels_go_by():
    there = {name for name in files_in(ROOT / "starter") if "__pycache__" not in name}
    there -= {
        name for name in there if name.startswith((".hypothesis/", ".pytest_cache/", "runs/"))
    }
    assert there == {"FILES", *starter.starting_point()}


def test_in_an_installed_package_the_files_are_inside_it(tmp_path, monkeypatch):
    for name, text in starter.starting_point().items():
        path = tmp_path / "new" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    before = starter.starting_point()
    monkeypatch.setattr(starter, "HERE", tmp_path)
    assert starter.starting_point() == before


def test_its_workflow_installs_what_the_readme_does_and_runs_the_tests():
    texts = starter.starting_point()
    (job,) = yaml.safe_load(texts[".github/workflows/tests.yml"])["jobs"].values()
    install, run = (step["run"] for step in job["steps"] if "run" in step)
    assert install == "pip install 'tinygrad-mnist[testing]' pytest"
    assert run == "pytest -p tinygrad_mnist.testing.plugin --mutate-gradients"
    assert f"```bash\n{install}\npytest\n" in texts["README.md"]
    assert f"```bash\n{run}\n```" in texts["README.md"]


def test_its_recipe_says_what_its_network_and_optimizer_take():
    values = tomllib.loads(starter.starting_point()["recipe.toml"])
    assert Recipe(**values).model_options == {"width": 64}
    assert values["optimizer_options"] == {"alpha": 0.99}
