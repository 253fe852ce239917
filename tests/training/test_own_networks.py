"""Networks and optimizers of one's own through all there is: trained, killed, resumed, used."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import networks
import numpy as np
import pytest

from tinygrad_mnist import nn, optim, runs
from tinygrad_mnist.data import Dataset, load_mnist, load_mnist_test
from tinygrad_mnist.evaluation import figures
from tinygrad_mnist.examples import LeNet
from tinygrad_mnist.export import read_safetensors
from tinygrad_mnist.runs import Own, Sets, resumed_run
from tinygrad_mnist.testing import assert_module
from tinygrad_mnist.training import DivergenceError, Recipe, fit, train

SMALL = ["epochs=2", "batch_size=50", "lr=0.02"]
DATA = ["--data", "mine.npz", "--test-data", "mine.npz"]


@pytest.fixture(scope="module")
def digits():
    images, labels = load_mnist(None)
    return images[:240].copy(), labels[:240].copy()


@pytest.fixture(autouse=True)
def in_a_folder_with_code_and_data(tmp_path, monkeypatch, digits):
    """A few digits, a file of code, a checkpoint after each batch, and no figures."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(networks.__file__, "mine.py")
    (images, labels), (few, classes) = digits, (part[:50] for part in load_mnist_test(None))
    monkeypatch.setattr("tinygrad_mnist.runs.sets.load_mnist", lambda how: digits)
    monkeypatch.setattr("tinygrad_mnist.runs.sets.load_mnist_test", lambda how: (few, classes))
    monkeypatch.setattr(figures, "draw", lambda *_: {"curves": b"PNG"})
    monkeypatch.setattr("tinygrad_mnist.runs.job.SHARE", 1e9)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # no power is cut here
    train_part = {"x_train": images, "y_train": labels}
    np.savez("mine.npz", **train_part, x_test=few, y_test=classes)


LENET = "tinygrad_mnist.examples.lenet:LeNet"


def own(model, optimizer=None):
    found = ["--model", model if ":" in model else f"mine.py:{model}"]
    return [*found, "--optimizer", f"mine.py:{optimizer}"] if optimizer else found


def weights(folder):
    return Path(folder, "model.safetensors").read_bytes()


EVERY = [
    ("ResMLP", None, []),
    ("ResMLP", "RMSprop", ["model_options.width=12", "optimizer_options.alpha=0.9"]),
    ("Running", "Counting", []),
    ("Swish", "Langevin", ["momentum=0.5", "weight_decay=0.01"]),
    ("Noisy", "Langevin", []),
    ("Noisy", None, ["patience=1", "schedule=constant", "schedule_every=epoch", "affine=0.1"]),
]


@pytest.mark.parametrize(("model", "optimizer", "settings"), EVERY)
def test_stopped_anywhere_and_resumed_it_ends_with_the_same_bytes(model, optimizer, settings):
    """The network is built anew each time, as in another process."""
    settings = [*SMALL, *settings, f"model=mine.py:{model}"]
    settings += [f"optimizer=mine.py:{optimizer}"] if optimizer else []
    given = Own(getattr(networks, model), optimizer and getattr(networks, optimizer))
    recipe = Recipe.load("default").changed(settings)
    runs.run(recipe, Path("whole"), own=given)
    stops = iter([False, True])
    runs.run(recipe, Path("run"), own=given, should_stop=stops.__next__)
    for stops in ([False, False, True], [True]):
        with resumed_run(Path("run"), own=given) as run:
            run.complete(should_stop=iter([*stops, *[False] * 99]).__next__)
    with resumed_run(Path("run"), own=given) as run:
        run.complete()
    assert weights("run") == weights("whole")
    assert json.loads(Path("run/metrics.json").read_text())["interrupted"] == ""


STUCK = """
import sys, time
from tinygrad_mnist import cli
from tinygrad_mnist.runs import job
from tinygrad_mnist.training import Training

job.SHARE, step = 1e9, Training.step

def stuck(self, rows):
    if self.epoch == 2 and self.under_way.batch == 2:
        print("stuck", flush=True)
        time.sleep(60)
    step(self, rows)

Training.step = stuck
cli.main(sys.argv[1:])
"""


KILLED = [
    ("ResMLP", None),
    ("Running", "RMSprop"),
    ("Swish", "Counting"),
    ("Noisy", "Langevin"),
    (LENET, None),
]


@pytest.mark.parametrize(("model", "optimizer"), KILLED)
def test_killed_and_resumed_by_command_it_ends_with_the_same_bytes(command, model, optimizer):
    told = ["train", *own(model, optimizer), "--set", *SMALL, *DATA]
    assert command(*told, "--out", "whole")[0] == 0
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK, *told, "--out", "run", "--json"], stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"stuck\n"
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert command("train", "--resume", "run", *own(model, optimizer), *DATA)[0] == 0
    assert weights("run") == weights("whole")


def test_an_example_of_the_package_needs_no_name_after_the_first_time(command):
    told = ["--set", "model=tinygrad_mnist.examples.lenet:LeNet", "examples=60", "validation=0.5"]
    recipe = Recipe.load("default").changed([*told[1:], *SMALL])
    runs.run(recipe, Path("whole"))
    assert command("train", *told, *SMALL, "--out", "by-command")[0] == 0
    runs.run(recipe, Path("run"), should_stop=iter([False, True]).__next__)
    assert command("train", "--resume", "run")[0] == 0
    assert weights("run") == weights("by-command") == weights("whole")
    code, out, err = command("evaluate", "run", *DATA[:2], "--json")
    assert (code, json.loads(out)["layers"], err) == (0, "LeNet", "")


@pytest.mark.parametrize("model", [model for model, _ in KILLED])
def test_a_trained_network_is_evaluated_read_with_logged_and_exported_by_command(command, model):
    name = model.rpartition(":")[2]
    _, out, err = command("train", *own(model), "--set", *SMALL)
    assert out.splitlines()[-2].startswith(f"{name}: ")
    assert (err, sorted(Path("runs").iterdir())) == ("", [Path("runs", name)])
    told = [f"runs/{name}", *own(model)]
    _, out, _ = command("evaluate", *told, *DATA[:2], "--json")
    assert json.loads(out)["layers"] == name
    assert command("predict", *told, "--test", "0", "1")[0] == 0
    assert command("log", f"runs/{name}")[1].count("\n") == 3
    assert command("export", *told, "--out", "out.safetensors")[0] == 0
    arrays, content = read_safetensors(Path("out.safetensors"))
    assert "mean" not in arrays or arrays["mean"].any()
    assert content["recipe"]["model"] == own(model)[1]
    found = [
        command("evaluate", *which, *own(model), *DATA[:2], "--json")[1]
        for which in ([f"runs/{name}"], ["--weights", "out.safetensors"])
    ]
    accuracies = [json.loads(text)["accuracy"] for text in found]
    assert accuracies[0] == accuracies[1]


def test_the_recipe_of_a_run_says_only_what_counts_for_its_network(command):
    assert command("train", *own("Swish"), "--set", *SMALL, "--out", "run")[0] == 0
    text = Path("run/config.toml").read_text()
    assert 'name = "Swish"\ndescription = "trained as default is"\nmodel = "mine.py:Swish"' in text
    assert "hidden" not in text
    assert "activation" not in text
    again = ["train", "run/config.toml", *own("Swish"), "--out", "again"]
    assert command(*again)[0] == 0
    assert weights("again") == weights("run")


def test_the_card_and_the_report_give_the_sum_of_each_file_that_is_named(command):
    shutil.copy("mine.py", "rule.py")
    Path("rule.py").write_text(Path("rule.py").read_text() + "\n# the same, in another file\n")
    told = ["--model", "mine.py:Swish", "--optimizer", "rule.py:RMSprop"]
    assert command("train", *told, "--set", *SMALL, "--out", "run")[0] == 0
    for page in ("MODEL_CARD.md", "report.html"):
        text = Path("run", page).read_text()
        for file in ("mine.py", "rule.py"):
            assert hashlib.sha256(Path(file).read_bytes()).hexdigest() in text, (page, file)


def test_options_stay_when_the_file_is_named_by_another_path(command, tmp_path):
    Path("deep").mkdir()
    shutil.copy("mine.py", "deep/mine.py")
    recipe = ['name = "narrow"', 'model = "mine.py:ResMLP"', "epochs = 1", "[model_options]"]
    Path("deep/narrow.toml").write_text("\n".join([*recipe, "width = 5"]))
    told = ["train", "deep/narrow.toml", "--model", "deep/mine.py:ResMLP", "--json"]
    code, out, _ = command(*told)
    assert code == 0
    assert json.loads(out)["parameters"] == 784 * 5 + 5 + 10 + 30 + 60
    assert 'name = "narrow"' in Path("runs/narrow/config.toml").read_text()


def test_what_is_set_in_quotes_is_named_in_this_command_too(command):
    assert command("train", "--set", 'model="mine.py:Swish"', *SMALL)[0] == 0


# ---------------------------------------------------------------- from Python


@pytest.mark.parametrize("model", ["ResMLP", "Running", "Swish", "Noisy", "LeNet"])
def test_python_takes_the_same_class_and_gives_the_same_network(digits, model):
    recipe = Recipe.load("default").changed(SMALL)
    given = getattr(networks, model, LeNet), networks.RMSprop
    result = train(recipe, *digits, model=given[0], optimizer=given[1])
    runs.run(recipe, Path("run"), own=Own(*given))
    trained = runs.load_trained(Path("run"), model=given[0])
    for name, t in result.model.state_dict().items():
        assert np.array_equal(t.data, trained.model.state_dict()[name].data)
    assert trained.notices == ()
    assert trained.classifier.predict_label(np.zeros((3, 784), np.float32)).shape == (3,)


def test_a_finished_module_and_its_optimizer_are_trained_as_they_are(digits, capsys):
    model = nn.Sequential(nn.Linear(784, 10, rng=np.random.default_rng(0)))
    optimizer = optim.SGD(model.parameters(), lr=0.05)
    result = fit(model, *digits, optimizer=optimizer, epochs=2, batch_size=40)
    assert result.model is model
    assert result.history[1].loss < result.history[0].loss
    assert "epoch" in capsys.readouterr().out


def test_images_and_classes_of_ones_own_reach_the_network(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (60, 35), dtype=np.uint8), np.arange(60) % 3
    data = Dataset(images, labels, (5, 7), ("a", "b", "c"))
    sets = Sets(data, data, {})
    recipe = Recipe("tiny", epochs=1, batch_size=20)
    runs.run(recipe, tmp_path / "run", sets, Own(networks.ResMLP))
    trained = runs.load_trained(tmp_path / "run", model=networks.ResMLP)
    assert trained.model.first.weight.shape == (35, 32)
    assert trained.model.last.weight.shape == (32, 3)


@pytest.mark.parametrize(
    "make",
    [partial(networks.ResMLP, width=4), networks.Running, networks.Swish, networks.Noisy],
    ids=["ResMLP", "Running", "Swish", "Noisy"],
)
def test_these_networks_keep_their_promises(rng, make):
    assert_module(make(1, 2, rng=rng), rng.normal(size=(2, 1)), order=1)


class Deep(nn.Module):
    """A tree: what goes wrong is three modules down."""

    def __init__(self, inputs, classes, *, rng, spoiled):
        self.body = nn.ModuleList([networks.ResMLP(inputs, classes, rng=rng)])
        self.spoiled = spoiled

    def forward(self, x):
        block = self.body[0]
        if self.training and self.spoiled == "weight":
            block.norm.weight.data[3] = np.inf
        return block(x) * (np.inf if self.training and self.spoiled == "output" else 1)


@pytest.mark.parametrize(
    ("spoiled", "place"),
    [
        ("weight", "the weight of layer body.0.norm (LayerNorm)"),
        ("output", "the output of the model (Deep)"),
    ],
)
def test_a_divergence_names_the_path_of_the_module_in_any_tree(digits, spoiled, place):
    recipe = Recipe.load("default").changed(SMALL)
    with pytest.raises(DivergenceError, match=re.escape(place)):
        train(recipe, *digits, model=partial(Deep, spoiled=spoiled))
