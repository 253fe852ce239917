"""Recipes, the loop that follows them, and the folder that keeps the result."""

import json
import re

import numpy as np
import pytest

from tinygrad_mnist import byhand, data
from tinygrad_mnist.evaluation import evaluate
from tinygrad_mnist.export import write_npz
from tinygrad_mnist.training import DivergenceError, Recipe, RecipeError, RunFolderError, free_folder, recipe_names, run, train
from tinygrad_mnist.training.loop import build_model, build_optimizer

SMALL = Recipe(name="small", hidden=(16,), epochs=3, batch_size=50, lr=0.1)


@pytest.fixture(scope="module")
def digits():
    """The first 1000 training images, as bytes."""
    images, labels = data.load_mnist(None)
    return images[:1000], labels[:1000]


# ---------------------------------------------------------------- recipes


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_survive_a_round_trip_through_toml(name, tmp_path):
    recipe = Recipe.load(name)
    assert recipe.name == name
    assert len(recipe.description) > 20
    (tmp_path / "copy.toml").write_text(recipe.to_toml())
    assert Recipe.load(str(tmp_path / "copy.toml")) == recipe


def test_the_four_first_recipes_are_there():
    assert {"default", "seed-a", "seed-a-two-hidden", "relu-adam"} <= set(recipe_names())


def test_settings_replace_values():
    changed = SMALL.changed(["lr=1", "hidden=[300, 100]", "activation=tanh", "nesterov=true", "epochs = 7"])
    assert (changed.lr, changed.hidden, changed.activation, changed.nesterov, changed.epochs) == (1.0, (300, 100), "tanh", True, 7)
    assert isinstance(changed.lr, float)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("lr", "form key=value"),
        ("learning_rate=1", "no key 'learning_rate'"),
        ("epoch=1", "Did you mean 'epochs'"),
        ("lr=fast", "lr must be a number, but is 'fast'"),
        ("lr=nan", "lr must be a number"),
        ("epochs=2.5", "epochs must be a whole number"),
        ("epochs=true", "epochs must be a whole number"),
        ("epochs=0", "between 1 and"),
        ("nesterov=1", "true or false"),
        ("hidden=300", "a list of whole numbers"),
        ("hidden=[0]", "each at least 1"),
        ("activation=gelu", "Choose from sigmoid, tanh, relu"),
        ("schedule=one_cycle", "needs schedule_every = 'batch'"),
        ("momentum=0 nesterov=true", "momentum"),
    ],
)
def test_settings_that_make_no_sense_are_explained(setting, message):
    with pytest.raises(RecipeError, match=message):
        SMALL.changed(setting.split() if setting.count("=") > 1 else [setting])


def test_one_cycle_with_early_stopping_is_refused():
    with pytest.raises(RecipeError, match="a cycle that is stopped early"):
        SMALL.changed(["schedule=one_cycle", "schedule_every=batch", "patience=3"])


@pytest.mark.parametrize(
    ("text", "message"), [("lr = ", "not valid TOML"), ("lr = 'x'", "lr must be a number"), ("lrr = 1", "Did you mean 'lr'")]
)
def test_a_recipe_file_that_makes_no_sense_is_named(tmp_path, text, message):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(RecipeError, match=message) as caught:
        Recipe.load(str(tmp_path / "mine.toml"))
    assert "mine.toml" in str(caught.value)


def test_unknown_recipes_suggest_the_nearest(tmp_path):
    with pytest.raises(RecipeError, match=r"no recipe 'seed_a'\. Did you mean 'seed-a'"):
        Recipe.load("seed_a")
    with pytest.raises(RecipeError, match="Choose from default"):
        Recipe.load("zzz")
    with pytest.raises(RecipeError, match="no recipe"):
        Recipe.load("../recipes/default")
    with pytest.raises(RecipeError, match=r"gone\.toml: cannot be read: No such file"):
        Recipe.load(str(tmp_path / "gone.toml"))


# ---------------------------------------------------------------- the loop


def test_training_learns(digits):
    result = train(SMALL.changed(["epochs=10"]), *digits)
    assert result.history[-1].loss < 0.5 * result.history[0].loss
    assert result.history[-1].validation_accuracy > 0.75  # chance is 0.1
    assert result.history[-1].accuracy > 0.85


@pytest.mark.parametrize(
    "settings",
    [
        ["dropout=0.2", "nesterov=true", "weight_decay=1e-3", "schedule=one_cycle", "schedule_every=batch"],
        ["optimizer=adam", "lr=0.01", "loss=mse", "activation=sigmoid", "schedule=exponential", "gamma=0.9", "normalize=seed"],
    ],
)
def test_same_seed_gives_the_same_bytes_and_another_seed_others(digits, tmp_path, settings):
    def weights(name, *more):
        with (tmp_path / name).open("wb") as file:
            write_npz(train(SMALL.changed([*settings, *more]), *digits).model, file)
        return (tmp_path / name).read_bytes()

    assert weights("a") == weights("b")
    assert weights("a") != weights("c", "seed=1")


def test_weights_decay_and_biases_do_not():
    model = build_model(SMALL, 784, np.random.default_rng(0))
    groups = build_optimizer(SMALL.changed(["weight_decay=0.1"]), model).param_groups
    assert [(group["weight_decay"], [p.ndim for p in group["params"]]) for group in groups] == [(0.1, [2, 2]), (0.0, [1, 1])]


def test_exponential_schedule_steps_once_an_epoch(digits):
    history = train(SMALL.changed(["schedule=exponential", "gamma=0.5"]), *digits).history
    np.testing.assert_allclose([epoch.lr for epoch in history], [0.1, 0.05, 0.025])


def test_one_cycle_ends_with_a_tiny_rate(digits):
    history = train(SMALL.changed(["schedule=one_cycle", "schedule_every=batch"]), *digits).history
    assert history[-1].lr < 1e-4 < history[0].lr


@pytest.mark.parametrize("patience", [2, 50])
def test_early_stopping_always_restores_the_best_weights(digits, patience, monkeypatch):
    recipe = SMALL.changed(["epochs=12", "lr=0.5", f"patience={patience}", "momentum=0.95"])
    models, snapshots = [], []
    monkeypatch.setattr("tinygrad_mnist.training.loop.build_model", lambda *args: models.append(build_model(*args)) or models[-1])
    result = train(recipe, *digits, on_epoch=lambda row: snapshots.append([p.data.copy() for p in models[0].parameters()]))
    losses = [epoch.validation_loss for epoch in result.history]
    best = int(np.argmin(losses))
    assert best < len(losses) - 1, "the last epoch is the best: this run cannot tell"
    assert result.kept_epoch == best + 1
    assert all((p.data == kept).all() for p, kept in zip(result.model.parameters(), snapshots[best], strict=True))
    if patience == 2:
        assert len(losses) == best + 1 + patience
    else:
        assert len(losses) == recipe.epochs


def test_asked_to_stop_it_stops_after_the_batch(digits):
    seen = []
    result = train(SMALL, *digits, on_batch=lambda *at: seen.append(at), should_stop=lambda: len(seen) == 20)
    assert seen[-1] == (2, 2, 18)
    assert result.interrupted == "in epoch 2 after batch 2 of 18"
    assert len(result.history) == 1


@pytest.mark.filterwarnings("error")
def test_divergence_names_epoch_batch_and_rate(digits):
    with pytest.raises(DivergenceError, match=r"became (nan|inf) in epoch 1, batch \d+, at learning rate 1e\+06"):
        train(SMALL.changed(["lr=1e6", "activation=relu", "hidden=[16, 16]"]), *digits)


# ---------------------------------------------------------------- runs


@pytest.fixture
def small_data(digits, monkeypatch):
    """Make `run` see a thousand images only."""
    monkeypatch.setattr("tinygrad_mnist.training.runs.load_mnist", lambda how: digits)
    monkeypatch.setattr("tinygrad_mnist.training.runs.load_mnist_test", lambda how: (digits[0][:100], digits[1][:100]))


@pytest.mark.usefixtures("small_data")
def test_a_run_leaves_a_folder_that_reads_back(tmp_path, digits):
    metrics = run(SMALL, tmp_path / "out")
    figures = [f"figures/{name}.png" for name in ("confusion", "curves", "first_layer", "mistakes", "reliability", "saliency")]
    plain = ["MODEL_CARD.md", "config.toml", *figures, "history.json", "metrics.json", "model_card.json", "report.html", "weights.npz"]
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert sorted(path.relative_to(tmp_path / "out").as_posix() for path in written) == sorted(plain)
    assert sum(path.stat().st_size for path in written) < 2e6
    assert Recipe.load(str(tmp_path / "out" / "config.toml")) == SMALL
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == metrics
    assert len(json.loads((tmp_path / "out" / "history.json").read_text())) == SMALL.epochs
    paper = byhand.MLP.load(tmp_path / "out" / "weights.npz", activation="relu")
    assert evaluate(paper, digits[0][:100], digits[1][:100])["correct"] == metrics["test"]["correct"]
    assert metrics["parameters"] == sum(value.size for value in paper.params.values())


@pytest.mark.usefixtures("small_data")
def test_a_run_opens_the_test_set_once(tmp_path, digits, monkeypatch):
    opened = []
    monkeypatch.setattr(
        "tinygrad_mnist.training.runs.load_mnist_test", lambda how: opened.append(how) or (digits[0][:100], digits[1][:100])
    )
    run(SMALL, tmp_path / "out")
    assert opened == [None]


@pytest.mark.usefixtures("small_data")
def test_numbers_in_a_run_folder_agree(tmp_path):
    test = run(SMALL, tmp_path / "out")["test"]
    card = json.loads((tmp_path / "out" / "model_card.json").read_text())
    assert {name: test[name] for name in card["test"] if name != "images"} == {k: v for k, v in card["test"].items() if k != "images"}
    assert np.trace(test["confusion_matrix"]) == test["correct"]
    assert np.sum(test["confusion_matrix"]) == card["test"]["images"] == 100
    assert sum(b["predictions"] for b in test["reliability"]) == 100


@pytest.mark.usefixtures("small_data")
@pytest.mark.parametrize("settings", [["hidden=[]"], ["hidden=[16, 12]", "activation=tanh", "loss=mse", "normalize=seed"]])
def test_the_model_cards_example_runs_in_the_folder(tmp_path, monkeypatch, digits, settings):
    run(SMALL.changed(["epochs=1", *settings]), tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    (code,) = re.findall(r"```python\n(.*?)```", (tmp_path / "out" / "MODEL_CARD.md").read_text(), re.DOTALL)
    found = {}
    exec(code, found)
    test = json.loads((tmp_path / "out" / "metrics.json").read_text())["test"]
    found = evaluate(found["model"], found["images"][:100], digits[1][:100], SMALL.changed(settings).normalize)
    assert found == pytest.approx({name: test[name] for name in found}, rel=1e-5)


@pytest.mark.usefixtures("small_data")
def test_an_interrupted_run_keeps_its_weights_and_leaves_the_test_set_closed(tmp_path, monkeypatch):
    monkeypatch.setattr("tinygrad_mnist.training.runs.load_mnist_test", lambda how: pytest.fail("opened"))
    metrics = run(SMALL, tmp_path / "out", should_stop=lambda: True)
    assert metrics["test"] is None
    assert metrics["interrupted"] == "in epoch 1 after batch 1 of 18"
    assert (tmp_path / "out" / "weights.npz").exists()
    assert not (tmp_path / "out" / "report.html").exists()


@pytest.mark.usefixtures("small_data")
def test_a_run_that_diverges_leaves_nothing(tmp_path):
    with pytest.raises(DivergenceError):
        run(SMALL.changed(["lr=1e6", "hidden=[16, 16]"]), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(RunFolderError, match=r"not empty\. Nothing is overwritten"):
        run(SMALL, tmp_path)


def test_a_folder_that_cannot_be_made_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot be written to: Not a directory"):
        run(SMALL, tmp_path / "file" / "out")


def test_default_folders_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert free_folder("default").as_posix() == "runs/default"
    (tmp_path / "runs" / "default").mkdir(parents=True)
    assert free_folder("default").as_posix() == "runs/default-2"
