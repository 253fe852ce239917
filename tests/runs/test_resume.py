"""A training interrupted anywhere and taken up again ends with the bytes of one that was not."""

import json
import os
import shutil
import tracemalloc
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist import training
from tinygrad_mnist.data import DataError, Dataset
from tinygrad_mnist.runs import (
    Run,
    RunFolderError,
    Sets,
    checkpoint,
    load_trained,
    new_run,
    own_sets,
    read_history,
    resumed_run,
    run,
)
from tinygrad_mnist.runs.checkpoint import Checkpoint
from tinygrad_mnist.runs.environment import differences, environment
from tinygrad_mnist.runs.sets import fingerprint
from tinygrad_mnist.training import Recipe, RecipeError, Training, build_training
from tinygrad_mnist.training.state import put_back, take

SMALL = Recipe(name="small", hidden=(8,), epochs=3, batch_size=50, lr=0.1)


@pytest.fixture(scope="module")
def digits(mnist):
    images, labels = mnist
    return images[:300], labels[:300]


@pytest.fixture(scope="module")
def few(digits):
    """Three batches an epoch."""
    images, labels = digits
    return images[:150], labels[:150]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def small_data(digits, monkeypatch):
    """Make runs see three hundred images only."""
    images, labels = digits
    monkeypatch.setattr("tinygrad_mnist.runs.sets.load_mnist", lambda how: digits)
    monkeypatch.setattr(
        "tinygrad_mnist.runs.sets.load_mnist_test", lambda how: (images[:50], labels[:50])
    )


def outcome(result):
    """Everything a training comes to, except how long it took."""
    history = [asdict(epoch) | {"seconds": 0} for epoch in result.history]
    return [p.data.tobytes() for p in result.model.parameters()], history, result.kept_epoch


def stop_after(batches):
    """A `should_stop` that says yes after so many batches."""
    left = iter(range(batches))
    return lambda: next(left, None) in (None, batches - 1)


def run_to(state, recipe, digits, *, should_stop=lambda: False):
    """Train on from a state, if there is one."""
    trained = build_training(recipe, Dataset.of(*digits))
    if state:
        put_back(trained, state)
    go_on(trained, should_stop)
    return trained


def go_on(trained, should_stop):
    trained.run(on_batch=lambda *_: None, on_epoch=lambda _: None, should_stop=should_stop)


# ---------------------------------------------------------------- the same bytes

RECIPES = {
    "sgd-momentum":
        "optimizer=sgd momentum=0.9 weight_decay=1e-3 schedule=exponential gamma=0.5",
    "nesterov-one-cycle":
        "nesterov=true schedule=one_cycle schedule_every=batch dropout=0.2 elastic_alpha=30",
    "adam":
        "optimizer=adam lr=0.1 dropout=0.3 patience=1 epochs=12 affine=0.2",
    "adamw":
        "optimizer=adamw lr=0.01 weight_decay=0.1 schedule=exponential schedule_every=batch "
        "gamma=0.95 affine=0.1",
    "mse":
        "loss=mse activation=sigmoid normalize=seed hidden=[] patience=2 examples=120 "
        "validation=0.5",
}  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_from_every_batch_of_every_epoch_the_end_is_the_same(name, few, tmp_path):
    recipe = SMALL.changed(RECIPES[name].split())
    whole = build_training(recipe, Dataset.of(*few))
    states = [take(whole)]

    def keep(*_):
        states.append(take(whole))

    whole.run(on_batch=keep, on_epoch=keep, should_stop=lambda: False)
    expected = outcome(whole.result())
    assert len(states) == 1 + len(whole.history) * (whole.batches + 1)
    for state in states:
        checkpoint.save(tmp_path, Checkpoint(recipe, state, {}, {}, {}))
        read, _, notice = checkpoint.load(tmp_path)
        assert (read.recipe, notice) == (recipe, "")
        assert outcome(run_to(read.state, recipe, few).result()) == expected


def test_one_of_those_recipes_stops_early_and_goes_back(few):
    result = training.train(SMALL.changed(RECIPES["adam"].split()), *few)
    assert result.kept_epoch < len(result.history) < 12


SCHEDULES = [("exponential", "epoch"), ("exponential", "batch"), ("one_cycle", "batch")]


@st.composite
def recipes(draw):
    """Recipes of all kinds of optimizers, schedules and random numbers."""
    schedule, every = draw(st.sampled_from([("constant", "epoch"), *SCHEDULES]))
    return replace(
        SMALL,
        optimizer=draw(st.sampled_from(["sgd", "adam", "adamw"])),
        lr=0.01,
        schedule=schedule,
        schedule_every=every,
        gamma=0.8,
        dropout=draw(st.sampled_from([0.0, 0.3])),
        affine=draw(st.sampled_from([0.0, 0.1])),
        plain_epochs=draw(st.integers(0, 2)),
        patience=0 if schedule == "one_cycle" else draw(st.integers(0, 2)),
    )


@settings(max_examples=60)
@given(recipe=recipes(), stops=st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_interrupted_several_times_the_end_is_the_same(few, recipe, stops):
    state = None
    for batches in stops:
        state = take(run_to(state, recipe, few, should_stop=stop_after(batches)))
    found, expected = run_to(state, recipe, few).result(), training.train(recipe, *few)
    assert outcome(found) == outcome(expected)


def test_a_training_may_also_go_on_in_the_same_process(digits):
    recipe = SMALL.changed(["dropout=0.2"])
    paused = build_training(recipe, Dataset.of(*digits))
    for batches in (3, 4, 100):
        go_on(paused, stop_after(batches))
    assert outcome(paused.result()) == outcome(training.train(recipe, *digits))


def forget_arrays(kind, source=None):
    """A new training's arrays in place of those of a state, as if they had not been restored."""
    source = source or kind

    def forget(state, new):
        kept = {key: x for key, x in state.arrays.items() if not key.startswith(kind)}
        put = {key: x for key, x in new.arrays.items() if key.startswith(source)}
        renamed = {key.replace(source, kind): x for key, x in put.items()}
        return state._replace(arrays=kept | renamed)

    return forget


def forget_generator(name):
    def forget(state, new):
        rngs = state.numbers["rngs"] | {name: new.numbers["rngs"][name]}
        return state._replace(numbers=state.numbers | {"rngs": rngs})

    return forget


def forget_number(name):
    return lambda state, new: state._replace(numbers=state.numbers | {name: new.numbers[name]})


FORGETFUL = {
    "parameters": forget_arrays("model"),
    "optimizer": forget_arrays("optimizer"),
    "best weights": forget_arrays("best", "model"),
    "schedule": forget_number("schedule"),
    "position in the epoch": forget_number("under_way"),
    "dropout generator": forget_generator("model"),
    "order generator": forget_generator("order"),
    "distortion generator": forget_generator("distortion"),
}


@pytest.fixture(scope="module", params=["sgd", "adam", "adamw"])
def halfway(request, digits):
    """A recipe, the state in the middle of its training, and what that has to come to."""
    settings = (
        f"optimizer={request.param} lr=0.02 schedule=exponential gamma=0.5 schedule_every=batch "
        "dropout=0.3 affine=0.1 patience=5 epochs=4 min_delta=0.2"
    )
    recipe = SMALL.changed(settings.split())
    state = take(run_to(None, recipe, digits, should_stop=stop_after(14)))
    expected = outcome(training.train(recipe, *digits))
    assert expected[2] < 3, "the best weights are newer than the state: this run cannot tell"
    assert outcome(run_to(state, recipe, digits).result()) == expected
    return recipe, state, expected


@pytest.mark.parametrize("part", FORGETFUL)
def test_each_part_of_the_state_that_is_not_restored_is_noticed(part, halfway, digits):
    recipe, state, expected = halfway
    damaged = FORGETFUL[part](state, take(build_training(recipe, Dataset.of(*digits))))
    assert outcome(run_to(damaged, recipe, digits).result()) != expected


# ---------------------------------------------------------------- run folders


def folder_bytes(folder):
    """Every file of a run, without the wall time in them."""
    names = ["weights.npz", "model.safetensors", "config.toml"]
    names += ["figures/saliency.png", "figures/confusion.png"]
    epochs = json.loads((folder / "history.json").read_text())
    history = [epoch | {"seconds": 0} for epoch in epochs]
    metrics = json.loads((folder / "metrics.json").read_text()) | {"training_seconds": 0}
    return [(folder / name).read_bytes() for name in names], history, metrics


@pytest.mark.usefixtures("small_data")
@pytest.mark.parametrize("batches", [1, 12])
def test_a_resumed_run_leaves_the_same_folder(tmp_path, batches):
    recipe = SMALL.changed(["patience=2", "dropout=0.2"])
    run(recipe, tmp_path / "whole")
    assert run(recipe, tmp_path / "parts", should_stop=stop_after(batches))["interrupted"]
    assert (tmp_path / "parts/checkpoint.previous.npz").exists()
    with resumed_run(tmp_path / "parts") as again:
        again.complete()
    assert folder_bytes(tmp_path / "parts") == folder_bytes(tmp_path / "whole")
    parts, whole = (
        {path.name for path in (tmp_path / name).iterdir()} for name in ("parts", "whole")
    )
    assert parts == whole


@pytest.mark.usefixtures("small_data")
def test_checkpoints_are_few_and_the_first_comes_before_the_first_step(tmp_path, monkeypatch):
    saved, steps = [], []

    def save(self):
        saved.append(len(steps))
        self.next_save = np.inf

    monkeypatch.setattr(Run, "save", save)
    run(SMALL, tmp_path / "out", on_batch=lambda *at: steps.append(at))
    assert saved == [0, 18]
    monkeypatch.undo()


@pytest.mark.usefixtures("small_data")
def test_a_finished_run_says_so_and_stays_as_it_is(command, tmp_path):
    command("train", "--set", "epochs=1", "hidden=[8]", "--out", "run")

    def contents():
        files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}

    before = contents()
    code, out, err = command("train", "--resume", "run")
    said = "this training is already finished. To train longer: --override epochs=..."
    assert (code, err) == (0, f"warning: run: {said}\n")
    assert "of the test images right" in out
    assert contents() == before


@pytest.mark.usefixtures("small_data")
def test_results_that_were_not_written_to_the_end_are_written_again(tmp_path, monkeypatch):
    run(SMALL, tmp_path / "whole")
    monkeypatch.setattr("tinygrad_mnist.runs.results.html_report", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(SMALL, tmp_path / "parts")
    monkeypatch.undo()
    monkeypatch.setattr(Training, "step", lambda *_: pytest.fail("trained again"))
    with resumed_run(tmp_path / "parts") as again, pytest.MonkeyPatch.context() as patch:
        images, labels = again.training.data.images, again.training.data.labels
        patch.setattr(
            "tinygrad_mnist.runs.sets.load_mnist_test", lambda how: (images[:50], labels[:50])
        )
        again.complete()
    assert folder_bytes(tmp_path / "parts") == folder_bytes(tmp_path / "whole")


def test_a_run_that_has_not_ended_says_so_when_its_weights_are_wanted(tmp_path, digits):
    state = take(build_training(SMALL, Dataset.of(*digits)))
    checkpoint.save(tmp_path, Checkpoint(SMALL, state, {}, {}, {}))
    (tmp_path / "config.toml").write_text(SMALL.to_toml())
    message = r"its training has not ended\. Continue it: tinygrad-mnist train --resume"
    with pytest.raises(RunFolderError, match=message):
        load_trained(tmp_path)


# ---------------------------------------------------------------- the same recipe


@pytest.fixture
def interrupted(small_data, tmp_path):
    run(SMALL.changed(["patience=3"]), tmp_path / "run", should_stop=stop_after(8))
    return tmp_path / "run"


def test_a_folder_of_the_time_before_other_networks_and_images_goes_on(interrupted, tmp_path):
    file, config = interrupted / "checkpoint.npz", interrupted / "config.toml"
    with np.load(file) as saved:
        arrays = dict(saved)
    about = json.loads(arrays["about"].tobytes())
    del about["trained"], about["numbers"]["settings"]
    for key in ("model", "model_options", "optimizer_options"):
        del about["recipe"][key]
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(file, **arrays)
    config.write_text(config.read_text().split("[trained]")[0].replace('model = "mlp"\n', ""))
    with resumed_run(interrupted) as again:
        again.complete()
    run(SMALL.changed(["patience=3"]), tmp_path / "whole")
    weights = [tmp_path / name / "weights.npz" for name in ("run", "whole")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_another_recipe_is_refused_with_what_differs(command, interrupted, tmp_path):
    config = interrupted / "config.toml"
    changed = config.read_text().replace("lr = 0.1", "lr = 0.3")
    config.write_text(changed.replace("momentum = 0.9", "momentum = 0.5"))
    files = {path: path.read_bytes() for path in interrupted.iterdir()}
    code, out, err = command("train", "--resume", "run")
    assert (code, out) == (2, "")
    assert err == (
        "error: run/config.toml is not what this training began with: "
        "lr is 0.3, was 0.1; momentum is 0.5, was 0.9. "
        "Put that back, or train anew. What may change: "
        "--override epochs=..., --override lr=..., --override patience=..., --override replay=...\n"
    )
    assert {path: path.read_bytes() for path in interrupted.iterdir()} == files
    config.write_text(SMALL.changed(["patience=3"]).to_toml())
    _, _, err = command("train", "default", "--resume", "run")
    assert "The recipe asked for is not what this training began with: name is " in err
    assert "name is 'default', was 'small'" in err
    _, _, err = command("train", "--resume", "run", "--set", "hidden=[9]")
    assert "hidden is (9,), was (8,)" in err
    assert command("train", "run/config.toml", "--resume", "run", "--set", "hidden=[8]")[0] == 0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "hidden=[9]",
            "hidden cannot change in the middle of a training, only epochs, lr, patience",
        ),
        ("epoch=9", "Did you mean 'epochs'"),
        ("epochs=0", "epochs must lie between 1"),
        ("epochs=1", "epoch 2 has begun, batch 2: more than 1"),
    ],
)
def test_overrides_that_cannot_be_are_explained(command, interrupted, override, message):
    code, _, err = command("train", "--resume", "run", "--override", override)
    assert (code, message in err) == (2, True), err


@pytest.mark.parametrize(
    ("settings", "override"),
    [
        (["schedule=one_cycle", "schedule_every=batch"], "epochs=5"),
        (["plain_epochs=1"], "epochs=5"),
        ([], "patience=2"),
    ],
)
@pytest.mark.usefixtures("small_data")
def test_what_counts_from_the_beginning_or_the_end_is_not_overridden(tmp_path, settings, override):
    run(SMALL.changed(settings), tmp_path / "run", should_stop=stop_after(8))
    with (
        pytest.raises(RecipeError, match=f"{override.split('=')[0]} cannot .* Train anew"),
        resumed_run(tmp_path / "run", overrides=[override]),
    ):
        pass


@pytest.mark.usefixtures("small_data")
def test_a_finished_run_with_more_epochs_is_a_longer_run(command, tmp_path):
    schedule = "schedule=exponential schedule_every=epoch gamma=0.9"
    asked = f"train --set {schedule} hidden=[8] plain_epochs=0".split()
    command(*asked, "epochs=4", "--out", "whole")
    command(*asked, "epochs=2", "--out", "parts")
    assert command("train", "--resume", "parts", "--override", "epochs=4")[0] == 0
    assert folder_bytes(tmp_path / "parts") == folder_bytes(tmp_path / "whole")


@pytest.mark.usefixtures("small_data")
def test_an_override_lasts(tmp_path, interrupted):
    with resumed_run(interrupted, overrides=["lr=0.01", "epochs=5"]) as again:
        again.complete(should_stop=stop_after(1))
    with resumed_run(interrupted) as again:
        assert [epoch.lr for epoch in again.training.history] == [0.1]
        again.complete()
    history = read_history(interrupted)
    assert [epoch.lr for epoch in history] == [0.1, 0.01, 0.01, 0.01, 0.01]
    assert Recipe.load(str(interrupted / "config.toml")).lr == 0.01


def test_config_and_override_may_say_the_same(interrupted):
    config = interrupted / "config.toml"
    config.write_text(config.read_text().replace("epochs = 3", "epochs = 4"))
    with pytest.raises(RecipeError, match="epochs is 4, was 3"), resumed_run(interrupted):
        pass
    with resumed_run(interrupted, overrides=["epochs=4"]) as again:
        assert again.recipe.epochs == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--override", "lr=1"], "--override belongs to --resume"),
        (["--resume", "run", "--out", "other"], "leave out --out"),
        (["--resume", "gone"], "gone: there is no such run folder"),
        (["--resume", "."], "there is no checkpoint to continue from"),
        (["--resume", "run", "--data", "mine.csv"], "this training is on MNIST"),
    ],
)
def test_wrong_ways_to_resume_are_explained(command, interrupted, tmp_path, arguments, message):
    before = sorted(tmp_path.rglob("*"))
    code, out, err = command("train", *arguments)
    assert (code, out, message in err) == (2, "", True), err
    assert sorted(tmp_path.rglob("*")) == before


# ---------------------------------------------------------------- the same data and machine


@pytest.fixture
def own(digits, tmp_path):
    path = tmp_path / "mine.npz"
    save_both(path, *digits)
    sets = own_sets(path, test_data=path)
    with new_run(SMALL, tmp_path / "run", sets) as new:
        new.complete(should_stop=stop_after(7))
    return path


def save_both(path, images, labels):
    """Write images to train on and to test on."""
    train, test = slice(250), slice(250, None)
    x_train, y_train, x_test, y_test = images[train], labels[train], images[test], labels[test]
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


MINE = "--data mine.npz --test-data mine.npz"
RESUME = f"train --resume run {MINE}".split()
NOT_FOLLOWED = "names that a checkpoint holds are not followed. If they are right, name them: "


def test_files_of_ones_own_are_read_when_the_command_names_them_as_it_is_told(
    command, own, tmp_path, monkeypatch
):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    own.rename(tmp_path / "hidden.npz")
    code, _, err = command("train", "--resume", "../run")
    assert (code, len(err.splitlines()), NOT_FOLLOWED in err) == (2, 1, True)
    (tmp_path / "hidden.npz").rename(own)
    told = err.split("tinygrad-mnist ")[1]
    assert told == f"train --resume ../run --data {own} --test-data {own}\n"
    assert command(*told.split())[0] == 0


@pytest.mark.parametrize("named", ["", "--data mine.npz", "--test-data mine.npz"])
def test_every_file_has_to_be_named(command, own, named):
    code, _, err = command("train", "--resume", "run", *named.split())
    assert (code, err.split(NOT_FOLLOWED)[1]) == (2, f"tinygrad-mnist train --resume run {MINE}\n")


@pytest.mark.parametrize("name", ["/dev/zero", "pipe", "run/../mine.npz", "run/link.npz", "a\0b"])
def test_a_checkpoint_of_a_stranger_has_no_file_read_outside_its_folder(
    own, tmp_path, monkeypatch, name
):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "run/link.npz").symlink_to(own)
    rewritten(tmp_path / "run/checkpoint.npz", lambda about, _: about["data"].update(
        files={"data": name, "test_data": "mnist"}))  # fmt: skip
    monkeypatch.setattr("tinygrad_mnist.runs.resume.own_sets", lambda **_: pytest.fail("read"))
    with pytest.raises(DataError, match=NOT_FOLLOWED), resumed_run(tmp_path / "run"):
        pass


def test_files_in_the_run_folder_itself_are_found_again(command, digits, tmp_path, monkeypatch):
    Path("run").mkdir()
    sets = Sets(Dataset.of(*digits), Dataset.of(*digits), {})
    with new_run(SMALL, Path("run"), sets) as new:
        save_both(Path("run/mine.npz"), *digits)
        new.origin |= {"files": {"data": "run/mine.npz", "test_data": "run/mine.npz"}}
        new.origin["sha256"] = fingerprint(own_sets(*[Path("run/mine.npz"), None] * 2))
        new.save()
    Path("run/config.toml").write_text(SMALL.to_toml())
    with resumed_run(Path("run")) as again:
        assert again.sets is not None


@pytest.mark.parametrize("target", ["real.npz", "link.npz"])
def test_a_link_in_the_run_folder_that_stays_inside_is_not_followed_either(own, tmp_path, target):
    shutil.move(own, tmp_path / "run/real.npz")
    (tmp_path / "run/link.npz").symlink_to(target)
    rewritten(tmp_path / "run/checkpoint.npz", lambda about, _: about["data"].update(
        files={"data": "run/link.npz", "test_data": "mnist"}))  # fmt: skip
    with (
        pytest.raises(RunFolderError, match=r"link\.npz: a symbolic"),
        resumed_run(tmp_path / "run"),
    ):
        pass


def test_files_that_were_moved_can_be_named(command, own, tmp_path):
    own.rename(tmp_path / "moved.npz")
    assert "mine.npz: cannot be read: No such file" in command(*RESUME)[2]
    moved = "--data moved.npz --test-data moved.npz"
    assert command("train", "--resume", "run", *moved.split())[0] == 0
    assert "moved.npz" in (tmp_path / "run/config.toml").read_text()


def test_other_training_data_is_refused(command, own, digits):
    images, labels = digits
    changed = images.copy()
    changed[7, 400] ^= 1
    save_both(own, changed, labels)
    code, _, err = command(*RESUME)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "mine.npz: not the images and labels that this training began with" in err


@pytest.mark.parametrize("entry", ["numpy", "blas threads", "blas kernels", "processor kind"])
def test_another_numpy_or_processor_is_warned_of(command, own, tmp_path, monkeypatch, entry):
    changed = environment() | {entry: "another"}
    monkeypatch.setattr("tinygrad_mnist.runs.resume.environment", lambda *_: changed)
    code, _, err = command(*RESUME)
    assert code == 0
    assert f"warning: {entry} is another, was {environment()[entry]}. So the result may not" in err


def test_the_same_machine_is_not_warned_of():
    assert differences(environment(), environment()) == []
    assert differences(environment() | {"python": "2.7"}, environment()) == []


# ---------------------------------------------------------------- damaged checkpoints


@pytest.fixture
def two(digits, tmp_path):
    """A folder with two checkpoints, of a training after 2 batches and before."""
    for batches in (2, 3):
        state = take(run_to(None, SMALL, digits, should_stop=stop_after(batches)))
        checkpoint.save(tmp_path, Checkpoint(SMALL, state, environment(), {}, {}))
    return tmp_path


def test_the_checkpoint_before_is_used_if_the_newest_is_damaged_or_missing(two):
    newest, previous = two / "checkpoint.npz", two / "checkpoint.previous.npz"

    def batch(read):
        return read.state.numbers["under_way"]["batch"]

    assert [batch(checkpoint.read(path)) for path in (previous, newest)] == [2, 3]
    content = newest.read_bytes()
    newest.write_bytes(content[:-100])
    read, path, notice = checkpoint.load(two)
    assert (batch(read), path) == (2, previous)
    assert notice.startswith(f"{newest}: damaged, or not a checkpoint: ")
    assert f"Continuing from {previous}" in notice
    newest.unlink()
    assert checkpoint.load(two)[1] == previous
    previous.write_bytes(content[:-100])
    with pytest.raises(DataError, match=r"previous\.npz: damaged"):
        checkpoint.load(two)


def rewritten(path, change):
    """Write a checkpoint's entries anew, after a change, as somebody could who knows the form."""
    with np.load(path) as file:
        entries = dict(file)
    about = json.loads(entries["about"].tobytes())
    change(about, entries)
    entries["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(path, **entries)


def flip_a_bit(about, entries):
    entries["model.0.weight"].view(np.uint8)[5, 3] ^= 1


WRONG_SIZE = "not the size of a checkpoint for hidden"
CHANGES = {
    "a bit flipped": (flip_a_bit, "damaged: model.0.weight is not what was saved: another SHA-256"),
    "an array missing": (lambda about, entries: entries.pop("history"), "damaged: history is not"),
    "an array more": (lambda about, entries: entries.update(more=np.zeros(3)), "more is not"),
    "a name that a terminal obeys": (
        lambda about, entries: entries.update({"\x1b[2J": np.zeros(3)}), r"damaged: \?\[2J is not"),
    "another shape": (
        lambda about, entries: entries.update(history=np.zeros((7, 0))), "damaged: history is not"),
    "an object": (
        lambda about, entries: entries.update(history=np.array([{}])), "not a checkpoint: Value"),
    "a huge network": (lambda about, entries: about["recipe"].update(hidden=[10_000]), WRONG_SIZE),
    "a tiny network": (lambda about, entries: entries.update(more=np.zeros(3_000_000)), WRONG_SIZE),
    "no recipe": (lambda about, entries: about.pop("recipe"), "not a checkpoint: KeyError 'rec"),
    "a wrong recipe": (lambda about, entries: about["recipe"].update(lr="x"), "lr must be a num"),
    "another format": (
        lambda about, entries: about.update(format=2), "format 2, but this version reads format 1"),
    "numbers in a list": (
        lambda about, entries: about.update(numbers=[]), "a part of its entry 'about' is missing"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_checkpoint_that_is_not_what_was_saved_is_refused(two, change):
    what, message = CHANGES[change]
    rewritten(two / "checkpoint.npz", what)
    with pytest.raises(DataError, match=message) as caught:
        checkpoint.read(two / "checkpoint.npz")
    assert str(caught.value).startswith(f"{two / 'checkpoint.npz'}: ")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_is_never_unpacked(two):
    with zipfile.ZipFile(two / "checkpoint.npz") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(two / "checkpoint.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    with pytest.raises(DataError, match="checkpoints are not compressed"):
        checkpoint.read(two / "checkpoint.npz")


def test_the_sizes_that_a_checkpoint_announces_are_not_believed(two):
    content = (two / "checkpoint.npz").read_bytes()
    entry = content.index(b"PK\1\2")
    for field in (20, 24):  # the compressed and the real size in the table at the end
        announced = bytearray(content)
        announced[entry + field + 3] = 0x40
        (two / "checkpoint.npz").write_bytes(announced)
        tracemalloc.start()
        with pytest.raises(DataError, match=r"checkpoint\.npz: damaged"):
            checkpoint.read(two / "checkpoint.npz")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1 << 20


UNFIT = r"checkpoint\.npz: not the state of such a training: "
OF_ANOTHER_KIND = {"bit_generator": "PCG64", "state": {"state": -1, "inc": 2**200}}
NUMBERS = {
    "batch": lambda numbers: numbers["under_way"].update(batch=10**9),
    "no number": lambda numbers: numbers["under_way"].update(batch="many"),
    "nothing": lambda numbers: numbers["under_way"].clear(),
    "best epoch": lambda numbers: numbers.update(best_epoch=1),
    "schedule": lambda numbers: numbers.update(schedule=None),
    "generator": lambda numbers: numbers["rngs"].update(order=OF_ANOTHER_KIND),
    "generators": lambda numbers: numbers.update(rngs=[]),
}


@pytest.mark.usefixtures("small_data")
@pytest.mark.parametrize("change", NUMBERS)
def test_numbers_that_make_no_sense_are_refused(two, change):
    rewritten(two / "checkpoint.npz", lambda about, entries: NUMBERS[change](about["numbers"]))
    with pytest.raises(DataError, match=UNFIT), resumed_run(two):
        pass


@pytest.mark.parametrize("array", ["model.0.weight", "optimizer.0.momentum_buffer", "history"])
@pytest.mark.usefixtures("small_data")
def test_arrays_of_another_network_are_refused(two, array):
    def change(about, entries):
        entries[array] = np.zeros((3, 2), np.float32)
        about["sha256"][array] = checkpoint.digest(entries[array])

    rewritten(two / "checkpoint.npz", change)
    with pytest.raises(DataError, match=UNFIT), resumed_run(two):
        pass
