"""Recipes, the loop that follows them, and the folder that keeps the result."""

import json
import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from tinygrad_mnist import byhand, data, nn, optim
from tinygrad_mnist.data import Dataset
from tinygrad_mnist.evaluation import evaluate
from tinygrad_mnist.export import write_npz
from tinygrad_mnist.files import WriteError
from tinygrad_mnist.runs import RunFolderError, free_folder, reproduce, run
from tinygrad_mnist.runs.reproduction import table
from tinygrad_mnist.training import (
    DivergenceError,
    Recipe,
    RecipeError,
    Training,
    build_training,
    recipe_names,
    train,
)
from tinygrad_mnist.training.build import build_model, build_optimizer

SMALL = Recipe(name="small", hidden=(16,), epochs=3, batch_size=50, lr=0.1)


@pytest.fixture(scope="module")
def digits(mnist):
    """The first 1000 training images, as bytes."""
    images, labels = mnist
    return images[:1000], labels[:1000]


# ---------------------------------------------------------------- recipes


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_survive_a_round_trip_through_toml(name, tmp_path):
    recipe = Recipe.load(name)
    assert recipe.name == name
    assert len(recipe.description) > 20
    (tmp_path / "copy.toml").write_text(recipe.to_toml())
    assert Recipe.load(str(tmp_path / "copy.toml")) == recipe


def test_the_named_experiments_are_there():
    ours = {"default", "relu-adam"}
    known = {"dropout-1024", "lenet", "linear", "nielsen-100", "simard-800"}
    known |= {"seed-a", "seed-b", "seed-b-repaired"}
    assert ours | known | {"seed-a-two-hidden"} == set(recipe_names())
    assert known == {name for name in recipe_names() if Recipe.load(name).published_in}


def test_settings_replace_values():
    settings = ["lr=1", "hidden=[300, 100]", "activation=tanh", "nesterov=true", "epochs = 7"]
    changed = SMALL.changed(settings)
    assert (changed.lr, changed.hidden, changed.activation) == (1.0, (300, 100), "tanh")
    assert (changed.nesterov, changed.epochs) == (True, 7)
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
        ("elastic_sigma=0", "between 0.1 and"),
        ("published_on=train", "Choose from training, validation, test"),
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
    ("text", "message"),
    [
        ("lr = ", "not valid TOML"),
        ("lr = 'x'", "lr must be a number"),
        ("lrr = 1", "Did you mean 'lr'"),
    ],
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
        "dropout=0.2 nesterov=true weight_decay=1e-3 schedule=one_cycle schedule_every=batch",
        "elastic_alpha=30 elastic_sigma=5 affine=0.1 plain_epochs=1 dropout=0.2",
        (
            "optimizer=adamw lr=0.01 weight_decay=0.1 schedule=exponential gamma=0.9 "
            "loss=mse activation=sigmoid normalize=seed"
        ),
    ],
)
def test_same_seed_gives_the_same_bytes_and_another_seed_others(digits, tmp_path, settings):
    def weights(name, *more):
        model = train(SMALL.changed([*settings.split(), *more]), *digits).model
        with (tmp_path / name).open("wb") as file:
            write_npz(model, file)
        return (tmp_path / name).read_bytes()

    assert weights("a") == weights("b")
    assert weights("a") != weights("c", "seed=1")


def weights_of(recipe, images, labels):
    return [p.data for p in train(recipe, images, labels).model.parameters()]


def same(ours, others):
    return all(np.array_equal(a, b) for a, b in zip(ours, others, strict=True))


def test_distortion_has_random_numbers_of_its_own(digits):
    imperceptible = SMALL.changed(["elastic_alpha=1e-6"])  # bytes are rounded
    assert same(weights_of(imperceptible, *digits), weights_of(SMALL, *digits))


@pytest.mark.parametrize("strength", ["elastic_alpha=30", "affine=0.1"])
def test_plain_epochs_see_no_distortion(digits, strength):
    distorted = SMALL.changed([strength])
    plain, expected = distorted.changed(["plain_epochs=3"]), weights_of(SMALL, *digits)
    assert same(weights_of(plain, *digits), expected)
    assert not same(weights_of(distorted, *digits), expected)


def test_each_epoch_is_distorted_anew_except_the_last_and_never_validation(digits, monkeypatch):
    seen = []

    def watched(images, *args, **how):
        seen.append((len(images), how))
        return images

    monkeypatch.setattr("tinygrad_mnist.training.build.distort", watched)
    settings = ["elastic_alpha=30", "elastic_sigma=5", "plain_epochs=1", "validation=0.2"]
    train(SMALL.changed(settings), *digits)
    assert sum(n for n, _ in seen) == 2 * 800
    assert all(how == {"alpha": 30.0, "sigma": 5.0, "affine": 0.0} for _, how in seen)


def test_only_the_first_examples_are_trained_on_and_none_of_them_is_held_out(digits):
    images, labels = digits
    first = SMALL.changed(["examples=100", "validation=0.5"])
    others = np.concatenate([images[:100], images[:99:-1]])
    assert same(weights_of(first, *digits), weights_of(first, others, labels))
    assert not same(weights_of(first, *digits), weights_of(first.changed(["examples=99"]), *digits))
    nearly_all = SMALL.changed(["examples=990", "validation=0.5", "epochs=1"])
    (held_out,) = train(nearly_all, images, np.arange(1000) // 990).history
    assert held_out.accuracy > 0.9 > held_out.validation_accuracy


@pytest.mark.parametrize(
    ("settings", "images"),
    [(["validation=0.001"], 400), (["examples=200"], 200), (["examples=300"], 200)],
)
def test_too_few_images_to_hold_any_out_are_refused(digits, settings, images):
    message = f"{images} images are too few to hold out .* Change validation or examples"
    with pytest.raises(data.DataError, match=message):
        train(SMALL.changed(settings), digits[0][:images], digits[1][:images])


def test_seed_b_steps_along_half_the_squared_error_summed_over_classes(digits, monkeypatch):
    before = []

    def watched(*args):
        model = build_model(*args)
        before.extend(p.data.astype(float) for p in model.parameters())
        return model

    monkeypatch.setattr("tinygrad_mnist.training.build.build_model", watched)
    images, labels = (np.concatenate([part, part[:200]]) for part in digits)
    result = train(Recipe.load("seed-b").changed(["epochs=1"]), images, labels)
    W1, b1, W2, b2 = before
    X, Y = digits[0] / 255, data.one_hot(digits[1], 10)
    A1 = 1 / (1 + np.exp(-(X @ W1 + b1)))
    A2 = 1 / (1 + np.exp(-(A1 @ W2 + b2)))
    dZ2 = (A2 - Y) * A2 * (1 - A2)
    dZ1 = dZ2 @ W2.T * A1 * (1 - A1)
    gradients = (X.T @ dZ1, dZ1.sum(axis=0), A1.T @ dZ2, dZ2.sum(axis=0))
    for parameter, start, d in zip(result.model.parameters(), before, gradients, strict=True):
        np.testing.assert_allclose(parameter.data - start, -0.1 / 1000 * d, atol=1e-6)
    assert 0.5 < np.std(b1) < 1.5
    assert result.history[0].loss == pytest.approx(((A2 - Y) ** 2).mean(), rel=1e-5)


def test_weights_decay_and_biases_do_not():
    model = build_model(SMALL, 784, 10, np.random.default_rng(0))
    groups = build_optimizer(SMALL.changed(["weight_decay=0.1"]), model).param_groups
    found = [(group["weight_decay"], [p.ndim for p in group["params"]]) for group in groups]
    assert found == [(0.1, [2, 2]), (0.0, [1, 1])]


def test_exponential_schedule_steps_once_an_epoch(digits):
    history = train(SMALL.changed(["schedule=exponential", "gamma=0.5"]), *digits).history
    np.testing.assert_allclose([epoch.lr for epoch in history], [0.1, 0.05, 0.025])


def test_one_cycle_ends_with_a_tiny_rate(digits):
    history = train(SMALL.changed(["schedule=one_cycle", "schedule_every=batch"]), *digits).history
    assert history[-1].lr < 1e-4 < history[0].lr


@pytest.mark.parametrize("patience", [2, 50])
def test_early_stopping_always_restores_the_best_weights(digits, patience):
    settings = ["epochs=12", "lr=0.5", f"patience={patience}", "momentum=0.95"]
    recipe, snapshots = SMALL.changed(settings), []
    training = build_training(recipe, Dataset.of(*digits))

    def keep(_):
        snapshots.append([p.data.copy() for p in training.model.parameters()])

    training.run(
        on_batch=lambda *_: None,
        on_epoch=keep,
        should_stop=lambda: False,
    )
    result = training.result()
    losses = [epoch.validation_loss for epoch in result.history]
    best = int(np.argmin(losses))
    assert best < len(losses) - 1, "the last epoch is the best"
    assert result.kept_epoch == best + 1
    assert same([p.data for p in result.model.parameters()], snapshots[best])
    if patience == 2:
        assert len(losses) == best + 1 + patience
    else:
        assert len(losses) == recipe.epochs


def test_each_epoch_has_all_examples_in_an_order_of_its_own(digits):
    training = build_training(SMALL, Dataset.of(*digits))
    epochs = []
    for _ in range(3):
        epochs.append(np.concatenate(list(training.remaining_batches())))
        training.end_epoch(0.0)
    assert all(np.array_equal(np.sort(order), np.sort(training.training_rows)) for order in epochs)
    assert not any(np.array_equal(one, other) for one, other in combinations(epochs, 2))


def test_validation_leaves_each_module_in_its_own_mode_and_drops_nothing(digits, monkeypatch):
    recipe = replace(SMALL, epochs=1, hidden=(16, 16), dropout=0.5)
    training = build_training(recipe, Dataset.of(*digits))
    first, second = (m for m in training.model if isinstance(m, nn.Dropout))
    second.eval()
    seen, forward = [], nn.Dropout.forward
    monkeypatch.setattr(
        nn.Dropout, "forward", lambda self, x: (seen.append(self.training), forward(self, x))[1]
    )
    training.end_epoch(started=0.0)
    assert (first.training, second.training) == (True, False)
    assert seen == [False, False]


def test_asked_to_stop_it_stops_after_the_batch(digits):
    seen = []

    def on_batch(*at):
        seen.append(at)

    result = train(SMALL, *digits, on_batch=on_batch, should_stop=lambda: len(seen) == 20)
    assert seen[-1] == (2, 2, 18)
    assert result.interrupted == "in epoch 2 after batch 2 of 18"
    assert len(result.history) == 1


@pytest.mark.filterwarnings("error")
def test_divergence_names_epoch_batch_and_rate(digits):
    message = r"became (nan|inf) in epoch 1, batch \d+, at learning rate 1e\+06"
    with pytest.raises(DivergenceError, match=message):
        train(SMALL.changed(["lr=1e6", "activation=relu", "hidden=[16, 16]"]), *digits)


# ---------------------------------------------------------------- results


def test_the_table_sets_what_is_published_beside_what_was_measured_on_the_same_images():
    every = {"seed": 0, "training_seconds": 7.0, "training": {"accuracy": 0.25}}
    runs = [every | {"test": {"accuracy": accuracy}} for accuracy in (0.5, 0.6)]
    of_test = {"accuracy": 0.993, "on": "test", "in": "a paper"}
    of_training = {"accuracy": 0.2, "on": "training", "in": "a paper"}
    results = [
        {"recipe": "a", "published": None, "runs": runs},
        {"recipe": "b", "published": of_test, "runs": runs[:1]},
        {"recipe": "c", "published": of_training, "runs": runs},
    ]
    lines = table(results).splitlines()
    assert lines[2:] == [
        "| `a` |  | 55.00 ± 7.07 | 0, 0 | 7.0 |",
        "| `b` | 99.30 | 50.00 | 0 | 7.0 |",
        "| `c` | 20.00 on training images; here 25.00 ± 0.00 | 55.00 ± 7.07 | 0, 0 | 7.0 |",
    ]


def test_without_held_out_images_the_validation_is_not_a_number(digits):
    model = nn.MLP((784, 8, 10), rng=np.random.default_rng(0))
    training = Training(
        model,
        optim.SGD(model.parameters(), lr=0.1),
        nn.CrossEntropyLoss(),
        Dataset.of(*digits),
        np.arange(100),
        np.array([], np.intp),
        rngs={"order": np.random.default_rng(0)},
        epochs=2,
    )
    assert training.run() == ""
    assert np.isnan([training.history[-1].validation_loss, *training.validate()]).all()
    assert training.history[1].loss < training.history[0].loss


@pytest.mark.usefixtures("small_data")
def test_reproduce_keeps_what_is_published(digits, monkeypatch):
    monkeypatch.setattr("tinygrad_mnist.runs.reproduction.load_mnist", lambda how: digits)
    known = SMALL.changed(["published_error=0.7", "published_in=a paper", "epochs=1"])
    with_it, without = reproduce([known, SMALL.changed(["epochs=1"])], [0])
    assert with_it["published"] == {"accuracy": pytest.approx(0.993), "on": "test", "in": "a paper"}
    assert without["published"] is None
    assert table([with_it, without]).count("99.30") == 1
    assert with_it["runs"][0]["training"]["accuracy"] > 0.1


# ---------------------------------------------------------------- runs


@pytest.fixture
def small_data(digits, monkeypatch):
    """Make `run` see a thousand images only."""
    images, labels = digits
    monkeypatch.setattr("tinygrad_mnist.runs.sets.load_mnist", lambda how: digits)
    monkeypatch.setattr(
        "tinygrad_mnist.runs.sets.load_mnist_test", lambda how: (images[:100], labels[:100])
    )


@pytest.mark.usefixtures("small_data", "drawn")
def test_a_run_leaves_a_folder_that_reads_back(tmp_path, digits):
    folder = tmp_path / "out"
    metrics = run(SMALL, folder)
    figures = ("confusion", "curves", "first_layer", "mistakes", "reliability", "saliency")
    expected = {f"figures/{name}.png" for name in figures}
    expected |= {"checkpoint.npz", "config.toml", "history.json", "metrics.json", "weights.npz"}
    expected |= {"model.safetensors", "model_card.json", "MODEL_CARD.md", "report.html"}
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.relative_to(folder).as_posix() for path in written} == expected
    assert sum(path.stat().st_size for path in written) < 2e6
    assert Recipe.load(str(folder / "config.toml")) == SMALL
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    assert len(json.loads((folder / "history.json").read_text())) == SMALL.epochs
    paper = byhand.MLP.load(folder / "weights.npz", activation="relu")
    again = evaluate(paper, digits[0][:100], digits[1][:100])
    assert again["correct"] == metrics["test"]["correct"]
    assert metrics["parameters"] == sum(value.size for value in paper.params.values())


@pytest.mark.usefixtures("small_data")
def test_a_run_opens_the_test_set_once(tmp_path, digits, monkeypatch):
    opened = []

    def opening(how):
        opened.append(how)
        return digits[0][:100], digits[1][:100]

    monkeypatch.setattr("tinygrad_mnist.runs.sets.load_mnist_test", opening)
    run(SMALL, tmp_path / "out")
    assert opened == [None]


@pytest.mark.usefixtures("small_data")
def test_numbers_in_a_run_folder_agree(tmp_path):
    test = run(SMALL, tmp_path / "out")["test"]
    card = json.loads((tmp_path / "out" / "model_card.json").read_text())
    for name in card["test"].keys() - {"data", "images"}:
        assert card["test"][name] == test[name]
    assert card["test"]["data"] == "MNIST"
    assert np.trace(test["confusion_matrix"]) == test["correct"]
    assert np.sum(test["confusion_matrix"]) == card["test"]["images"] == 100
    assert sum(b["predictions"] for b in test["reliability"]) == 100


@pytest.mark.usefixtures("small_data")
@pytest.mark.parametrize(
    "settings",
    [["hidden=[]"], ["hidden=[16, 12]", "activation=tanh", "loss=mse", "normalize=seed"]],
)
def test_the_model_cards_example_runs_in_the_folder(tmp_path, monkeypatch, digits, settings):
    folder, recipe = tmp_path / "out", SMALL.changed(["epochs=1", *settings])
    run(recipe, folder)
    monkeypatch.chdir(folder)
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "MODEL_CARD.md").read_text(), re.DOTALL)
    names = {}
    exec(code, names)
    test = json.loads((folder / "metrics.json").read_text())["test"]
    found = evaluate(names["model"], names["images"][:100], digits[1][:100], recipe.normalize)
    assert found == pytest.approx({name: test[name] for name in found}, rel=1e-5)


@pytest.mark.usefixtures("small_data")
def test_an_interrupted_run_keeps_its_weights_and_leaves_the_test_set_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "tinygrad_mnist.runs.sets.load_mnist_test", lambda how: pytest.fail("opened")
    )
    metrics = run(SMALL, tmp_path / "out", should_stop=lambda: True)
    assert metrics["test"] is None
    assert metrics["interrupted"] == "in epoch 1 after batch 1 of 18"
    assert (tmp_path / "out" / "weights.npz").exists()
    assert not (tmp_path / "out" / "report.html").exists()


@pytest.mark.usefixtures("small_data")
def test_a_run_that_diverges_leaves_its_checkpoint_and_no_result(tmp_path):
    with pytest.raises(DivergenceError, match="The checkpoint of epoch 1 after batch "):
        run(SMALL.changed(["lr=1e6", "hidden=[16, 16]"]), tmp_path / "out")
    left = {path.name for path in (tmp_path / "out").iterdir()} - {"checkpoint.previous.npz"}
    assert left == {"checkpoint.npz", "config.toml"}


@pytest.mark.usefixtures("small_data")
def test_a_run_that_cannot_begin_leaves_nothing(tmp_path):
    with pytest.raises(data.DataError, match="too few"):
        run(SMALL.changed(["examples=1000"]), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(RunFolderError, match=r"not empty\. Nothing is overwritten"):
        run(SMALL, tmp_path)


def test_a_folder_that_cannot_be_made_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot be written to: Not a directory"):
        run(SMALL, tmp_path / "file" / "out")


def test_default_folders_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert free_folder("default").as_posix() == "runs/default"
    (tmp_path / "runs" / "default").mkdir(parents=True)
    assert free_folder("default").as_posix() == "runs/default-2"
