"""Two accidents, one upon the other: whatever they are, a sound checkpoint stays."""

import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from faults import PowerCut, failing

from tinygrad_mnist.data import DataError
from tinygrad_mnist.files import WriteError
from tinygrad_mnist.runs import checkpoint, resumed_run, run
from tinygrad_mnist.runs.environment import environment
from tinygrad_mnist.training import Recipe, RecipeError

SMALL = Recipe(name="s", hidden=(), epochs=2, batch_size=60, schedule="constant", lr=0.1)
NEWEST, PREVIOUS = "checkpoint.npz", "checkpoint.previous.npz"


@pytest.fixture
def interrupted(small_runs, monkeypatch):
    """A run after one batch, with a checkpoint of that and one of the beginning."""
    here = environment()
    for module in ("job", "resume"):
        monkeypatch.setattr(f"tinygrad_mnist.runs.{module}.environment", lambda threads: here)
    run(SMALL, Path("run"), should_stop=lambda: True)
    assert batches(Path("run")) == [1, 0]
    return Path("run")


def batches(folder):
    """How many batches each of the two checkpoints has seen; None if it is not sound."""
    found = []
    for name in (NEWEST, PREVIOUS):
        with suppress(DataError):
            found.append(checkpoint.read(folder / name).state.numbers["under_way"]["batch"])
            continue
        found.append(None)
    return found


def shortened(path):
    path.write_bytes(path.read_bytes()[:-100])


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def replaced_by_a_folder(path):
    path.unlink()
    path.mkdir()


def replaced_by_a_link(path):
    path.unlink()
    path.symlink_to("/gone/away")


DAMAGES = {
    "none": lambda path: None,
    "removed": Path.unlink,
    "emptied": lambda path: path.write_bytes(b""),
    "shortened": shortened,
    "flipped": flipped,
    "garbage": lambda path: path.write_bytes(b"garbage"),
    "a folder": replaced_by_a_folder,
    "a link": replaced_by_a_link,
}
REFUSALS = (DataError, RecipeError, WriteError)


def go_on(folder, *overrides):
    with resumed_run(folder, overrides=overrides) as again:
        again.complete()


def go_on_and_save(folder, *overrides):
    """Go on as far as the next checkpoint but one, and leave the results out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinygrad_mnist.runs.job.write_results", lambda *_: None)
        with resumed_run(folder, overrides=overrides) as again:
            again.complete(should_stop=lambda: True)


def killed_at_every_step(folder, act):
    """Copies of a folder, each after an act in it that was killed one step later than before."""
    for call in range(1000):
        copy = shutil.copytree(folder, Path("copy"), symlinks=True)
        with (
            failing(call, for_good=True, every_piece=False) as calls,
            suppress(PowerCut, *REFUSALS),
        ):
            act(copy)
        yield copy
        shutil.rmtree(copy)
        if len(calls) <= call:
            return
    pytest.fail("has no end")


def sound(folder):
    """How many batches the sound checkpoints have seen."""
    return [seen for seen in batches(folder) if seen is not None]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [NEWEST, PREVIOUS, "config.toml", "metrics.json", ".lock"])
def test_a_damaged_file_and_a_kill_at_any_step_of_going_on_leave_a_sound_checkpoint(
    interrupted, name, damage
):
    (interrupted / ".lock").write_text("123456\n")
    DAMAGES[damage](interrupted / name)
    least = max(sound(interrupted))
    steps = [
        max(sound(copy), default=-1) for copy in killed_at_every_step(interrupted, go_on_and_save)
    ]
    assert min(steps) >= least


def test_a_damaged_checkpoint_and_a_kill_at_any_step_to_the_end_leave_a_sound_one(interrupted):
    flipped(interrupted / NEWEST)
    assert all(sound(copy) for copy in killed_at_every_step(interrupted, go_on))


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_in_the_middle_of_a_training_and_a_kill_at_any_step_of_the_next_save_do_too(
    interrupted, damage
):
    with resumed_run(interrupted) as again:
        again.save()
        DAMAGES[damage](interrupted / NEWEST)

        def save(folder):
            again.folder = folder
            again.save()

        copies = killed_at_every_step(interrupted, save)
        steps = [bool(sound(copy)) for copy in copies]
    assert all(steps)
    assert len(steps) > 7


@pytest.mark.parametrize("damage", sorted(set(DAMAGES) - {"a folder", "a link"}))
def test_a_checkpoint_that_is_damaged_twice_has_a_sound_one_before_it_twice(interrupted, damage):
    for _ in range(2):
        DAMAGES[damage](interrupted / NEWEST)
        with resumed_run(interrupted) as again:
            again.save()
        assert len(sound(interrupted)) == 2
    DAMAGES[damage](interrupted / NEWEST)
    assert sound(interrupted)


def test_a_checkpoint_that_is_missing_leaves_its_permissions_to_the_next(interrupted):
    (interrupted / PREVIOUS).chmod(0o600)
    (interrupted / NEWEST).unlink()
    with resumed_run(interrupted) as again:
        again.save()
    assert (interrupted / NEWEST).stat().st_mode & 0o777 == 0o600


def test_at_the_end_the_checkpoint_before_goes_only_if_the_newest_is_sound(
    interrupted, monkeypatch
):
    def damaging(*_):
        flipped(interrupted / NEWEST)
        return {}

    with monkeypatch.context() as patch:
        patch.setattr("tinygrad_mnist.evaluation.figures.draw", damaging)
        go_on(interrupted)
    assert len(sound(interrupted)) == 1
    go_on(interrupted)
    assert (interrupted / PREVIOUS).exists() is False
    assert sound(interrupted)


def test_going_on_by_another_recipe_that_is_killed_at_any_step_can_be_asked_for_again(interrupted):
    for copy in killed_at_every_step(interrupted, lambda folder: go_on_and_save(folder, "lr=0.2")):
        go_on_and_save(copy, "lr=0.2")
        assert Recipe.load(str(copy / "config.toml")).lr == 0.2
