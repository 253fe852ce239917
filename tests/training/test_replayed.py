"""Trainings that replay their steps: the same bytes as on the tape, under every recipe."""

from dataclasses import replace

import numpy as np
import pytest

from tinygrad_mnist import data, nn
from tinygrad_mnist.autodiff import ReplayError, ReplayWarning
from tinygrad_mnist.cli import main
from tinygrad_mnist.data import Dataset
from tinygrad_mnist.examples import BatchNorm1d
from tinygrad_mnist.training import Recipe, build_training, recipe_names, train
from tinygrad_mnist.training.state import put_back, take

SMALL = Recipe("small", hidden=(16,), epochs=3, batch_size=50, lr=0.1, dropout=0.2)
REPLAY = "replay=true"


@pytest.fixture(scope="module")
def digits(mnist):
    images, labels = mnist
    return Dataset.of(images[:700], labels[:700])


def bytes_of(training):
    """Everything that a checkpoint of the training holds, without the seconds."""
    arrays, numbers = take(training)
    arrays = {
        name: array[..., :-1] if name == "history" else array for name, array in arrays.items()
    }
    numbers["under_way"].pop("seconds")
    return {name: array.tobytes() for name, array in arrays.items()}, numbers


def trained(recipe, digits, steps=None, **own):
    """A training after so many steps, or after all."""
    training = build_training(recipe, digits, **own)
    done = iter(range(1, 1 << 20))
    training.run(should_stop=lambda: next(done) == steps)
    return training


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_gives_the_same_bytes(name, digits):
    few = 70 if name == "lenet" else 300
    recipe = Recipe.load(name).changed([f"examples={few}", "batch_size=20", "epochs=2"])
    recipe = recipe.changed(["plain_epochs=1"]) if recipe.distorts else recipe
    by_tape, by_replay = (trained(r, digits) for r in (recipe, recipe.changed([REPLAY])))
    assert bytes_of(by_replay) == bytes_of(by_tape)
    assert by_replay.replayed.refusal == ""
    assert by_replay.replayed.recordings <= 2


@pytest.mark.parametrize("stop", [1, 2, 7, 13, 15])
@pytest.mark.parametrize("first", [True, False], ids=["replay first", "tape first"])
def test_checkpoints_are_interchangeable_in_the_middle_of_an_epoch(first, stop, digits):
    recipes = [SMALL.changed([REPLAY]), SMALL][:: 1 if first else -1]
    state = take(trained(recipes[0], digits, stop))
    resumed = build_training(recipes[1], digits)
    put_back(resumed, state)
    resumed.run()
    assert bytes_of(resumed) == bytes_of(trained(SMALL, digits))


@pytest.mark.parametrize(
    "settings",
    [
        ["patience=1", "min_delta=0.5", "epochs=6"],
        ["schedule=one_cycle", "schedule_every=batch"],
        ["schedule=exponential", "gamma=0.5", "optimizer=adamw", "weight_decay=0.01"],
        ["elastic_alpha=20", "plain_epochs=1"],
        ["batch_size=1", "examples=5", "dropout=0.5"],
    ],
    ids=lambda settings: settings[0],
)
def test_every_setting_gives_the_same_bytes(settings, digits):
    recipe = SMALL.changed(settings)
    replayed = trained(recipe.changed([REPLAY]), digits)
    assert bytes_of(replayed) == bytes_of(trained(recipe, digits))
    assert replayed.replayed.refusal == ""


def normalised(inputs, classes, *, rng):
    layers = nn.Linear(inputs, 12, rng=rng), BatchNorm1d(12), nn.ReLU()
    return nn.Sequential(*layers, nn.Linear(12, classes, rng=rng))


def test_running_averages_are_those_of_the_tape(digits):
    recipe = Recipe("small", epochs=2, batch_size=50)
    by_tape, by_replay = (
        trained(r, digits, model=normalised)
        for r in (replace(recipe, model="x.py:n"), replace(recipe, model="x.py:n", replay=True))
    )
    assert by_replay.replayed.refusal == ""
    assert bytes_of(by_replay) == bytes_of(by_tape)


class Masked(nn.Module):
    """Draws a mask from a generator of its own, without saying so."""

    def __init__(self, inputs, classes, *, rng):
        self.linear, self.rng = nn.Linear(inputs, classes, rng=rng), rng

    def forward(self, input):
        return self.linear(input * (self.rng.random(input.shape) > 0.2).astype(np.float32))


def test_where_a_network_cannot_be_replayed_the_tape_trains_it(digits):
    recipe = Recipe("small", epochs=2, batch_size=50, model="x.py:Masked")
    with pytest.warns(ReplayWarning, match="other than NumPy") as seen:
        replayed = trained(replace(recipe, replay=True), digits, model=Masked)
    assert len(seen) == 1
    assert bytes_of(replayed) == bytes_of(trained(recipe, digits, model=Masked))


class Hasty(nn.Module):
    """Multiplies by another number from its third epoch on, unseen."""

    def __init__(self, inputs, classes, *, rng):
        self.linear, self.steps = nn.Linear(inputs, classes, rng=rng), iter(self.scales())

    @staticmethod
    def scales():
        yield from [1.0] * 4
        while True:
            yield 2.0

    def forward(self, input):
        return self.linear(input) * (next(self.steps) if self.training else 1.0)


def test_the_first_batch_of_every_epoch_is_compared_with_the_tape(digits):
    recipe = Recipe("small", epochs=6, batch_size=700, model="x.py:Hasty", replay=True)
    with pytest.warns(ReplayWarning, match="another result"):
        training = trained(recipe, digits, model=Hasty(784, 10, rng=np.random.default_rng(0)))
    assert training.replayed.runs == 5


class Reads(Masked):
    def forward(self, input):
        return self.linear(input) * float(np.asarray(input).mean())


def test_a_number_read_in_the_forward_pass_raises(digits):
    recipe = Recipe("small", epochs=1, batch_size=50, model="x.py:Reads", replay=True)
    with pytest.raises(ReplayError, match="reads a number"):
        trained(recipe, digits, model=Reads)


def test_without_the_flag_nothing_is_replayed(digits):
    assert trained(SMALL, digits, 1).replayed is None
    assert "replay = false" in SMALL.to_toml()


def test_the_callable_takes_the_flag_too(mnist):
    images, labels = (array[:300] for array in mnist)
    by_tape, by_replay = (train(r, images, labels) for r in (SMALL, SMALL.changed([REPLAY])))
    for p, q in zip(by_tape.model.parameters(), by_replay.model.parameters(), strict=True):
        assert p.data.tobytes() == q.data.tobytes()


def test_labels_that_are_no_class_raise_the_tapes_error(digits):
    training = build_training(SMALL.changed([REPLAY]), digits)
    rows = training.training_rows[:50]
    for _ in range(3):
        training.find_gradients(rows)
    training.data = Dataset(digits.images, np.full(700, 3), digits.shape, digits.classes[:4])
    training.data.labels[:] = 99
    with pytest.raises(ValueError, match="whole class numbers"):
        training.find_gradients(rows)
    assert data.one_hot([0], 2).shape == (1, 2)


READS_A_NUMBER = """
from tinygrad_mnist.cli import main
from tinygrad_mnist import nn


class Net(nn.Module):
    def __init__(self, inputs, classes, rng):
        self.layer = nn.Linear(inputs, classes, rng=rng)

    def forward(self, x):
        out = self.layer(x)
        self.largest = out.max().item()
        return out
"""


def test_a_network_that_reads_a_number_is_refused_in_a_sentence(tmp_path, capsys):
    (tmp_path / "net.py").write_text(READS_A_NUMBER)
    own = ["--model", f"{tmp_path / 'net.py'}:Net", "--set", "epochs=1", "--set", "examples=500"]
    with pytest.raises(SystemExit) as ended:
        main(["train", *own, "--replay", "--out", str(tmp_path / "run")])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: The step reads a number from an array (item)")
